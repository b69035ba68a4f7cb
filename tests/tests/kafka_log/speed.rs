//! How fast the log on Kafka is on this machine. Not a test that fails: run it with `--ignored --nocapture`, in release.

use std::time::{Duration, Instant};

use rowcast_log::{
    Log, Offset, TopicCreation, Visibility, WriterId,
    contract::{partition, wait_for},
};

use crate::place::{Place, record, transactional, write};

/// Records of a bulk run.
const BULK: usize = 1_000_000;
/// Bytes of each, as a change of a usual row has.
const BYTES: usize = 600;
const LONE: usize = 300;

#[test]
#[ignore = "a measurement"]
fn lone_records_and_bulk() {
    for writer in [WriterId::new("test"), transactional()] {
        let place = Place::new();
        let log = place.open();
        log.ensure_topic("lone", &TopicCreation::default()).unwrap();
        let id = partition("lone");
        let mut appender = log.appender(&writer).unwrap();
        let mut end = log.end(&id).unwrap();
        let mut times: Vec<Duration> = (0..LONE)
            .map(|_| {
                // Idle in between, as it is between two people's clicks.
                std::thread::sleep(Duration::from_millis(20));
                let before = *end.borrow_and_update();
                let began = Instant::now();
                write(&mut *appender, &id, &["x"]);
                wait_for(&mut end, |end| *end > before);
                began.elapsed()
            })
            .collect();
        times.sort();
        let ms = |at: usize| times[at * LONE / 100].as_secs_f64() * 1e3;
        eprintln!(
            "{writer:?}: produce to copied p50 {:.2} ms, p99 {:.2} ms",
            ms(50),
            ms(99)
        );
    }
    let place = Place::new();
    let log = place.open_without_copies();
    log.ensure_topic("bulk", &TopicCreation::default()).unwrap();
    let id = partition("bulk");
    for writer in [WriterId::new("test"), transactional()] {
        let mut appender = log.appender(&writer).unwrap();
        let value = [b'x'; BYTES];
        let began = Instant::now();
        let mut last = rowcast_log::FlushSeq(0);
        for number in 0..BULK {
            appender.append(&id, record(&value)).unwrap();
            if number % 1000 == 999 {
                appender.commit(b"p").unwrap();
                last = appender.flush(Visibility::Now).unwrap();
                while appender.is_full() {
                    let known = *appender.durable().borrow();
                    wait_for(&mut appender.durable(), |durable| *durable != known);
                }
            }
        }
        wait_for(&mut appender.durable(), |durable| *durable == last);
        eprintln!(
            "{writer:?}: {:.0} records/s appended",
            BULK as f64 / began.elapsed().as_secs_f64()
        );
    }
    let began = Instant::now();
    let log = place.open();
    wait_for(&mut log.topics_changed(), |_| log.topic("bulk").is_some());
    wait_for(&mut log.end(&id).unwrap(), |end| *end >= Offset(2 * BULK as u64));
    eprintln!(
        "{:.0} records/s copied",
        2.0 * BULK as f64 / began.elapsed().as_secs_f64()
    );
}
