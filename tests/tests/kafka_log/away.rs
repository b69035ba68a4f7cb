//! What the log says while Kafka does not answer.

use rowcast_log::{
    KafkaLog, KafkaOptions, Log, LogError, TopicChoice, TopicCreation, WriterId,
    contract::{partition, wait_for},
};

use crate::place::{Place, all, record, texts, transactional, write_durably};

#[test]
fn an_unanswered_question_is_not_taken_for_no() {
    let place = Place::new();
    let log = place.open_without_copies();
    let made = log.ensure_topic("t", &TopicCreation::default()).unwrap();
    place.broker.pause().unwrap();
    std::thread::scope(|scope| {
        let one = scope.spawn(|| log.find_topic("t").map(drop));
        let all = scope.spawn(|| log.find_topics().map(drop));
        for asked in [one, all] {
            let answer = asked.join().unwrap();
            let why = answer.unwrap_err();
            assert!(matches!(why, LogError::Away(_)), "{why:?}");
            assert!(why.to_string().contains(&place.broker.address()), "{why}");
        }
    });
    place.broker.resume().unwrap();
    assert_eq!(log.find_topic("t").unwrap().unwrap().epoch, made.epoch);
    assert!(log.find_topic("u").unwrap().is_none());
    assert!(log.find_topics().unwrap().iter().any(|topic| *topic.name == *"t"));
}

#[test]
fn why_a_broker_does_not_let_us_in_is_said() {
    let place = Place::new();
    let options = KafkaOptions {
        properties: [("security.protocol".to_owned(), "ssl".to_owned())].into(),
        ..place.options()
    };
    // A broker that is starting hangs up as well: so it is waited for.
    let why = KafkaLog::open(options, None).unwrap().away().unwrap();
    assert!(why.contains("PLAINTEXT broker listener"), "{why}");
}

#[test]
fn copies_are_served_before_the_broker_is_there_if_they_were_complete_and_are_wanted() {
    let mut place = Place::new();
    let log = place.open();
    for topic in ["t", "u"] {
        log.ensure_topic(topic, &TopicCreation::default()).unwrap();
        write_durably(
            &mut *log.appender(&WriterId::new("test")).unwrap(),
            &partition(topic),
            &["a"],
        );
        wait_for(&mut log.freshness(topic), |fresh| fresh.complete);
        assert_eq!(texts(&*log, &partition(topic), 1), ["a"]);
    }
    drop(log);
    let Place { broker, runtime, .. } = &mut place;
    runtime.block_on(broker.kill_dash_nine()).unwrap();
    let log = place.open();
    assert!(log.away().unwrap().contains(&place.broker.address()));
    let fresh = wait_for(&mut log.freshness("t"), |fresh| fresh.stale_since_ms.is_some());
    assert!(fresh.complete);
    assert_eq!(texts(&*log, &partition("t"), 1), ["a"]);
    drop(log);
    // What cannot be known to have been whole is not taken for whole.
    std::fs::remove_file(place.dir.path().join("copies/t-0/complete")).unwrap();
    let only_t = TopicChoice {
        names: vec!["t".to_owned()],
        ..all()
    };
    let log = place.open_as(only_t, None);
    let mut fresh = log.freshness("t");
    assert!(!wait_for(&mut fresh, |fresh| fresh.stale_since_ms.is_some()).complete);
    assert!(
        log.find_topic("u").unwrap().is_none(),
        "a topic that is not wanted any more is gone"
    );
    let Place { broker, runtime, .. } = &mut place;
    runtime.block_on(broker.restart()).unwrap();
    assert!(wait_for(&mut fresh, |fresh| fresh.stale_since_ms.is_none()).complete);
    assert!(log.away().is_none());
}

#[test]
fn copies_of_another_cluster_are_refused_when_it_is_met() {
    let mut place = Place::new();
    drop(place.open());
    let Place { broker, runtime, .. } = &mut place;
    runtime.block_on(broker.stop()).unwrap();
    let log = place.open();
    assert!(log.failure().is_none());
    let mut fresh = log.freshness("any");
    let Place { broker, runtime, .. } = &mut place;
    broker.replace_by_new().unwrap();
    runtime.block_on(broker.restart()).unwrap();
    while log.failure().is_none() {
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
    assert!(log.failure().unwrap().contains("holds copies of Kafka cluster"));
    assert!(!fresh.borrow_and_update().complete);
}

/// In the middle of a transaction, which nothing but its end makes durable, room comes back as well.
#[test]
fn a_broker_that_hangs_leaves_no_room_and_gives_it_back() {
    for writer in [WriterId::new("test"), transactional()] {
        let place = Place::new();
        let log = place.open_without_copies();
        log.ensure_topic("t", &TopicCreation::default()).unwrap();
        let id = partition("t");
        let mut appender = log.appender(&writer).unwrap();
        write_durably(&mut *appender, &id, &["a"]);
        let mut has_room = appender.has_room();
        assert!(*has_room.borrow());
        place.broker.pause().unwrap();
        let value = vec![b'x'; 100_000];
        let mut bytes = 0;
        while *has_room.borrow_and_update() {
            appender.append(&id, record(&value)).unwrap();
            bytes += value.len();
        }
        assert!((30 << 20..40 << 20).contains(&bytes), "{bytes} bytes were under way");
        place.broker.resume().unwrap();
        wait_for(&mut has_room, |has_room| *has_room);
        assert!(appender.failure().is_none());
    }
}
