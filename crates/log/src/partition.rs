//! One partition: its segments, how far it is written, committed, durable and seen.
//!
//! Four ends, each at or behind the one before: *written* (handed to the operating system), *shown* (readers may see
//! it), *committed* (the last control batch), *durable* (committed and synced). A writer moves the first three, the
//! sync thread the last and, for [`Visibility::AfterSync`], the second. Knows nothing of other partitions.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::{
    Chunk, Epoch, LogError, Offset, TopicPartition, Visibility,
    batch::Span,
    recovery::{self, Recovered},
    segment::{self, Segment},
    storage::{Storage, failed},
};

/// One partition of the embedded log. Shared by its writer, the sync thread and readers.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) id: TopicPartition,
    pub(crate) epoch: Epoch,
    pub(crate) dir: PathBuf,
    /// In order of offsets, never empty. All but the last are durable and never change.
    segments: RwLock<Vec<Arc<Segment>>>,
    written: Mutex<Written>,
    waiting: Mutex<Waiting>,
    /// Offsets below are no longer to be had, although a segment may still hold some.
    kept_from: AtomicU64,
    end: watch::Sender<Offset>,
    durable_end: AtomicU64,
    /// An appender owns the partition.
    taken: AtomicBool,
    /// The sync thread has been told of unsynced bytes and has not begun yet.
    pub(crate) sync_queued: AtomicBool,
}

/// How far the partition is written: the state that one writer hands to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    /// The offset after the last batch in the file.
    pub(crate) end: u64,
    /// The offset after the last control batch in the file.
    pub(crate) committed_end: u64,
    /// What that control batch carries.
    pub(crate) position: Option<Bytes>,
    /// Of the last record: a control batch has no time of its own.
    pub(crate) last_timestamp_ms: i64,
}

/// Ends that readers see only after a sync.
#[derive(Debug, Default)]
struct Waiting {
    /// For the next sync.
    next: Option<u64>,
    /// For the sync that is under way.
    syncing: Option<u64>,
}

impl Partition {
    pub(crate) fn new(id: TopicPartition, epoch: Epoch, dir: PathBuf, recovered: Recovered) -> Partition {
        Partition {
            id,
            epoch,
            dir,
            kept_from: AtomicU64::new(0),
            end: watch::Sender::new(Offset(recovered.written.end)),
            durable_end: AtomicU64::new(recovered.written.committed_end),
            segments: RwLock::new(recovered.segments),
            written: Mutex::new(recovered.written),
            waiting: Mutex::default(),
            taken: AtomicBool::new(false),
            sync_queued: AtomicBool::new(false),
        }
    }

    // Reading.

    pub(crate) fn end(&self) -> watch::Receiver<Offset> {
        self.end.subscribe()
    }

    pub(crate) fn earliest(&self) -> u64 {
        let base = self.segments.read()[0].base;
        base.max(self.kept_from.load(Ordering::Acquire))
    }

    /// Makes offsets below this one out of range, and removes the segments that hold no others.
    pub(crate) fn forget_below(&self, offset: u64) -> Result<(), LogError> {
        let offset = offset.min(self.end.borrow().0);
        self.kept_from.fetch_max(offset, Ordering::AcqRel);
        let mut segments = self.segments.write();
        while let [oldest, next, ..] = &segments[..]
            && next.base <= offset
        {
            remove(oldest)?;
            segments.remove(0);
        }
        Ok(())
    }

    pub(crate) fn position(&self) -> Option<Bytes> {
        self.written.lock().position.clone()
    }

    /// Records after the last control batch: every offset between is a record's.
    pub(crate) fn unfinished(&self) -> u64 {
        let written = self.written.lock();
        written.end - written.committed_end
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.segments
            .read()
            .iter()
            .map(|segment| segment.len() + segment.index.size_bytes())
            .sum()
    }

    pub(crate) fn read(&self, from: u64, bytes_max: usize) -> Result<Chunk, LogError> {
        let end = self.end.borrow().0;
        let earliest = self.earliest();
        if from < earliest {
            return Err(LogError::OutOfRange {
                partition: self.id.to_string(),
                asked: from,
                earliest,
            });
        }
        if from >= end {
            return Ok(Chunk::end(Offset(from)));
        }
        let segment = self.segment_of(from);
        match segment.read(from, end, bytes_max)? {
            Some(chunk) => Ok(chunk),
            None => Err(segment.corrupt(segment.len(), from, "the segment ends before this offset")),
        }
    }

