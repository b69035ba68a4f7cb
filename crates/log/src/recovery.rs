//! Decides, when a partition is opened, what of it happened.
//!
//! Only the last segment can be torn: a new one begins after the one before it was synced. There, batches are checked
//! from the last one that the index knows (an entry is written only after a sync); what follows the last whole control
//! batch is an unfinished transaction and is cut.
//!
//! **A torn tail or damage?** The first byte that is not a sound batch is *damage*, and refused, when it is known that
//! it was once synced:
//! - the recovery point, which is written a few seconds after a sync and at a clean stop, lies behind it, or
//! - the index names a batch at that very place, or
//! - a sound control batch of this topic follows and says that this offset was durable when it was written.
//!
//! Otherwise it is a *torn tail*, bytes that the crash kept from the disk, and is cut with what follows: nobody was
//! ever told that they are durable. A sound batch alone behind the place proves nothing, since disks write pages in any
//! order. Not told apart: damage to the transactions of the last seconds before a crash (not before a clean stop) that no
//! later transaction of the same partition follows; they are cut, and unless another topic holds a later transaction, the
//! connector finds that its source was confirmed further than the log reaches, and refuses.
//!
//! Sealed segments are not read here. Damage in them is found by whoever reads them.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use memchr::memmem;

use crate::{
    Epoch, LogError,
    batch::{CONTROL_KEY, Control, HEADER_BYTES, Header},
    partition::{Written, cut_segments},
    segment::{self, Segment},
    storage::{Storage, failed},
};

/// Whether a partition's records were made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// They were: what follows the last control batch never happened.
    Own,
    /// They are another log's, with its offsets and without control batches: whatever is whole may stay, and what is
    /// not is cut, damaged or torn, since the origin still has it.
    Copy,
}

/// What was found, and left, of a partition.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) written: Written,
}

/// Opens a partition's directory for writing: after this it ends with a control batch, durably.
///
/// `durable_end` is the recovery point.
pub(crate) fn recover(
    storage: &dyn Storage,
    dir: &Path,
    kind: Kind,
    epoch: Epoch,
    durable_end: u64,
) -> Result<Recovered, LogError> {
    let segments = open_segments(storage, dir)?;
    let last = Arc::clone(segments.last().expect("opened or made at least one"));
    let scan = scan_tail(&last)?;
    let recovered = match kind {
        Kind::Own => to_last_commit(segments, &scan, epoch, durable_end)?,
        Kind::Copy => to_last_batch(segments, &scan),
    };
    let last = recovered.segments.last().expect("cutting leaves at least one");
    last.file
        .set_len(last.len())
        .map_err(|e| failed("cut", &last.path, e))?;
    // What a crash left in the page cache only is not durable before this.
    storage
        .sync(&last.file, &last.path)
        .map_err(|e| failed("sync", &last.path, e))?;
    storage.sync_dir(dir).map_err(|e| failed("sync", dir, e))?;
    Ok(recovered)
}

fn to_last_batch(segments: Vec<Arc<Segment>>, scan: &Scan) -> Recovered {
    let last = segments.last().expect("opened or made at least one");
    if let Some(why) = scan.why_stopped {
        tracing::warn!(file = %last.path.display(), offset = scan.offset, why, "the end of a copy is cut and fetched again");
    }
    last.index.cut(scan.position);
    last.set_len(scan.position);
    let written = Written {
        end: scan.offset,
        committed_end: scan.offset,
        ..Written::default()
    };
    Recovered { segments, written }
}

