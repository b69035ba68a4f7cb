//! Gives clients the rows of a topic as of one place, in pages.
//!
//! A snapshot is the view's spots, sorted: the log is read through them forwards, page by page, at the client's
//! pace. Rows that retention has taken out of the log are left out: whoever reads the topic anew finds them nowhere either. Sessions that come while nothing has changed share one, encoded pages too.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroU32,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use rowcast_log::{LogError, Offset};
use rowcast_protocol::RowsFrame;

use crate::{
    encode::{Format, Voice},
    frames::{Frames, FramesBuilder},
    json, keys,
    options::{PAGE_READ_BYTES_MAX, READ_BYTES, ROWS_FRAME_BYTES, SNAPSHOT_PAGES_BYTES_MAX, SNAPSHOTS_AT_ONCE_MAX},
    placed::{Placed, of_spot, spot},
    reading,
    topic::Topic,
    view::Fills,
    wrapping::key_payload,
};

/// A topic's rows as of one place.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The tail goes on from here.
    pub(crate) next_place: u64,
    /// The same for a cursor.
    next_offsets: Vec<u64>,
    /// The topic's, then.
    pub(crate) cuts: Option<NonZeroU32>,
    spots: Vec<Offset>,
    fills: HashMap<u64, Fills>,
    pages: Mutex<Pages>,
}

/// Encoded pages by format and first row: the same bytes for everyone who has this snapshot.
#[derive(Debug, Default)]
struct Pages {
    kept: BTreeMap<(u8, usize), Page>,
    bytes: usize,
}

/// Some of a snapshot's rows, encoded; with the last ones comes `live`.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) frames: Arc<Frames>,
    /// Index of the first row of the next page; `None` after the last.
    pub(crate) next: Option<usize>,
    pub(crate) rows: usize,
}

/// A topic's snapshots that are in use.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    /// Oldest first.
    in_use: Vec<Weak<Snapshot>>,
}

impl Snapshot {
    /// The topic's rows as of now, or of a moment ago when others are at it.
    pub(crate) fn of(topic: &Topic) -> Arc<Snapshot> {
        // Held while taking one: whoever comes meanwhile shares it.
        let mut snapshots = topic.snapshots.lock();
        snapshots.in_use.retain(|snapshot| snapshot.strong_count() > 0);
        let newest = snapshots.in_use.last().and_then(Weak::upgrade);
        let view = topic.view.lock();
        if let Some(newest) = newest
            && (newest.next_place == view.next_place()
                || snapshots.in_use.len() >= SNAPSHOTS_AT_ONCE_MAX && newest.cuts == topic.cuts.number())
        {
            return newest;
        }
        let next_place = view.next_place();
        let next_offsets = topic.offsets(next_place).unwrap_or_default();
        let cuts = topic.cuts.number();
        let (rows, fills) = view.rows();
        drop(view);
        let spots = rows.offsets_sorted();
        let snapshot = Arc::new(Snapshot {
            next_place,
            next_offsets,
            cuts,
            spots,
            fills,
            pages: Mutex::default(),
        });
        snapshots.in_use.push(Arc::downgrade(&snapshot));
        snapshot
    }

    /// The rows from the `first` on: one `rows` frame, and `live` after the last row.
    pub(crate) fn page(&self, topic: &Topic, voice: &Voice, first: usize) -> Result<Page, LogError> {
        let key = (voice.format as u8, first);
        debug_assert_ne!(voice.format, Format::Raw, "raw clients get no rows");
        if let Some(page) = self.pages.lock().kept.get(&key) {
            return Ok(page.clone());
        }
        let page = self.encode_page(topic, voice, first)?;
        let mut pages = self.pages.lock();
        if pages.bytes + page.frames.memory_bytes() <= SNAPSHOT_PAGES_BYTES_MAX {
            pages.bytes += page.frames.memory_bytes();
            pages.kept.insert(key, page.clone());
        }
        Ok(page)
    }

    fn encode_page(&self, topic: &Topic, voice: &Voice, first: usize) -> Result<Page, LogError> {
        let mut out = FramesBuilder::default();
        let mut next = Ok((first, 0));
        if first < self.spots.len() {
            voice.say("rows", None, &mut out, |buffer| {
                next = self.write_rows(topic, voice.sub, first, buffer)
            });
            out.end(self.next_place, 0);
        }
        let (next, rows) = next?;
        let next = (next < self.spots.len()).then_some(next);
        if next.is_none() {
            voice.live(&self.next_offsets, &mut out);
            let stale_since_ms = *topic.stale_since_ms.lock();
            if stale_since_ms.is_some() {
                voice.freshness(stale_since_ms, &mut out);
            }
            out.end(self.next_place, 0);
        }
        Ok(Page {
            frames: Arc::new(out.take()),
            next,
            rows,
        })
    }

    /// Reads on until the frame is full or enough was read. Tells the next row, and how many were written.
    fn write_rows(&self, topic: &Topic, sub: u32, first: usize, out: &mut Vec<u8>) -> Result<(usize, usize), LogError> {
        let full = out.len() + ROWS_FRAME_BYTES;
        // A schema says which columns are the key.
        let key_is_told = topic.shared.schemas.at(&topic.name, self.next_place).is_some();
        let mut frame = RowsFrame::begin(out, sub);
        let (mut at, mut bytes_read) = (first, 0);
        while at < self.spots.len() && frame.bytes() < full && bytes_read < PAGE_READ_BYTES_MAX {
            let chunk = match topic.read_spot(self.spots[at].0, READ_BYTES) {
                Err(LogError::OutOfRange { earliest, .. }) => {
                    at = self.kept_from(at, earliest);
                    continue;
                }
                read => read?,
            };
            bytes_read += chunk.chunk.len_bytes();
            if chunk.is_empty() {
                at = self.spots.len();
            }
            for placed in chunk.records() {
                let spot = Offset(placed.spot());
                // Rows that are not there any more were compacted away: a later record, in the tail, has their news.
                while self.spots.get(at).is_some_and(|wanted| *wanted < spot) {
                    at += 1;
                }
                if frame.bytes() >= full {
                    break;
                }
                if self.spots.get(at) == Some(&spot) {
                    at += 1;
                    self.write_row(topic, &placed, key_is_told, &mut frame);
                }
            }
        }
        let rows = frame.rows();
        frame.end();
        Ok((at, rows))
    }

    /// The first row behind this one that retention has left in the log, which keeps its partition from `earliest` on.
    fn kept_from(&self, at: usize, earliest: u64) -> usize {
        let (partition, _) = of_spot(self.spots[at].0);
        let kept = spot(partition, earliest);
        let gone = self.spots[at..].partition_point(|spot| spot.0 < kept);
        at + gone.max(1)
    }

    fn write_row(&self, topic: &Topic, placed: &Placed<'_>, key_is_told: bool, frame: &mut RowsFrame<'_>) {
        let Some(row) = reading::row(&placed.record).filter(|row| json::is_json(row)) else {
            return;
        };
        let key = key_payload(placed.record.key).filter(|key| !key_is_told || !keys::is_in_row(key, row));
        let key = key.map(keys::as_json);
        match self.fills.get(&placed.spot()) {
            None => frame.push(row, key.as_deref()),
            Some(fills) => frame.push(&topic.filled(row, fills, true).row, key.as_deref()),
        }
    }
}
