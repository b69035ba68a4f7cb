//! One public topic as the gateway knows it: its view, its feeds, and the task that follows its log.
//!
//! The follower is the only one that reads the log's end; it applies each record to the view first and publishes its
//! frames after, so a snapshot taken in between meets the tail exactly.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

use parking_lot::Mutex;
use rowcast_log::{Epoch, Log, LogError, Offset, Record, TopicInfo, TopicPartition};
use rowcast_protocol::CursorKey;
use tokio::sync::watch;

use crate::{
    encode::{FilledRow, Format, Progress, Voice},
    envelope::{Envelope, NotAChange},
    feed::Feed,
    frames::FramesBuilder,
    metrics::GatewayMetrics,
    options::{FOLLOW_BYTES, SCAN_BYTES},
    schemas::Schemas,
    snapshot::Snapshots,
    toast::{self, Fill},
    view::View,
};

/// What all topics of a gateway share.
pub(crate) struct Shared {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) schemas: Schemas,
    pub(crate) metrics: GatewayMetrics,
    pub(crate) ring_bytes_max: usize,
    pub(crate) next_sub: AtomicU32,
}

/// See the module.
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    pub(crate) epoch: Epoch,
    pub(crate) partition: TopicPartition,
    pub(crate) cursor_key: CursorKey,
    pub(crate) view: Mutex<View>,
    pub(crate) snapshots: Mutex<Snapshots>,
    pub(crate) shared: Arc<Shared>,
    feeds: [OnceLock<Arc<Feed>>; Format::ALL.len()],
    /// Frames of every record below this offset were published.
    published: AtomicU64,
    ready: watch::Sender<bool>,
    gone: AtomicBool,
}

impl Topic {
    pub(crate) fn new(info: &TopicInfo, shared: Arc<Shared>) -> Topic {
        Topic {
            name: info.name.clone(),
            epoch: info.epoch,
            partition: TopicPartition {
                topic: info.name.clone(),
                partition: 0,
            },
            cursor_key: CursorKey::new(&info.name, info.epoch.0),
            view: Mutex::default(),
            snapshots: Mutex::default(),
            shared,
            feeds: Default::default(),
            published: AtomicU64::new(0),
            ready: watch::Sender::new(false),
            gone: AtomicBool::new(false),
        }
    }

    /// The feed of this format, made when first asked for.
    pub(crate) fn feed(&self, format: Format) -> Arc<Feed> {
        let make = || {
            let shared = &self.shared;
            let sub = shared.next_sub.fetch_add(1, Ordering::Relaxed);
            shared.metrics.feeds.inc();
            let voice = Voice {
                topic: self.name.clone(),
                format,
                sub,
                cursor_key: self.cursor_key.clone(),
            };
            // Should the follower publish meanwhile, the ring finds the gap and leaves it to the log.
            Arc::new(Feed::new(
                voice,
                self.published.load(Ordering::Acquire),
                shared.ring_bytes_max,
            ))
        };
        self.feeds[format as usize].get_or_init(make).clone()
    }

    /// Whether the view holds all that the log held when the gateway met the topic.
    pub(crate) fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    pub(crate) async fn ready(&self) {
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Whether the topic was deleted, or its log cannot be read any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// The offset from which on everything is yet to come.
    pub(crate) fn end_offset(&self) -> u64 {
        let end = self.shared.log.end(&self.partition).map_or(0, |end| end.borrow().0);
        end.max(self.published.load(Ordering::Acquire))
    }

    /// Puts a row's left-out values back, as far as the log still has them.
    pub(crate) fn filled(&self, row: &[u8], fills: &[Fill], keep_unknown: bool) -> FilledRow {
        let mut filled = FilledRow::default();
        let value_of = |fill: &Fill, out: &mut Vec<u8>| self.write_left_out(fill, out).is_some();
        toast::fill(
            row,
            fills,
            keep_unknown,
            value_of,
            &mut filled.row,
            &mut filled.unchanged,
        );
        filled
    }

    /// The same for a record that is read again: only the latest record of a row is known to the view. `None` when
    /// nothing was left out.
    pub(crate) fn filled_late(&self, row: &[u8], offset: u64) -> Option<FilledRow> {
        let columns = toast::placeholders(row);
        if columns.is_empty() {
            return None;
        }
        let known = self.view.lock().fills(offset);
        let unknown = || {
            columns
                .iter()
                .map(|column| Fill {
                    column: (*column).into(),
                    source: None,
                })
                .collect()
        };
        Some(self.filled(row, &known.unwrap_or_else(unknown), false))
    }

    fn write_left_out(&self, fill: &Fill, out: &mut Vec<u8>) -> Option<()> {
        let source = Offset(fill.source?);
        let chunk = self.shared.log.read(&self.partition, source, 1).ok()?;
        let record = chunk.records().find(|record| record.offset == source)?;
        let row = Envelope::parse(record.value?).ok()?.after?;
        out.extend_from_slice(toast::value_in(row, &fill.column)?);
        Some(())
    }

    fn feeds(&self) -> impl Iterator<Item = &Arc<Feed>> {
        self.feeds.iter().filter_map(OnceLock::get)
    }

    fn wake_all(&self) {
        self.feeds().for_each(|feed| feed.wake_all());
    }

    fn end(&self) {
        self.gone.store(true, Ordering::Release);
        self.ready.send_replace(true);
        self.wake_all();
    }
}

/// Follows the topic until it is deleted: builds the view, then publishes what comes.
pub(crate) async fn follow(topic: Arc<Topic>) {
    let result = match topic.shared.log.end(&topic.partition) {
        Ok(end) => Follower::new(topic.clone(), end).run().await,
        Err(error) => Err(error),
    };
    match result {
        Ok(()) | Err(LogError::UnknownPartition(_)) => tracing::info!(topic = %topic.name, "topic is gone"),
        Err(error) => tracing::error!(topic = %topic.name, %error, "topic cannot be read; it is not served any more"),
    }
    topic.end();
}

/// Reads one topic in order. See [`follow`].
struct Follower {
    topic: Arc<Topic>,
    end: watch::Receiver<Offset>,
    next: Offset,
    /// By format.
    progress: [Progress; Format::ALL.len()],
    builders: [FramesBuilder; Format::ALL.len()],
}

impl Follower {
    fn new(topic: Arc<Topic>, end: watch::Receiver<Offset>) -> Follower {
        Follower {
            topic,
            end,
            next: Offset(0),
            progress: Default::default(),
            builders: Default::default(),
        }
    }

