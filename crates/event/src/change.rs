//! What PostgreSQL told us of one row: the only thing that goes into the encoder.
//!
//! Everything is borrowed from the bytes that came over the wire or out of the snapshot; nothing is converted yet.
//! Knows nothing of tables, types or JSON.

use crate::{Lsn, Position};

/// One column of a tuple, in PostgreSQL's text form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// SQL NULL.
    Null,
    /// A TOAST value that the change did not touch, so PostgreSQL did not send it.
    Unchanged,
    /// The value as PostgreSQL prints it, UTF-8 unless the database lies.
    Text(&'a [u8]),
}

/// What PostgreSQL sent of the old row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldRow<'a> {
    /// Only the replica identity's columns are real ('K').
    Key(&'a [Cell<'a>]),
    /// The whole row ('O', replica identity FULL).
    Full(&'a [Cell<'a>]),
}

/// Debezium's operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// `r`: a row read by the snapshot.
    Read(&'a [Cell<'a>]),
    /// `c`.
    Insert(&'a [Cell<'a>]),
    /// `u`, or delete + tombstone + create when the key changed.
    Update {
        /// What was sent of the row before.
        old: Option<OldRow<'a>>,
        /// The row after.
        new: &'a [Cell<'a>],
    },
    /// `d` and its tombstone.
    Delete(OldRow<'a>),
    /// `t`.
    Truncate,
}

/// `source.snapshot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotMarker {
    /// A streamed change: `"false"`.
    Streamed,
    /// `"first"`.
    First,
    /// `"first_in_data_collection"`.
    FirstInDataCollection,
    /// `"true"`.
    Row,
    /// `"last_in_data_collection"`.
    LastInDataCollection,
    /// `"last"`.
    Last,
}

/// The facts of the `source` block that belong to the transaction (or the snapshot).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Microseconds since 1970: commit time; for snapshot rows the snapshot transaction's CURRENT_TIMESTAMP.
    pub ts_us: i64,
    /// The transaction's id; `None` where Debezium writes null.
    pub xid: Option<u32>,
    /// End LSN of the previous non-empty transaction; `None` in the snapshot and before the first commit.
    pub last_commit_lsn: Option<Lsn>,
    /// WAL start of this change's message (`source.lsn`).
    pub lsn: Lsn,
    /// `source.snapshot`.
    pub snapshot: SnapshotMarker,
}

/// One change of one row.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Where it stands.
    pub position: Position,
    /// What happened.
    pub operation: Operation<'a>,
    /// The rest of its `source` block.
    pub origin: Origin,
}
