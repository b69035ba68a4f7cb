//! What the stream tells its caller, and what the caller may rely on.

use std::sync::Arc;

use rowcast_event::{Change, LogicalMessage, Lsn, Origin, Table, TransactionMark};

/// What a stream yields, in order.
#[derive(Debug)]
pub enum StreamEvent<'a> {
    /// A transaction begins that has at least one captured change, or any with `provide.transaction.metadata`.
    Begin {
        /// LSN of its commit record, known beforehand: the first half of every position in it.
        commit_lsn: Lsn,
        /// Its own, as of its beginning.
        origin: Origin,
    },
    /// A table appeared or changed its shape; changes that follow are of this version.
    Table(Arc<Table>),
    /// A change of the table.
    Change(&'a Arc<Table>, Change<'a>),
    /// A logical message whose prefix is wanted: of the transaction, or whole by itself, and then outside of all.
    Message(LogicalMessage<'a>),
    /// The transaction is whole.
    Commit(TransactionMark),
    /// All WAL up to here was decoded; nothing before it is missing. May be confirmed once the log has all commits
    /// before it. Never comes inside a transaction.
    Keepalive {
        /// The server's WAL end.
        wal_end: Lsn,
        /// The server waits to hear how far we are: it shuts down, or wonders whether we live.
        reply_requested: bool,
    },
    /// All WAL before the place where the caller wanted to stop was sent: see [`crate::Stream::end_at`]. Nothing follows until
    /// [`crate::Stream::go_on_after`].
    End,
    /// Nothing more is buffered: hand on what you have, then call `next` again, which waits. Not said twice in a row.
    Idle,
}