    async fn run(mut self) -> Result<(), LogError> {
        self.next = self.topic.shared.log.earliest(&self.topic.partition)?;
        self = self.scan().await?;
        loop {
            self.read_more()?;
            let next = self.next;
            if *self.end.borrow() > next {
                // Sessions get their turn between chunks.
                tokio::task::yield_now().await;
            } else if self.end.wait_for(|end| *end > next).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Builds the view from all that the log holds, off the runtime's threads.
    async fn scan(mut self) -> Result<Follower, LogError> {
        let scan = move || {
            while self.scan_more()? {}
            let next_offset = self.next.0;
            self.topic.published.store(next_offset, Ordering::Release);
            self.topic.feeds().for_each(|feed| feed.skip_to(next_offset));
            self.progress = [Progress::from(next_offset); Format::ALL.len()];
            self.topic.ready.send_replace(true);
            self.topic.wake_all();
            Ok(self)
        };
        let scanned = tokio::task::spawn_blocking(scan).await;
        scanned.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    fn scan_more(&mut self) -> Result<bool, LogError> {
        let topic = &self.topic;
        let chunk = topic.shared.log.read(&topic.partition, self.next, SCAN_BYTES)?;
        let mut view = topic.view.lock();
        for record in chunk.records() {
            view.apply(&record, glance(&record).as_ref().map_err(|not| *not));
        }
        self.next = chunk.next_offset();
        view.set_next_offset(self.next.0);
        Ok(!chunk.is_empty())
    }

    /// Applies and publishes one chunk, if the log has more.
    fn read_more(&mut self) -> Result<(), LogError> {
        let topic = self.topic.clone();
        if *self.end.borrow() <= self.next {
            return Ok(());
        }
        let chunk = topic.shared.log.read(&topic.partition, self.next, FOLLOW_BYTES)?;
        if chunk.is_empty() {
            return Ok(());
        }
        let listened = Format::ALL.map(|format| topic.feeds[format as usize].get().filter(|feed| feed.has_members()));
        let heard = listened.iter().any(Option::is_some);
        if heard {
            topic.shared.schemas.catch_up();
        }
        let mut view = topic.view.lock();
        for record in chunk.records() {
            let change = if heard { parse(&record) } else { glance(&record) };
            let change = change.as_ref().map_err(|not| *not);
            let fills = view.apply(&record, change);
            let row = change.ok().and_then(|change| change.after);
            let filled = fills.zip(row).map(|(fills, row)| topic.filled(row, &fills, false));
            self.encode(&listened, &record, change, filled.as_ref());
        }
        let (first, next) = (self.next.0, chunk.next_offset().0);
        view.set_next_offset(next);
        drop(view);
        self.next = Offset(next);
        self.publish(&listened, first, next);
        topic.published.store(next, Ordering::Release);
        Ok(())
    }

    fn encode(
        &mut self,
        listened: &[Option<&Arc<Feed>>; Format::ALL.len()],
        record: &Record<'_>,
        change: Result<&Envelope<'_>, NotAChange>,
        filled: Option<&FilledRow>,
    ) {
        for (index, feed) in listened.iter().enumerate() {
            let progress = &mut self.progress[index];
            match feed {
                Some(feed) => {
                    let schemas = &self.topic.shared.schemas;
                    feed.voice
                        .record(record, change, filled, schemas, progress, &mut self.builders[index]);
                }
                // Whoever comes later is told the shape that holds then.
                None if change.is_ok() => *progress = Progress::from(record.offset.0 + 1),
                None => {}
            }
        }
    }

    fn publish(&mut self, listened: &[Option<&Arc<Feed>>; Format::ALL.len()], first: u64, next: u64) {
        for (index, feed) in listened.iter().enumerate() {
            match feed {
                Some(feed) => feed.publish(first, self.builders[index].take(), next),
                None => {
                    if let Some(feed) = self.topic.feeds[index].get() {
                        feed.skip_to(next);
                        feed.wake_all();
                    }
                }
            }
        }
    }
}

/// What a record says of its row to a view alone.
fn glance<'a>(record: &Record<'a>) -> Result<Envelope<'a>, NotAChange> {
    record.value.map_or(Err(NotAChange::Message), Envelope::glance)
}

/// What a record says of its row. A tombstone says nothing, as a message without row does.
pub(crate) fn parse<'a>(record: &Record<'a>) -> Result<Envelope<'a>, NotAChange> {
    record.value.map_or(Err(NotAChange::Message), Envelope::parse)
}
