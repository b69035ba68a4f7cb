//! Finds the rows that the log still has and the database has not: deleted while nobody kept the changes.
//!
//! A snapshot that is taken after a gap, or into a topic with an older history, says what there is, and not what has gone. So
//! the keys that it read are remembered, the topics are read once, and each key whose last record is a row of this database and
//! that the snapshot did not meet gets a tombstone: what every reader of Kafka knows to take for "no row any more" (decision
//! 18). Keys are compared without the schemas that may be around them, as our gateway does. What is not JSON is nobody's.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use rowcast_log::{Log, LogError, Offset, Record, TopicPartition, scan};
use rowcast_postgres::ConnectorConfig;

use crate::envelope::{self, Told};

/// The keys that a snapshot has read, as two hashes each.
///
/// Some 40 bytes of memory for each row, while such a snapshot is taken and at no other time. Two keys that share 128
/// bits, of which neither side chose any, do not happen.
pub(crate) struct Vanished {
    hashers: [RandomState; 2],
    read: HashSet<(u64, u64)>,
    /// Topics that are to be searched, and the tables that fill them.
    searched: Vec<(Arc<str>, u32)>,
    /// `source.name` and `source.db` of the rows that are ours.
    name: String,
    database: String,
}

impl Vanished {
    /// Of the rows of this connector's database.
    pub(crate) fn of(config: &ConnectorConfig) -> Vanished {
        Vanished {
            hashers: Default::default(),
            read: HashSet::new(),
            searched: Vec::new(),
            name: config.topic_prefix.clone(),
            database: config.dbname.clone(),
        }
    }

    /// The topic is to be searched; all rows of its table come now.
    pub(crate) fn search(&mut self, topic: Arc<str>, oid: u32) {
        self.searched.push((topic, oid));
    }

    /// Topics that are to be searched, and the oids of their tables.
    pub(crate) fn searched(&self) -> &[(Arc<str>, u32)] {
        &self.searched
    }

    /// The snapshot has a row with this key.
    pub(crate) fn met(&mut self, topic: &str, key: Option<&[u8]>) {
        // Tables come one after another.
        let is_searched = self.searched.last().is_some_and(|(searched, _)| **searched == *topic);
        if let Some(key) = key.filter(|_| is_searched) {
            let hash = self.hash(topic, envelope::key_payload(key));
            self.read.insert(hash);
        }
    }

    fn hash(&self, topic: &str, key: &[u8]) -> (u64, u64) {
        let [one, other] = &self.hashers;
        (one.hash_one((topic, key)), other.hash_one((topic, key)))
    }

    /// The keys of rows in this partition that the snapshot did not meet.
    pub(crate) fn find(&self, log: &dyn Log, partition: &TopicPartition) -> Result<Vec<Box<[u8]>>, LogError> {
        let mut rows = Rows::new();
        scan(log, partition, Offset(0), |record| {
            self.take(record, &partition.topic, &mut rows);
            Ok(())
        })?;
        Ok(rows.into_values().map(|row| row.key).collect())
    }

    fn take(&self, record: &Record<'_>, topic: &str, rows: &mut Rows) {
        let told = record.value.and_then(envelope::told);
        let is_ours = told.as_ref().is_some_and(|told| self.is_ours(told));
        let lsn = told.as_ref().and_then(|told| told.lsn);
        let operation = told.and_then(|told| told.op);
        let Some(key) = record.key else {
            if is_ours && operation.as_deref() == Some("t") {
                rows.clear();
            }
            return;
        };
        let payload = envelope::key_payload(key);
        if self.read.contains(&self.hash(topic, payload)) {
            return;
        }
        let known = rows.get_mut(payload);
        match operation.as_deref() {
            Some("d") if is_ours => match known {
                Some(row) if lsn.is_some() && lsn < row.lsn => row.is_deleted = true,
                _ => drop(rows.remove(payload)),
            },
            _ if is_ours => {
                let lsn = lsn.max(known.and_then(|row| row.lsn));
                rows.insert(payload.into(), Row::of(key, lsn));
            }
            _ if record.value.is_none() && known.is_some_and(|row| row.is_deleted) => {}
            _ => drop(rows.remove(payload)),
        }
    }

    /// Who routes several databases into one topic has others' rows there. What does not say whose it is, is ours.
    fn is_ours(&self, told: &Told<'_>) -> bool {
        let is = |said: &Option<_>, own: &str| said.as_deref().is_none_or(|said: &str| said == own);
        is(&told.name, &self.name) && is(&told.database, &self.database)
    }
}

