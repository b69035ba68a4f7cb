//! The contract of [`Log`], written once as tests for every implementation.
//!
//! An implementation gives a [`Fixture`] and calls [`contract_tests!`](crate::contract_tests) in a test file. Each test
//! is named for its promise. What only files can show (torn writes, lock files) is not here.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tokio::sync::watch;

use crate::{Appender, FlushSeq, Log, LogError, NewRecord, Offset, TopicPartition, Visibility, read_at};

/// A place where a log lives: opening again finds what was there.
pub trait Fixture {
    /// An empty place.
    fn new() -> Self;
    /// Opens the log; the one opened before is gone by then.
    fn open(&self) -> Arc<dyn Log>;
}

/// Makes a `#[test]` of every promise for a [`Fixture`].
#[macro_export]
macro_rules! contract_tests {
    ($fixture:ty) => {
        $crate::contract_tests! { $fixture:
            records_come_back_as_they_were_appended
            a_transaction_takes_one_offset_more_than_its_records
            a_reader_may_begin_anywhere
            a_chunk_is_bounded_and_at_least_one_batch
            reading_past_the_end_gives_nothing
            readers_are_woken_by_a_flush
            records_for_after_the_sync_are_shown_up_to_the_last_commit
            a_transaction_larger_than_the_buffer_stays_hidden_until_its_flush
            the_position_is_that_of_the_last_commit_in_each_partition
            a_replay_gives_every_record_its_offset_again
            an_unfinished_transaction_is_gone_after_an_open
            what_readers_saw_of_an_unfinished_transaction_stays_for_the_next_appender
            what_nobody_saw_of_an_unfinished_transaction_is_gone
            a_partition_has_one_writer
            topics_come_and_go_with_their_epochs
            a_topic_that_goes_closes_its_end
            names_and_positions_that_cannot_be_held_are_refused
            picked_records_are_those_asked_for
        }
    };
    ($fixture:ty: $($promise:ident)*) => {
        $(#[test] fn $promise() {
            $crate::contract::$promise::<$fixture>();
        })*
    };
}

/// Longer than anything here takes; only a hang gets this far.
const HANG: Duration = Duration::from_secs(60);

/// Waits until a watched value is as wanted, and fails the test if that takes for ever.
pub fn wait_for<T: Copy>(watched: &mut watch::Receiver<T>, wanted: impl FnMut(&T) -> bool) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let waited = runtime.expect("a runtime").block_on(async {
        tokio::time::timeout(HANG, watched.wait_for(wanted))
            .await
            .map(|seen| seen.map(|seen| *seen))
    });
    waited.expect("it came to pass in time").expect("the sender lives")
}

/// A record with everything, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The record's number.
    pub offset: u64,
    /// Its time.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// Reads all records from an offset on, in reads of `bytes_max`.
pub fn read_from(
    log: &dyn Log,
    partition: &TopicPartition,
    from: Offset,
    bytes_max: usize,
) -> Result<Vec<Held>, LogError> {
    let (mut from, mut held) = (from, Vec::new());
    loop {
        let chunk = log.read(partition, from, bytes_max)?;
        if chunk.is_empty() {
            return Ok(held);
        }
        assert!(chunk.next_offset() > from, "a read makes progress");
        held.extend(chunk.records().map(|record| {
            Held {
                offset: record.offset.0,
                timestamp_ms: record.timestamp_ms,
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                headers: record
                    .headers()
                    .map(|(key, value)| (key.to_owned(), value.to_vec()))
                    .collect(),
            }
        }));
        from = chunk.next_offset();
    }
}

/// The first partition of a topic.
pub fn partition(topic: &str) -> TopicPartition {
    TopicPartition {
        topic: topic.into(),
        partition: 0,
    }
}

/// Appends a record that is nothing but a value.
pub fn put(appender: &mut dyn Appender, partition: &TopicPartition, value: &str) -> Offset {
    let record = NewRecord {
        timestamp_ms: 1_700_000_000_000,
        key: None,
        value: Some(value.as_bytes()),
        headers: &[],
    };
    appender.append(partition, record).expect("the log takes a record")
}

