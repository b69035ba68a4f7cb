//! What the log says while Kafka does not answer.

use rowcast_log::{Log, LogError, TopicCreation};

use crate::place::Place;

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
