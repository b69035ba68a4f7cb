//! Reading the brokers without copies.

use rowcast_log::{
    Log, LogError, Offset, Start, Tail, TopicCreation, TopicPartition, WriterId,
    contract::{partition, read_from, wait_for},
};

use crate::place::{Place, transactional, write_durably};

#[test]
fn a_process_without_copies_reads_the_brokers_and_makes_topics() {
    let place = Place::new();
    let log = place.open_without_copies();
    let creation = TopicCreation {
        partitions: Some(2),
        replication_factor: Some(1),
        config: [("cleanup.policy".to_owned(), "compact".to_owned())].into(),
        ..TopicCreation::default()
    };
    let made = log.ensure_topic("t", &creation).unwrap();
    assert_eq!(made.partitions, 2);
    assert_eq!(
        log.ensure_topic("t", &TopicCreation::default()).unwrap().epoch,
        made.epoch
    );
    assert_eq!(log.find_topic("t").unwrap().unwrap().epoch, made.epoch);
    let id = partition("other");
    let unknown = log.read(&id, Offset(0), 100);
    assert!(matches!(unknown, Err(LogError::UnknownPartition(_))), "{unknown:?}");
    log.ensure_topic("other", &TopicCreation::default()).unwrap();
    assert!(log.read(&id, Offset(0), 100).unwrap().is_empty());
    let mut appender = log.appender(&transactional()).unwrap();
    for value in ["a", "b", "c"] {
        write_durably(&mut *appender, &id, &[value]);
    }
    // Three records and three markers, the last of which the broker writes after it has answered. Each question is a round
    // trip to it, and the runner's own limit ends one that is asked for ever.
    while *log.end(&id).unwrap().borrow() < Offset(6) {}
    assert_eq!(*log.end(&id).unwrap().borrow(), Offset(6));
    let held = read_from(&*log, &id, Offset(0), 1).unwrap();
    assert!(held.iter().map(|held| held.offset).eq([0, 2, 4]));
    let rest = log.read(&id, Offset(3), 1000).unwrap();
    assert_eq!((rest.records().count(), rest.next_offset()), (1, Offset(6)));
    let last = log.read(&id, Offset(5), 1000).unwrap();
    assert!(!last.is_empty() && last.records().count() == 0 && last.next_offset() == Offset(6));
    log.empty_topic("other").unwrap();
    assert_eq!(log.earliest(&id).unwrap(), Offset(6));
    assert!(matches!(
        log.read(&id, Offset(2), 100),
        Err(LogError::OutOfRange { .. })
    ));
}

#[test]
fn a_tail_gives_records_from_any_place_and_can_end() {
    let place = Place::new();
    let log = place.open_without_copies();
    log.ensure_topic("t", &TopicCreation::default()).unwrap();
    let id = partition("t");
    let mut appender = log.appender(&WriterId::new("test")).unwrap();
    write_durably(&mut *appender, &id, &["a", "b", "c"]);
    place.run(async {
        let mut seen = Vec::new();
        let mut tail = Tail::open(place.options(), "t", Start::Beginning, true)?;
        while let Some((from, chunk)) = tail.next().await? {
            assert_eq!(from, TopicPartition { ..id.clone() });
            seen.extend(
                chunk
                    .records()
                    .map(|record| (record.offset.0, record.value.map(<[u8]>::to_vec))),
            );
        }
        assert_eq!(
            seen,
            [
                (0, Some(b"a".to_vec())),
                (1, Some(b"b".to_vec())),
                (2, Some(b"c".to_vec()))
            ]
        );
        let mut tail = Tail::open(place.options(), "t", Start::At(Offset(2)), false)?;
        assert_eq!(
            tail.next().await?.unwrap().1.records().next().unwrap().offset,
            Offset(2)
        );
        let mut tail = Tail::open(place.options(), "t", Start::End, false)?;
        write_durably_later(&mut *appender, &id);
        assert_eq!(
            tail.next().await?.unwrap().1.records().next().unwrap().offset,
            Offset(3)
        );
        Ok(())
    });
    wait_for(&mut appender.durable(), |_| true);
    let nowhere = Tail::open(place.options(), "nowhere", Start::End, false);
    assert!(matches!(nowhere, Err(LogError::UnknownPartition(_))));
}

fn write_durably_later(appender: &mut dyn rowcast_log::Appender, id: &TopicPartition) {
    crate::place::write(appender, id, &["d"]);
}
