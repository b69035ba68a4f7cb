//! Decides which replayed records a partition already holds.
//!
//! PostgreSQL sends again everything after the slot's confirmed position, and a whole transaction again when the
//! connection broke in its middle. A partition holds every transaction up to its last control batch and, in this
//! process, the first records of the transaction that was being written. Both are skipped by count and by commit LSN,
//! never by a change's own LSN: a COPY gives a hundred rows one LSN.

use rowcast_event::{Lsn, Origin};

use crate::parts::Parts;

/// What one partition holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// What it had of later transactions, by their records' own words.
    parts: Parts,
    /// The record being read, by the same words: transaction, LSN, which one at it.
    at: (Option<u32>, Lsn, u64),
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

    /// A partition that holds every transaction up to `committed`, and these parts of later ones.
    pub(crate) fn with_parts(committed: Option<Lsn>, parts: Parts) -> Held {
        Held {
            parts,
            ..Held::up_to(committed)
        }
    }

    /// Whether the partition has the whole transaction from before this process.
    pub(crate) fn holds(&self, commit_lsn: Lsn) -> bool {
        self.committed.is_some_and(|committed| commit_lsn <= committed)
    }

    /// Whether the next record of transaction `commit_lsn` must be appended. Called once for each record, in order.
    pub(crate) fn wants(&mut self, commit_lsn: Lsn, origin: &Origin) -> bool {
        if self.holds(commit_lsn) || commit_lsn < self.begun.0 || self.is_in_a_part(origin) {
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

    fn is_in_a_part(&mut self, origin: &Origin) -> bool {
        let Some(part) = self.parts.get(&origin.xid) else {
            return false;
        };
        let here = (origin.xid, origin.lsn);
        let count = if (self.at.0, self.at.1) == here {
            self.at.2 + 1
        } else {
            1
        };
        self.at = (origin.xid, origin.lsn, count);
        origin.lsn < part.lsn || (origin.lsn == part.lsn && count <= part.count)
    }

    /// The source starts over from somewhere before this point.
    pub(crate) fn rewind(&mut self) {
        self.passed = (Lsn::default(), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(xid: u32, lsn: u64) -> Origin {
        Origin {
            ts_us: 0,
            xid: Some(xid),
            last_commit_lsn: None,
            lsn: Lsn(lsn),
            snapshot: rowcast_event::SnapshotMarker::Streamed,
        }
    }

    fn wanted(held: &mut Held, commit_lsn: u64, records: u64) -> Vec<bool> {
        (0..records)
            .map(|_| held.wants(Lsn(commit_lsn), &origin(1, commit_lsn)))
            .collect()
    }

    #[test]
    fn of_a_transaction_that_is_there_in_part_the_rest_is_wanted() {
        let part = |lsn, count| crate::parts::Part { lsn: Lsn(lsn), count };
        let mut held = Held::with_parts(
            Some(Lsn(20)),
            Parts::from([(Some(7), part(31, 2)), (Some(8), part(35, 1))]),
        );
        let mut wants = |commit, xid, lsn| held.wants(Lsn(commit), &origin(xid, lsn));
        assert!(!wants(20, 6, 15), "confirmed");
        assert_eq!([wants(40, 7, 30), wants(40, 7, 31), wants(40, 7, 31)], [false; 3]);
        assert_eq!([wants(40, 7, 31), wants(40, 7, 33)], [true; 2]);
        assert_eq!([wants(50, 8, 35), wants(50, 8, 36)], [false, true]);
        assert!(wants(60, 9, 32), "committed later, written earlier");
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
