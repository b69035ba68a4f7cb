//! Knows a change that a topic holds a second time, so that no client is shown it twice.
//!
//! On Kafka without transactions a capture that was stopped and wakes up late can still write what its successor has
//! written already, and Debezium writes again what it had not noted before a restart. Each such writer goes through the
//! source's changes in their one order without leaving any out, so what lies behind the furthest change that was seen is
//! there already. A change's place is told by its `source` block: the end of the transaction before its own
//! (`sequence[0]`), its LSN, and its key where changes share an LSN, as those of a COPY do. Never taken for a repeat: what
//! says no such place, rows of a snapshot, rows without a key at the furthest LSN, and what was committed later than
//! everything seen, since a restored server counts its LSNs again.

mod tombstones;

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
};

use rowcast_log::{Record, TopicPartition};
use serde::Deserialize;

use tombstones::Tombstones;

use crate::wrapping::Wrapping;

/// Sources of one partition that are told apart. A topic has one; some people route a few databases' shards into it. Of
/// more than these nothing is taken for a repeat.
const SOURCES_MAX: usize = 64;

/// Finished transactions that are remembered by their ids: the first one of a capture that takes over may not say which
/// came before it. Late writers and their successors are a few transactions apart there, since both begin where the topic ended.
const FINISHED_MAX: usize = 64;

/// What has been seen of each partition. Shown every record, in order.
#[derive(Default)]
pub struct Repeats {
    partitions: HashMap<TopicPartition, Partition>,
    wrapping: Wrapping,
    hasher: RandomState,
}

#[derive(Default)]
struct Partition {
    /// By `source.name`.
    sources: HashMap<String, Frontier>,
    tombstones: Tombstones,
}

/// The furthest change of one source.
#[derive(Default)]
struct Frontier {
    transaction: Option<Transaction>,
    finished: VecDeque<Id>,
    /// The latest commit seen.
    ts_us: i64,
}

struct Transaction {
    id: Id,
    /// End of the transaction before it, or what that lies behind.
    after: i64,
    lsn: i64,
    /// Of the changes at `lsn`.
    keys: HashSet<u64>,
}

/// PostgreSQL uses transaction ids again, but not with the same commit time.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Id {
    xid: i64,
    ts_us: i64,
}

/// Where a change stands.
struct Place {
    id: Id,
    after: Option<i64>,
    lsn: i64,
    /// Of key and operation; none without a key.
    key: Option<u64>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    source: Source<'a>,
    #[serde(borrow)]
    op: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    snapshot: Option<Cow<'a, str>>,
    ts_us: i64,
    #[serde(borrow)]
    sequence: Cow<'a, str>,
    #[serde(rename = "txId")]
    xid: i64,
    lsn: i64,
}

impl Repeats {
    /// Records of the partition are shown from some offset on, perhaps again.
    pub fn begin(&mut self, partition: &TopicPartition) {
        self.partitions.remove(partition);
    }

    /// Whether the partition had this change before.
    pub fn is_repeat(&mut self, partition: &TopicPartition, record: &Record<'_>) -> bool {
        let key = record.key.map(|key| self.hasher.hash_one(key));
        let at = (record.offset.0, record.timestamp_ms);
        if !self.partitions.contains_key(partition) {
            self.partitions.insert(partition.clone(), Partition::default());
        }
        let seen = self.partitions.get_mut(partition).expect("just made");
        let Some(value) = record.value else {
            return key.is_some_and(|key| seen.tombstones.is_repeat(key, at));
        };
        let Some(Envelope { source, op }) = read(self.wrapping.unwrap(value).payload) else {
            return false;
        };
        let place = Place {
            id: Id {
                xid: source.xid,
                ts_us: source.ts_us,
            },
            after: after(&source.sequence),
            lsn: source.lsn,
            key: key.map(|key| self.hasher.hash_one((key, &*op))),
        };
        if !seen.sources.contains_key(&*source.name) && seen.sources.len() < SOURCES_MAX {
            seen.sources
                .insert(source.name.clone().into_owned(), Frontier::default());
        }
        let frontier = seen.sources.get_mut(&*source.name);
        let is_repeat = frontier.is_some_and(|frontier| frontier.has(&place));
        if let Some(key) = key {
            seen.tombstones.change(key, op == "d", is_repeat, at);
        }
        is_repeat
    }
}

