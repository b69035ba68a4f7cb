//! Logical messages: what `pg_logical_emit_message` wrote, with the transactions or between them.
//!
//! One that is part of a transaction comes with it. One that is not comes when the server has read it, whatever becomes of the
//! transaction that it was written in: never inside of another, and whole by itself.

use rowcast_event::{LogicalMessage, Lsn, Origin, Position, TransactionMark};

use super::{
    Step, Stream, StreamEvent,
    failure::{other_history, out_of_order},
    row::lent_message,
    transaction::{OutOfOrder, within_message},
};
use crate::{SourceError, pgoutput::Message};

/// Where a message stands, and its end if it is part of no transaction.
pub(super) type Placed = (Position, Origin, Option<TransactionMark>);

impl Stream {
    /// What a message means. [`Step::Begin`] and [`Step::End`] come before it: then nothing is noted, and it is read again.
    pub(super) fn on_message(
        &mut self,
        transactional: bool,
        wanted: bool,
        wal_start: Lsn,
    ) -> Result<Option<Step>, SourceError> {
        match transactional {
            true => self.on_message_inside(wanted, wal_start),
            false => self.on_message_outside(wanted, wal_start).map(Some),
        }
    }

    fn on_message_inside(&mut self, wanted: bool, wal_start: Lsn) -> Result<Option<Step>, SourceError> {
        if !wanted {
            self.transactions.skip_row().map_err(out_of_order)?;
            return Ok(None);
        }
        if let Some(announced) = self.transactions.announce().map_err(out_of_order)? {
            return Ok(Some(Step::Begin(announced)));
        }
        let (position, origin) = self.transactions.row(wal_start).map_err(out_of_order)?;
        Ok(Some(Step::Message((position, origin, None))))
    }

    fn on_message_outside(&mut self, wanted: bool, wal_start: Lsn) -> Result<Step, SourceError> {
        let commit_lsn = within_message(wal_start);
        self.history.begins(commit_lsn).map_err(other_history)?;
        if self.ends_before(commit_lsn) {
            return Ok(Step::End);
        }
        let (position, origin, mark) = self.transactions.lone_message(wal_start).map_err(out_of_order)?;
        self.feedback.saw(mark.end_lsn);
        self.watch.saw(mark.end_lsn);
        self.history
            .committed(mark.commit_lsn, mark.end_lsn)
            .map_err(other_history)?;
        Ok(match wanted {
            true => Step::Message((position, origin, Some(mark))),
            false => Step::Keepalive(mark.end_lsn, false),
        })
    }

    /// The event of the message that was lent.
    pub(super) fn message(&self, (position, origin, mark): Placed) -> Result<StreamEvent<'_>, SourceError> {
        let (Message::Message { prefix, content, .. }, _) = lent_message(&self.inbox, self.lent)? else {
            return Err(out_of_order(OutOfOrder("a message's frame holds no message")));
        };
        Ok(StreamEvent::Message(LogicalMessage {
            position,
            origin,
            prefix,
            content,
            mark,
        }))
    }
}
