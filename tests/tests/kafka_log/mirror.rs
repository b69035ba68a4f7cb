//! What Kafka does to topics, and how copies follow.

use std::sync::{Arc, Mutex};

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};
use rowcast_log::{
    Log, LogError, NameOf, Offset, Record, Sieve, TopicChoice, TopicCreation, TopicPartition, WriterId,
    contract::{partition, shown, wait_for},
};
use rowcast_tests::kafka::NewRecord;

use crate::place::{Place, all, texts, transactional, write, write_durably};

fn value(text: &str, partition: i32) -> NewRecord {
    NewRecord {
        partition: Some(partition),
        value: Some(text.as_bytes().to_vec()),
        ..NewRecord::default()
    }
}

#[test]
fn a_topic_is_waited_for_and_copied_with_the_brokers_offsets_and_id() {
    let place = Place::new();
    let log = place.open();
    let mut changed = log.topics_changed();
    let topics = place.broker.topics();
    place.run(topics.create("late", 3, &[]));
    let records: Vec<_> = (0..30).map(|n| value(&n.to_string(), n % 3)).collect();
    place.run(topics.produce("late", &records));
    wait_for(&mut changed, |_| log.find_topic("late").unwrap().is_some());
    let info = log.find_topic("late").unwrap().unwrap();
    assert_eq!(info.partitions, 3);
    for id in info.all() {
        let held = shown(&*log, &id, 10);
        assert!(held.iter().map(|held| held.offset).eq(0..10));
    }
    wait_for(&mut log.freshness("late"), |fresh| {
        fresh.complete && fresh.missing == 0 && fresh.total == 30
    });
    let other = place.open_in(place.dir.path().join("other gateway"), all(), None);
    wait_for(&mut other.topics_changed(), |_| {
        other.find_topic("late").unwrap().is_some()
    });
    assert_eq!(
        other.find_topic("late").unwrap().unwrap().epoch,
        info.epoch,
        "the same at every gateway"
    );
}

#[test]
fn copying_goes_on_where_it_ended_after_a_restart() {
    let place = Place::new();
    let log = place.open();
    log.ensure_topic("t", &TopicCreation::default()).unwrap();
    let id = partition("t");
    let mut appender = log.appender(&WriterId::new("test")).unwrap();
    write_durably(&mut *appender, &id, &["a", "b"]);
    assert_eq!(texts(&*log, &id, 2), ["a", "b"]);
    drop(appender);
    drop(log);
    let writer = place.open_without_copies();
    write_durably(&mut *writer.appender(&WriterId::new("test")).unwrap(), &id, &["c"]);
    let log = place.open();
    // At once what was copied, then the rest.
    assert!(texts(&*log, &id, 2).len() >= 2);
    assert_eq!(texts(&*log, &id, 3), ["a", "b", "c"]);
}

#[test]
fn a_topic_made_again_is_another() {
    let place = Place::new();
    let log = place.open();
    let first = log.ensure_topic("t", &TopicCreation::default()).unwrap();
    let id = partition("t");
    write_durably(
        &mut *log.appender(&WriterId::new("test")).unwrap(),
        &id,
        &["old", "older"],
    );
    texts(&*log, &id, 2);
    let mut changed = log.topics_changed();
    let mut end = log.end(&id).unwrap();
    let topics = place.broker.topics();
    place.run(topics.delete("t"));
    place.run(topics.create("t", 1, &[]));
    place.run(topics.produce("t", &[value("new", 0), value("newer", 0), value("newest", 0)]));
    wait_for(&mut changed, |_| {
        log.find_topic("t").unwrap().is_some_and(|now| now.epoch != first.epoch)
    });
    assert_eq!(texts(&*log, &id, 3), ["new", "newer", "newest"]);
    // Whoever followed the old life hears that it is over.
    while place.runtime.block_on(end.changed()).is_ok() {}
}