    fn segment_of(&self, offset: u64) -> Arc<Segment> {
        let segments = self.segments.read();
        let after = segments.partition_point(|segment| segment.base <= offset);
        Arc::clone(&segments[after.saturating_sub(1)])
    }

    fn active(&self) -> Arc<Segment> {
        let segments = self.segments.read();
        Arc::clone(segments.last().expect("a partition has at least one segment"))
    }

    // Writing, by the one appender that has taken the partition.

    /// Makes the caller the one writer.
    pub(crate) fn take(&self) -> Result<Written, LogError> {
        if self.taken.swap(true, Ordering::AcqRel) {
            return Err(LogError::Busy(self.id.to_string()));
        }
        Ok(self.written.lock().clone())
    }

    /// Gives the partition back. Of an unfinished transaction, what readers saw (or will, after the sync under way)
    /// stays for the next writer to go on from; what they never saw is cut.
    pub(crate) fn give_back(&self) -> Result<(), LogError> {
        let kept = {
            let waiting = self.waiting.lock();
            let seen = self
                .end
                .borrow()
                .0
                .max(waiting.next.unwrap_or(0))
                .max(waiting.syncing.unwrap_or(0));
            seen.max(self.written.lock().committed_end)
        };
        let cut = if kept < self.written.lock().end {
            self.cut(kept)
        } else {
            Ok(())
        };
        self.taken.store(false, Ordering::Release);
        cut
    }

    /// Removes everything from a batch's first offset on.
    fn cut(&self, offset: u64) -> Result<(), LogError> {
        self.written.lock().end = offset;
        let mut segments = self.segments.write();
        cut_segments(&mut segments, offset)
    }

    /// Hands batches to the operating system, beginning new segments where the active one is full.
    pub(crate) fn write(
        &self,
        storage: &dyn Storage,
        segment_bytes: u64,
        bytes: &[u8],
        mut batches: &[Span],
    ) -> Result<(), LogError> {
        let mut segment = self.active();
        while let Some(first) = batches.first() {
            let fit = count_that_fit(&segment, segment_bytes, batches);
            if fit == 0 {
                segment = self.roll(storage, &segment, first.base_offset)?;
                continue;
            }
            let (now, later) = batches.split_at(fit);
            segment.append(storage, bytes, now)?;
            batches = later;
        }
        Ok(())
    }

    /// Begins a new segment. The old one is synced first: so only the last segment of a partition can be torn.
    fn roll(&self, storage: &dyn Storage, old: &Segment, base: u64) -> Result<Arc<Segment>, LogError> {
        storage
            .sync(&old.file, &old.path)
            .map_err(|e| failed("sync", &old.path, e))?;
        old.index
            .seal(storage)
            .map_err(|e| failed("seal the index of", &old.path, e))?;
        let segment = Arc::new(Segment::create(&self.dir, base)?);
        storage.sync_dir(&self.dir).map_err(|e| failed("sync", &self.dir, e))?;
        self.segments.write().push(Arc::clone(&segment));
        Ok(segment)
    }

    /// Records how far the file was written, and shows readers what `visibility` allows (`None`: nothing new). True when
    /// readers wait for a sync.
    pub(crate) fn wrote(&self, now: Written, visibility: Option<Visibility>) -> bool {
        let (end, committed_end) = (now.end, now.committed_end);
        *self.written.lock() = now;
        let mut waiting = self.waiting.lock();
        let nothing_waits = waiting.next.is_none() && waiting.syncing.is_none();
        match visibility {
            None => {}
            Some(Visibility::Now) if nothing_waits => self.show(end),
            // Behind records that wait for their sync, these wait too: offsets are shown in order.
            Some(Visibility::Now) => waiting.next = waiting.next.max(Some(end)),
            Some(Visibility::AfterSync) if committed_end <= self.end.borrow().0 => {}
            Some(Visibility::AfterSync) => waiting.next = waiting.next.max(Some(committed_end)),
        }
        waiting.next.is_some()
    }

    fn show(&self, end: u64) {
        self.end.send_if_modified(|shown| {
            let grows = shown.0 < end;
            shown.0 = shown.0.max(end);
            grows
        });
    }

    // Syncing, by the sync thread.

