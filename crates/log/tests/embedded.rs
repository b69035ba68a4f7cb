//! What the embedded log promises beyond the contract that every log keeps.

#![allow(clippy::unwrap_used, reason = "in a test a refusal is a failure")]

use std::path::Path;

use rowcast_log::{
    EmbeddedLog, EmbeddedOptions, Log, LogError, NewRecord, Offset, TopicCreation, TopicPartition, Visibility,
    WriterId,
    contract::{partition, wait_for},
};

fn open(dir: &Path) -> std::sync::Arc<EmbeddedLog> {
    EmbeddedLog::open(dir, EmbeddedOptions::default()).unwrap()
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
        let epoch = log.ensure_topic("orders", &TopicCreation::default()).unwrap().epoch;
        let mut appender = log.appender(&WriterId::new("test")).unwrap();
        appender.append(&orders, record(b"a")).unwrap();
        appender.append(&orders, record(b"b")).unwrap();
        appender.commit(b"here").unwrap();
        assert_eq!(appender.next_offset(&orders).unwrap(), Offset(3));
        appender.append(&orders, record(b"c")).unwrap();
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

#[test]
fn another_process_may_look_while_the_log_is_written_and_sees_it_grow() {
    let dir = tempfile::tempdir().unwrap();
    let orders = partition("orders");
    let options = EmbeddedOptions {
        segment_bytes: 3000,
        ..EmbeddedOptions::default()
    };
    let log = EmbeddedLog::open(dir.path(), options).unwrap();
    let looking = EmbeddedLog::open_read_only(dir.path()).unwrap();
    assert!(looking.topics().is_empty());
    let mut topics_changed = looking.topics_changed();
    log.ensure_topic("orders", &TopicCreation::default()).unwrap();
    wait_for(&mut topics_changed, |_| looking.topic("orders").is_some());
    assert_eq!(
        looking.topic("orders").unwrap().epoch,
        log.topic("orders").unwrap().epoch
    );
    let mut end = looking.end(&orders).unwrap();
    let mut appender = log.appender(&WriterId::new("test")).unwrap();
    for number in 0..100u64 {
        appender.append(&orders, record(&number.to_be_bytes())).unwrap();
        appender.commit(&number.to_be_bytes()).unwrap();
        appender.flush(Visibility::Now).unwrap();
        wait_for(&mut end, |end| end.0 == 2 * number + 2);
        let chunk = looking.read(&orders, Offset(2 * number), 1000).unwrap();
        assert_eq!(chunk.records().next().unwrap().value, Some(&number.to_be_bytes()[..]));
    }
    assert_eq!(values(&*looking, &orders), values(&*log, &orders));
    assert_eq!(looking.position(&orders).unwrap(), log.position(&orders).unwrap());
    assert!(looking.appender(&WriterId::new("test")).is_err());

    // A tail that was seen here but nowhere promised goes, and the end goes back with it.
    appender.append(&orders, record(b"half")).unwrap();
    appender.flush(Visibility::Now).unwrap();
    wait_for(&mut end, |end| end.0 == 201);
    drop((appender, log));
    let log = open(dir.path());
    wait_for(&mut end, |end| end.0 == 200);
    assert_eq!(
        EmbeddedLog::open_read_only(dir.path())
            .unwrap()
            .end(&orders)
            .unwrap()
            .borrow()
            .0,
        200
    );
    log.delete_topic("orders").unwrap();
    wait_for(&mut topics_changed, |_| looking.topic("orders").is_none());
}

#[test]
fn opening_finds_the_last_commit_behind_a_large_unfinished_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let orders = partition("orders");
    {
        let options = EmbeddedOptions {
            segment_bytes: 1 << 20,
            ..EmbeddedOptions::default()
        };
        let log = EmbeddedLog::open(dir.path(), options).unwrap();
        log.ensure_topic("orders", &TopicCreation::default()).unwrap();
        let mut appender = log.appender(&WriterId::new("test")).unwrap();
        appender.append(&orders, record(b"first")).unwrap();
        appender.commit(b"here").unwrap();
        let large = vec![b'x'; 10_000];
        for _ in 0..500 {
            appender.append(&orders, record(&large)).unwrap();
        }
        appender.flush(Visibility::Now).unwrap();
        assert_eq!(values(&*log, &orders).len(), 501);
        // Killed: what the appender would do when it is dropped does not happen.
        std::mem::forget(appender);
    }
    let image = tempfile::tempdir().unwrap();
    std::fs::create_dir(image.path().join("orders-0")).unwrap();
    for entry in std::fs::read_dir(dir.path().join("orders-0")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), image.path().join("orders-0").join(entry.file_name())).unwrap();
    }
    let log = open(image.path());
    assert_eq!(values(&*log, &orders), [(0, b"first".to_vec())]);
    assert_eq!(log.position(&orders).unwrap().as_deref(), Some(&b"here"[..]));
}

