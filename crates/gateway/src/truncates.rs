//! What a TRUNCATE takes away in a topic of several partitions, where it is one record in one of them.
//!
//! The others know nothing of it, and a gateway reads any of them ahead of it or behind it. So rows go by where in their
//! source they were written: what is older than the TRUNCATE is gone though it is read after it, and what is newer stays
//! though it was read before. Each changes the table in a way that the changes in the order they were seen do not tell, so
//! whoever keeps the table begins anew (`ResetReason::Truncated`); whoever only hears changes gets every one.
//!
//! A TRUNCATE locks its table, so of this table's changes the older have a smaller LSN and were not committed later. (The
//! time is there for a restored server, which counts its LSNs again.) What says no such place goes by the order in which it
//! is read.

use std::{
    borrow::Cow,
    num::NonZeroU32,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use parking_lot::Mutex;
use rowcast_log::{Log, LogError, Offset, TopicPartition};
use serde::Deserialize;

use crate::{envelope::Envelope, options::READ_BYTES, wrapping::unwrap};

/// The TRUNCATE that took rows away last.
#[derive(Debug)]
pub(crate) struct Truncation {
    source: String,
    moment: Moment,
    /// By partition: whether something newer was read of it. From there on nothing older comes.
    passed: Vec<bool>,
}

#[derive(Clone, Copy, Debug)]
struct Moment {
    lsn: i64,
    ts_us: i64,
}

/// Of a change's source block.
#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    ts_us: i64,
    lsn: i64,
}

impl Truncation {
    /// `None` if it does not say where it stands.
    pub(crate) fn of(change: &Envelope<'_>) -> Option<Truncation> {
        let source = Source::of(change)?;
        Some(Truncation {
            moment: source.moment(),
            source: source.name.into_owned(),
            passed: Vec::new(),
        })
    }

    /// Whether what the change says is gone: it is older, though it is read after the TRUNCATE. `number` is its partition's.
    pub(crate) fn took(&mut self, number: usize, change: &Envelope<'_>) -> bool {
        if self.passed.get(number).copied().unwrap_or_default() {
            return false;
        }
        let is_older = self.is_older(change);
        if is_older == Some(false) {
            self.pass(number);
        }
        is_older.unwrap_or_default()
    }

    /// Something newer was read of this partition.
    pub(crate) fn pass(&mut self, number: usize) {
        self.passed.resize(self.passed.len().max(number + 1), false);
        self.passed[number] = true;
    }

    /// Whether the change is older than the TRUNCATE; `None` if nobody can say.
    fn is_older(&self, change: &Envelope<'_>) -> Option<bool> {
        let source = Source::of(change).filter(|source| *source.name == *self.source)?;
        let Moment { lsn, ts_us } = source.moment();
        Some(lsn < self.moment.lsn && ts_us <= self.moment.ts_us)
    }

    /// The first offset of what is newer among what a partition has in this range, or its end. Looked for from the end
    /// backwards, in growing steps: partitions are seldom far apart.
    pub(crate) fn first_newer(
        &self,
        log: &dyn Log,
        partition: &TopicPartition,
        range: std::ops::Range<u64>,
    ) -> Result<u64, LogError> {
        let (mut low, mut high, mut step) = (range.start.max(log.earliest(partition)?.0), range.end, 1);
        let mut found = range.end;
        while low < high {
            let probe = high.saturating_sub(step).max(low);
            match self.look(log, partition, probe..high)? {
                Some((older, true)) => {
                    low = older + 1;
                    step = (high.saturating_sub(low) / 2).max(1);
                }
                Some((newer, false)) => {
                    (found, high) = (newer, probe);
                    step *= 2;
                }
                None => {
                    high = probe;
                    step *= 2;
                }
            }
        }
        Ok(found)
    }

    /// The first record of the range that says where it stands, and whether it is older.
    fn look(
        &self,
        log: &dyn Log,
        partition: &TopicPartition,
        range: std::ops::Range<u64>,
    ) -> Result<Option<(u64, bool)>, LogError> {
        let mut from = range.start;
        while from < range.end {
            let chunk = match log.read(partition, Offset(from), READ_BYTES) {
                // Retention was faster.
                Err(LogError::OutOfRange { earliest, .. }) if earliest > from => {
                    from = earliest;
                    continue;
                }
                read => read?,
            };
            if chunk.is_empty() {
                break;
            }
            let within = chunk.records().take_while(|record| record.offset.0 < range.end);
            let placed = within.filter(|record| record.offset.0 >= from).find_map(|record| {
                let change = Envelope::glance(unwrap(record.value?).payload).ok()?;
                Some((record.offset.0, self.is_older(&change)?))
            });
            if placed.is_some() {
                return Ok(placed);
            }
            from = chunk.next_offset().0;
        }
        Ok(None)
    }
}

impl<'a> Source<'a> {
    fn of(change: &Envelope<'a>) -> Option<Source<'a>> {
        serde_json::from_slice(change.source()?).ok()
    }

    fn moment(&self) -> Moment {
        Moment {
            lsn: self.lsn,
            ts_us: self.ts_us,
        }
    }
}

/// Where the changes of a topic do not tell how its table came to be what it is.
#[derive(Debug)]
pub(crate) struct Cuts {
    number: AtomicU32,
    /// The last one, in this gateway's order.
    place: AtomicU64,
    pub(crate) offsets: Mutex<CutOffsets>,
}

impl Default for Cuts {
    fn default() -> Self {
        Cuts {
            number: AtomicU32::new(1),
            place: AtomicU64::new(0),
            offsets: Mutex::default(),
        }
    }
}

impl Cuts {
    /// Whoever was given the table when this was another number begins anew.
    pub(crate) fn number(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.number.load(Ordering::Acquire))
    }

    /// Whoever has the table as of a place below this one begins anew.
    pub(crate) fn place(&self) -> u64 {
        self.place.load(Ordering::Acquire)
    }

    /// Asked under the lock of the view that it is about.
    pub(crate) fn cut(&self, place: u64) {
        self.place.store(place, Ordering::Release);
        self.number.fetch_add(1, Ordering::Release);
    }
}

/// How far somebody must have got whose offsets are no place in this gateway's order, or what he has may be another table.
#[derive(Debug, Default)]
pub(crate) struct CutOffsets {
    /// By partition; where it is short, nothing is asked.
    offsets: Vec<u64>,
}

impl CutOffsets {
    pub(crate) fn set(&mut self, partition: u32, offset: u64) {
        let number = partition as usize;
        self.offsets.resize(self.offsets.len().max(number + 1), 0);
        self.offsets[number] = self.offsets[number].max(offset);
    }

    pub(crate) fn get(&self, partition: u32) -> u64 {
        self.offsets.get(partition as usize).copied().unwrap_or_default()
    }

    /// Whether somebody with these next offsets may go on.
    pub(crate) fn are_passed_by(&self, next_offsets: &[u64]) -> bool {
        let has = |number: usize| next_offsets.get(number).copied().unwrap_or_default();
        self.offsets.iter().enumerate().all(|(number, cut)| has(number) >= *cut)
    }
}