    /// The offset below which everything is committed and synced.
    pub(crate) fn durable_end(&self) -> u64 {
        self.durable_end.load(Ordering::Acquire)
    }

    /// Syncs what was written before the call, and shows readers what waited for it.
    pub(crate) fn sync(&self, storage: &dyn Storage) -> Result<(), LogError> {
        self.sync_queued.store(false, Ordering::Release);
        let committed_end = self.written.lock().committed_end;
        {
            let mut waiting = self.waiting.lock();
            waiting.syncing = waiting.next.take();
        }
        // Taken after the ends: if a new segment began since, the roll synced the one before it.
        let segment = self.active();
        storage
            .sync(&segment.file, &segment.path)
            .map_err(|e| failed("sync", &segment.path, e))?;
        let relative = committed_end.saturating_sub(segment.base);
        segment
            .index
            .persist_below(storage, relative)
            .map_err(|e| failed("write the index of", &segment.path, e))?;
        self.durable_end.fetch_max(committed_end, Ordering::AcqRel);
        let mut waiting = self.waiting.lock();
        if let Some(end) = waiting.syncing.take() {
            self.show(end);
        }
        Ok(())
    }
}

/// Following, in a process that does not write.
impl Partition {
    /// Looks how far the owner has written by now.
    pub(crate) fn follow(&self) -> Result<(), LogError> {
        let mut written = self.written.lock();
        loop {
            let segment = self.active();
            let known = segment.len();
            let now = segment
                .file
                .metadata()
                .map_err(|e| failed("read", &segment.path, e))?
                .len();
            segment.set_len(now.max(known));
            let scan = if now < known {
                None
            } else {
                Some(recovery::scan(&segment, known, written.end)?)
            };
            let Some(scan) = scan.filter(|scan| scan.why_stopped.is_none()) else {
                // Half a batch, or a tail that was cut and written anew: only looking from further back can tell.
                segment.set_len(known);
                return self.look_anew(&mut written);
            };
            segment.set_len(scan.position);
            written.end = scan.offset;
            if let Some(commit) = scan.commit {
                written.committed_end = commit.end;
                written.position = Some(commit.position);
            }
            if !self.open_next(&segment, written.end)? {
                break;
            }
        }
        self.show(written.end);
        Ok(())
    }

    /// Opens the segment that begins where this one ends, if the owner has made it.
    fn open_next(&self, segment: &Segment, end: u64) -> Result<bool, LogError> {
        let next = segment::path_of(&self.dir, end, "log");
        if end == segment.base || !next.exists() {
            return Ok(false);
        }
        let next = Segment::open(&self.dir, end, false)?;
        next.set_len(0);
        self.segments.write().push(Arc::new(next));
        Ok(true)
    }

    fn look_anew(&self, written: &mut Written) -> Result<(), LogError> {
        let found = recovery::look(&self.dir, self.epoch)?;
        *self.segments.write() = found.segments;
        *written = found.written;
        self.end
            .send_if_modified(|shown| std::mem::replace(&mut shown.0, written.end) != written.end);
        Ok(())
    }
}

/// How many of the batches the segment still takes: an empty one takes any first batch.
fn count_that_fit(segment: &Segment, segment_bytes: u64, batches: &[Span]) -> usize {
    let mut len = segment.len();
    let fits = |batch: &&Span| {
        let fits = len == 0
            || len + batch.bytes as u64 <= segment_bytes && batch.last_offset - segment.base <= i32::MAX as u64;
        len += batch.bytes as u64;
        fits
    };
    batches.iter().take_while(fits).count()
}

/// Removes everything from a batch's first offset on: newest segments first, so that a crash between leaves no hole.
pub(crate) fn cut_segments(segments: &mut Vec<Arc<Segment>>, offset: u64) -> Result<(), LogError> {
    while let [.., _, last] = &segments[..]
        && last.base >= offset
    {
        remove(last)?;
        segments.pop();
    }
    let last = segments.last().expect("a partition has at least one segment");
    last.index
        .unseal()
        .map_err(|e| failed("read the index of", &last.path, e))?;
    match last.locate(offset)? {
        Some((position, _)) => last.cut(position),
        None => Ok(()),
    }
}

fn remove(segment: &Segment) -> Result<(), LogError> {
    let index: &Path = &segment.path.with_extension("index");
    for path in [&segment.path, index] {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed("remove", path, e)),
            _ => {}
        }
    }
    Ok(())
}
