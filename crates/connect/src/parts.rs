//! Finds out, from the records alone, which parts of which transactions a partition holds.
//!
//! On a log that keeps no position of the source's (`Memory::Records`) a partition holds a beginning of what was appended
//! to it, and each record's own `source` block says whose it is: the transaction's id and the change's LSN, which never goes
//! back inside a transaction. Messages that are part of no transaction come in the order of their LSNs. Where changes share
//! an LSN (a COPY gives a page of rows one, a key change writes three records) they are counted. What another producer wrote
//! says no such place and is passed over. Read once, when a source is opened anew, from the offsets that were written down
//! with the confirmed position: so the transactions are few, and ids are not used twice among them.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
};

use rowcast_event::Lsn;
use rowcast_log::{Log, LogError, Offset, Record, TopicPartition, scan};

use crate::envelope;

/// How much of one transaction a partition holds: all changes below `lsn`, and `count` records at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    pub(crate) lsn: Lsn,
    pub(crate) count: u64,
}

/// By transaction id; `None` is what is part of no transaction.
pub(crate) type Parts = HashMap<Option<u32>, Part>;

/// Reads what a partition holds from `from` on, and how far that was.
pub(crate) fn read(log: &dyn Log, partition: &TopicPartition, from: Offset) -> Result<(Parts, Offset), LogError> {
    let mut counting = Counting::default();
    let end = scan(log, partition, from, |record| {
        counting.take(record);
        Ok(())
    })?;
    if counting.foreign > 0 {
        tracing::warn!(
            %partition,
            records = counting.foreign,
            "another producer writes to the topic; its records are passed over, but who reads the topic sees them. Give the \
             connector a topic.prefix of its own"
        );
    }
    Ok((counting.parts, end))
}

/// Counts records in the order of the partition.
#[derive(Default)]
struct Counting {
    parts: Parts,
    /// The run of records that share transaction and LSN.
    run: Option<(Option<u32>, Part)>,
    /// Keys in the run: a key that is there twice is a run that was written twice, by a capture that woke up late.
    keys: HashSet<u64>,
    /// Key of the delete that was the last record: the tombstone that follows is its own.
    deleted: Option<u64>,
    /// Records that somebody else wrote.
    foreign: u64,
    hasher: RandomState,
}

