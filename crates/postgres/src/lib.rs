//! WHERE CHANGES COME FROM. Snapshot, then logical replication (pgoutput), to change events.
//!
//! Promises: a snapshot and the stream after it meet exactly; the server is told "flushed" only what the caller
//! confirmed and never beyond what this walsender has sent; every refusal is a [`SourceError`] that says what to do.
//! Knows nothing of logs, topics' offsets, or browsers.

pub mod config;
pub mod copy_text;
pub mod pgoutput;

use std::sync::Arc;

pub use config::{ConfigErrors, ConnectorConfig};
use rowcast_event::{Change, Lsn, Table, TransactionMark};

/// What the log knows of this connector from before; all `None`/empty on the first start.
#[derive(Clone, Debug, Default)]
pub struct Resume {
    /// The server the log was filled from.
    pub server: Option<ServerIdentity>,
    /// Set when the snapshot is whole and durable in the log (or the mode needs none): then we only stream.
    pub snapshot_done: bool,
    /// The furthest mark in any of the connector's partitions.
    pub mark: Option<TransactionMark>,
    /// The furthest LSN that was ever confirmed to the server, as the log recorded it before confirming.
    pub confirmed: Lsn,
}

/// Which server, and which of its histories: the key of every LSN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerIdentity {
    /// `IDENTIFY_SYSTEM` systemid.
    pub system_identifier: String,
    /// `IDENTIFY_SYSTEM` timeline.
    pub timeline: u32,
}

/// A checked server with its publication and slot in place, ready to be read.
#[derive(Debug)]
pub struct Source {}

/// What to do after [`Source::open`].
#[derive(Debug)]
pub enum Opened {
    /// A new slot; its exported snapshot waits to be read, then [`SnapshotReader::into_stream`] goes on.
    Snapshot(SnapshotReader),
    /// Nothing to read first.
    Stream(Stream),
}

/// Reads all captured tables under the slot's exported snapshot.
#[derive(Debug)]
pub struct SnapshotReader {}

/// What a snapshot yields, in order.
#[derive(Debug)]
pub enum SnapshotEvent<'a> {
    /// The rows that follow are of this table. Sent for empty tables as well.
    Table(Arc<Table>),
    /// A row.
    Row(Change<'a>),
    /// All rows were read. The mark to commit them with.
    End(TransactionMark),
}

/// The logical replication stream.
#[derive(Debug)]
pub struct Stream {}

/// What a stream yields, in order.
#[derive(Debug)]
pub enum StreamEvent<'a> {
    /// A transaction begins.
    Begin {
        /// LSN of its commit record, known beforehand: the first half of every position in it.
        commit_lsn: Lsn,
    },
    /// A table appeared or changed its shape; changes that follow are of this version.
    Table(Arc<Table>),
    /// A change of the table.
    Change(&'a Arc<Table>, Change<'a>),
    /// The transaction is whole.
    Commit(TransactionMark),
    /// All WAL up to here was decoded; nothing before it is missing. May be confirmed once the log has all commits
    /// before it.
    Keepalive {
        /// The server's WAL end.
        wal_end: Lsn,
    },
    /// Nothing more is buffered: hand on what you have, then call `next` again, which waits.
    Idle,
}

impl Source {
    /// Connects, checks server, role, publication, tables, slot and log position against each other, creates what the
    /// configuration says may be created. `run_id` goes to the records' headers.
    pub async fn open(config: &ConnectorConfig, resume: &Resume, run_id: &str) -> Result<(ServerIdentity, Opened), SourceError> {
        let _ = (config, resume, run_id);
        Err(SourceError::Gone("not built".into()))
    }
}

impl SnapshotReader {
    /// The slot's consistent point, LSN of every snapshot row.
    pub fn consistent_point(&self) -> Lsn {
        Lsn(0)
    }
    /// The next event; waits for the server.
    pub async fn next(&mut self) -> Result<SnapshotEvent<'_>, SourceError> {
        Ok(SnapshotEvent::End(TransactionMark { commit_lsn: Lsn(0), end_lsn: Lsn(0), changes: 0 }))
    }
    /// After [`SnapshotEvent::End`] and once the log has it durably: starts the stream at the consistent point.
    pub async fn into_stream(self) -> Result<Stream, SourceError> {
        Err(SourceError::Gone("not built".into()))
    }
}

impl Stream {
    /// The next event. Cancel-safe: a dropped call loses nothing.
    pub async fn next(&mut self) -> Result<StreamEvent<'_>, SourceError> {
        Ok(StreamEvent::Idle)
    }
    /// Tells the server it may forget everything up to `lsn`, now. Clamped to what this walsender has sent; never
    /// moves back.
    pub async fn confirm(&mut self, lsn: Lsn) -> Result<(), SourceError> {
        let _ = lsn;
        Ok(())
    }
    /// Ends the stream in order (CopyDone), so that the slot is free when this returns.
    pub async fn close(self) {}
}

/// What can go wrong with a source; the kind says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The server is away, restarting, or the slot is busy: try again with back-off.
    #[error("{0}")]
    Gone(String),
    /// Going on would lose or damage data, or cannot work until a person acts: stop and say so.
    #[error("{0}")]
    Refused(String),
}
