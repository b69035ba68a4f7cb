//! What only Kafka can do to a writer.

use std::time::Duration;

use rowcast_log::{
    Log, LogError, Memory, Offset, TopicCreation, Visibility, WriterId,
    contract::{add, partition, wait_for},
};

use crate::place::{Place, record, texts, transactional, write, write_durably};

/// Makes the topic with one setting that is not the broker's own.
fn make_with(log: &dyn Log, name: &str, value: &str) {
    let creation = TopicCreation {
        config: [(name.to_owned(), value.to_owned())].into(),
        ..TopicCreation::default()
    };
    log.ensure_topic("t", &creation).expect("the topic is made");
}

/// Waits until nothing more becomes durable.
fn wait_closed(place: &Place, appender: &dyn rowcast_log::Appender) {
    let mut durable = appender.durable();
    place
        .runtime
        .block_on(async { while durable.changed().await.is_ok() {} });
}

#[test]
fn a_record_that_the_topic_does_not_take_is_named_by_its_number() {
    for writer in [WriterId::new("test"), transactional()] {
        let place = Place::new();
        let log = place.open_without_copies();
        make_with(&*log, "max.message.bytes", "10000");
        let id = partition("t");
        let mut appender = log.appender(&writer).unwrap();
        write_durably(&mut *appender, &id, &["0", "1"]);
        appender.append(&id, record(&[b'x'; 20_000])).unwrap();
        appender.commit(b"p").unwrap();
        appender.flush(Visibility::Now).unwrap();
        wait_closed(&place, &*appender);
        let why = appender.failure().unwrap();
        assert!(matches!(why, LogError::Refused { append: 2, .. }), "{why:?}");
        assert!(why.to_string().contains("max.message.bytes"));
        assert!(appender.append(&id, record(b"more")).is_err());
        drop(appender);
        // The next one goes on.
        write_durably(&mut *log.appender(&writer).unwrap(), &id, &["2"]);
    }
}

/// A broker that has no record of a producer in a partition takes whatever number comes first: what was sent behind a
/// refused first batch would stand in the topic as if that batch had been there.
#[test]
fn nothing_comes_behind_a_first_record_that_was_refused() {
    let place = Place::new();
    let log = place.open_without_copies();
    make_with(&*log, "max.message.bytes", "10000");
    let id = partition("t");
    // A broker that has just started makes the first producer wait, who would have everything in one request.
    write_durably(&mut *log.appender(&WriterId::new("test")).unwrap(), &id, &["before"]);
    let mut appender = log.appender(&WriterId::new("test")).unwrap();
    appender.append(&id, record(&[b'x'; 20_000])).unwrap();
    // Slowly: what has gathered leaves in one request.
    let behind = std::iter::repeat_with(|| {
        std::thread::sleep(Duration::from_micros(100));
        appender.append(&id, record(b"behind"))
    });
    let refused = behind.take(100_000).find_map(Result::err);
    assert!(
        matches!(refused, Some(LogError::Refused { append: 0, .. })),
        "{refused:?}"
    );
    drop(appender);
    assert_eq!(*log.end(&id).unwrap().borrow(), Offset(1));
}

/// What a killed writer had on its way may come after its successor has looked at the topic.
#[test]
fn a_writer_looks_again_if_another_one_wrote_after_it_had_looked() {
    let place = Place::new();
    let log = place.open_without_copies();
    log.ensure_topic("t", &TopicCreation::default()).unwrap();
    let id = partition("t");
    let mut late = log.appender(&WriterId::new("test")).unwrap();
    write_durably(&mut *late, &id, &["0"]);
    let mut appender = log.appender(&WriterId::new("test")).unwrap();
    appender.expect_end(&id, Offset(1)).unwrap();
    write_durably(&mut *late, &id, &["1"]);
    let why = appender.append(&id, record(b"again")).unwrap_err();
    assert!(matches!(why, LogError::Overtaken(_)), "{why:?}");
    drop(appender);
    let mut appender = log.appender(&WriterId::new("test")).unwrap();
    appender.expect_end(&id, Offset(2)).unwrap();
    write_durably(&mut *appender, &id, &["2"]);
    write_durably(&mut *late, &id, &["3"]);
    write_durably(&mut *appender, &id, &["4"]);
    assert_eq!(*log.end(&id).unwrap().borrow(), Offset(5));
}

#[test]
fn a_compacted_topic_does_not_take_a_record_without_a_key() {
    let place = Place::new();
    let log = place.open_without_copies();
    make_with(&*log, "cleanup.policy", "compact");
    let mut appender = log.appender(&WriterId::new("test")).unwrap();
    write(&mut *appender, &partition("t"), &["no key"]);
    wait_closed(&place, &*appender);
    let why = appender.failure().unwrap();
    assert!(
        matches!(why, LogError::Refused { append: 0, .. }) && why.to_string().contains("key"),
        "{why:?}"
    );
}

