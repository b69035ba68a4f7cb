//! Finds the rows that the log still has and the database has not: deleted while nobody kept the changes.
//!
//! A snapshot that is taken after a gap says what there is, and not what has gone. So the keys that it read are remembered,
//! the topics are read once, and each key whose last record is a row and that the snapshot did not meet gets a tombstone:
//! what every reader of Kafka knows to take for "no row any more" (decision 18). Knows nothing of PostgreSQL.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
};

use rowcast_log::{Log, LogError, Offset, Record, TopicPartition, scan};

use crate::envelope;

/// The keys that a snapshot has read, as two hashes each.
///
/// Some 40 bytes of memory for each row, while a snapshot after a gap is taken and at no other time. Two keys that share 128
/// bits, of which neither side chose any, do not happen.
#[derive(Default)]
pub(crate) struct Vanished {
    hashers: [RandomState; 2],
    read: HashSet<(u64, u64)>,
}

impl Vanished {
    /// The snapshot has a row with this key.
    pub(crate) fn met(&mut self, topic: &str, key: &[u8]) {
        let hash = self.hash(topic, key);
        self.read.insert(hash);
    }

    fn hash(&self, topic: &str, key: &[u8]) -> (u64, u64) {
        let [one, other] = &self.hashers;
        (one.hash_one((topic, key)), other.hash_one((topic, key)))
    }

    /// The keys of rows in this partition that the snapshot did not meet.
    pub(crate) fn find(&self, log: &dyn Log, partition: &TopicPartition) -> Result<HashSet<Box<[u8]>>, LogError> {
        let mut rows = HashSet::new();
        scan(log, partition, Offset(0), |record| {
            self.take(record, &partition.topic, &mut rows);
            Ok(())
        })?;
        Ok(rows)
    }

    fn take(&self, record: &Record<'_>, topic: &str, rows: &mut HashSet<Box<[u8]>>) {
        let operation = record.value.and_then(|value| envelope::read(value)?.op);
        let Some(key) = record.key else {
            if operation.as_deref() == Some("t") {
                rows.clear();
            }
            return;
        };
        if self.read.contains(&self.hash(topic, key)) {
            return;
        }
        match operation.as_deref() {
            Some("d") => drop(rows.remove(key)),
            _ if record.value.is_none() => drop(rows.remove(key)),
            _ => drop(rows.insert(key.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::filled;

    #[test]
    fn rows_that_the_snapshot_did_not_meet_are_found_and_no_others() {
        let (_dir, log, partition) = filled::log(&[
            (Some("truncated"), Some(r#"{"op":"c"}"#)),
            (None, Some(r#"{"op":"t"}"#)),
            (Some("stays"), Some(r#"{"op":"c"}"#)),
            (Some("deleted"), Some(r#"{"op":"c"}"#)),
            (Some("deleted"), Some(r#"{"before":{"op":"c"},"op":"d"}"#)),
            (Some("buried"), Some(r#"{"op":"r"}"#)),
            (Some("buried"), None),
            (Some("gone"), Some(r#"{"schema":{},"payload":{"op":"u"}}"#)),
            (Some("back"), Some(r#"{"schema":{},"payload":{"op":"d"}}"#)),
            (Some("back"), Some(r#"{"op":"c"}"#)),
        ]);
        let mut vanished = Vanished::default();
        vanished.met("t", b"stays");
        vanished.met("another", b"gone");
        let found = vanished.find(&*log, &partition).expect("readable");
        let expected: HashSet<Box<[u8]>> = [b"gone", b"back"].iter().map(|key| key[..].into()).collect();
        assert_eq!(found, expected);
    }
}
