//! The event of one row, whose cells point into the read buffer.

use rowcast_event::{Change, Operation};

use super::{
    Stream, StreamEvent,
    cells::Cells,
    failure::{malformed, out_of_order},
    relations::Captured,
    transaction::OutOfOrder,
};
use crate::{
    SourceError,
    pgoutput::{self, Message, Old, replication},
};

impl Stream {
    /// The event of the row that was lent.
    pub(super) fn row(&mut self) -> Result<StreamEvent<'_>, SourceError> {
        let frame = self.lent.expect("a row step lends its frame");
        let replication::Frame::XLogData { payload, wal_start, .. } =
            replication::decode(self.inbox.body(frame)).map_err(malformed)?
        else {
            return Err(out_of_order(OutOfOrder("a row's frame is no WAL data")));
        };
        let message = pgoutput::decode(payload).map_err(malformed)?;
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
