//! Knows of which transaction of the source's a record is that is on its way to the log, so that one which the log does not
//! take can be named by its place, and never by what is in it.
//!
//! One entry for each transaction that is not durable: bounded by what an appender lets be under way.

use std::collections::VecDeque;

use rowcast_event::{Lsn, Origin, SnapshotMarker};
use rowcast_log::{FlushSeq, LogError};

use crate::ConnectorError;

/// Records appended and not durable yet, by the appender's count.
#[derive(Debug, Default)]
pub(crate) struct UnderWay {
    appended: u64,
    begun: VecDeque<Begun>,
    /// How many were appended when a flush was made.
    flushed: VecDeque<(FlushSeq, u64)>,
}

/// Where the records of one transaction begin.
#[derive(Clone, Copy, Debug)]
struct Begun {
    first: u64,
    commit_lsn: Lsn,
    of: Of,
}

/// What a record is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    Snapshot,
    Transaction(u32),
    /// A message that is part of nothing else.
    Message,
}

impl Of {
    /// By the record's origin.
    pub(crate) fn origin(origin: &Origin) -> Of {
        match (origin.snapshot, origin.xid) {
            (SnapshotMarker::Streamed, Some(xid)) => Of::Transaction(xid),
            (SnapshotMarker::Streamed, None) => Of::Message,
            _ => Of::Snapshot,
        }
    }
}

impl UnderWay {
    /// A record of this transaction was handed to the appender.
    pub(crate) fn append(&mut self, commit_lsn: Lsn, of: Of) {
        let is_same = |last: &Begun| (last.commit_lsn, last.of) == (commit_lsn, of);
        if !self.begun.back().is_some_and(is_same) {
            let first = self.appended;
            self.begun.push_back(Begun { first, commit_lsn, of });
        }
        self.appended += 1;
    }

    /// A record of our own was.
    pub(crate) fn append_own(&mut self) {
        self.appended += 1;
    }

    pub(crate) fn flushed(&mut self, flush: FlushSeq) {
        self.flushed.push_back((flush, self.appended));
    }

    /// Everything up to this flush needs no name any more.
    pub(crate) fn durable(&mut self, flush: FlushSeq) {
        let mut below = 0;
        while let Some(&(seq, appended)) = self.flushed.front()
            && seq <= flush
        {
            self.flushed.pop_front();
            below = appended;
        }
        while self.begun.get(1).is_some_and(|next| next.first <= below) {
            self.begun.pop_front();
        }
    }

    /// Says of a record that was not taken where it is in the source.
    pub(crate) fn explain(&self, error: ConnectorError) -> ConnectorError {
        let ConnectorError::Log(LogError::Refused { partition, append, why }) = &error else {
            return error;
        };
        let after = self.begun.partition_point(|begun| begun.first <= *append);
        let Some(begun) = after.checked_sub(1).map(|place| self.begun[place]) else {
            return error;
        };
        let number = append - begun.first + 1;
        let of = match begun.of {
            Of::Transaction(xid) => format!("transaction {xid}, which commits at LSN {}", begun.commit_lsn),
            Of::Snapshot => format!("the snapshot as of LSN {}", begun.commit_lsn),
            Of::Message => format!("the message that ends behind LSN {}", begun.commit_lsn),
        };
        ConnectorError::Refused(format!(
            "{partition} does not take record {number} of {of}: {why}. PostgreSQL keeps it and all behind it; it is tried again"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(append: u64) -> ConnectorError {
        ConnectorError::Log(LogError::Refused {
            partition: "t-0".to_owned(),
            append,
            why: "it is too large".to_owned(),
        })
    }

    #[test]
    fn a_refused_record_is_named_by_its_transaction() {
        let mut under_way = UnderWay::default();
        under_way.append(Lsn(10), Of::Snapshot);
        for (lsn, xid) in [(20, 7), (20, 7), (30, 8)] {
            under_way.append(Lsn(lsn), Of::Transaction(xid));
        }
        under_way.append_own();
        under_way.flushed(FlushSeq(1));
        under_way.append(Lsn(40), Of::Transaction(9));
        under_way.flushed(FlushSeq(2));
        let said = |under_way: &UnderWay, append| under_way.explain(refused(append)).to_string();
        assert!(said(&under_way, 0).contains("record 1 of the snapshot as of LSN 0/A"));
        assert!(said(&under_way, 2).contains("record 2 of transaction 7, which commits at LSN 0/14: it is too large"));
        assert!(said(&under_way, 3).contains("record 1 of transaction 8"));
        under_way.durable(FlushSeq(1));
        assert_eq!(under_way.begun.len(), 1, "what is durable is forgotten");
        assert!(said(&under_way, 5).contains("record 1 of transaction 9"));
        let other = under_way.explain(ConnectorError::Log(LogError::Away("away".to_owned())));
        assert_eq!(other.to_string(), "away");
    }
}