#[test]
fn partitions_that_are_added_are_copied_too() {
    let place = Place::new();
    let log = place.open();
    log.ensure_topic("t", &TopicCreation::default()).unwrap();
    let mut changed = log.topics_changed();
    let topics = place.broker.topics();
    place.run(topics.add_partitions("t", 4));
    place.run(topics.produce("t", &[value("x", 3)]));
    wait_for(&mut changed, |_| {
        log.find_topic("t").unwrap().is_some_and(|now| now.partitions == 4)
    });
    let third = TopicPartition {
        topic: "t".into(),
        partition: 3,
    };
    assert_eq!(texts(&*log, &third, 1), ["x"]);
}

#[test]
fn what_retention_took_is_out_of_range_here_too() {
    let place = Place::new();
    let log = place.open();
    log.ensure_topic("t", &TopicCreation::default()).unwrap();
    let id = partition("t");
    let mut appender = log.appender(&WriterId::new("test")).unwrap();
    write_durably(&mut *appender, &id, &["a", "b", "c"]);
    texts(&*log, &id, 3);
    log.empty_topic("t").unwrap();
    write_durably(&mut *appender, &id, &["d"]);
    drop((appender, log));
    // At the next look, which the start of a log is.
    let log = place.open();
    wait_for(&mut log.freshness("t"), |fresh| fresh.complete);
    assert_eq!(log.earliest(&id).unwrap(), Offset(3));
    assert!(matches!(
        log.read(&id, Offset(2), 100),
        Err(LogError::OutOfRange { earliest: 3, .. })
    ));
}

#[test]
fn a_copy_that_retention_overtook_begins_anew() {
    let place = Place::new();
    let log = place.open();
    log.ensure_topic("t", &TopicCreation::default()).unwrap();
    let id = partition("t");
    let writer = place.open_without_copies();
    let mut appender = writer.appender(&WriterId::new("test")).unwrap();
    write_durably(&mut *appender, &id, &["a", "b"]);
    texts(&*log, &id, 2);
    drop(log);
    write_durably(&mut *appender, &id, &["c", "d"]);
    writer.empty_topic("t").unwrap();
    write_durably(&mut *appender, &id, &["e"]);
    let log = place.open();
    wait_for(&mut log.topics_changed(), |_| {
        log.earliest(&id).is_ok_and(|earliest| earliest == Offset(4))
    });
    let mut end = log.end(&id).unwrap();
    wait_for(&mut end, |end| *end == Offset(5));
    let chunk = log.read(&id, Offset(4), 1000).unwrap();
    assert_eq!(chunk.records().next().unwrap().value, Some(&b"e"[..]));
    assert!(matches!(
        log.read(&id, Offset(2), 100),
        Err(LogError::OutOfRange { .. })
    ));
}

#[test]
fn holes_of_compaction_and_of_aborted_transactions_are_kept_as_holes() {
    let place = Place::new();
    let log = place.open();
    log.ensure_topic("t", &TopicCreation::default()).unwrap();
    let id = partition("t");
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", place.broker.address())
        .set("transactional.id", "somebody");
    let other: BaseProducer = config.create().unwrap();
    let patience = std::time::Duration::from_secs(30);
    other.init_transactions(patience).unwrap();
    for (value, commit) in [("a", true), ("aborted", false), ("b", true)] {
        other.begin_transaction().unwrap();
        other
            .send(BaseRecord::<(), str>::to("t").partition(0).payload(value))
            .unwrap();
        other.flush(patience).unwrap();
        match commit {
            true => other.commit_transaction(patience).unwrap(),
            false => other.abort_transaction(patience).unwrap(),
        }
    }
    let held = shown(&*log, &id, 2);
    let seen: Vec<_> = held
        .iter()
        .map(|held| (held.offset, held.value.clone().unwrap()))
        .collect();
    assert_eq!(seen, [(0, b"a".to_vec()), (4, b"b".to_vec())]);
    for from in 0..6 {
        let chunk = log.read(&id, Offset(from), 1000).unwrap();
        assert!(chunk.records().all(|record| record.offset.0 >= from));
    }
    wait_for(&mut log.freshness("t"), |fresh| fresh.complete && fresh.missing == 0);
    // A marker at the end is no record that is missing, after a restart either.
    drop(log);
    let log = place.open();
    wait_for(&mut log.freshness("t"), |fresh| fresh.complete && fresh.missing == 0);
    assert_eq!(texts(&*log, &id, 2), ["a", "b"]);
}