/// Offsets and values as text.
pub fn values(log: &dyn Log, partition: &TopicPartition) -> Vec<(u64, String)> {
    let held = read_from(log, partition, Offset(0), 1 << 20).expect("the log is readable");
    let text = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap_or_default()).expect("values are text here");
    held.into_iter().map(|held| (held.offset, text(held.value))).collect()
}

fn owned(pairs: &[(u64, &str)]) -> Vec<(u64, String)> {
    pairs
        .iter()
        .map(|(offset, value)| (*offset, (*value).to_owned()))
        .collect()
}

fn open_with_topic<F: Fixture>(topic: &str) -> (F, Arc<dyn Log>, TopicPartition) {
    let fixture = F::new();
    let log = fixture.open();
    log.ensure_topic(topic).expect("a topic can be made");
    (fixture, log, partition(topic))
}

fn flush(appender: &mut dyn Appender, visibility: Visibility) -> FlushSeq {
    appender.flush(visibility).expect("the log takes a flush")
}

fn commit(appender: &mut dyn Appender, position: &str) {
    appender.commit(position.as_bytes()).expect("the log takes a commit");
}

fn wait_durable(appender: &dyn Appender, seq: FlushSeq) {
    wait_for(&mut appender.durable(), |durable| *durable >= seq);
}

fn any_record() -> impl Strategy<Value = Held> {
    let bytes = |max| proptest::collection::vec(any::<u8>(), 0..max);
    let headers = proptest::collection::vec((".{0,8}", bytes(20)), 0..4);
    let value = prop_oneof![8 => bytes(300), 1 => bytes(90_000)];
    (
        any::<i64>(),
        proptest::option::of(bytes(60)),
        proptest::option::of(value),
        headers,
    )
        .prop_map(|(timestamp_ms, key, value, headers)| Held {
            offset: 0,
            timestamp_ms,
            key,
            value,
            headers,
        })
}

/// Any keys, values, headers and times, in transactions of any size, also after an open.
pub fn records_come_back_as_they_were_appended<F: Fixture>() {
    let transactions = proptest::collection::vec(proptest::collection::vec(any_record(), 0..30), 1..8);
    let mut runner = TestRunner::new(Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    });
    let ran = runner.run(&transactions, |transactions| {
        let (fixture, log, topic) = open_with_topic::<F>("records");
        let mut expected = Vec::new();
        let mut appender = log.appender();
        for transaction in transactions {
            for mut record in transaction {
                let headers: Vec<_> = record.headers.iter().map(|(key, value)| (&**key, &**value)).collect();
                let (key, value) = (record.key.as_deref(), record.value.as_deref());
                let new = NewRecord {
                    timestamp_ms: record.timestamp_ms,
                    key,
                    value,
                    headers: &headers,
                };
                record.offset = appender.append(&topic, new).expect("the log takes a record").0;
                expected.push(record);
            }
            commit(&mut *appender, "somewhere");
            flush(&mut *appender, Visibility::Now);
        }
        let read = |log: &dyn Log| read_from(log, &topic, Offset(0), 10_000).expect("the log is readable");
        prop_assert_eq!(&read(&*log), &expected);
        drop((appender, log));
        prop_assert_eq!(&read(&*fixture.open()), &expected);
        Ok(())
    });
    if let Err(e) = ran {
        panic!("{e}");
    }
}

/// Offsets depend on what was committed, not on how it was flushed.
pub fn a_transaction_takes_one_offset_more_than_its_records<F: Fixture>() {
    let (_fixture, log, topic) = open_with_topic::<F>("offsets");
    let mut appender = log.appender();
    let mut offsets = Vec::new();
    for (transaction, often) in [(3, true), (1, false), (0, false), (2, true)] {
        for _ in 0..transaction {
            offsets.push(put(&mut *appender, &topic, "x").0);
            if often {
                flush(&mut *appender, Visibility::Now);
            }
        }
        commit(&mut *appender, "p");
    }
    flush(&mut *appender, Visibility::Now);
    assert_eq!(offsets, [0, 1, 2, 4, 6, 7]);
    assert_eq!(*log.end(&topic).unwrap().borrow(), Offset(9));
}