/// What the snapshot did not meet, by the keys' payloads.
type Rows = HashMap<Box<[u8]>, Row>;

/// A row that is there for some reader.
struct Row {
    /// As it was written last.
    key: Box<[u8]>,
    /// The furthest.
    lsn: Option<i64>,
    /// A capture that woke up late has written a delete of an earlier row behind it (decision 14). Our gateways leave that
    /// out, so for their clients the row lives.
    is_deleted: bool,
}

impl Row {
    fn of(key: &[u8], lsn: Option<i64>) -> Row {
        Row {
            key: key.into(),
            lsn,
            is_deleted: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{connectors::tests::config, envelope::filled};

    /// Of database `shop` in server `orders`.
    fn searching(topic: &str) -> Vanished {
        let mut vanished = Vanished::of(&config(""));
        vanished.search(topic.into(), 1);
        vanished
    }

    fn found(vanished: &Vanished, records: &[(Option<&str>, Option<&str>)]) -> Vec<String> {
        let (_dir, log, partition) = filled::log(records);
        let keys = vanished.find(&*log, &partition).expect("readable");
        let mut keys: Vec<_> = keys
            .iter()
            .map(|key| String::from_utf8_lossy(key).into_owned())
            .collect();
        keys.sort();
        keys
    }

    #[test]
    fn rows_that_the_snapshot_did_not_meet_are_found_and_no_others() {
        let records = [
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
        ];
        let mut vanished = searching("t");
        vanished.met("t", Some(b"stays"));
        vanished.met("another", Some(b"gone"));
        assert_eq!(found(&vanished, &records), ["back", "gone"]);
    }

    #[test]
    fn rows_of_other_databases_and_what_cannot_be_read_are_left_alone() {
        let row = |source: &str| format!(r#"{{"after":{{}},"source":{source},"op":"c"}}"#);
        let own = row(r#"{"name":"orders","db":"shop","lsn":7}"#);
        let other_name = row(r#"{"name":"others","db":"shop","lsn":7}"#);
        let other_database = row(r#"{"name":"orders","db":"depot","txId":"a:b"}"#);
        let records = [
            (Some("ours"), Some(&*own)),
            (Some("theirs"), Some(&*own)),
            (Some("theirs"), Some(&*other_name)),
            (Some("moved"), Some(&*other_database)),
            (Some("avro"), Some("\0\0\0\0\u{1}")),
            // Its column is no block.
            (Some("flat"), Some(r#"{"id":1,"source":"web","payload":"text"}"#)),
            (None, Some(r#"{"source":{"name":"orders","db":"depot"},"op":"t"}"#)),
        ];
        assert_eq!(found(&searching("t"), &records), ["flat", "ours"]);
    }

    #[test]
    fn what_a_late_capture_wrote_again_hides_no_row_from_the_search() {
        let change =
            |op: &str, lsn: i64| format!(r#"{{"source":{{"name":"orders","db":"shop","lsn":{lsn}}},"op":"{op}"}}"#);
        let (deleted, created, updated) = (change("d", 20), change("c", 30), change("u", 10));
        let revived = [
            (Some("a"), Some(&*deleted)),
            (Some("a"), None),
            // Late: who knows of no repeats has a row again.
            (Some("a"), Some(&*updated)),
        ];
        assert_eq!(found(&searching("t"), &revived), ["a"]);
        let hidden = [
            (Some("a"), Some(&*created)),
            // Late: our gateways leave it out.
            (Some("a"), Some(&*deleted)),
            (Some("a"), None),
        ];
        assert_eq!(found(&searching("t"), &hidden), ["a"]);
        let buried = [hidden[0], (Some("a"), None)];
        assert_eq!(found(&searching("t"), &buried), [""; 0]);
    }

    #[test]
    fn a_key_is_the_same_with_its_schema_and_without() {
        let wrapped = |id: i32| format!(r#"{{"schema":{{"type":"struct"}},"payload":{{"id":{id}}}}}"#);
        let (met, gone, deleted) = (wrapped(1), wrapped(2), wrapped(3));
        let row = Some(r#"{"schema":{},"payload":{"source":{"name":"orders","db":"shop"},"op":"r"}}"#);
        let records = [
            (Some(&*met), row),
            (Some(&*gone), row),
            (Some(&*deleted), row),
            (Some(r#"{"id":3}"#), None),
        ];
        let mut vanished = searching("t");
        vanished.met("t", Some(br#"{"id":1}"#));
        assert_eq!(found(&vanished, &records), [gone]);
    }
}