#[test]
fn a_broker_that_is_away_is_told_and_waited_for() {
    let mut place = Place::new();
    let log = place.open();
    log.ensure_topic("t", &TopicCreation::default()).unwrap();
    let id = partition("t");
    let mut appender = log.appender(&WriterId::new("test")).unwrap();
    write_durably(&mut *appender, &id, &["a"]);
    let mut fresh = log.freshness("t");
    assert_eq!(wait_for(&mut fresh, |fresh| fresh.complete).stale_since_ms, None);
    // The copy was complete when it was begun, maybe before there was a record.
    assert_eq!(texts(&*log, &id, 1), ["a"]);
    let Place { broker, runtime, .. } = &mut place;
    runtime.block_on(broker.kill_dash_nine()).unwrap();
    let stale = wait_for(&mut fresh, |fresh| fresh.stale_since_ms.is_some());
    assert!(stale.stale_since_ms.unwrap() > 1_700_000_000_000);
    assert_eq!(texts(&*log, &id, 1), ["a"], "reading goes on");
    // The source goes on too: the broker is waited for.
    let seq = write(&mut *appender, &id, &["b"]);
    assert!(appender.failure().is_none());
    runtime.block_on(broker.restart()).unwrap();
    wait_for(&mut appender.durable(), |durable| *durable >= seq);
    assert_eq!(texts(&*log, &id, 2), ["a", "b"]);
    wait_for(&mut fresh, |fresh| fresh.stale_since_ms.is_none());
}

#[test]
fn topics_that_a_capture_writes_are_known_by_what_it_says_of_them() {
    let place = Place::new();
    let writer = place.open_without_copies();
    for topic in ["__rowcast_schemas", "a", "b", "not ours".replace(' ', "-").as_str()] {
        writer.ensure_topic(topic, &TopicCreation::default()).unwrap();
    }
    let mut appender = writer.appender(&transactional()).unwrap();
    write_durably(&mut *appender, &partition("__rowcast_schemas"), &["a"]);
    write_durably(&mut *appender, &partition("a"), &["1"]);
    let log = place.open_as(by_name(), None);
    let mut changed = log.topics_changed();
    wait_for(&mut changed, |_| log.find_topic("a").unwrap().is_some());
    assert_eq!(texts(&*log, &partition("a"), 1), ["1"]);
    write_durably(&mut *appender, &partition("__rowcast_schemas"), &["b"]);
    wait_for(&mut changed, |_| log.find_topic("b").unwrap().is_some());
    let names: Vec<_> = log
        .find_topics()
        .unwrap()
        .iter()
        .map(|topic| topic.name.to_string())
        .collect();
    assert_eq!(names, ["__rowcast_schemas", "a", "b"]);
    drop(log);
    // Known from the copy alone, before Kafka is asked.
    let log = place.open_as(by_name(), None);
    assert!(log.find_topic("a").unwrap().is_some() && log.find_topic("b").unwrap().is_some());
}

/// Records of the topic that names topics are the names alone here.
fn by_name() -> TopicChoice {
    let name_of: NameOf = Arc::new(|record: &Record<'_>| {
        let value = record.value.map(<[u8]>::to_vec);
        value.and_then(|value| String::from_utf8(value).ok())
    });
    TopicChoice {
        names: Vec::new(),
        internal: false,
        known: Some(name_of),
    }
}