/// From each offset on, the same records, control batches skipped.
pub fn a_reader_may_begin_anywhere<F: Fixture>() {
    let (_fixture, log, topic) = open_with_topic::<F>("anywhere");
    let mut appender = log.appender();
    for number in 0..400 {
        put(&mut *appender, &topic, &format!("{number} {}", "x".repeat(number)));
        if number % 7 == 0 {
            commit(&mut *appender, "p");
        }
    }
    flush(&mut *appender, Visibility::Now);
    let all = read_from(&*log, &topic, Offset(0), 1 << 20).unwrap();
    let end = log.end(&topic).unwrap().borrow().0;
    assert_eq!(all.len(), 400);
    for from in 0..=end {
        let expected: Vec<_> = all.iter().filter(|held| held.offset >= from).cloned().collect();
        assert_eq!(
            read_from(&*log, &topic, Offset(from), 5_000).unwrap(),
            expected,
            "from {from}"
        );
    }
}

/// Memory is the reader's choice, except for one batch.
pub fn a_chunk_is_bounded_and_at_least_one_batch<F: Fixture>() {
    let (_fixture, log, topic) = open_with_topic::<F>("bounded");
    let mut appender = log.appender();
    let large = "x".repeat(300_000);
    for value in [&large[..100], &large, &large[..100]] {
        put(&mut *appender, &topic, value);
        commit(&mut *appender, "p");
    }
    flush(&mut *appender, Visibility::Now);
    let first = log.read(&topic, Offset(0), 1000).unwrap();
    assert!((1..=1000).contains(&first.len_bytes()));
    let large = log.read(&topic, Offset(2), 1).unwrap();
    assert_eq!((large.records().count(), large.next_offset()), (1, Offset(3)));
    let value = large.records().next().unwrap().value.unwrap();
    assert_eq!(large.share(value), value);
}

/// A cursor may be ahead of the log after lost bytes: it waits, it is not refused.
pub fn reading_past_the_end_gives_nothing<F: Fixture>() {
    let (_fixture, log, topic) = open_with_topic::<F>("past");
    for from in [0, 1, 1000, u64::MAX] {
        let chunk = log.read(&topic, Offset(from), 1000).unwrap();
        assert!(chunk.is_empty());
        assert_eq!((chunk.next_offset(), chunk.records().count()), (Offset(from), 0));
    }
    let unknown = log.read(&partition("unknown"), Offset(0), 1000);
    assert!(matches!(unknown, Err(LogError::UnknownPartition(_))));
}

/// What a flush shows is there when the end says so.
pub fn readers_are_woken_by_a_flush<F: Fixture>() {
    let (_fixture, log, topic) = open_with_topic::<F>("woken");
    let mut end = log.end(&topic).unwrap();
    let reader = std::thread::spawn({
        let (log, topic) = (Arc::clone(&log), topic.clone());
        move || {
            wait_for(&mut end, |end| *end >= Offset(2));
            values(&*log, &topic)
        }
    });
    let mut appender = log.appender();
    put(&mut *appender, &topic, "a");
    commit(&mut *appender, "p");
    assert_eq!(
        *log.end(&topic).unwrap().borrow(),
        Offset(0),
        "nothing is shown before the flush"
    );
    flush(&mut *appender, Visibility::Now);
    assert_eq!(reader.join().unwrap(), owned(&[(0, "a")]));
}