fn to_last_commit(
    mut segments: Vec<Arc<Segment>>,
    scan: &Scan,
    epoch: Epoch,
    durable_end: u64,
) -> Result<Recovered, LogError> {
    let last = Arc::clone(segments.last().expect("opened or made at least one"));
    if let Some(why) = scan.why_stopped {
        let proven = durable_end.max(durable_by_later_control(&last, scan, epoch)?);
        if proven > scan.offset || last.index.knows(scan.position) {
            return Err(last.corrupt(scan.position, scan.offset, why));
        }
    }
    if scan.offset < durable_end {
        return Err(last.corrupt(scan.position, scan.offset, "the file ends before what was durable"));
    }
    last.set_len(scan.position);
    let commit = find_last_commit(&segments, scan, epoch)?;
    let committed_end = commit.as_ref().map_or(segments[0].base, |commit| commit.end);
    if committed_end < durable_end {
        return Err(last.corrupt(
            scan.position,
            scan.offset,
            "a transaction that was durable has lost its end",
        ));
    }
    cut_segments(&mut segments, committed_end)?;
    let (position, last_timestamp_ms) = commit.map_or((None, 0), |c| (Some(c.position), c.timestamp_ms));
    Ok(Recovered {
        segments,
        written: Written {
            end: committed_end,
            committed_end,
            position,
            last_timestamp_ms,
        },
    })
}

/// Reads what a partition holds now without changing it, while another process may be writing: up to the last batch
/// that is whole.
pub(crate) fn look(dir: &Path, epoch: Epoch) -> Result<Recovered, LogError> {
    let bases = segment::list(dir).map_err(|e| failed("list", dir, e))?;
    let opened: Result<Vec<_>, _> = bases
        .iter()
        .map(|&base| Segment::open(dir, base, false).map(Arc::new))
        .collect();
    let segments = opened?;
    let Some(last) = segments.last() else {
        return Err(failed("list", dir, std::io::ErrorKind::NotFound.into()));
    };
    let scan = scan_tail(last)?;
    last.set_len(scan.position);
    let commit = find_last_commit(&segments, &scan, epoch)?;
    let mut written = Written {
        end: scan.offset,
        committed_end: segments[0].base,
        ..Written::default()
    };
    if let Some(commit) = commit {
        written.committed_end = commit.end;
        written.position = Some(commit.position);
    }
    Ok(Recovered { segments, written })
}

fn open_segments(storage: &dyn Storage, dir: &Path) -> Result<Vec<Arc<Segment>>, LogError> {
    let bases = segment::list(dir).map_err(|e| failed("list", dir, e))?;
    let mut segments = Vec::with_capacity(bases.len().max(1));
    for (i, &base) in bases.iter().enumerate() {
        let segment = Segment::open(dir, base, true)?;
        if let Some(&next) = bases.get(i + 1) {
            seal(storage, &segment, next)?;
        }
        segments.push(Arc::new(segment));
    }
    if segments.is_empty() {
        segments.push(Arc::new(Segment::create(dir, 0)?));
    }
    Ok(segments)
}

/// Checks that a sealed segment reaches to the next one, by its index and the headers behind its last entry; an index
/// that is missing or wrong is made anew from the segment's headers.
fn seal(storage: &dyn Storage, segment: &Segment, next_base: u64) -> Result<(), LogError> {
    let indexed = segment
        .index
        .last_before(segment.len())
        .map(|entry| u64::from(entry.position));
    let by_index = indexed.map(|position| walk_headers(segment, position, segment.len(), |_, _| {}));
    if !matches!(by_index, Some(Ok(end)) if end == next_base) {
        segment.index.clear();
        let end = walk_headers(segment, 0, segment.len(), |position, header| {
            segment
                .index
                .observe(relative_to(segment, header), position, header.bytes);
        })?;
        if end != next_base {
            return Err(segment.corrupt(
                segment.len(),
                end,
                "offsets are missing between this segment and the next",
            ));
        }
    }
    segment
        .index
        .seal(storage)
        .map_err(|e| failed("seal the index of", &segment.path, e))
}

fn relative_to(segment: &Segment, header: &Header) -> u32 {
    u32::try_from(header.last_offset().saturating_sub(segment.base)).unwrap_or(u32::MAX)
}

