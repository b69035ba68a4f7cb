//! One loop from source to log: encode, append, flush, and confirm behind the sync.
//!
//! Owns the connector's appender for the life of the process, so that a transaction which a broken connection cut in
//! two goes on where it stopped. Knows nothing of why a connection ended; `connector.rs` decides what happens then.

mod beside;
mod filled;
mod heartbeat;

use std::{collections::HashMap, sync::Arc, time::Instant};

use rowcast_event::{Change, EncodedRecords, Lsn, Origin, Table, TransactionMark};
use rowcast_log::{Appender, FlushSeq, Log, LogError, Memory, NewRecord, Offset, TopicPartition, Visibility, WriterId};
use rowcast_postgres::{ConnectorConfig, Stream, StreamEvent};
use tokio::sync::watch;

use crate::{
    ConnectMetrics, ConnectorError,
    clock::now_ns,
    confirm::{Confirmation, IdlePosition},
    metadata::{MetadataTopics, stopped},
    own::Own,
    progress::{Progress, at},
    schemas::Schemas,
    state::{State, StateStore},
    stop::told_to_stop,
    topics::Topics,
    under_way::{Of, UnderWay},
};
use beside::Beside;
use filled::{Appended, Filled};
use heartbeat::Heartbeat;

/// Bytes encoded since the last flush after which one is due although more is waiting to be read.
///
/// The stream says "idle" whenever its read buffer (some hundred KiB) is used up, so this is met only by rows larger than that buffer.
const UNFLUSHED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Before anything was whole.
const NOTHING: TransactionMark = TransactionMark {
    commit_lsn: Lsn(0),
    end_lsn: Lsn(0),
    changes: 0,
    ts_us: 0,
};

/// A table whose records go to its topic.
struct Route {
    table: Arc<Table>,
    /// True until the shape of this table version is published.
    unpublished: bool,
}

/// What goes on between one source and the log.
pub(crate) struct Pipeline {
    log: Arc<dyn Log>,
    appender: Box<dyn Appender>,
    memory: Memory,
    /// What was written down of this connector when the source was opened.
    beginning: State,
    progress: Progress,
    durable: watch::Receiver<FlushSeq>,
    has_room: watch::Receiver<bool>,
    schemas: Schemas,
    topics: Topics,
    /// By table oid. Bounded by the tables of the database.
    routes: HashMap<u32, Route>,
    /// By topic: survives table versions and connections.
    filled: HashMap<Arc<str>, Filled>,
    beside: Beside,
    heartbeat: Option<Heartbeat>,
    encoded: EncodedRecords,
    unflushed_bytes: usize,
    /// The log has the beginning of a transaction from this process, and not its end.
    has_unfinished: bool,
    /// What was whole last.
    ended: TransactionMark,
    /// Something was appended or committed since the last flush.
    dirty: bool,
    /// The last transaction this process has ended in the log.
    committed: Lsn,
    /// Commit time of the newest change that was not flushed yet, for the histogram.
    unflushed_since_us: Option<i64>,
    /// The stream has come to the place where it was to end.
    at_end: bool,
    wal_end: Lsn,
    pub(crate) confirmation: Confirmation,
    pub(crate) under_way: UnderWay,
    metrics: ConnectMetrics,
}

impl Pipeline {
    pub(crate) fn new(
        metadata: Arc<MetadataTopics>,
        config: &ConnectorConfig,
        beginning: State,
        metrics: ConnectMetrics,
    ) -> Result<Pipeline, LogError> {
        let log = metadata.shared_log();
        let appender = log.appender(&WriterId {
            name: config.name.clone(),
            transactions: config.exactly_once_required,
        })?;
        let memory = appender.memory();
        let ended = beginning.mark.map_or(NOTHING, TransactionMark::from);
        Ok(Pipeline {
            memory,
            beginning,
            progress: Progress::new(memory),
            topics: Topics::load(metadata.clone(), config, memory)?,
            schemas: Schemas::load(metadata)?,
            durable: appender.durable(),
            has_room: appender.has_room(),
            log,
            appender,
            routes: HashMap::new(),
            filled: HashMap::new(),
            beside: Beside::new(config),
            heartbeat: Heartbeat::new(config),
            has_unfinished: false,
            ended,
            encoded: EncodedRecords::default(),
            unflushed_bytes: 0,
            dirty: false,
            committed: Lsn::default(),
            unflushed_since_us: None,
            at_end: false,
            wal_end: Lsn::default(),
            confirmation: Confirmation::new(Lsn::default()),
            under_way: UnderWay::default(),
            metrics,
        })
    }

