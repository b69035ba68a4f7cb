//! Decides which replayed records a partition already holds.
//!
//! PostgreSQL sends again everything after the slot's confirmed position, and a whole transaction again when the
//! connection broke in its middle. A partition holds every transaction up to its last control batch and, in this
//! process, the first records of the transaction that was being written. Both are skipped by count and by commit LSN,
//! never by a change's own LSN: a COPY gives a hundred rows one LSN.

use rowcast_event::Lsn;

/// What one partition holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Commit LSN of the last whole transaction that the partition had when this process opened it.
    committed: Option<Lsn>,
    /// The newest transaction of which records were appended since, and how many.
    begun: (Lsn, u64),
    /// The transaction being read, and how many of its records have gone by.
    passed: (Lsn, u64),
}

impl Held {
    /// A partition whose last control batch carries `committed`.
    pub(crate) fn up_to(committed: Option<Lsn>) -> Held {
        Held {
            committed,
            ..Held::default()
        }
    }

    /// Whether the partition has the whole transaction from before this process.
    pub(crate) fn holds(&self, commit_lsn: Lsn) -> bool {
        self.committed.is_some_and(|committed| commit_lsn <= committed)
    }

    /// Whether the next record of transaction `commit_lsn` must be appended. Called once for each record, in order.
    pub(crate) fn wants(&mut self, commit_lsn: Lsn) -> bool {
        if self.holds(commit_lsn) || commit_lsn < self.begun.0 {
            return false;
        }
        let passed = if self.passed.0 == commit_lsn {
            self.passed.1 + 1
        } else {
            1
        };
        self.passed = (commit_lsn, passed);
        let appended = if self.begun.0 == commit_lsn { self.begun.1 } else { 0 };
        let wanted = passed > appended;
        if wanted {
            self.begun = self.passed;
        }
        wanted
    }

    /// The source starts over from somewhere before this point.
    pub(crate) fn rewind(&mut self) {
        self.passed = (Lsn::default(), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(held: &mut Held, commit_lsn: u64, records: u64) -> Vec<bool> {
        (0..records).map(|_| held.wants(Lsn(commit_lsn))).collect()
    }

    #[test]
    fn whole_transactions_are_skipped_up_to_the_control_batch() {
        let mut held = Held::up_to(Some(Lsn(20)));
        assert_eq!(wanted(&mut held, 10, 2), [false, false]);
        assert_eq!(wanted(&mut held, 20, 1), [false]);
        assert_eq!(wanted(&mut held, 30, 2), [true, true]);
    }

    #[test]
    fn a_half_written_transaction_goes_on_at_its_next_record() {
        let mut held = Held::up_to(Some(Lsn(20)));
        assert_eq!(wanted(&mut held, 30, 3), [true; 3]);
        held.rewind();
        assert_eq!(wanted(&mut held, 20, 2), [false, false]);
        assert_eq!(wanted(&mut held, 30, 5), [false, false, false, true, true]);
        held.rewind();
        assert_eq!(wanted(&mut held, 30, 5), [false; 5]);
        assert_eq!(wanted(&mut held, 40, 1), [true]);
    }

    #[test]
    fn an_older_transaction_that_comes_again_is_skipped() {
        let mut held = Held::up_to(None);
        assert_eq!(wanted(&mut held, 30, 1), [true]);
        assert_eq!(wanted(&mut held, 40, 2), [true, true]);
        held.rewind();
        assert_eq!(wanted(&mut held, 30, 1), [false]);
        assert_eq!(wanted(&mut held, 40, 3), [false, false, true]);
    }

    #[test]
    fn breaking_twice_in_one_transaction_repeats_nothing() {
        let mut held = Held::up_to(None);
        assert_eq!(wanted(&mut held, 30, 4), [true; 4]);
        held.rewind();
        assert_eq!(wanted(&mut held, 30, 2), [false, false]);
        held.rewind();
        assert_eq!(wanted(&mut held, 30, 6), [false, false, false, false, true, true]);
    }
}
