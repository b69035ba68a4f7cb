//! One public topic as the gateway knows it: its view, its feeds, its records in one order.
//!
//! Everybody here counts in places (see `sequence.rs`), whatever the number of partitions; only who reads the log knows
//! them. What comes is put in by the follower alone.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

use parking_lot::{Mutex, RwLock};
use rowcast_log::{Epoch, Log, LogError, Offset, TopicInfo, TopicPartition};
use rowcast_protocol::CursorKey;
use tokio::sync::{Notify, watch};

use crate::{
    encode::{FilledRow, Format, Voice},
    feed::Feed,
    metrics::GatewayMetrics,
    placed::{PlacedChunk, of_spot},
    reading,
    schemas::{Schemas, Shape},
    sequence::Sequence,
    snapshot::Snapshots,
    toast::{self, Fill},
    truncates::Cuts,
    unreadable::Unreadable,
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

/// How far a topic's view is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// What the log holds is being read.
    Reading,
    /// No transaction has ended in the topic: its table is being read for the first time. Nobody is told that it is
    /// empty.
    NotBegun,
    /// The view holds all that the log held.
    Ready,
}

/// See the module.
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    pub(crate) epoch: Epoch,
    /// In order; there may come more, never fewer.
    partitions: RwLock<Vec<TopicPartition>>,
    /// Tells the follower that there are more partitions.
    pub(crate) grown: Notify,
    pub(crate) sequence: RwLock<Sequence>,
    pub(crate) cursor_key: CursorKey,
    pub(crate) view: Mutex<View>,
    pub(crate) snapshots: Mutex<Snapshots>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) feeds: [OnceLock<Arc<Feed>>; Format::ALL.len()],
    /// The spot of the last record that is not JSON.
    unreadable: Mutex<Option<(u64, Unreadable)>>,
    /// Frames of every record below this place were published.
    pub(crate) published: Arc<AtomicU64>,
    /// Since when (milliseconds since 1970) nothing is heard of what the log copies.
    pub(crate) stale_since_ms: Mutex<Option<i64>>,
    pub(crate) cuts: Cuts,
    pub(crate) readiness: watch::Sender<Readiness>,
    gone: AtomicBool,
}