#[test]
fn a_later_writer_of_the_name_fences_the_one_before() {
    let place = Place::new();
    let log = place.open();
    log.ensure_topic("t", &TopicCreation::default()).unwrap();
    let id = partition("t");
    let mut zombie = log.appender(&transactional()).unwrap();
    assert_eq!(zombie.memory(), Memory::Flush);
    write_durably(&mut *zombie, &id, &["a"]);
    add(&mut *zombie, &id, "never committed");
    let mut next = log.appender(&transactional()).unwrap();
    write_durably(&mut *next, &id, &["b"]);
    zombie.commit(b"p").unwrap();
    // It is told at once, or when it hears of it.
    let _ = zombie.flush(Visibility::Now);
    wait_closed(&place, &*zombie);
    let why = zombie.failure().unwrap();
    assert!(matches!(why, LogError::Fenced(_)), "{why:?}");
    drop(zombie);
    write_durably(&mut *next, &id, &["c"]);
    assert_eq!(texts(&*log, &id, 3), ["a", "b", "c"]);
}

#[test]
fn a_flush_inside_a_source_transaction_commits_nothing() {
    let place = Place::new();
    let log = place.open();
    log.ensure_topic("t", &TopicCreation::default()).unwrap();
    let id = partition("t");
    let mut appender = log.appender(&transactional()).unwrap();
    add(&mut *appender, &id, "a");
    appender.flush(Visibility::Now).unwrap();
    add(&mut *appender, &id, "b");
    let second = appender.flush(Visibility::Now).unwrap();
    // Waits until both are acknowledged.
    appender.next_offset(&id).unwrap();
    assert!(*appender.durable().borrow() < second);
    assert_eq!(*log.end(&id).unwrap().borrow(), Offset(0));
    appender.commit(b"p").unwrap();
    let third = appender.flush(Visibility::Now).unwrap();
    wait_for(&mut appender.durable(), |durable| *durable == third);
    assert_eq!(texts(&*log, &id, 2), ["a", "b"]);
}

#[test]
fn dropping_an_appender_aborts_what_it_did_not_commit() {
    let place = Place::new();
    let log = place.open();
    log.ensure_topic("t", &TopicCreation::default()).unwrap();
    let id = partition("t");
    let mut appender = log.appender(&transactional()).unwrap();
    write_durably(&mut *appender, &id, &["a"]);
    add(&mut *appender, &id, "lost");
    drop(appender);
    let mut next = log.appender(&transactional()).unwrap();
    write_durably(&mut *next, &id, &["b"]);
    assert_eq!(texts(&*log, &id, 2), ["a", "b"]);
}

#[test]
fn many_small_flushes_are_committed_in_order() {
    let place = Place::new();
    let log = place.open();
    for topic in ["t", "u"] {
        log.ensure_topic(topic, &TopicCreation::default()).unwrap();
    }
    let mut appender = log.appender(&transactional()).unwrap();
    let mut last = rowcast_log::FlushSeq(0);
    for number in 0..500 {
        let id = partition(if number % 3 == 0 { "t" } else { "u" });
        last = write(&mut *appender, &id, &[&number.to_string()]);
    }
    wait_for(&mut appender.durable(), |durable| *durable == last);
    let expected = |of: fn(&i32) -> bool| (0..500).filter(of).map(|number| number.to_string()).collect::<Vec<_>>();
    assert_eq!(texts(&*log, &partition("t"), 167), expected(|number| number % 3 == 0));
    assert_eq!(texts(&*log, &partition("u"), 333), expected(|number| number % 3 != 0));
}

#[test]
fn what_was_sent_to_a_broker_that_died_is_there_once() {
    for writer in [WriterId::new("test"), transactional()] {
        let mut place = Place::new();
        let log = place.open();
        log.ensure_topic("t", &TopicCreation::default()).unwrap();
        let id = partition("t");
        let mut appender = log.appender(&writer).unwrap();
        let mut last = rowcast_log::FlushSeq(0);
        for number in 0..300 {
            last = write(&mut *appender, &id, &[&number.to_string()]);
            if number % 100 == 50 {
                let Place { broker, runtime, .. } = &mut place;
                runtime.block_on(broker.kill_dash_nine()).unwrap();
                runtime.block_on(broker.restart()).unwrap();
            }
        }
        wait_for(&mut appender.durable(), |durable| *durable == last);
        let expected: Vec<_> = (0..300).map(|number| number.to_string()).collect();
        assert_eq!(texts(&*log, &id, 300), expected);
        assert!(appender.failure().is_none());
    }
}
