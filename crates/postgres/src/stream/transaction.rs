//! Counts a transaction's changes and remembers the commit before it: what positions and `source.sequence` are made of.
//!
//! Ordinals are counted over all rows and messages before any filter, so that they stay the same when the filter changes. A
//! transaction without a captured change is not announced at all: PostgreSQL 14 sends empty ones in masses. For
//! `source.sequence` every commit counts that the server has sent, as in Debezium, and every message that is part of no
//! transaction. Pure.

use rowcast_event::{Lsn, Origin, Position, SnapshotMarker, TransactionMark};

use super::history::is_commit;

/// Where the stream is.
#[derive(Debug)]
pub(crate) struct Transactions {
    current: Option<Current>,
    /// What was sent last and is whole, whether anything of it is captured or not.
    last: Option<TransactionMark>,
    /// The furthest commit the log held before this stream.
    held: Option<TransactionMark>,
}

#[derive(Clone, Copy, Debug)]
struct Current {
    commit_lsn: Lsn,
    commit_ts_us: i64,
    xid: u32,
    /// Where its BEGIN says that it begins.
    begin_lsn: Lsn,
    ordinals: u64,
    announced: bool,
}

/// A message that may not come here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfOrder(pub(crate) &'static str);

/// The LSN at which a transaction commits, and its origin as of its beginning.
pub(crate) type Announced = (Lsn, Origin);

/// What a commit means to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It had captured changes.
    Whole(TransactionMark),
    /// Nothing of it was announced; all WAL up to here is dealt with.
    Nothing(Lsn),
}

impl Transactions {
    /// Goes on after what the log holds.
    pub(crate) fn after(held: Option<TransactionMark>) -> Transactions {
        Transactions {
            current: None,
            last: None,
            held,
        }
    }

    /// What was whole before anything that is to come.
    pub(crate) fn last(&self) -> Option<TransactionMark> {
        self.last.or(self.held)
    }

    /// BEGIN.
    pub(crate) fn begin(
        &mut self,
        commit_lsn: Lsn,
        commit_ts_us: i64,
        xid: u32,
        wal_start: Lsn,
    ) -> Result<(), OutOfOrder> {
        if self.current.is_some() {
            return Err(OutOfOrder("a transaction began inside another"));
        }
        // A replay of transactions that the log holds already starts from an unknown past.
        if self.last.is_none() {
            self.last = self.held.filter(|held| is_before(held, commit_lsn));
        }
        self.current = Some(Current {
            commit_lsn,
            commit_ts_us,
            xid,
            begin_lsn: wal_start,
            ordinals: 0,
            announced: false,
        });
        Ok(())
    }

    /// True between BEGIN and COMMIT.
    pub(crate) fn is_open(&self) -> bool {
        self.current.is_some()
    }

    /// Before the first captured change: what to announce, once.
    pub(crate) fn announce(&mut self) -> Result<Option<Announced>, OutOfOrder> {
        let current = self.current.as_mut().ok_or(OUTSIDE)?;
        if current.announced {
            return Ok(None);
        }
        current.announced = true;
        let current = *current;
        Ok(Some((current.commit_lsn, self.origin(current, current.begin_lsn))))
    }

    fn origin(&self, current: Current, lsn: Lsn) -> Origin {
        Origin {
            ts_us: current.commit_ts_us,
            xid: Some(current.xid),
            last_commit_lsn: self.last.filter(is_commit).map(|last| last.end_lsn),
            lsn,
            snapshot: SnapshotMarker::Streamed,
        }
    }

    /// Counts one row or message that nobody wants.
    pub(crate) fn skip_row(&mut self) -> Result<(), OutOfOrder> {
        self.current.as_mut().ok_or(OUTSIDE)?.ordinals += 1;
        Ok(())
    }

    /// Counts one row and says where it stands. `wal_start` is its message's.
    pub(crate) fn row(&mut self, wal_start: Lsn) -> Result<(Position, Origin), OutOfOrder> {
        let current = self.current.as_mut().ok_or(OUTSIDE)?;
        let position = Position {
            commit_lsn: current.commit_lsn,
            ordinal: current.ordinals,
        };
        current.ordinals += 1;
        let current = *current;
        Ok((position, self.origin(current, wal_start)))
    }

