//! Tells whether the server has the history that the log was filled from.
//!
//! A server that was restored from an older copy may have written on beyond what the log holds, on the same timeline and
//! with the same slot. Its transactions then stand where others stood, and would be taken for those. So while the slot's
//! position lies below the log's end, the server must show the transaction with which the log ends: it sends everything
//! from the slot's position on, whether it is captured now or not, and a publication is looked up as of then. Pure.

use rowcast_event::{Lsn, TransactionMark};

/// Waits for the transaction with which the log ends.
#[derive(Debug)]
pub(crate) struct History {
    awaited: Option<TransactionMark>,
}

/// The server has another history: it lacks this transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OtherHistory(pub(crate) TransactionMark);

impl History {
    /// `held` is the furthest transaction in the log; the server sends those that commit from `confirmed` on. The end of
    /// a snapshot is no transaction, and no later than the slot.
    pub(crate) fn of(held: Option<TransactionMark>, confirmed: Lsn) -> History {
        History {
            awaited: held.filter(|held| is_commit(held) && held.commit_lsn >= confirmed),
        }
    }

    /// Whether the log's last transaction was seen, or need not be.
    pub(crate) fn is_proven(&self) -> bool {
        self.awaited.is_none()
    }

    /// A transaction begins.
    pub(crate) fn begins(&self, commit_lsn: Lsn) -> Result<(), OtherHistory> {
        self.reaches(commit_lsn)
    }

    /// A transaction was sent whole.
    pub(crate) fn committed(&mut self, commit_lsn: Lsn, end_lsn: Lsn) -> Result<(), OtherHistory> {
        match self.awaited {
            Some(held) if held.commit_lsn == commit_lsn && held.end_lsn == end_lsn => {
                self.awaited = None;
                Ok(())
            }
            Some(held) if held.commit_lsn == commit_lsn => Err(OtherHistory(held)),
            _ => Ok(()),
        }
    }

    /// All WAL before this was sent.
    pub(crate) fn reaches(&self, lsn: Lsn) -> Result<(), OtherHistory> {
        match self.awaited {
            Some(held) if lsn > held.commit_lsn => Err(OtherHistory(held)),
            _ => Ok(()),
        }
    }
}

/// A snapshot's mark ends no commit: see [`super::transaction::snapshot_mark`].
pub(super) fn is_commit(mark: &TransactionMark) -> bool {
    mark.end_lsn.0 - mark.commit_lsn.0 > 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::transaction::snapshot_mark;

    const HELD: TransactionMark = TransactionMark {
        commit_lsn: Lsn(1000),
        end_lsn: Lsn(1040),
        changes: 1,
        ts_us: 0,
    };

    #[test]
    fn the_transaction_that_the_log_ends_with_proves_the_history() {
        let mut history = History::of(Some(HELD), Lsn(800));
        for (commit, end) in [(800, 840), (900, 940)] {
            assert_eq!(history.begins(Lsn(commit)), Ok(()));
            assert_eq!(history.committed(Lsn(commit), Lsn(end)), Ok(()));
            assert_eq!(history.reaches(Lsn(end)), Ok(()));
            assert!(!history.is_proven());
        }
        assert_eq!(history.reaches(Lsn(1000)), Ok(()), "all before it was sent, not itself");
        assert_eq!(history.begins(Lsn(1000)), Ok(()));
        assert_eq!(history.committed(Lsn(1000), Lsn(1040)), Ok(()));
        assert!(history.is_proven());
        assert_eq!(history.begins(Lsn(2000)), Ok(()));
        assert_eq!(history.reaches(Lsn(3000)), Ok(()));
    }

    #[test]
    fn a_history_without_it_is_another() {
        let history = History::of(Some(HELD), Lsn(800));
        assert_eq!(history.begins(Lsn(1001)), Err(OtherHistory(HELD)), "it was passed over");
        assert_eq!(history.reaches(Lsn(1001)), Err(OtherHistory(HELD)), "while idle, too");
        let mut history = History::of(Some(HELD), Lsn(800));
        assert_eq!(history.begins(Lsn(1000)), Ok(()));
        assert_eq!(
            history.committed(Lsn(1000), Lsn(1064)),
            Err(OtherHistory(HELD)),
            "another transaction at its place"
        );
    }

    #[test]
    fn nothing_is_awaited_that_the_server_does_not_send_again() {
        assert!(History::of(None, Lsn(5)).is_proven());
        assert!(History::of(Some(HELD), Lsn(1040)).is_proven(), "it was confirmed");
        assert!(
            !History::of(Some(HELD), Lsn(1000)).is_proven(),
            "PostgreSQL sends what commits at the slot's position"
        );
        assert!(History::of(Some(snapshot_mark(Lsn(1000), 9, 0)), Lsn(1000)).is_proven());
    }
}