/// Snapshot rows.
pub fn records_for_after_the_sync_are_shown_up_to_the_last_commit<F: Fixture>() {
    let (_fixture, log, topic) = open_with_topic::<F>("after-sync");
    let mut appender = log.appender();
    put(&mut *appender, &topic, "a");
    commit(&mut *appender, "p");
    put(&mut *appender, &topic, "b");
    let seq = flush(&mut *appender, Visibility::AfterSync);
    wait_for(&mut log.end(&topic).unwrap(), |end| *end == Offset(2));
    wait_durable(&*appender, seq);
    assert_eq!(values(&*log, &topic), owned(&[(0, "a")]));
    commit(&mut *appender, "q");
    let seq = flush(&mut *appender, Visibility::AfterSync);
    wait_durable(&*appender, seq);
    wait_for(&mut log.end(&topic).unwrap(), |end| *end == Offset(4));
    assert_eq!(values(&*log, &topic), owned(&[(0, "a"), (2, "b")]));
}

/// Memory is bounded whatever a transaction's size, and what is written for that reason alone is not shown.
pub fn a_transaction_larger_than_the_buffer_stays_hidden_until_its_flush<F: Fixture>() {
    let (_fixture, log, topic) = open_with_topic::<F>("large");
    let mut appender = log.appender();
    let value = "x".repeat(50_000);
    for _ in 0..300 {
        put(&mut *appender, &topic, &value);
    }
    commit(&mut *appender, "p");
    assert!(log.size_bytes() > 5_000_000, "most of it is on disk");
    assert_eq!(*log.end(&topic).unwrap().borrow(), Offset(0));
    flush(&mut *appender, Visibility::Now);
    assert_eq!(values(&*log, &topic).len(), 300);
}

/// One commit ends the transaction wherever it has records, and nowhere else.
pub fn the_position_is_that_of_the_last_commit_in_each_partition<F: Fixture>() {
    let (fixture, log, topic) = open_with_topic::<F>("a");
    log.ensure_topic("b").unwrap();
    let other = partition("b");
    let mut appender = log.appender();
    assert_eq!(log.position(&topic).unwrap(), None);
    put(&mut *appender, &topic, "1");
    put(&mut *appender, &other, "2");
    commit(&mut *appender, "both");
    put(&mut *appender, &topic, "3");
    commit(&mut *appender, "one");
    commit(&mut *appender, "none");
    put(&mut *appender, &topic, "4");
    let seq = flush(&mut *appender, Visibility::Now);
    wait_durable(&*appender, seq);
    let check = |log: &dyn Log| {
        assert_eq!(log.position(&topic).unwrap().as_deref(), Some(&b"one"[..]));
        assert_eq!(log.position(&other).unwrap().as_deref(), Some(&b"both"[..]));
    };
    check(&*log);
    drop((appender, log));
    check(&*fixture.open());
}

/// The same transactions, cut differently into flushes, lie at the same offsets.
pub fn a_replay_gives_every_record_its_offset_again<F: Fixture>() {
    let append = |log: &dyn Log, flush_every: usize| {
        log.ensure_topic("replay").unwrap();
        let topic = partition("replay");
        let mut appender = log.appender();
        for number in 0..100 {
            put(&mut *appender, &topic, &number.to_string());
            if number % 9 == 8 {
                commit(&mut *appender, "p");
            }
            if number % flush_every == 0 {
                flush(&mut *appender, Visibility::Now);
            }
        }
        flush(&mut *appender, Visibility::Now);
        values(log, &topic)
    };
    let (first, second) = (F::new(), F::new());
    assert_eq!(append(&*first.open(), 1), append(&*second.open(), 13));
}