impl Frontier {
    /// Whether the place lies behind; goes on to it otherwise.
    fn has(&mut self, place: &Place) -> bool {
        let Some(furthest) = &mut self.transaction else {
            self.go_on(place, 0);
            return false;
        };
        if furthest.id == place.id {
            furthest.after = place.after.unwrap_or(furthest.after);
            return furthest.has(place);
        }
        let is_behind = match place.after {
            None => self.finished.contains(&place.id),
            Some(after) => after < furthest.after && place.id.ts_us <= self.ts_us,
        };
        if !is_behind {
            // Who does not say so comes after the furthest one's end, and that lies behind its changes.
            let furthest_lsn = furthest.lsn;
            self.go_on(place, furthest_lsn);
        }
        is_behind
    }

    fn go_on(&mut self, place: &Place, after_at_least: i64) {
        if let Some(finished) = self.transaction.take() {
            if self.finished.len() == FINISHED_MAX {
                self.finished.pop_front();
            }
            self.finished.push_back(finished.id);
        }
        self.ts_us = self.ts_us.max(place.id.ts_us);
        self.transaction = Some(Transaction {
            id: place.id,
            after: place.after.unwrap_or(after_at_least),
            lsn: place.lsn,
            keys: place.key.into_iter().collect(),
        });
    }
}

impl Transaction {
    fn has(&mut self, place: &Place) -> bool {
        if place.lsn < self.lsn {
            return true;
        }
        if place.lsn > self.lsn {
            self.lsn = place.lsn;
            self.keys.clear();
        }
        place.key.is_some_and(|key| !self.keys.insert(key))
    }
}

/// A change that was streamed from PostgreSQL.
fn read(payload: &[u8]) -> Option<Envelope<'_>> {
    let envelope: Envelope<'_> = serde_json::from_slice(payload).ok()?;
    let marker = envelope.source.snapshot.as_deref();
    let is_streamed = marker.is_none_or(|marker| marker == "false");
    (is_streamed && matches!(&*envelope.op, "c" | "u" | "d" | "t")).then_some(envelope)
}