    /// Follows the stream until it ends in an error, comes to the place where it was to end, or `stop` turns true; then
    /// everything read is in the log, durable and confirmed. At the place where it was to end the stream is handed back, else
    /// the slot is free.
    pub(crate) async fn stream(
        &mut self,
        stream: Stream,
        store: &StateStore,
        state: &mut State,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Option<Stream>, ConnectorError> {
        self.start_over(stream.confirmed_flush());
        self.begin_own(store, state)?;
        self.at_end = false;
        let ended = self.follow(stream, store, state, stop).await;
        ended.map_err(|error| self.under_way.explain(error))
    }

    async fn follow(
        &mut self,
        mut stream: Stream,
        store: &StateStore,
        state: &mut State,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Option<Stream>, ConnectorError> {
        loop {
            let write_down_at = self.progress.due_at();
            // One that comes due while the history is not proven waits for the next word of the server's.
            let heartbeat_at = self.heartbeat_at().filter(|_| stream.is_proven());
            let takes_more = !self.must_wait(&stream);
            // Stop first, or a busy source would never let us; then what frees WAL; then new work, which takes as long as the source is busy.
            tokio::select! {
                biased;
                () = told_to_stop(stop) => break,
                changed = self.durable.changed() => {
                    changed.map_err(|_| stopped(&*self.log, &*self.appender))?;
                    self.confirm(&mut stream, store, state).await?;
                }
                _ = self.has_room.changed(), if !takes_more => {}
                () = at(heartbeat_at) => self.beat()?,
                () = at(write_down_at) => self.progress.write_down(&mut stream, store, state).await?,
                event = stream.next(), if takes_more => {
                    let keepalive = self.take(event?).await?;
                    if let Some(position) = keepalive {
                        self.idle(&mut stream, position, store, state).await?;
                    }
                    self.drain_buffered(&mut stream, store, state).await?;
                    if self.at_end {
                        break;
                    }
                }
            }
        }
        self.finish(&mut stream, store, state).await?;
        if self.at_end {
            return Ok(Some(stream));
        }
        stream.close().await;
        Ok(None)
    }

    /// Takes events until the stream's buffer is used up, then hands them to readers.
    async fn drain_buffered(
        &mut self,
        stream: &mut Stream,
        store: &StateStore,
        state: &mut State,
    ) -> Result<(), ConnectorError> {
        loop {
            if self.must_wait(stream) || self.at_end {
                return self.flush_if_dirty();
            }
            let event = stream.next().await?;
            if let StreamEvent::Idle = event {
                return if stream.is_proven() {
                    self.flush_if_dirty()
                } else {
                    Ok(())
                };
            }
            if let Some(position) = self.take(event).await? {
                self.idle(stream, position, store, state).await?;
            }
            if self.unflushed_bytes > UNFLUSHED_BYTES_MAX && stream.is_proven() {
                self.flush(Visibility::Now)?;
                self.confirm(stream, store, state).await?;
            }
        }
    }

    /// Whether the log has so much under way that it must take some of it first.
    fn must_wait(&self, stream: &Stream) -> bool {
        !self.has_room() && stream.is_proven()
    }

    pub(crate) fn has_room(&self) -> bool {
        *self.has_room.borrow()
    }

    /// Waits until the log may be given more.
    pub(crate) async fn room(&mut self) -> Result<(), LogError> {
        tokio::select! {
            biased;
            _ = self.has_room.wait_for(|has_room| *has_room) => Ok(()),
            // Nothing becomes durable before it is flushed, so this is the end of the log.
            Err(_) = self.durable.wait_for(|_| false) => Err(stopped(&*self.log, &*self.appender)),
        }
    }

    /// Takes one event. A keepalive's position is handed back: confirming needs the stream that lent the event.
    async fn take(&mut self, event: StreamEvent<'_>) -> Result<Option<IdlePosition>, ConnectorError> {
        match event {
            StreamEvent::Change(table, change) => self.append(table, &change).await?,
            StreamEvent::Begin { commit_lsn, origin } => self.begin(commit_lsn, origin).await?,
            StreamEvent::Message(message) => self.append_message(&message).await?,
            StreamEvent::Commit(mark) => self.end(mark)?,
            StreamEvent::Table(table) => self.route(table).await?,
            StreamEvent::Keepalive {
                wal_end,
                reply_requested,
            } => {
                return Ok(Some(IdlePosition {
                    wal_end,
                    asked: reply_requested,
                }));
            }
            StreamEvent::End => self.at_end = true,
            StreamEvent::Idle => {}
        }
        Ok(None)
    }

    /// Records of this table go to its topic from now on.
    pub(crate) async fn route(&mut self, table: Arc<Table>) -> Result<(), LogError> {
        for warning in table.warnings() {
            tracing::warn!(table = %table.topic, "{warning}");
        }
        self.fill(&table.topic).await?;
        let unpublished = self.schemas.is_news(&table);
        self.routes.insert(table.description.oid, Route { table, unpublished });
        Ok(())
    }

    /// Encodes a change and appends the records that its partition does not hold yet.
    pub(crate) async fn append(&mut self, table: &Table, change: &Change<'_>) -> Result<(), LogError> {
        let oid = table.description.oid;
        if self.holds(oid, change.position.commit_lsn) {
            return Ok(());
        }
        let now_ns = now_ns();
        self.encoded.clear();
        table.encode_counted(change, now_ns, self.beside.counts(), &mut self.encoded);
        if self.routes[&oid].unpublished && self.wants_any(oid, change) {
            self.publish_schema(oid).await?;
        }
        if self.append_encoded(oid, change, now_ns)? {
            self.unflushed_since_us = Some(change.origin.ts_us);
        }
        Ok(())
    }

    /// Whether the whole transaction is in the table's partitions already: then nothing of it needs encoding.
    fn holds(&self, oid: u32, commit_lsn: Lsn) -> bool {
        let route = self.routes.get(&oid).expect("a table is announced before its changes");
        commit_lsn <= self.committed || !self.beside.is_counting() && self.filled[&route.table.topic].holds(commit_lsn)
    }

    /// Whether any of the encoded records is to be appended.
    fn wants_any(&self, oid: u32, change: &Change<'_>) -> bool {
        let filled = &self.filled[&self.routes[&oid].table.topic];
        filled.wants_any(&self.encoded, change.position.commit_lsn, &change.origin)
    }

    /// Appends what was encoded, as far as the partitions lack it, and tells whether they lacked anything.
    fn append_encoded(&mut self, oid: u32, change: &Change<'_>, now_ns: i64) -> Result<bool, LogError> {
        let route = self.routes.get(&oid).expect("a table is announced before its changes");
        let filled = self.filled.get_mut(&route.table.topic).expect("a route has its topic");
        let place = (change.position.commit_lsn, &change.origin);
        let (appender, under_way) = (&mut *self.appender, &mut self.under_way);
        let appended = filled.append(&self.encoded, place, now_ns, appender, under_way);
        self.count(appended)
    }

    /// The same for records that are no table's.
    fn append_beside(&mut self, topic: &str, place: (Lsn, &Origin), now_ns: i64) -> Result<bool, LogError> {
        let filled = self.filled.get_mut(topic).expect("it is opened before its records");
        let (appender, under_way) = (&mut *self.appender, &mut self.under_way);
        let appended = filled.append(&self.encoded, place, now_ns, appender, under_way);
        self.count(appended)
    }

    fn count(&mut self, appended: Appended) -> Result<bool, LogError> {
        self.unflushed_bytes += appended.bytes;
        self.dirty |= appended.records > 0;
        self.has_unfinished |= appended.records > 0;
        self.metrics.records.inc_by(appended.records);
        appended.outcome.map(|()| appended.records > 0)
    }

    /// The records of the change that was appended last.
    pub(crate) fn encoded(&self) -> &EncodedRecords {
        &self.encoded
    }

    /// Where everything goes.
    pub(crate) fn log(&self) -> Arc<dyn Log> {
        self.log.clone()
    }

    /// The partitions of a table's topic.
    pub(crate) fn partitions(&self, oid: u32) -> Vec<TopicPartition> {
        let route = self.routes.get(&oid);
        route.map_or_else(Vec::new, |route| self.filled[&route.table.topic].partitions.clone())
    }

    /// Says that a key has no row any more. Part of what ends with the next mark.
    pub(crate) fn append_tombstone(
        &mut self,
        partition: &TopicPartition,
        key: &[u8],
        commit_lsn: Lsn,
    ) -> Result<(), LogError> {
        let tombstone = NewRecord {
            timestamp_ms: now_ns() / 1_000_000,
            key: Some(key),
            value: None,
            headers: &[],
        };
        self.under_way.append(commit_lsn, Of::Snapshot);
        self.appender.append(partition, tombstone)?;
        self.unflushed_bytes += key.len();
        self.dirty = true;
        self.metrics.records.inc();
        Ok(())
    }

    /// Tells readers the shape of the table's rows from here on, before the first of them is appended.
    pub(crate) async fn publish_schema(&mut self, oid: u32) -> Result<(), LogError> {
        let route = self.routes.get_mut(&oid).expect("only routed tables are published");
        route.unpublished = false;
        let appender = &mut self.appender;
        let from: Vec<Offset> = self.filled[&route.table.topic]
            .partitions
            .iter()
            .map(|partition| appender.next_offset(partition))
            .collect::<Result<_, _>>()?;
        self.schemas.publish(&route.table, &from).await
    }

    /// The transaction is whole: its mark follows its records in every partition they went to.
    pub(crate) fn commit(&mut self, mark: TransactionMark) -> Result<(), LogError> {
        self.confirmation.commit(mark);
        self.wal_end = self.wal_end.max(mark.end_lsn);
        // A replayed one: the appender may hold the beginning of a later transaction, which this mark must not end.
        if mark.commit_lsn <= self.committed {
            return Ok(());
        }
        self.committed = mark.commit_lsn;
        self.progress.commit(mark);
        self.dirty = true;
        self.append_heartbeat()?;
        self.appender.commit(&mark.to_bytes())?;
        (self.has_unfinished, self.ended) = (false, mark);
        self.metrics.transactions.inc();
        Ok(())
    }

    /// Hands everything appended to readers (as `visibility` says) and queues its sync.
    pub(crate) fn flush(&mut self, visibility: Visibility) -> Result<FlushSeq, LogError> {
        if !self.confirmation.is_in_transaction() && self.progress.append_own(&mut *self.appender)? {
            self.under_way.append_own();
        }
        let flush = self.appender.flush(visibility)?;
        self.confirmation.flushed(flush);
        self.under_way.flushed(flush);
        self.unflushed_bytes = 0;
        self.dirty = false;
        if let Some(commit_us) = self.unflushed_since_us.take()
            && visibility == Visibility::Now
        {
            let seconds = (now_ns() / 1000 - commit_us).max(0) as f64 / 1e6;
            self.metrics.commit_to_log.observe(seconds);
        }
        Ok(flush)
    }

    fn flush_if_dirty(&mut self) -> Result<(), ConnectorError> {
        if self.dirty || self.confirmation.has_unflushed_commit() {
            self.flush(Visibility::Now)?;
        }
        Ok(())
    }

    /// For the operator: a snapshot goes on.
    pub(crate) fn count_snapshot_row(&self) {
        self.metrics.snapshot_rows.inc();
    }

    /// Encoded bytes appended since the last flush.
    pub(crate) fn unflushed_bytes(&self) -> usize {
        self.unflushed_bytes
    }

    /// Waits until a flush is on disk.
    pub(crate) async fn synced(&mut self, flush: FlushSeq) -> Result<(), LogError> {
        let reached = self.durable.wait_for(|&done| done >= flush).await.is_ok();
        if reached {
            Ok(())
        } else {
            Err(stopped(&*self.log, &*self.appender))
        }
    }

    /// Tells the server what has become durable since the last time.
    async fn confirm(
        &mut self,
        stream: &mut Stream,
        store: &StateStore,
        state: &mut State,
    ) -> Result<(), ConnectorError> {
        // Before: what becomes durable meanwhile must not be passed over after a restart.
        self.progress.note_offsets(&*self.appender, state);
        let durable = *self.durable.borrow_and_update();
        self.under_way.durable(durable);
        let news = self.confirmation.durable(durable);
        self.progress.confirm(news, stream, store, state).await?;
        self.show_lag();
        Ok(())
    }

    /// What another capture wrote down after `state` was read and before the slot was ours belongs to the beginning.
    pub(crate) fn begin_after(&mut self, known: &State, state: &mut State) {
        state.confirmed = state.confirmed.max(known.confirmed);
        state.mark = known.mark;
        state.generation = known.generation + 1;
        state.offsets.clone_from(&known.offsets);
        state.reads_owed |= known.reads_owed;
        self.beginning = state.clone();
    }

    /// From here on the state goes with every flush, where that is the log's only memory.
    fn begin_own(&mut self, store: &StateStore, state: &State) -> Result<(), LogError> {
        if self.memory == Memory::Flush {
            self.progress
                .begin_own(Own::new(store.partition()?, store.clone(), state.clone()));
        }
        Ok(())
    }

    /// Whether what the log holds may have grown by another capture's hand while this one had no connection.
    pub(crate) fn must_begin_anew(&self) -> bool {
        self.memory != Memory::Position
    }

    /// Waits until everything that was handed to the log is there, or cannot come to be there any more.
    pub(crate) async fn settle(&mut self) {
        if let Ok(flush) = self.appender.flush(Visibility::Now) {
            let _ = self.durable.wait_for(|&done| done >= flush).await.map(|_| ());
        }
    }

    /// A part of a snapshot goes to the log as it is, where that can be seen only as a whole flush.
    pub(crate) fn flush_part(&mut self) -> Result<FlushSeq, LogError> {
        if self.memory == Memory::Flush {
            self.appender.commit(b"")?;
        }
        self.flush(Visibility::AfterSync)
    }

    /// Nothing of ours is under way: confirms the server's own WAL end, after writing it down.
    async fn idle(
        &mut self,
        stream: &mut Stream,
        position: IdlePosition,
        store: &StateStore,
        state: &mut State,
    ) -> Result<(), ConnectorError> {
        let wal_end = position.wal_end;
        self.wal_end = self.wal_end.max(wal_end);
        let now = Instant::now();
        if stream.is_proven() && self.confirmation.idle(position, now) {
            state.confirm(wal_end, stream.last());
            self.write_idle(store, state, stream.last()).await?;
            self.confirmation.idle_written(wal_end, now);
            stream.confirm(wal_end).await?;
        }
        self.show_lag();
        Ok(())
    }

    async fn write_idle(
        &mut self,
        store: &StateStore,
        state: &mut State,
        last: Option<TransactionMark>,
    ) -> Result<(), ConnectorError> {
        if !self.progress.confirm_own(Lsn(state.confirmed), last) {
            return Ok(store.save(state).await?);
        }
        let flush = self.flush(Visibility::Now)?;
        Ok(self.synced(flush).await?)
    }

    fn show_lag(&self) {
        self.metrics
            .slot_lag_bytes
            .set(self.wal_end.0.saturating_sub(self.confirmation.confirmed().0));
    }

    /// A new connection sends again what was not confirmed.
    pub(crate) fn start_over(&mut self, confirmed: Lsn) {
        self.filled.values_mut().for_each(Filled::rewind);
        self.confirmation.reconnected(confirmed);
        self.wal_end = self.wal_end.max(confirmed);
    }

    /// Puts what was read on disk and confirms it. What came from a server that may yet turn
    /// out to have another history is left to the next start.
    async fn finish(
        &mut self,
        stream: &mut Stream,
        store: &StateStore,
        state: &mut State,
    ) -> Result<(), ConnectorError> {
        if !stream.is_proven() {
            return Ok(());
        }
        let flush = self.flush(Visibility::Now)?;
        // In the middle of a transaction there is nothing that a log of whole flushes could show.
        if self.memory != Memory::Flush || !self.confirmation.is_in_transaction() {
            self.synced(flush).await?;
        }
        self.confirm(stream, store, state).await?;
        self.progress.write_down(stream, store, state).await
    }
}
