//! What readers are promised.

use std::{collections::BTreeSet, ops::RangeInclusive, sync::Arc};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::*;
use crate::read_at;

fn any_record(times_ms: RangeInclusive<i64>) -> impl Strategy<Value = Held> {
    let bytes = |max| proptest::collection::vec(any::<u8>(), 0..max);
    let headers = proptest::collection::vec(("[^\\x00]{0,8}", bytes(20)), 0..4);
    let value = prop_oneof![8 => bytes(300), 1 => bytes(90_000)];
    (
        times_ms,
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
    let transactions = proptest::collection::vec(proptest::collection::vec(any_record(F::TIMES_MS), 0..30), 1..8);
    let mut runner = TestRunner::new(Config {
        cases: F::CASES,
        failure_persistence: None,
        ..Config::default()
    });
    let ran = runner.run(&transactions, |transactions| {
        let (fixture, log, topic) = open_with_topic::<F>("records");
        let mut expected = Vec::new();
        let mut appender = log.appender(&F::writer()).unwrap();
        for transaction in transactions {
            for record in transaction {
                let headers: Vec<_> = record.headers.iter().map(|(key, value)| (&**key, &**value)).collect();
                let (key, value) = (record.key.as_deref(), record.value.as_deref());
                let new = NewRecord {
                    timestamp_ms: record.timestamp_ms,
                    key,
                    value,
                    headers: &headers,
                };
                appender.append(&topic, new).expect("the log takes a record");
                expected.push(record);
            }
            commit(&mut *appender, "somewhere");
            flush(&mut *appender, Visibility::Now);
        }
        let seq = flush(&mut *appender, Visibility::Now);
        wait_durable(&*appender, seq);
        let first = shown(&*log, &topic, expected.len());
        prop_assert!(first.is_sorted_by(|a, b| a.offset < b.offset), "offsets grow");
        let without_offset = |held: &Held| Held {
            offset: 0,
            ..held.clone()
        };
        prop_assert_eq!(&first.iter().map(without_offset).collect::<Vec<_>>(), &expected);
        drop((appender, log));
        prop_assert_eq!(&shown(&*fixture.open(), &topic, expected.len()), &first);
        Ok(())
    });
    if let Err(e) = ran {
        panic!("{e}");
    }
}

/// Offsets depend on what was committed, not on how it was flushed.
pub fn a_transaction_takes_one_offset_more_than_its_records<F: Fixture>() {
    let (_fixture, log, topic) = open_with_topic::<F>("offsets");
    let mut appender = log.appender(&F::writer()).unwrap();
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
    let mut appender = log.appender(&F::writer()).unwrap();
    for number in 0..400 {
        add(&mut *appender, &topic, &format!("{number} {}", "x".repeat(number)));
        if number % 7 == 0 {
            commit(&mut *appender, "p");
        }
    }
    commit(&mut *appender, "p");
    flush(&mut *appender, Visibility::Now);
    let all = shown(&*log, &topic, 400);
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
    let mut appender = log.appender(&F::writer()).unwrap();
    let large = "x".repeat(300_000);
    for value in [&large[..100], &large, &large[..100]] {
        add(&mut *appender, &topic, value);
        commit(&mut *appender, "p");
    }
    flush(&mut *appender, Visibility::Now);
    let offsets: Vec<u64> = shown(&*log, &topic, 3).iter().map(|held| held.offset).collect();
    let first = log.read(&topic, Offset(0), 1000).unwrap();
    assert!((1..=1000).contains(&first.len_bytes()));
    let large = log.read(&topic, Offset(offsets[1]), 1).unwrap();
    assert_eq!(
        (large.records().count(), large.next_offset()),
        (1, Offset(offsets[1] + 1))
    );
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
            wait_for(&mut end, |end| *end > Offset(0));
            values(&*log, &topic)
        }
    });
    let mut appender = log.appender(&F::writer()).unwrap();
    add(&mut *appender, &topic, "a");
    commit(&mut *appender, "p");
    flush(&mut *appender, Visibility::Now);
    assert_eq!(reader.join().unwrap(), owned(&[(0, "a")]));
}

/// A source's transaction is read whole, as long as it is small.
pub fn nothing_is_shown_before_a_flush<F: Fixture>() {
    let (_fixture, log, topic) = open_with_topic::<F>("hidden");
    let mut appender = log.appender(&F::writer()).unwrap();
    add(&mut *appender, &topic, "a");
    commit(&mut *appender, "p");
    assert_eq!(*log.end(&topic).unwrap().borrow(), Offset(0));
    flush(&mut *appender, Visibility::Now);
    assert_eq!(values(&*log, &topic), owned(&[(0, "a")]));
}

/// Who follows the tail begins each read where the last one ended, on whatever batch comes next; others read in between.
pub fn a_follower_goes_on_where_it_stopped<F: Fixture>() {
    let (_fixture, log, topic) = open_with_topic::<F>("followed");
    let mut appender = log.appender(&F::writer()).unwrap();
    let (mut next, mut followed) = (Offset(0), Vec::new());
    for number in 0..50 {
        put(&mut *appender, &topic, &"x".repeat(number * 37));
        if number % 3 > 0 {
            commit(&mut *appender, "p");
        }
        flush(&mut *appender, Visibility::Now);
        while *log.end(&topic).unwrap().borrow() > next {
            let chunk = log.read(&topic, next, 1 << 20).unwrap();
            followed.extend(chunk.records().map(|record| record.value.unwrap_or_default().len()));
            next = chunk.next_offset();
        }
        log.read(&topic, Offset(next.0 / 2), 1).unwrap();
    }
    let lengths: Vec<usize> = (0..50).map(|number| number * 37).collect();
    assert_eq!(followed, lengths);
}

/// Snapshot rows.
pub fn records_for_after_the_sync_are_shown_up_to_the_last_commit<F: Fixture>() {
    let (_fixture, log, topic) = open_with_topic::<F>("after-sync");
    let mut appender = log.appender(&F::writer()).unwrap();
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
    let mut appender = log.appender(&F::writer()).unwrap();
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

/// Dense and sparse, in the order of the log.
pub fn picked_records_are_those_asked_for<F: Fixture>() {
    let (_fixture, log, topic) = open_with_topic::<F>("picked");
    let mut appender = log.appender(&F::writer()).unwrap();
    for number in 0..3000 {
        add(&mut *appender, &topic, &format!("{number} {}", "x".repeat(100)));
        if number % 10 == 9 {
            commit(&mut *appender, "p");
        }
    }
    flush(&mut *appender, Visibility::Now);
    let all = shown(&*log, &topic, 3000);
    let wanted: BTreeSet<usize> = (0..50)
        .chain([400, 401, 900, 2000])
        .chain((2500..3000).step_by(3))
        .collect();
    let offsets: Vec<Offset> = wanted.iter().map(|&i| Offset(all[i].offset)).collect();
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