/// The first of `["24023128","24023416"]`: where the transaction before this one ended.
fn after(sequence: &str) -> Option<i64> {
    let (before, _): (Option<Cow<'_, str>>, Cow<'_, str>) = serde_json::from_str(sequence).ok()?;
    before?.parse().ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rowcast_log::{EmbeddedLog, EmbeddedOptions, Log, NewRecord, Offset, TopicCreation, Visibility, WriterId};

    use super::*;

    /// One change: (xid, commit time and timestamp, end of the transaction before, LSN, key, operation); operation `t` is a tombstone.
    type Change = (i64, i64, Option<i64>, i64, &'static str, &'static str);

    /// Which of the changes were taken for repeats.
    fn repeats(changes: &[Change]) -> Vec<bool> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).expect("the log opens");
        let topic = log.ensure_topic("t", &TopicCreation::default()).expect("a topic").all();
        let mut appender = log.appender(&WriterId::new("test")).expect("an appender");
        for (xid, ts_us, before, lsn, key, op) in changes {
            let before = before.map_or("null".to_owned(), |lsn| format!(r#"\"{lsn}\""#));
            let value = format!(
                r#"{{"before":null,"after":{{"source":"s"}},"source":{{"name":"shop","snapshot":"false","ts_us":{ts_us},"sequence":"[{before},\"{lsn}\"]","txId":{xid},"lsn":{lsn}}},"op":"{op}"}}"#
            );
            let record = NewRecord {
                timestamp_ms: *ts_us,
                key: (!key.is_empty()).then_some(key.as_bytes()),
                value: (*op != "t").then_some(value.as_bytes()),
                headers: &[],
            };
            appender.append(&topic[0], record).expect("appended");
        }
        appender.commit(&Bytes::from_static(b"p")).expect("committed");
        appender.flush(Visibility::Now).expect("flushed");
        let chunk = log.read(&topic[0], Offset(0), 1 << 20).expect("readable");
        let mut repeats = Repeats::default();
        chunk
            .records()
            .map(|record| repeats.is_repeat(&topic[0], &record))
            .collect()
    }

    const FIRST: Change = (7, 100, Some(10), 20, "a", "c");
    const SECOND: Change = (8, 200, Some(30), 15, "a", "u");
    const THIRD: Change = (9, 300, Some(40), 35, "b", "c");

    #[test]
    fn what_comes_once_is_shown() {
        assert_eq!(repeats(&[FIRST, SECOND, THIRD]), [false; 3]);
    }

    #[test]
    fn what_a_late_writer_repeats_is_known_however_late_it_is() {
        let late = repeats(&[FIRST, SECOND, THIRD, FIRST, SECOND, THIRD]);
        assert_eq!(late, [false, false, false, true, true, true]);
    }

    #[test]
    fn whichever_of_two_writers_comes_first_is_shown() {
        let mixed = repeats(&[FIRST, FIRST, SECOND, THIRD, SECOND, THIRD]);
        assert_eq!(mixed, [false, true, false, false, true, true]);
    }

    #[test]
    fn rows_of_a_copy_share_an_lsn_and_are_told_apart_by_key() {
        let row = |key| (7, 100, Some(10), 20, key, "c");
        let copied = repeats(&[row("a"), row("b"), row("a"), row("c"), row("b"), row("c")]);
        assert_eq!(copied, [false, false, true, false, true, true]);
        // Without keys nothing tells them apart.
        assert_eq!(
            repeats(&[row(""), row(""), SECOND, row("")]),
            [false, false, false, true]
        );
    }

    #[test]
    fn a_tombstone_goes_with_its_delete() {
        let delete = (7, 100, Some(10), 20, "a", "d");
        let tombstone = (0, 0, None, 0, "a", "t");
        assert_eq!(
            repeats(&[delete, tombstone, delete, tombstone]),
            [false, false, true, true]
        );
        let again = (8, 200, Some(30), 40, "a", "d");
        let cut_off = repeats(&[delete, tombstone, delete, again, tombstone]);
        assert_eq!(cut_off, [false, false, true, false, false]);
        assert_eq!(repeats(&[tombstone, tombstone]), [false; 2]);
        // A late capture's first record is the tombstone that its successor has written already.
        let (own, recreated) = ((0, 100, None, 0, "a", "t"), (8, 200, Some(30), 40, "a", "c"));
        let late = repeats(&[delete, tombstone, recreated, own, recreated]);
        assert_eq!(late, [false, false, false, true, true]);
    }

    #[test]
    fn a_capture_that_does_not_know_what_came_before_is_understood() {
        let unplaced = |change: Change| (change.0, change.1, None, change.3, change.4, change.5);
        let taken_over = repeats(&[FIRST, unplaced(SECOND), SECOND, THIRD, FIRST, THIRD]);
        assert_eq!(taken_over, [false, false, true, false, true, true]);
        let woken_first = repeats(&[FIRST, SECOND, THIRD, unplaced(SECOND), THIRD]);
        assert_eq!(woken_first, [false, false, false, true, true]);
    }

    #[test]
    fn a_restored_server_counts_again_and_nothing_of_it_is_lost() {
        let restored = (7, 400, Some(10), 20, "a", "c");
        assert_eq!(repeats(&[FIRST, SECOND, THIRD, restored]), [false; 4]);
    }
}