impl Counting {
    fn take(&mut self, record: &Record<'_>) {
        let key = record.key.map(|key| self.hasher.hash_one(key));
        let Some(value) = record.value else {
            let is_its_own = self.deleted.take().is_some_and(|deleted| Some(deleted) == key);
            if let (true, Some((_, part))) = (is_its_own, &mut self.run) {
                part.count += 1;
            }
            return self.note();
        };
        let envelope = envelope::read(value).unwrap_or_default();
        let Some((xid, lsn)) = envelope.place() else {
            self.foreign += 1;
            return;
        };
        self.deleted = key.filter(|_| envelope.op.as_deref() == Some("d"));
        if xid.is_none() && envelope.op.as_deref() != Some("m") {
            // Of a snapshot.
            self.run = None;
            return;
        }
        let is_new_key = key.is_none_or(|key| self.keys.insert(key));
        match &mut self.run {
            Some((current, part)) if *current == xid && part.lsn == lsn && is_new_key => part.count += 1,
            _ => {
                self.keys.clear();
                self.keys.extend(key);
                self.run = Some((xid, Part { lsn, count: 1 }));
            }
        }
        self.note();
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
    use super::*;
    use crate::envelope::filled;

    /// Transaction, LSN and key of each record; LSN 0 is a tombstone.
    fn parts(records: &[(u32, i64, &str)]) -> Parts {
        let value = |xid: &u32, lsn: &i64| {
            let value = format!(r#"{{"before":null,"source":{{"lsn":{lsn},"txId":{xid},"ts_ms":1}},"op":"c"}}"#);
            (*lsn != 0).then_some(value)
        };
        let values: Vec<_> = records.iter().map(|(xid, lsn, _)| value(xid, lsn)).collect();
        let keys = records.iter().map(|(_, _, key)| (!key.is_empty()).then_some(*key));
        parts_of(&keys.zip(values.iter().map(Option::as_deref)).collect::<Vec<_>>())
    }

    fn parts_of(records: &[(Option<&str>, Option<&str>)]) -> Parts {
        let (_dir, log, partition) = filled::log(records);
        read(&*log, &partition, Offset(0)).expect("readable").0
    }

    fn part(lsn: u64, count: u64) -> Part {
        Part { lsn: Lsn(lsn), count }
    }

    #[test]
    fn records_that_share_an_lsn_are_counted() {
        let found = parts(&[(7, 10, "a"), (7, 20, "b"), (7, 20, "c"), (8, 15, "a")]);
        assert_eq!(found, Parts::from([(Some(7), part(20, 2)), (Some(8), part(15, 1))]));
    }

    #[test]
    fn records_with_their_schemas_are_read_as_well() {
        let wrapped = r#"{"schema":{"type":"struct"},"payload":{"source":{"lsn":10,"txId":7},"op":"c"}}"#;
        assert_eq!(
            parts_of(&[(Some("a"), Some(wrapped))]),
            Parts::from([(Some(7), part(10, 1))])
        );
    }

    #[test]
    fn a_tombstone_counts_with_its_delete() {
        let change = |op: &str| format!(r#"{{"source":{{"lsn":10,"txId":7}},"op":"{op}"}}"#);
        let (delete, create) = (change("d"), change("c"));
        let changed_key = [
            (Some("a"), Some(&*delete)),
            (Some("a"), None),
            (Some("b"), Some(&*create)),
        ];
        assert_eq!(parts_of(&changed_key), Parts::from([(Some(7), part(10, 3))]));
    }

    #[test]
    fn what_another_producer_wrote_is_passed_over() {
        let created = r#"{"source":{"lsn":10,"txId":7},"op":"c"}"#;
        let records = [
            (Some("a"), Some(created)),
            (Some("a"), Some(r#"{"id":9}"#)),
            (Some("z"), Some("no JSON")),
            (Some("a"), None),
            (Some("b"), Some(created)),
        ];
        assert_eq!(parts_of(&records), Parts::from([(Some(7), part(10, 2))]));
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
        assert_eq!(parts(&twice), Parts::from([(Some(7), part(20, 2))]));
        let tail = [(7, 20, "b"), (7, 20, "c"), (7, 20, "b"), (7, 20, "c")];
        assert_eq!(parts(&tail), Parts::from([(Some(7), part(20, 2))]));
    }

    #[test]
    fn beginnings_and_ends_of_transactions_have_their_place_in_their_id() {
        let record =
            |status: &str, id: &str| format!(r#"{{"status":"{status}","id":"{id}","event_count":null,"ts_ms":1}}"#);
        let values = [record("BEGIN", "7:10"), record("END", "7:30"), record("BEGIN", "8:30")];
        let records: Vec<_> = values.iter().map(|value| (Some("id"), Some(&**value))).collect();
        let expected = [(Some(7), part(30, 1)), (Some(8), part(30, 1))];
        assert_eq!(parts_of(&records), Parts::from(expected));
    }

    #[test]
    fn messages_of_no_transaction_are_there_up_to_the_last() {
        let message =
            |lsn: u64, xid: &str| format!(r#"{{"op":"m","source":{{"lsn":{lsn},"txId":{xid}}},"message":{{}}}}"#);
        let values = [message(10, "null"), message(20, "7"), message(30, "null")];
        let records: Vec<_> = values.iter().map(|value| (Some("p"), Some(&**value))).collect();
        let expected = [(None, part(30, 1)), (Some(7), part(20, 1))];
        assert_eq!(parts_of(&records), Parts::from(expected));
        let read = r#"{"op":"r","source":{"lsn":10,"txId":null}}"#;
        assert_eq!(
            parts_of(&[(Some("a"), Some(read))]),
            Parts::new(),
            "a standby's snapshot has no transaction"
        );
    }
}
