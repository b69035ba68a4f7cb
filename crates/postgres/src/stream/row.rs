//! The event of one row, whose cells point into the read buffer.

use rowcast_event::{Change, Lsn, Operation};

use super::{
    Stream, StreamEvent,
    cells::Cells,
    failure::{malformed, out_of_order},
    relations::Captured,
    transaction::OutOfOrder,
};
use crate::{
    SourceError,
    connection::frame::{Frame, Inbox},
    pgoutput::{self, Message, Old, replication},
};

/// The message of a frame that was lent, and where it stands in the WAL.
pub(super) fn lent_message(inbox: &Inbox, lent: Option<Frame>) -> Result<(Message<'_>, Lsn), SourceError> {
    let frame = lent.expect("a step of a row or a message lends its frame");
    let replication::Frame::XLogData { payload, wal_start, .. } =
        replication::decode(inbox.body(frame)).map_err(malformed)?
    else {
        return Err(out_of_order(OutOfOrder("a frame that was lent is no WAL data")));
    };
    Ok((pgoutput::decode(payload).map_err(malformed)?, wal_start))
}

impl Stream {
    /// The event of the row that was lent.
    pub(super) fn row(&mut self) -> Result<StreamEvent<'_>, SourceError> {
        let (message, wal_start) = lent_message(&self.inbox, self.lent)?;
        let oid = match &message {
            Message::Insert { relation_oid, .. }
            | Message::Update { relation_oid, .. }
            | Message::Delete { relation_oid, .. } => *relation_oid,
            _ => return Err(out_of_order(OutOfOrder("a row's frame holds no row"))),
        };
        let Captured { table, columns, kept } = self
            .relations
            .captured(oid)
            .ok_or_else(|| out_of_order(OutOfOrder("a row's table is not known")))?;
        let cells = Cells::new(&self.cells, kept.as_deref());
        let (operation, in_tuple) = match message {
            Message::Insert { new, .. } => (Operation::Insert(cells.of(&new)), new.columns()),
            Message::Update { old, new, .. } => {
                let old = old.as_ref().map(|old| cells.of_old(old));
                let update = Operation::Update {
                    old,
                    new: cells.of(&new),
                };
                (update, new.columns())
            }
            Message::Delete { old, .. } => {
                let (Old::Key(tuple) | Old::Full(tuple)) = &old;
                (Operation::Delete(cells.of_old(&old)), tuple.columns())
            }
            _ => return Err(out_of_order(OutOfOrder("a row's frame holds no row"))),
        };
        let (position, origin) = self.transactions.row(wal_start).map_err(out_of_order)?;
        if usize::from(in_tuple) != columns.unwrap_or(table.description.columns.len()) {
            return Err(out_of_order(OutOfOrder(
                "a row has another number of columns than its table",
            )));
        }
        Ok(StreamEvent::Change(
            table,
            Change {
                position,
                operation,
                origin,
            },
        ))
    }
}