/// Visits the batches that begin in a range of positions and tells the offset after the last.
fn walk_headers(segment: &Segment, from: u64, to: u64, mut visit: impl FnMut(u64, &Header)) -> Result<u64, LogError> {
    let (mut position, mut offset) = (from, segment.base);
    while position < to {
        let header = segment.header_at(position, offset)?;
        visit(position, &header);
        position += header.bytes as u64;
        offset = header.next_offset();
    }
    Ok(offset)
}

/// A control batch of ours.
#[derive(Debug)]
pub(crate) struct Commit {
    /// The offset after it.
    pub(crate) end: u64,
    pub(crate) epoch: Epoch,
    pub(crate) position: Bytes,
    pub(crate) timestamp_ms: i64,
}

/// How far the batches of a segment are sound.
#[derive(Debug)]
pub(crate) struct Scan {
    /// Where the scan began.
    from: u64,
    /// The first byte that is not part of a sound batch.
    pub(crate) position: u64,
    /// The offset expected there.
    pub(crate) offset: u64,
    /// What is wrong there, unless the file ends.
    pub(crate) why_stopped: Option<&'static str>,
    /// The last control batch among those scanned.
    pub(crate) commit: Option<Commit>,
}

/// Checks the last segment from the last batch that its index knows, or all of it if the index knows none or lies.
fn scan_tail(segment: &Segment) -> Result<Scan, LogError> {
    if let Some(entry) = segment.index.last_before(segment.len()) {
        let position = u64::from(entry.position);
        let expected = segment.base + u64::from(entry.relative);
        if let Ok(header) = segment.header_at(position, expected)
            && header.last_offset() == expected
        {
            let scan = scan(segment, position, header.base_offset)?;
            if scan.position > position {
                return Ok(scan);
            }
        }
        // Either the index is of another time, or the segment is damaged where it was durable: all of it tells.
        let whole = scan_from_start(segment)?;
        if whole.position < segment.len() && segment.index.knows(whole.position) {
            return Ok(whole);
        }
        segment.index.clear();
    }
    scan_from_start(segment)
}

fn scan_from_start(segment: &Segment) -> Result<Scan, LogError> {
    scan(segment, 0, segment.base)
}

/// Checks batches one by one from a position, and tells the index of those that it does not know.
pub(crate) fn scan(segment: &Segment, from: u64, offset: u64) -> Result<Scan, LogError> {
    let mut scan = Scan {
        from,
        position: from,
        offset,
        why_stopped: None,
        commit: None,
    };
    while scan.position < segment.len() {
        match scan_batch(segment, &mut scan) {
            Ok(()) => {}
            Err(Stopped::Unsound(why)) => {
                scan.why_stopped = Some(why);
                break;
            }
            Err(Stopped::Unreadable(e)) => return Err(e),
        }
    }
    Ok(scan)
}

