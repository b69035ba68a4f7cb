//! What the embedded log promises beyond the contract that every log keeps.

use std::path::Path;

use rowcast_log::{EmbeddedLog, EmbeddedOptions, Log, LogError, NewRecord, Offset, TopicPartition, Visibility};

fn open(dir: &Path) -> std::sync::Arc<EmbeddedLog> {
    EmbeddedLog::open(dir, EmbeddedOptions::default()).unwrap()
}

fn partition(topic: &str) -> TopicPartition {
    TopicPartition {
        topic: topic.into(),
        partition: 0,
    }
}

fn record(value: &[u8]) -> NewRecord<'_> {
    NewRecord {
        timestamp_ms: 1,
        key: None,
        value: Some(value),
        headers: &[],
    }
}

fn values(log: &dyn Log, partition: &TopicPartition) -> Vec<(u64, Vec<u8>)> {
    let mut from = log.earliest(partition).unwrap();
    let mut found = Vec::new();
    loop {
        let chunk = log.read(partition, from, 1 << 20).unwrap();
        if chunk.is_empty() {
            return found;
        }
        found.extend(chunk.records().map(|r| (r.offset.0, r.value.unwrap().to_vec())));
        from = chunk.next_offset();
    }
}

#[test]
fn committed_records_are_there_after_reopening_and_an_unfinished_transaction_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let orders = partition("orders");
    let epoch = {
        let log = open(dir.path());
        let epoch = log.ensure_topic("orders").unwrap().epoch;
        let mut appender = log.appender();
        appender.append(&orders, record(b"a")).unwrap();
        appender.append(&orders, record(b"b")).unwrap();
        appender.commit(b"here").unwrap();
        assert_eq!(appender.append(&orders, record(b"c")).unwrap(), Offset(3));
        appender.flush(Visibility::Now).unwrap();
        assert_eq!(values(&*log, &orders).len(), 3);
        epoch
    };
    let log = open(dir.path());
    assert_eq!(log.topic("orders").unwrap().epoch, epoch);
    assert_eq!(values(&*log, &orders), [(0, b"a".to_vec()), (1, b"b".to_vec())]);
    assert_eq!(log.position(&orders).unwrap().as_deref(), Some(&b"here"[..]));
    assert_eq!(*log.end(&orders).unwrap().borrow(), Offset(3));
}

#[test]
fn a_second_process_is_told_who_holds_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let _log = open(dir.path());
    let error = EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).unwrap_err();
    assert!(matches!(error, LogError::Locked(_)));
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
}
