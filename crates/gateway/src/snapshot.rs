//! Gives clients the rows of a topic as of one offset, in pages.
//!
//! A snapshot is the view's offsets, sorted: the log is read through them forwards, page by page, at the client's
//! pace. Sessions that come while nothing has changed share one, encoded pages too.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use rowcast_log::{LogError, Offset, Record};
use rowcast_protocol::RowsFrame;

use crate::{
    encode::{Format, Voice},
    frames::{Frames, FramesBuilder},
    json, keys,
    options::{PAGE_READ_BYTES_MAX, READ_BYTES, ROWS_FRAME_BYTES, SNAPSHOT_PAGES_BYTES_MAX, SNAPSHOTS_AT_ONCE_MAX},
    reading,
    topic::Topic,
    view::Fills,
    wrapping::key_payload,
};

/// A topic's rows as of one offset.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The tail goes on from here.
    pub(crate) next_offset: u64,
    offsets: Vec<Offset>,
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
            && (newest.next_offset == view.next_offset() || snapshots.in_use.len() >= SNAPSHOTS_AT_ONCE_MAX)
        {
            return newest;
        }
        let next_offset = view.next_offset();
        let (rows, fills) = view.rows();
        drop(view);
        let offsets = rows.offsets_sorted();
        let snapshot = Arc::new(Snapshot {
            next_offset,
            offsets,
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
        if first < self.offsets.len() {
            voice.say("rows", None, &mut out, |buffer| {
                next = self.write_rows(topic, voice.sub, first, buffer)
            });
            out.end(self.next_offset, 0);
        }
        let (next, rows) = next?;
        let next = (next < self.offsets.len()).then_some(next);
        if next.is_none() {
            voice.live(self.next_offset, &mut out);
            out.end(self.next_offset, 0);
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
        let key_is_told = topic.shared.schemas.at(&topic.name, self.next_offset).is_some();
        let mut frame = RowsFrame::begin(out, sub);
        let (mut at, mut bytes_read) = (first, 0);
        while at < self.offsets.len() && frame.bytes() < full && bytes_read < PAGE_READ_BYTES_MAX {
            let chunk = topic.shared.log.read(&topic.partition, self.offsets[at], READ_BYTES)?;
            bytes_read += chunk.len_bytes();
            if chunk.is_empty() {
                at = self.offsets.len();
            }
            for record in chunk.records() {
                // Rows that are not there any more were compacted away: a later record, in the tail, has their news.
                while self.offsets.get(at).is_some_and(|wanted| *wanted < record.offset) {
                    at += 1;
                }
                if frame.bytes() >= full {
                    break;
                }
                if self.offsets.get(at) == Some(&record.offset) {
                    at += 1;
                    self.write_row(topic, &record, key_is_told, &mut frame);
                }
            }
        }
        let rows = frame.rows();
        frame.end();
        Ok((at, rows))
    }

    fn write_row(&self, topic: &Topic, record: &Record<'_>, key_is_told: bool, frame: &mut RowsFrame<'_>) {
        let Some(row) = reading::row(record).filter(|row| json::is_json(row)) else {
            return;
        };
        let key = key_payload(record.key).filter(|key| !key_is_told || !keys::is_in_row(key, row));
        let key = key.map(keys::as_json);
        match self.fills.get(&record.offset.0) {
            None => frame.push(row, key.as_deref()),
            Some(fills) => frame.push(&topic.filled(row, fills, true).row, key.as_deref()),
        }
    }
}