enum Stopped {
    Unsound(&'static str),
    Unreadable(LogError),
}

fn scan_batch(segment: &Segment, scan: &mut Scan) -> Result<(), Stopped> {
    let left = segment.len() - scan.position;
    let read = |len: usize| {
        segment
            .bytes_at(scan.position, len, scan.offset)
            .map_err(Stopped::Unreadable)
    };
    let head = read(HEADER_BYTES.min(usize::try_from(left).unwrap_or(HEADER_BYTES)))?;
    let header = Header::parse(&head).map_err(Stopped::Unsound)?;
    if header.base_offset != scan.offset {
        return Err(Stopped::Unsound(
            "the batch has another offset than the one that is next",
        ));
    }
    if header.bytes as u64 > left {
        return Err(Stopped::Unsound("the batch is longer than the file"));
    }
    let batch = read(header.bytes)?;
    header.check(&batch).map_err(Stopped::Unsound)?;
    if let Some(commit) = commit_of(&header, &batch) {
        scan.commit = Some(commit);
    }
    segment
        .index
        .observe(relative_to(segment, &header), scan.position, header.bytes);
    scan.position += header.bytes as u64;
    scan.offset = header.next_offset();
    Ok(())
}

fn commit_of(header: &Header, batch: &[u8]) -> Option<Commit> {
    Control::decode(header, batch).map(|control| Commit {
        end: header.next_offset(),
        epoch: control.epoch,
        position: Bytes::copy_from_slice(control.position),
        timestamp_ms: header.max_timestamp_ms,
    })
}

/// The last control batch: among those scanned or, in the middle of a large transaction, further back.
fn find_last_commit(segments: &[Arc<Segment>], scan: &Scan, epoch: Epoch) -> Result<Option<Commit>, LogError> {
    let mut found = scan.commit.as_ref().map(|commit| Commit {
        position: commit.position.clone(),
        ..*commit
    });
    let mut upto = scan.from;
    for segment in segments.iter().rev() {
        if found.is_some() {
            break;
        }
        found = last_commit_before(segment, upto.min(segment.len()))?;
        upto = u64::MAX;
    }
    if let Some(commit) = &found
        && commit.epoch != epoch
    {
        let file = segments.last().expect("the commit lies in one");
        return Err(file.corrupt(
            file.len(),
            commit.end,
            "it was written for another topic or an earlier one of this name",
        ));
    }
    Ok(found)
}

/// Looks for a control batch backwards, from one index entry to the one before, by headers alone.
fn last_commit_before(segment: &Segment, upto: u64) -> Result<Option<Commit>, LogError> {
    let mut upto = upto;
    while upto > 0 {
        let from = segment
            .index
            .last_before(upto)
            .map_or(0, |entry| u64::from(entry.position));
        let mut control = None;
        walk_headers(segment, from, upto, |position, header| {
            if header.is_control() {
                control = Some((position, *header));
            }
        })?;
        if let Some((position, header)) = control {
            let batch = segment.bytes_at(position, header.bytes, header.base_offset)?;
            header
                .check(&batch)
                .map_err(|why| segment.corrupt(position, header.base_offset, why))?;
            if let Some(commit) = commit_of(&header, &batch) {
                return Ok(Some(commit));
            }
        }
        upto = from;
    }
    Ok(None)
}

/// Bytes of a damaged tail that are searched at a time.
const SEARCH_BYTES: usize = 1 << 20;

/// More than a control batch takes.
const CONTROL_BATCH_BYTES_MAX: usize = 512;

/// The highest offset that a sound control batch behind the scan's end says was durable.
fn durable_by_later_control(segment: &Segment, scan: &Scan, epoch: Epoch) -> Result<u64, LogError> {
    let mut durable_end = 0;
    let mut position = scan.position;
    while position < segment.len() {
        let len = (segment.len() - position).min((SEARCH_BYTES + CONTROL_BATCH_BYTES_MAX) as u64) as usize;
        let bytes = segment.bytes_at(position, len, scan.offset)?;
        durable_end = durable_end.max(highest_durable_end(&bytes, scan.offset, epoch));
        position += SEARCH_BYTES as u64;
    }
    Ok(durable_end)
}

/// Pure over the bytes, so that any bytes can be tried.
fn highest_durable_end(bytes: &[u8], above: u64, epoch: Epoch) -> u64 {
    // Before the key: the record's length in one or two bytes, attributes, time and offset deltas, the key's length.
    let starts = memmem::find_iter(bytes, &CONTROL_KEY)
        .flat_map(|key| [5, 6].map(|before| key.checked_sub(HEADER_BYTES + before)))
        .flatten();
    let claims = starts.filter_map(|start| {
        let header = Header::parse(&bytes[start..])
            .ok()
            .filter(|header| header.base_offset > above)?;
        let batch = bytes[start..]
            .get(..header.bytes)
            .filter(|batch| batch.len() <= CONTROL_BATCH_BYTES_MAX)?;
        header.check(batch).ok()?;
        Control::decode(&header, batch)
            .filter(|control| control.epoch == epoch)
            .map(|control| control.durable_end)
    });
    claims.max().unwrap_or(0)
}
