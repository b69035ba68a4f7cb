//! Follows the slot: replication messages in, change events out.
//!
//! Promises: every committed change of a captured table comes once per connection, in commit order, with a position that
//! does not depend on filters; a dropped `next` loses nothing; rows borrow the bytes that were read, and no memory is
//! allocated per row. Knows nothing of what the log holds already: the caller skips by position.

mod cells;
mod event;
pub(crate) mod failure;
mod feedback;
mod history;
mod message;
mod relations;
mod row;
mod start;
pub(crate) mod transaction;
pub(crate) mod watch;

use std::{
    collections::{HashSet, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use bumpalo::Bump;
use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rowcast_event::{Change, Lsn, Operation, Origin, Position, Table, TransactionMark};
use tokio::io::{AsyncWriteExt, ReadHalf};

use crate::{
    ConnectorConfig, SourceError,
    catalog::{Catalog, relation},
    connection::{
        Connection, Socket,
        error::{ConnectionError, ServerError},
        frame::{Frame, Inbox},
        unexpected,
    },
    pgoutput::{self, Message, replication},
    server,
};
pub use event::StreamEvent;
use failure::{broken, malformed, other_history, out_of_order, start_failed, stream_failed, warned};
use feedback::Feedback;
use history::History;
use message::Placed;
use relations::{Known, Relations};
pub(crate) use start::Start;
use start::begin_copy;
use transaction::{Announced, Ended, OutOfOrder, Transactions};
use watch::Watch;

/// Time that closing waits for the server's last words. A walsender in the middle of a large transaction sends it whole
/// before it listens; then the connection is cut, which frees the slot as well.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// The logical replication stream.
pub struct Stream {
    reader: ReadHalf<Socket>,
    inbox: Inbox,
    /// The message that the last event borrowed; consumed at the next call.
    lent: Option<Frame>,
    /// Where the cells of the last row lie; emptied at the next call, its memory kept.
    cells: Bump,
    config: ConnectorConfig,
    catalog: Catalog,
    relations: Relations,
    transactions: Transactions,
    history: History,
    /// Tables of a TRUNCATE that wait for their own event, with their places.
    truncations: VecDeque<(u32, Position, Origin)>,
    /// Tables of which it was said that their TRUNCATE is left out. Bounded by the tables of the database.
    told_truncated: HashSet<u32>,
    feedback: Feedback,
    watch: Watch,
    start: Lsn,
    /// Where the caller wants to stop.
    end: Option<Lsn>,
    /// Idle was said since the last event, so the next thing to do is to wait.
    said_idle: bool,
}

/// The next event, before anything is borrowed from the buffer.
enum Step {
    Begin(Announced),
    Table(u32),
    /// The lent frame is a row.
    Row,
    /// The lent frame is a logical message; of one that is part of no transaction, where it stands.
    Message(Placed),
    Truncate(u32, Position, Origin),
    Commit(TransactionMark),
    Keepalive(Lsn, bool),
    End,
    Idle,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("slot", &self.config.slot_name)
            .finish_non_exhaustive()
    }
}

impl Stream {
    /// Starts replication on the walsender's connection.
    pub(crate) async fn start(
        mut walsender: Connection,
        catalog: Catalog,
        start: Start,
    ) -> Result<Stream, SourceError> {
        let config = &start.config;
        let doing = format!("starting to read replication slot {:?}", config.slot_name);
        let timeout = server::wal_sender_timeout(&mut walsender)
            .await
            .map_err(|error| error.during(&doing))?;
        begin_copy(&mut walsender, config)
            .await
            .map_err(|error| start_failed(error, &doing, config))?;
        let (socket, inbox) = walsender.into_parts();
        let (reader, writer) = tokio::io::split(socket);
        let feedback = Feedback::start(writer, start.confirmed, timeout, config.replication.status_interval)
            .map_err(|error| SourceError::Gone(format!("{doing}: no thread could be started ({error})")))?;
        tracing::info!(slot = config.slot_name, confirmed = %start.confirmed, "streaming");
        let watch = Watch::start(config, start.watched, start.confirmed);
        Ok(Stream {
            reader,
            inbox,
            lent: None,
            cells: Bump::new(),
            config: start.config,
            catalog,
            relations: Relations::new(start.options, start.tables),
            transactions: Transactions::after(start.held),
            history: History::of(start.held, start.confirmed),
            truncations: VecDeque::new(),
            told_truncated: HashSet::new(),
            feedback,
            watch,
            start: start.confirmed,
            end: None,
            said_idle: true,
        })
    }

    /// Where the slot stood when the stream was opened: all before was confirmed once. A caller whose log knows less
    /// (a first start without a snapshot) writes it down before it confirms anything.
    pub fn confirmed_flush(&self) -> Lsn {
        self.start
    }

    /// Stops before the first transaction that commits at `end` or later: [`StreamEvent::End`] is the last event then.
    pub fn end_at(&mut self, end: Lsn) {
        self.end = Some(end);
    }

    /// After [`StreamEvent::End`]: goes on behind the snapshot that was taken there, to no end. As after any snapshot, no commit
    /// came before.
    pub fn go_on_after(&mut self, snapshot: TransactionMark) {
        self.transactions = Transactions::after(Some(snapshot));
        self.end = None;
    }

    /// Whether everything that the caller wanted was sent once the WAL has come to here.
    fn ends_before(&self, lsn: Lsn) -> bool {
        self.end.is_some_and(|end| lsn >= end)
    }

    /// What was whole before anything that is to come, captured or not: with a confirmed position, what the next start must
    /// know to tell the commit before its first transaction.
    pub fn last(&self) -> Option<TransactionMark> {
        self.transactions.last()
    }

    /// What was confirmed last.
    pub fn confirmed(&self) -> Lsn {
        self.feedback.confirmed()
    }

    /// The next event. Cancel-safe: a dropped call loses nothing.
    pub async fn next(&mut self) -> Result<StreamEvent<'_>, SourceError> {
        self.cells.reset();
        let step = self.step().await?;
        self.said_idle = matches!(step, Step::Idle);
        Ok(match step {
            Step::Begin((commit_lsn, origin)) => StreamEvent::Begin { commit_lsn, origin },
            Step::Table(oid) => StreamEvent::Table(self.captured(oid)?.clone()),
            Step::Row => return self.row(),
            Step::Message(placed) => return self.message(placed),
            Step::Truncate(oid, position, origin) => StreamEvent::Change(
                self.captured(oid)?,
                Change {
                    position,
                    operation: Operation::Truncate,
                    origin,
                },
            ),
            Step::Commit(mark) => StreamEvent::Commit(mark),
            Step::Keepalive(wal_end, reply_requested) => StreamEvent::Keepalive {
                wal_end,
                reply_requested,
            },
            Step::End => StreamEvent::End,
            Step::Idle => StreamEvent::Idle,
        })
    }

    /// Whether the server was seen to have the history that the log was filled from. While it was not, nothing is
    /// confirmed, and nothing should be shown: an error may follow that says it is another.
    pub fn is_proven(&self) -> bool {
        self.history.is_proven()
    }

    /// Tells the server it may forget everything up to `lsn`, now. Clamped to what this walsender has sent; never
    /// moves back; does nothing before [`Stream::is_proven`]. Refused once a captured table is known to be published no
    /// more.
    pub async fn confirm(&mut self, lsn: Lsn) -> Result<(), SourceError> {
        self.watch.check()?;
        match self.is_proven() {
            true => self.feedback.confirm(lsn),
            false => Ok(()),
        }
    }

    /// Ends the stream in order (CopyDone), so that the slot is free when this returns.
    pub async fn close(mut self) {
        let Some(mut writer) = self.feedback.close().await else {
            return;
        };
        let drained = async {
            loop {
                if let Some(frame) = self.lent.take() {
                    self.inbox.consume(frame);
                }
                match self.inbox.frame() {
                    Ok(Some(frame)) if matches!(frame.tag, b'Z' | b'E') => return,
                    Ok(Some(frame)) => self.lent = Some(frame),
                    Ok(None) if self.inbox.fill(&mut self.reader).await.is_ok() => {}
                    _ => return,
                }
            }
        };
        if tokio::time::timeout(CLOSE_TIMEOUT, drained).await.is_err() {
            tracing::warn!(
                slot = self.config.slot_name,
                "the server was still sending; the connection is cut"
            );
        }
        let mut message = BytesMut::new();
        frontend::terminate(&mut message);
        let _ = writer.write_all(&message).await;
        let _ = writer.shutdown().await;
        self.catalog.close().await;
    }

    /// Reads messages until one is an event. Nothing is consumed before what it says is noted, and nothing noted is
    /// awaited upon: so this can be dropped anywhere.
    async fn step(&mut self) -> Result<Step, SourceError> {
        loop {
            if let Some(frame) = self.lent.take() {
                self.inbox.consume(frame);
            }
            if let Some((oid, position, origin)) = self.truncations.pop_front() {
                return Ok(Step::Truncate(oid, position, origin));
            }
            let Some(frame) = self.inbox.frame().map_err(broken)? else {
                if !self.said_idle {
                    return Ok(Step::Idle);
                }
                // A fault first: what comes after it does not make the log whole again.
                tokio::select! {
                    biased;
                    fault = self.watch.fault() => return Err(fault),
                    filled = self.inbox.fill(&mut self.reader) => filled.map_err(broken)?,
                }
                continue;
            };
            if let Some(step) = self.on_frame(frame).await? {
                return Ok(step);
            }
        }
    }

    /// One message of the connection.
    async fn on_frame(&mut self, frame: Frame) -> Result<Option<Step>, SourceError> {
        match frame.tag {
            b'd' => self.on_copy_data(frame).await,
            b'N' | b'S' | b'A' => {
                if frame.tag == b'N' {
                    warned(self.inbox.body(frame), &self.config)?;
                }
                self.lent = Some(frame);
                Ok(None)
            }
            b'E' => {
                let error = ConnectionError::Server(ServerError::parse(self.inbox.body(frame)));
                Err(stream_failed(error, &self.config))
            }
            // A server that shuts down ends the copy with its completion, not with CopyDone.
            b'c' | b'C' | b'Z' => Err(SourceError::Gone("the server ended the replication stream".to_owned())),
            tag => Err(unexpected(tag, "replication").during("reading changes")),
        }
    }

    async fn on_copy_data(&mut self, frame: Frame) -> Result<Option<Step>, SourceError> {
        match replication::decode(self.inbox.body(frame)).map_err(malformed)? {
            replication::Frame::Keepalive {
                wal_end,
                reply_requested,
                ..
            } => {
                self.lent = Some(frame);
                self.on_keepalive(wal_end, reply_requested)
            }
            replication::Frame::XLogData { payload, wal_start, .. } => match payload {
                [kind @ (b'I' | b'U' | b'D'), oid @ ..] => {
                    let oid = oid.first_chunk().map(|oid| u32::from_be_bytes(*oid));
                    let skipped = self.skips(*kind);
                    self.on_row(frame, oid.unwrap_or_default(), skipped)
                }
                _ => self.on_other(frame, wal_start).await,
            },
        }
    }

    /// Inside a transaction the server's WAL end says nothing yet that a caller could use.
    fn on_keepalive(&mut self, wal_end: Lsn, reply_requested: bool) -> Result<Option<Step>, SourceError> {
        self.feedback.saw(wal_end);
        self.watch.saw(wal_end);
        if reply_requested {
            self.feedback.answer();
        }
        if self.transactions.is_open() {
            return Ok(None);
        }
        self.history.reaches(wal_end).map_err(other_history)?;
        Ok(Some(match self.ends_before(wal_end) {
            true => Step::End,
            false => Step::Keepalive(wal_end, reply_requested),
        }))
    }

    /// A row is decoded only if somebody wants it; it stays in the buffer until its event has been used.
    fn on_row(&mut self, frame: Frame, oid: u32, skipped: bool) -> Result<Option<Step>, SourceError> {
        match self.relations.get(oid) {
            Some(Known::Captured(_)) if !skipped => {
                if let Some(announced) = self.transactions.announce().map_err(out_of_order)? {
                    return Ok(Some(Step::Begin(announced)));
                }
                self.lent = Some(frame);
                Ok(Some(Step::Row))
            }
            Some(_) => {
                self.transactions.skip_row().map_err(out_of_order)?;
                self.lent = Some(frame);
                Ok(None)
            }
            None => Err(out_of_order(OutOfOrder("a row came before its table was described"))),
        }
    }

    /// `skipped.operations`, by the message's type byte. An update may be a delete and a create: only its records tell.
    fn skips(&self, kind: u8) -> bool {
        let skipped = &self.config.skipped_operations;
        match kind {
            b'I' => skipped.insert,
            b'U' => false,
            _ => skipped.delete,
        }
    }

    /// Everything that is not a row: decoded, noted, consumed.
    async fn on_other(&mut self, frame: Frame, wal_start: Lsn) -> Result<Option<Step>, SourceError> {
        let replication::Frame::XLogData { payload, .. } =
            replication::decode(self.inbox.body(frame)).map_err(malformed)?
        else {
            return Ok(None);
        };
        let step = match pgoutput::decode(payload).map_err(malformed)? {
            Message::Begin {
                final_lsn,
                commit_ts_us,
                xid,
            } => {
                self.history.begins(final_lsn).map_err(other_history)?;
                if self.ends_before(final_lsn) {
                    return Ok(Some(Step::End));
                }
                let transactions = &mut self.transactions;
                transactions
                    .begin(final_lsn, commit_ts_us, xid, wal_start)
                    .map_err(out_of_order)?;
                match self.config.transaction_metadata {
                    true => transactions.announce().map_err(out_of_order)?.map(Step::Begin),
                    false => None,
                }
            }
            Message::Commit {
                commit_lsn, end_lsn, ..
            } => {
                self.feedback.saw(end_lsn);
                self.watch.saw(end_lsn);
                self.history.committed(commit_lsn, end_lsn).map_err(other_history)?;
                Some(
                    match self.transactions.commit(commit_lsn, end_lsn).map_err(out_of_order)? {
                        Ended::Whole(mark) => Step::Commit(mark),
                        Ended::Nothing(wal_end) => Step::Keepalive(wal_end, false),
                    },
                )
            }
            Message::Relation {
                oid,
                namespace,
                name,
                replica_identity,
                columns,
            } => {
                let schema = if namespace.is_empty() { "pg_catalog" } else { namespace };
                let message = relation::Relation {
                    oid,
                    schema,
                    table: name,
                    replica_identity,
                    columns: &columns,
                };
                let news = self.relations.learn(&self.config, &mut self.catalog, &message).await?;
                news.then_some(Step::Table(oid))
            }
            Message::Truncate { relations, .. } => {
                if let Some(begin) = self.truncate(&relations, wal_start)? {
                    return Ok(Some(begin));
                }
                None
            }
            Message::Message {
                transactional, prefix, ..
            } => {
                let wanted = self.config.messages.capture(prefix);
                match self.on_message(transactional, wanted, wal_start)? {
                    // To be read again.
                    Some(step @ (Step::Begin(_) | Step::End)) => return Ok(Some(step)),
                    step => step,
                }
            }
            _ => None,
        };
        self.lent = Some(frame);
        Ok(step)
    }

    /// One event for each captured table, one ordinal for every table. First `Begin`, if it is still to be said: then
    /// nothing else is noted, and the message is read again.
    fn truncate(&mut self, relations: &[u32], wal_start: Lsn) -> Result<Option<Step>, SourceError> {
        let wanted = |oid: &u32| !self.config.skipped_operations.truncate && self.relations.table(*oid).is_some();
        if relations.iter().any(wanted)
            && let Some(announced) = self.transactions.announce().map_err(out_of_order)?
        {
            return Ok(Some(Step::Begin(announced)));
        }
        for &oid in relations {
            let (position, origin) = self.transactions.row(wal_start).map_err(out_of_order)?;
            let Some(table) = self.relations.table(oid) else {
                continue;
            };
            if !self.config.skipped_operations.truncate {
                self.truncations.push_back((oid, position, origin));
            } else if self.told_truncated.insert(oid) {
                relations::warn_of_skipped_truncate(table);
            }
        }
        Ok(None)
    }

    fn captured(&self, oid: u32) -> Result<&Arc<Table>, SourceError> {
        self.relations
            .table(oid)
            .ok_or_else(|| out_of_order(OutOfOrder("a table is not known any more")))
    }
}