/// Also when it went through many flushes, and was seen.
pub fn an_unfinished_transaction_is_gone_after_an_open<F: Fixture>() {
    let (fixture, log, topic) = open_with_topic::<F>("unfinished");
    let mut appender = log.appender();
    put(&mut *appender, &topic, "whole");
    commit(&mut *appender, "p");
    for number in 0..200 {
        put(&mut *appender, &topic, &"x".repeat(number * 10));
        let seq = flush(&mut *appender, Visibility::Now);
        if number % 50 == 0 {
            wait_durable(&*appender, seq);
        }
    }
    drop((appender, log));
    let log = fixture.open();
    assert_eq!(values(&*log, &topic), owned(&[(0, "whole")]));
    assert_eq!(
        (*log.end(&topic).unwrap().borrow(), log.unfinished(&topic).unwrap()),
        (Offset(2), 0)
    );
    assert_eq!(put(&mut *log.appender(), &topic, "next"), Offset(2));
}

/// A capture that reconnects goes on by ordinal, and may have nothing left to append before its commit.
pub fn what_readers_saw_of_an_unfinished_transaction_stays_for_the_next_appender<F: Fixture>() {
    let (fixture, log, topic) = open_with_topic::<F>("seen");
    let mut appender = log.appender();
    put(&mut *appender, &topic, "a");
    put(&mut *appender, &topic, "b");
    flush(&mut *appender, Visibility::Now);
    put(&mut *appender, &topic, "never flushed");
    drop(appender);
    assert_eq!(log.unfinished(&topic).unwrap(), 2);
    assert_eq!(values(&*log, &topic), owned(&[(0, "a"), (1, "b")]));
    let mut appender = log.appender();
    assert_eq!(appender.claim(&topic).unwrap(), 2);
    commit(&mut *appender, "p");
    assert_eq!(put(&mut *appender, &topic, "c"), Offset(3));
    commit(&mut *appender, "q");
    flush(&mut *appender, Visibility::Now);
    assert_eq!(log.unfinished(&topic).unwrap(), 0);
    drop((appender, log));
    assert_eq!(values(&*fixture.open(), &topic), owned(&[(0, "a"), (1, "b"), (3, "c")]));
}

/// A snapshot that begins anew finds nothing of its last attempt.
pub fn what_nobody_saw_of_an_unfinished_transaction_is_gone<F: Fixture>() {
    let (fixture, log, topic) = open_with_topic::<F>("unseen");
    let mut appender = log.appender();
    put(&mut *appender, &topic, "a");
    commit(&mut *appender, "p");
    put(&mut *appender, &topic, "half");
    let seq = flush(&mut *appender, Visibility::AfterSync);
    wait_durable(&*appender, seq);
    put(&mut *appender, &topic, "another half");
    flush(&mut *appender, Visibility::AfterSync);
    drop(appender);
    assert_eq!(log.unfinished(&topic).unwrap(), 0);
    let mut appender = log.appender();
    assert_eq!(appender.claim(&topic).unwrap(), 0);
    assert_eq!(put(&mut *appender, &topic, "anew"), Offset(2));
    commit(&mut *appender, "q");
    flush(&mut *appender, Visibility::Now);
    drop((appender, log));
    assert_eq!(values(&*fixture.open(), &topic), owned(&[(0, "a"), (2, "anew")]));
}

/// Two writers would number the same offset twice.
pub fn a_partition_has_one_writer<F: Fixture>() {
    let (_fixture, log, topic) = open_with_topic::<F>("one");
    log.ensure_topic("other").unwrap();
    let (mut first, mut second) = (log.appender(), log.appender());
    put(&mut *first, &topic, "a");
    let record = NewRecord {
        timestamp_ms: 0,
        key: None,
        value: None,
        headers: &[],
    };
    assert!(matches!(second.append(&topic, record), Err(LogError::Busy(_))));
    assert!(matches!(second.claim(&topic), Err(LogError::Busy(_))));
    assert!(matches!(log.delete_topic("one"), Err(LogError::Busy(_))));
    put(&mut *second, &partition("other"), "b");
    drop(first);
    assert_eq!(put(&mut *second, &topic, "c"), Offset(0));
}