    /// A message that is part of no transaction, where it stands, and its end. It counts as the last commit, for itself already.
    pub(crate) fn lone_message(&mut self, lsn: Lsn) -> Result<(Position, Origin, TransactionMark), OutOfOrder> {
        if self.current.is_some() {
            return Err(OutOfOrder("a message of no transaction came inside of one"));
        }
        let mark = TransactionMark {
            commit_lsn: within_message(lsn),
            end_lsn: lsn,
            changes: 1,
            ts_us: self.last().map_or(0, |last| last.ts_us),
        };
        self.last = Some(mark);
        let position = Position {
            commit_lsn: mark.commit_lsn,
            ordinal: 0,
        };
        let origin = Origin {
            ts_us: mark.ts_us,
            xid: None,
            last_commit_lsn: Some(lsn),
            lsn,
            snapshot: SnapshotMarker::Streamed,
        };
        Ok((position, origin, mark))
    }

    /// COMMIT.
    pub(crate) fn commit(&mut self, commit_lsn: Lsn, end_lsn: Lsn) -> Result<Ended, OutOfOrder> {
        let current = self
            .current
            .take()
            .ok_or(OutOfOrder("a commit came outside of a transaction"))?;
        if current.commit_lsn != commit_lsn {
            return Err(OutOfOrder("a commit's LSN is not the one its transaction began with"));
        }
        let mark = TransactionMark {
            commit_lsn,
            end_lsn,
            changes: current.ordinals,
            ts_us: current.commit_ts_us,
        };
        self.last = Some(mark);
        Ok(match current.announced {
            true => Ended::Whole(mark),
            false => Ended::Nothing(end_lsn),
        })
    }
}

const OUTSIDE: OutOfOrder = OutOfOrder("a row came outside of a transaction");

/// Whether what is held ended before a transaction that commits at `commit_lsn`.
fn is_before(held: &TransactionMark, commit_lsn: Lsn) -> bool {
    commit_lsn > held.commit_lsn
}

/// Where a message that is part of no transaction stands among the commits, given the end of its record: the next record may
/// be a commit that begins there, so within its own. Two bytes before: one byte is a snapshot's (see [`snapshot_mark`]).
pub(crate) fn within_message(end: Lsn) -> Lsn {
    Lsn(end.0.saturating_sub(2))
}

/// The mark of a whole snapshot, whose rows are as of `ts_us`. Its "commit" lies one byte before the consistent point: the
/// first streamed transaction may well commit exactly at that point, and must come after every row of the snapshot, not be
/// taken for one of them.
pub(crate) fn snapshot_mark(consistent_point: Lsn, rows: u64, ts_us: i64) -> TransactionMark {
    TransactionMark {
        commit_lsn: before(consistent_point),
        end_lsn: consistent_point,
        changes: rows,
        ts_us,
    }
}

