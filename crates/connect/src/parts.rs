//! Finds out, from the records alone, which parts of which transactions a partition holds.
//!
//! On a log that keeps no position of the source's (`Memory::Records`) a partition holds a beginning of what was appended
//! to it, and each record's own `source` block says whose it is: the transaction's id and the change's LSN, which never goes
//! back inside a transaction. Where changes share an LSN (a COPY gives a page of rows one, a key change writes three
//! records) they are counted. Read once, when a source is opened anew, from the offsets that were written down with the
//! confirmed position: so the transactions are few, and ids are not used twice among them.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
};

use rowcast_event::Lsn;
use rowcast_log::{Log, LogError, Offset, Record, TopicPartition, scan};
use serde::Deserialize;

/// How much of one transaction a partition holds: all changes below `lsn`, and `count` records at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    pub(crate) lsn: Lsn,
    pub(crate) count: u64,
}

/// By transaction id.
pub(crate) type Parts = HashMap<u32, Part>;

#[derive(Deserialize)]
struct Envelope {
    source: SourceBlock,
}

#[derive(Deserialize)]
struct SourceBlock {
    #[serde(rename = "txId")]
    xid: Option<u32>,
    /// Written as a Java long.
    lsn: i64,
}

/// Reads what a partition holds from `from` on, and how far that was.
pub(crate) fn read(log: &dyn Log, partition: &TopicPartition, from: Offset) -> Result<(Parts, Offset), LogError> {
    let mut counting = Counting::default();
    let end = scan(log, partition, from, |record| counting.take(record, partition))?;
    Ok((counting.parts, end))
}

/// Counts records in the order of the partition.
#[derive(Default)]
struct Counting {
    parts: Parts,
    /// The run of records that share transaction and LSN.
    run: Option<(u32, Part)>,
    /// Keys in the run: a key that is there twice is a run that was written twice, by a capture that woke up late.
    keys: HashSet<u64>,
    hasher: RandomState,
}

impl Counting {
    fn take(&mut self, record: &Record<'_>, partition: &TopicPartition) -> Result<(), LogError> {
        let Some(value) = record.value else {
            // A tombstone belongs to the delete before it.
            if let Some((_, part)) = &mut self.run {
                part.count += 1;
            }
            self.note();
            return Ok(());
        };
        let envelope: Envelope = serde_json::from_slice(value).map_err(|_| {
            LogError::Invalid(format!(
                "record {} of {partition} was not written by this connector: does another producer write to the topic? Give the \
                 connector a topic.prefix of its own",
                record.offset.0
            ))
        })?;
        let Some(xid) = envelope.source.xid else {
            // Of a snapshot.
            self.run = None;
            return Ok(());
        };
        let lsn = Lsn(envelope.source.lsn.cast_unsigned());
        let is_new_key = record.key.is_none_or(|key| self.keys.insert(self.hasher.hash_one(key)));
        match &mut self.run {
            Some((current, part)) if *current == xid && part.lsn == lsn && is_new_key => part.count += 1,
            _ => {
                self.keys.clear();
                self.keys.extend(record.key.map(|key| self.hasher.hash_one(key)));
                self.run = Some((xid, Part { lsn, count: 1 }));
            }
        }
        self.note();
        Ok(())
    }

    fn note(&mut self) {
        if let Some((xid, part)) = self.run {
            let most = self.parts.entry(xid).or_default();
            *most = part.max(*most);
        }
    }
}

#[cfg(test)]
mod tests {
    use rowcast_log::{EmbeddedLog, EmbeddedOptions, NewRecord, TopicCreation, Visibility, WriterId};

    use super::*;

    /// Transaction, LSN and key of each record; LSN 0 is a tombstone.
    fn parts(records: &[(u32, i64, &str)]) -> Parts {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).expect("the log opens");
        let topic = log.ensure_topic("t", &TopicCreation::default()).expect("a topic").all();
        let mut appender = log.appender(&WriterId::new("test")).expect("an appender");
        for (xid, lsn, key) in records {
            let value = format!(r#"{{"before":null,"source":{{"lsn":{lsn},"txId":{xid},"ts_ms":1}},"op":"c"}}"#);
            let record = NewRecord {
                timestamp_ms: 0,
                key: (!key.is_empty()).then_some(key.as_bytes()),
                value: (*lsn != 0).then_some(value.as_bytes()),
                headers: &[],
            };
            appender.append(&topic[0], record).expect("appended");
        }
        appender.commit(b"p").expect("committed");
        appender.flush(Visibility::Now).expect("flushed");
        read(&*log, &topic[0], Offset(0)).expect("readable").0
    }

    fn part(lsn: u64, count: u64) -> Part {
        Part { lsn: Lsn(lsn), count }
    }

    #[test]
    fn records_that_share_an_lsn_are_counted() {
        let found = parts(&[(7, 10, "a"), (7, 20, "b"), (7, 20, "c"), (8, 15, "a")]);
        assert_eq!(found, Parts::from([(7, part(20, 2)), (8, part(15, 1))]));
    }

    #[test]
    fn a_tombstone_counts_with_its_delete() {
        assert_eq!(
            parts(&[(7, 10, "a"), (0, 0, "a"), (7, 10, "b")]),
            Parts::from([(7, part(10, 3))])
        );
    }

    #[test]
    fn what_a_late_capture_wrote_again_is_not_counted_twice() {
        let twice = [
            (7, 10, "a"),
            (7, 20, "b"),
            (7, 20, "c"),
            (7, 10, "a"),
            (7, 20, "b"),
            (7, 20, "c"),
        ];
        assert_eq!(parts(&twice), Parts::from([(7, part(20, 2))]));
        let tail = [(7, 20, "b"), (7, 20, "c"), (7, 20, "b"), (7, 20, "c")];
        assert_eq!(parts(&tail), Parts::from([(7, part(20, 2))]));
    }
}