/// What Kafka leaves out (markers, aborted and compacted records) is left out here too.
#[test]
fn a_copy_keeps_the_offsets_of_its_origin_and_goes_on_where_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let id = |partition| TopicPartition {
        topic: "orders".into(),
        partition,
    };
    let offsets = |log: &EmbeddedLog, partition| {
        values(log, &id(partition))
            .into_iter()
            .map(|(offset, _)| offset)
            .collect::<Vec<_>>()
    };
    let open = || EmbeddedLog::open_copies(dir.path(), Some("cluster"), EmbeddedOptions::default()).unwrap();
    let epoch = rowcast_log::Epoch(7);
    {
        let log = open();
        log.copy_topic("orders", epoch, &[Offset(0), Offset(50)]).unwrap();
        let mut copier = log.copier();
        for offset in [0, 1, 5, 6, 90, 1_000_000] {
            copier.append(&id(0), Offset(offset), &record(b"x")).unwrap();
        }
        assert_eq!(copier.next_offset(&id(1)).unwrap(), Offset(50));
        copier.append(&id(1), Offset(60), &record(b"y")).unwrap();
        assert!(copier.append(&id(1), Offset(60), &record(b"again")).is_err());
        copier.flush().unwrap();
        assert_eq!(offsets(&log, 0), [0, 1, 5, 6, 90, 1_000_000]);
    }
    let log = open();
    assert_eq!((offsets(&log, 0).len(), offsets(&log, 1)), (6, vec![60]));
    let grown = log.copy_topic("orders", epoch, &[Offset(0); 3]).unwrap();
    assert_eq!(grown.partitions, 3);
    let mut copier = log.copier();
    assert_eq!(copier.next_offset(&id(0)).unwrap(), Offset(1_000_001));
    copier.append(&id(0), Offset(1_000_001), &record(b"z")).unwrap();
    copier.append(&id(2), Offset(0), &record(b"z")).unwrap();
    copier.flush().unwrap();
    log.forget_below(&id(0), Offset(6)).unwrap();
    assert_eq!(offsets(&log, 0), [6, 90, 1_000_000, 1_000_001]);
    drop((copier, log));
    assert!(EmbeddedLog::open_copies(dir.path(), Some("another"), EmbeddedOptions::default()).is_err());
    assert!(EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).is_err());
    let log = open();
    log.copy_topic("orders", rowcast_log::Epoch(8), &[Offset(0)]).unwrap();
    assert!(offsets(&log, 0).is_empty());
}

#[test]
fn a_topic_of_many_partitions_comes_back_with_all_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let creation = TopicCreation {
        partitions: Some(3),
        ..TopicCreation::default()
    };
    let made = open(dir.path()).ensure_topic("orders", &creation).unwrap();
    let found = open(dir.path()).topic("orders").unwrap();
    assert_eq!((found.partitions, found.epoch), (3, made.epoch));
    // Partition 0 is made last: without it there is no topic.
    std::fs::remove_dir_all(dir.path().join("orders-0")).unwrap();
    assert!(open(dir.path()).topic("orders").is_none());
    assert!(!dir.path().join("orders-1").exists());
}