/// See [`snapshot_mark`].
pub(crate) fn before(consistent_point: Lsn) -> Lsn {
    Lsn(consistent_point.0.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(transactions: &mut Transactions, commit: u64, end: u64) -> Origin {
        transactions
            .begin(Lsn(commit), 0, 7, Lsn(commit - 9))
            .expect("in order");
        transactions.announce().expect("in order");
        let (_, origin) = transactions.row(Lsn(commit - 10)).expect("in order");
        transactions.commit(Lsn(commit), Lsn(end)).expect("in order");
        origin
    }

    #[test]
    fn rows_that_are_filtered_out_keep_their_ordinals() {
        let mut transactions = Transactions::after(None);
        transactions.begin(Lsn(100), 0, 7, Lsn(100 - 9)).expect("in order");
        transactions.skip_row().expect("in order");
        let announced = transactions.announce().expect("in order").expect("the first");
        assert_eq!((announced.0, announced.1.lsn), (Lsn(100), Lsn(91)));
        assert_eq!(transactions.announce(), Ok(None));
        let (position, _) = transactions.row(Lsn(90)).expect("in order");
        assert_eq!(
            position,
            Position {
                commit_lsn: Lsn(100),
                ordinal: 1
            }
        );
        let mark = TransactionMark {
            commit_lsn: Lsn(100),
            end_lsn: Lsn(140),
            changes: 2,
            ts_us: 0,
        };
        assert_eq!(transactions.commit(Lsn(100), Lsn(140)), Ok(Ended::Whole(mark)));
    }

    #[test]
    fn a_transaction_without_captured_rows_is_not_announced_and_yet_the_last_commit() {
        let mut transactions = Transactions::after(None);
        assert_eq!(whole(&mut transactions, 100, 140).last_commit_lsn, None);
        transactions.begin(Lsn(200), 0, 8, Lsn(200 - 9)).expect("in order");
        transactions.skip_row().expect("in order");
        assert_eq!(transactions.commit(Lsn(200), Lsn(240)), Ok(Ended::Nothing(Lsn(240))));
        assert_eq!(whole(&mut transactions, 300, 340).last_commit_lsn, Some(Lsn(240)));
    }

    #[test]
    fn a_message_of_no_transaction_stands_before_the_commit_that_begins_at_its_end() {
        let mut transactions = Transactions::after(Some(snapshot_mark(Lsn(50), 3, 7_000)));
        let (position, origin, mark) = transactions.lone_message(Lsn(200)).expect("in order");
        assert!(position.commit_lsn > before(Lsn(50)) && position.commit_lsn < Lsn(200));
        assert_eq!(
            (origin.lsn, origin.last_commit_lsn, origin.xid),
            (Lsn(200), Some(Lsn(200)), None)
        );
        assert_eq!(
            (mark.end_lsn, mark.ts_us),
            (Lsn(200), 7_000),
            "the time of what came before"
        );
        assert!(is_commit(&mark), "a server without it has another history");
        assert_eq!(whole(&mut transactions, 200, 240).last_commit_lsn, Some(Lsn(200)));
        transactions.begin(Lsn(300), 0, 8, Lsn(300 - 9)).expect("in order");
        assert!(transactions.lone_message(Lsn(290)).is_err());
    }

    #[test]
    fn the_commit_before_is_the_same_after_a_restart_with_and_without_a_replay() {
        let held = TransactionMark {
            commit_lsn: Lsn(100),
            end_lsn: Lsn(140),
            changes: 1,
            ts_us: 0,
        };
        let mut without = Transactions::after(Some(held));
        assert_eq!(whole(&mut without, 200, 240).last_commit_lsn, Some(Lsn(140)));
        let mut with = Transactions::after(Some(held));
        assert_eq!(whole(&mut with, 100, 140).last_commit_lsn, None);
        assert_eq!(whole(&mut with, 200, 240).last_commit_lsn, Some(Lsn(140)));
    }

    #[test]
    fn a_transaction_that_commits_at_the_consistent_point_follows_the_snapshot() {
        let mark = snapshot_mark(Lsn(1000), 50, 0);
        assert!(mark.commit_lsn < Lsn(1000) && mark.end_lsn == Lsn(1000));
        let mut transactions = Transactions::after(Some(mark));
        assert_eq!(whole(&mut transactions, 1000, 1040).last_commit_lsn, None);
    }

    #[test]
    fn messages_out_of_order_are_errors() {
        let mut transactions = Transactions::after(None);
        assert!(transactions.row(Lsn(1)).is_err());
        assert!(transactions.skip_row().is_err());
        assert!(transactions.announce().is_err());
        assert!(transactions.commit(Lsn(1), Lsn(2)).is_err());
        transactions.begin(Lsn(9), 0, 1, Lsn(9 - 9)).expect("in order");
        assert!(transactions.begin(Lsn(9), 0, 1, Lsn(9 - 9)).is_err());
        assert!(transactions.commit(Lsn(8), Lsn(10)).is_err());
    }
}
