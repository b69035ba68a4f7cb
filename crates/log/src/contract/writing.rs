//! What writers are promised, and those who make and delete topics.

use super::*;
use crate::Memory;

/// One commit ends the transaction wherever it has records, and nowhere else.
pub fn the_position_is_that_of_the_last_commit_in_each_partition<F: Fixture>() {
    let (fixture, log, topic) = open_with_topic::<F>("a");
    log.ensure_topic("b", &TopicCreation::default()).unwrap();
    let other = partition("b");
    let mut appender = log.appender(&F::writer()).unwrap();
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

/// Its readers are woken by the end of a transaction that has no records there, and find that end again.
pub fn a_topic_that_stays_empty_can_be_told_from_one_not_begun<F: Fixture>() {
    let (fixture, log, topic) = open_with_topic::<F>("empty");
    log.ensure_topic("full", &TopicCreation::default()).unwrap();
    let mut appender = log.appender(&WriterId::new("test")).unwrap();
    appender.include(&topic).unwrap();
    put(&mut *appender, &partition("full"), "1");
    let seq = flush(&mut *appender, Visibility::AfterSync);
    wait_durable(&*appender, seq);
    assert_eq!(*log.end(&topic).unwrap().borrow(), Offset(0), "the transaction goes on");
    commit(&mut *appender, "first");
    put(&mut *appender, &partition("full"), "2");
    commit(&mut *appender, "second");
    let seq = flush(&mut *appender, Visibility::AfterSync);
    wait_durable(&*appender, seq);
    let check = |log: &dyn Log| {
        assert_eq!(log.position(&topic).unwrap().as_deref(), Some(&b"first"[..]));
        assert_eq!(*log.end(&topic).unwrap().borrow(), Offset(1));
        assert_eq!(values(log, &topic), Vec::<(u64, String)>::new());
    };
    check(&*log);
    drop((appender, log));
    check(&*fixture.open());
}

/// The same transactions, cut differently into flushes, lie at the same offsets.
pub fn a_replay_gives_every_record_its_offset_again<F: Fixture>() {
    let append = |log: &dyn Log, flush_every: usize| {
        log.ensure_topic("replay", &TopicCreation::default()).unwrap();
        let topic = partition("replay");
        let mut appender = log.appender(&F::writer()).unwrap();
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
    let mut appender = log.appender(&F::writer()).unwrap();
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
    assert_eq!(
        put(&mut *log.appender(&F::writer()).unwrap(), &topic, "next"),
        Offset(2)
    );
}

/// A capture that reconnects goes on by ordinal, and may have nothing left to append before its commit.
pub fn what_readers_saw_of_an_unfinished_transaction_stays_for_the_next_appender<F: Fixture>() {
    let (fixture, log, topic) = open_with_topic::<F>("seen");
    let mut appender = log.appender(&F::writer()).unwrap();
    put(&mut *appender, &topic, "a");
    put(&mut *appender, &topic, "b");
    flush(&mut *appender, Visibility::Now);
    put(&mut *appender, &topic, "never flushed");
    drop(appender);
    assert_eq!(log.unfinished(&topic).unwrap(), 2);
    assert_eq!(values(&*log, &topic), owned(&[(0, "a"), (1, "b")]));
    let mut appender = log.appender(&F::writer()).unwrap();
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
    let mut appender = log.appender(&F::writer()).unwrap();
    put(&mut *appender, &topic, "a");
    commit(&mut *appender, "p");
    put(&mut *appender, &topic, "half");
    let seq = flush(&mut *appender, Visibility::AfterSync);
    wait_durable(&*appender, seq);
    put(&mut *appender, &topic, "another half");
    flush(&mut *appender, Visibility::AfterSync);
    drop(appender);
    assert_eq!(log.unfinished(&topic).unwrap(), 0);
    let mut appender = log.appender(&F::writer()).unwrap();
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
    log.ensure_topic("other", &TopicCreation::default()).unwrap();
    let (mut first, mut second) = (log.appender(&F::writer()).unwrap(), log.appender(&F::writer()).unwrap());
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

/// Whoever appended it and wherever it is read.
pub fn what_is_durable_is_there_after_an_open<F: Fixture>() {
    let (fixture, log, topic) = open_with_topic::<F>("durable");
    let mut appender = log.appender(&F::writer()).unwrap();
    for number in 0..20 {
        add(&mut *appender, &topic, &number.to_string());
        commit(&mut *appender, "p");
        flush(&mut *appender, Visibility::Now);
    }
    // Nothing new, but a flush all the same.
    let seq = flush(&mut *appender, Visibility::Now);
    wait_durable(&*appender, seq);
    drop((appender, log));
    let log = fixture.open();
    let expected: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(texts(&*log, &topic, 20), expected);
    let mut next = log.appender(&F::writer()).unwrap();
    add(&mut *next, &topic, "next");
    commit(&mut *next, "q");
    flush(&mut *next, Visibility::Now);
    assert_eq!(texts(&*log, &topic, 21)[20], "next");
}

/// Also to a writer that has not written yet.
pub fn offsets_grow_and_the_next_is_known<F: Fixture>() {
    let (_fixture, log, topic) = open_with_topic::<F>("next");
    let mut expected = Vec::new();
    for _ in 0..2 {
        let mut appender = log.appender(&F::writer()).unwrap();
        for number in 0..3 {
            expected.push(appender.next_offset(&topic).unwrap());
            add(&mut *appender, &topic, &number.to_string());
            commit(&mut *appender, "p");
            let seq = flush(&mut *appender, Visibility::Now);
            wait_durable(&*appender, seq);
        }
    }
    let held = shown(&*log, &topic, 6);
    assert!(held.is_sorted_by(|a, b| a.offset < b.offset));
    for ((promised, held), before) in expected
        .iter()
        .zip(&held)
        .zip(std::iter::once(None).chain(held.iter().map(Some)))
    {
        assert!(promised.0 <= held.offset, "it lies there or behind");
        assert!(
            before.is_none_or(|before| before.offset < promised.0),
            "and not before what was there"
        );
    }
}

/// A writer whose records are its memory finds by them where to look.
pub fn durable_offsets_lie_between_what_is_durable_and_what_is_not<F: Fixture>() {
    let (_fixture, log, topic) = open_with_topic::<F>("offsets");
    let mut appender = log.appender(&F::writer()).unwrap();
    if appender.memory() != Memory::Records {
        return;
    }
    assert_eq!(appender.durable_offsets(), []);
    for number in 0..5 {
        add(&mut *appender, &topic, &number.to_string());
    }
    commit(&mut *appender, "p");
    let seq = flush(&mut *appender, Visibility::Now);
    wait_durable(&*appender, seq);
    add(&mut *appender, &topic, "not flushed");
    let offsets = appender.durable_offsets();
    let held = shown(&*log, &topic, 6);
    assert_eq!(offsets, [(topic, Offset(held[5].offset))]);
}

/// A topic of the same name is not the same topic.
pub fn topics_come_and_go_with_their_epochs<F: Fixture>() {
    let fixture = F::new();
    let log = fixture.open();
    let mut changed = log.topics_changed();
    let first = log.ensure_topic("t", &TopicCreation::default()).unwrap();
    assert!(changed.has_changed().unwrap());
    changed.mark_unchanged();
    assert_eq!(
        log.ensure_topic("t", &TopicCreation::default()).unwrap().epoch,
        first.epoch
    );
    assert!(!changed.has_changed().unwrap());
    log.ensure_topic("__internal", &TopicCreation::default()).unwrap();
    let names: Vec<_> = log
        .find_topics()
        .unwrap()
        .into_iter()
        .map(|topic| topic.name.to_string())
        .collect();
    assert_eq!(names, ["__internal", "t"]);
    let mut appender = log.appender(&F::writer()).unwrap();
    add(&mut *appender, &partition("t"), "old");
    commit(&mut *appender, "p");
    let seq = flush(&mut *appender, Visibility::Now);
    wait_durable(&*appender, seq);
    drop((appender, log));

    let log = fixture.open();
    assert_eq!(log.find_topic("t").unwrap().unwrap().epoch, first.epoch);
    log.delete_topic("t").unwrap();
    assert!(log.find_topic("t").unwrap().is_none());
    assert!(matches!(log.delete_topic("t"), Err(LogError::UnknownPartition(_))));
    drop(log);
    let log = fixture.open();
    assert!(log.find_topic("t").unwrap().is_none());
    let second = log.ensure_topic("t", &TopicCreation::default()).unwrap();
    assert_ne!(second.epoch, first.epoch);
    assert_eq!(values(&*log, &partition("t")), []);
    drop(log);
    assert_eq!(fixture.open().find_topic("t").unwrap().unwrap().epoch, second.epoch);
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
        assert!(
            matches!(
                log.ensure_topic(name, &TopicCreation::default()),
                Err(LogError::Invalid(_))
            ),
            "{name:?}"
        );
    }
    let mut appender = log.appender(&F::writer()).unwrap();
    add(&mut *appender, &topic, "a");
    assert!(matches!(appender.commit(&[0; 257]), Err(LogError::Invalid(_))));
    appender.commit(&[0; 256]).unwrap();
}

/// As long as it may be.
pub fn a_position_of_any_size_allowed_is_kept<F: Fixture>() {
    let (_fixture, log, topic) = open_with_topic::<F>("position");
    let mut appender = log.appender(&F::writer()).unwrap();
    put(&mut *appender, &topic, "a");
    appender.commit(&[0; 256]).unwrap();
    flush(&mut *appender, Visibility::Now);
    assert_eq!(log.position(&topic).unwrap().unwrap().len(), 256);
}