/// Somebody deletes the topic that names topics, under a running gateway and under one that is started later.
#[test]
fn a_topic_of_names_that_is_deleted_and_made_again_names_topics_again() {
    let place = Place::new();
    let topics = place.broker.topics();
    for topic in ["__rowcast_schemas", "a", "b"] {
        place.run(topics.create(topic, 1, &[]));
    }
    place.run(topics.produce("__rowcast_schemas", &[value("a", 0)]));
    place.run(topics.produce("a", &[value("1", 0)]));
    let log = place.open_as(by_name(), None);
    let mut changed = log.topics_changed();
    wait_for(&mut changed, |_| log.find_topic("a").unwrap().is_some());
    let followed = log.end(&partition("a")).unwrap();
    let known = log.find_topic("a").unwrap().unwrap().epoch;

    for (life, name) in ["b", "c", "d"].into_iter().enumerate() {
        let before = log.find_topic("__rowcast_schemas").unwrap().unwrap().epoch;
        place.run(topics.delete("__rowcast_schemas"));
        if life > 0 {
            // Looked at while it is not there.
            wait_for(&mut changed, |_| log.find_topic("__rowcast_schemas").unwrap().is_none());
            place.run(topics.create(name, 1, &[]));
        }
        place.run(topics.create("__rowcast_schemas", 1, &[]));
        place.run(topics.produce("__rowcast_schemas", &[value(name, 0)]));
        wait_for(&mut changed, |_| log.find_topic(name).unwrap().is_some());
        let now = log.find_topic("__rowcast_schemas").unwrap().unwrap().epoch;
        assert_ne!(now, before);
        assert_eq!(log.find_topic("a").unwrap().unwrap().epoch, known);
        assert!(
            followed.has_changed().is_ok(),
            "the copy of a topic that is there was lost"
        );
    }
    drop(log);
    let log = place.open_as(by_name(), None);
    for name in ["a", "b", "c", "d"] {
        assert!(
            log.find_topic(name).unwrap().is_some(),
            "{name} is not served after a restart"
        );
    }
}

/// Leaves out what repeats the record before it in its partition.
#[derive(Default)]
struct NoRepeats(Arc<Mutex<Vec<u8>>>);

impl Sieve for NoRepeats {
    fn begins(&mut self, _partition: &TopicPartition) {
        self.0.lock().expect("nobody panics with it").clear();
    }

    fn keeps(&mut self, _partition: &TopicPartition, record: &Record<'_>) -> bool {
        let mut last = self.0.lock().expect("nobody panics with it");
        let is_new = record.value != Some(&last[..]);
        last.clear();
        last.extend(record.value.unwrap_or_default());
        is_new
    }
}

#[test]
fn a_sieve_leaves_records_out_and_knows_the_copy_after_a_restart() {
    let place = Place::new();
    let only = |name: &str| TopicChoice {
        names: vec![name.to_owned()],
        ..TopicChoice::default()
    };
    let log = place.open_as(only("t"), Some(Box::<NoRepeats>::default()));
    log.ensure_topic("t", &TopicCreation::default()).unwrap();
    let id = partition("t");
    let mut appender = log.appender(&WriterId::new("test")).unwrap();
    write_durably(&mut *appender, &id, &["a", "a", "b"]);
    assert_eq!(texts(&*log, &id, 2), ["a", "b"]);
    drop((appender, log));
    let writer = place.open_without_copies();
    write_durably(&mut *writer.appender(&WriterId::new("test")).unwrap(), &id, &["b", "c"]);
    let log = place.open_as(only("t"), Some(Box::<NoRepeats>::default()));
    let held = shown(&*log, &id, 3);
    let seen: Vec<_> = held
        .iter()
        .map(|held| (held.offset, held.value.clone().unwrap()))
        .collect();
    assert_eq!(seen, [(0, b"a".to_vec()), (2, b"b".to_vec()), (4, b"c".to_vec())]);
}