impl Topic {
    pub(crate) fn new(info: &TopicInfo, shared: Arc<Shared>) -> Topic {
        let published = Arc::new(AtomicU64::new(0));
        shared.schemas.learn_of(&info.name, published.clone());
        Topic {
            name: info.name.clone(),
            epoch: info.epoch,
            partitions: RwLock::new(info.all()),
            grown: Notify::new(),
            sequence: RwLock::new(Sequence::new(vec![0; info.partitions as usize])),
            cursor_key: CursorKey::new(&info.name, info.epoch.0),
            view: Mutex::default(),
            snapshots: Mutex::default(),
            shared,
            feeds: Default::default(),
            unreadable: Mutex::default(),
            published,
            stale_since_ms: Mutex::default(),
            cuts: Cuts::default(),
            readiness: watch::Sender::new(Readiness::Reading),
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

    /// Whether the view holds all that the log held when the gateway met the topic, or when its first transaction ended.
    pub(crate) fn is_ready(&self) -> bool {
        *self.readiness.borrow() == Readiness::Ready
    }

    /// Waits until all was read that there was.
    pub(crate) async fn caught_up(&self) {
        let caught_up = |readiness: &Readiness| *readiness != Readiness::Reading;
        let _ = self.readiness.subscribe().wait_for(caught_up).await;
    }

    /// Whether the topic was deleted, or its log cannot be read any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Every record below this place is in the view, and so is its shape in the schemas.
    pub(crate) fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    /// The shape that holds for whoever has all records below `next_place`, if it was not among those told below another.
    pub(crate) fn shape_before(&self, next_place: u64, told_below: u64) -> Option<Arc<Shape>> {
        self.shared
            .schemas
            .newer(&self.name, told_below, next_place.checked_sub(1)?)
    }

    pub(crate) fn partitions(&self) -> Vec<TopicPartition> {
        self.partitions.read().clone()
    }

    fn partition(&self, number: u32) -> Result<TopicPartition, LogError> {
        let partitions = self.partitions.read();
        let found = partitions.get(number as usize).cloned();
        found.ok_or_else(|| LogError::UnknownPartition(format!("{}-{number}", self.name)))
    }

    /// The topic was given more partitions.
    pub(crate) fn grow(&self, info: &TopicInfo) {
        let mut partitions = self.partitions.write();
        if partitions.len() < info.partitions as usize {
            *partitions = info.all();
            self.grown.notify_one();
        }
    }

    /// What to say of records that are left out of all that clients get, as long as the log has one.
    pub(crate) fn complaint(&self) -> Option<String> {
        let (at, seen) = (*self.unreadable.lock())?;
        let (partition, offset) = of_spot(at);
        let earliest = self.shared.log.earliest(&self.partition(partition).ok()?).ok()?;
        (offset >= earliest).then(|| seen.sentence(&self.name, offset.0))
    }

    pub(crate) fn note_unreadable(&self, spot: u64, seen: Unreadable) {
        if self.unreadable.lock().replace((spot, seen)).is_none() {
            let (partition, offset) = of_spot(spot);
            tracing::warn!(topic = %self.name, partition, offset = offset.0, "a record is not JSON: {seen}; it is left out, as others like it will be");
        }
    }

    /// The place from which on everything is yet to come.
    pub(crate) fn end_place(&self) -> u64 {
        let end = |partition| self.shared.log.end(partition).map_or(0, |end| end.borrow().0);
        let ends: u64 = self.partitions.read().iter().map(end).sum();
        ends.max(self.published())
    }

    /// The first place that can be gone on from.
    pub(crate) fn earliest_place(&self) -> Result<u64, LogError> {
        let earliest = |partition| self.shared.log.earliest(partition).map(|offset| offset.0);
        let earliest = self
            .partitions
            .read()
            .iter()
            .map(earliest)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(self.sequence.read().kept_from(&earliest))
    }

    /// The next offset of each partition at a place, for a cursor; `None` if that is too long ago.
    pub(crate) fn offsets(&self, place: u64) -> Option<Vec<u64>> {
        self.sequence.read().offsets(place)
    }

    /// Reads on from a place: records of the partition that had its turn there.
    pub(crate) fn read(&self, place: u64, bytes_max: usize) -> Result<PlacedChunk, LogError> {
        let located = self.sequence.read().locate(place);
        let Some(at) = located else {
            return match place < self.published() {
                true => Err(LogError::OutOfRange {
                    partition: self.name.to_string(),
                    asked: place,
                    earliest: self.earliest_place()?,
                }),
                false => Ok(PlacedChunk::empty(place)),
            };
        };
        let chunk = self
            .shared
            .log
            .read(&self.partition(at.partition)?, Offset(at.offset), bytes_max)?;
        Ok(PlacedChunk::new(chunk, at.partition, at.offset, place, at.until))
    }

    /// Reads the records at a spot and behind it in its partition.
    pub(crate) fn read_spot(&self, at: u64, bytes_max: usize) -> Result<PlacedChunk, LogError> {
        let (partition, offset) = of_spot(at);
        let chunk = self.shared.log.read(&self.partition(partition)?, offset, bytes_max)?;
        Ok(PlacedChunk::new(chunk, partition, offset.0, offset.0, u64::MAX))
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
    pub(crate) fn filled_late(&self, row: &[u8], spot: u64) -> Option<FilledRow> {
        let columns = toast::placeholders(row);
        if columns.is_empty() {
            return None;
        }
        let known = self.view.lock().fills(spot);
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
        let source = fill.source?;
        let chunk = self.read_spot(source, 1).ok()?;
        let found = chunk.records().find(|found| found.spot() == source)?;
        let row = reading::row(&found.record)?;
        out.extend_from_slice(toast::value_in(row, &fill.column)?);
        Some(())
    }

    pub(crate) fn feeds(&self) -> impl Iterator<Item = &Arc<Feed>> {
        self.feeds.iter().filter_map(OnceLock::get)
    }

    pub(crate) fn wake_all(&self) {
        self.feeds().for_each(|feed| feed.wake_all());
    }

    pub(crate) fn end(&self) {
        self.gone.store(true, Ordering::Release);
        self.readiness.send_replace(Readiness::Ready);
        self.wake_all();
    }
}