/// A topic of the same name is not the same topic.
pub fn topics_come_and_go_with_their_epochs<F: Fixture>() {
    let fixture = F::new();
    let log = fixture.open();
    let mut changed = log.topics_changed();
    let first = log.ensure_topic("t").unwrap();
    assert!(changed.has_changed().unwrap());
    changed.mark_unchanged();
    assert_eq!(log.ensure_topic("t").unwrap().epoch, first.epoch);
    assert!(!changed.has_changed().unwrap());
    log.ensure_topic("__internal").unwrap();
    let names: Vec<_> = log.topics().into_iter().map(|topic| topic.name.to_string()).collect();
    assert_eq!(names, ["__internal", "t"]);
    let mut appender = log.appender();
    put(&mut *appender, &partition("t"), "old");
    commit(&mut *appender, "p");
    flush(&mut *appender, Visibility::Now);
    drop((appender, log));

    let log = fixture.open();
    assert_eq!(log.topic("t").unwrap().epoch, first.epoch);
    log.delete_topic("t").unwrap();
    assert!(log.topic("t").is_none());
    assert!(matches!(log.delete_topic("t"), Err(LogError::UnknownPartition(_))));
    drop(log);
    let log = fixture.open();
    assert!(log.topic("t").is_none());
    let second = log.ensure_topic("t").unwrap();
    assert_ne!(second.epoch, first.epoch);
    assert_eq!(values(&*log, &partition("t")), []);
    drop(log);
    assert_eq!(fixture.open().topic("t").unwrap().epoch, second.epoch);
}

/// Nobody waits for ever for a topic that is gone.
pub fn a_topic_that_goes_closes_its_end<F: Fixture>() {
    let (_fixture, log, topic) = open_with_topic::<F>("goes");
    let mut end = log.end(&topic).unwrap();
    log.delete_topic("goes").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let closed = runtime.block_on(async { tokio::time::timeout(HANG, end.changed()).await });
    assert!(closed.expect("it is closed in time").is_err());
    assert!(matches!(log.end(&topic), Err(LogError::UnknownPartition(_))));
}

/// Before anything is written.
pub fn names_and_positions_that_cannot_be_held_are_refused<F: Fixture>() {
    let (_fixture, log, topic) = open_with_topic::<F>("names");
    for name in ["", ".", "..", "../up", "a/b", "a b", "é"] {
        assert!(matches!(log.ensure_topic(name), Err(LogError::Invalid(_))), "{name:?}");
    }
    let mut appender = log.appender();
    put(&mut *appender, &topic, "a");
    assert!(matches!(appender.commit(&[0; 257]), Err(LogError::Invalid(_))));
    appender.commit(&[0; 256]).unwrap();
    flush(&mut *appender, Visibility::Now);
    assert_eq!(log.position(&topic).unwrap().unwrap().len(), 256);
}

/// Dense and sparse, in the order of the log.
pub fn picked_records_are_those_asked_for<F: Fixture>() {
    let (_fixture, log, topic) = open_with_topic::<F>("picked");
    let mut appender = log.appender();
    for number in 0..3000 {
        put(&mut *appender, &topic, &format!("{number} {}", "x".repeat(100)));
        if number % 10 == 9 {
            commit(&mut *appender, "p");
        }
    }
    flush(&mut *appender, Visibility::Now);
    let all = values(&*log, &topic);
    let wanted: BTreeSet<usize> = (0..50)
        .chain([400, 401, 900, 2000])
        .chain((2500..3000).step_by(3))
        .collect();
    let offsets: Vec<Offset> = wanted.iter().map(|&i| Offset(all[i].0)).collect();
    let (mut rest, mut found) = (&offsets[..], Vec::new());
    while !rest.is_empty() {
        let picked = read_at(&*log, &topic, rest, 20_000).unwrap();
        assert!(picked.taken() > 0, "a pick makes progress");
        found.extend(picked.records().map(|record| record.offset));
        rest = &rest[picked.taken()..];
    }
    assert_eq!(found, offsets);
    assert_eq!(read_at(&*log, &topic, &[], 1).unwrap().taken(), 0);
}
