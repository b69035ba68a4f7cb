//! How fast the log on Kafka is: `cargo run --release -p rowcast-log --features kafka --example kafka_rate -- HOST:PORT`.
//!
//! In both modes the time from a lone append to its copy, on a broker that is idle in between, and records a second
//! appended in bulk; then records a second copied. It makes topics `rate-...` and deletes them.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use rowcast_log::{
    Appender, EmbeddedOptions, FlushSeq, KafkaCopies, KafkaLog, KafkaOptions, Log, NewRecord, Offset, TopicChoice,
    TopicCreation, TopicPartition, Visibility, WriterId,
};
use tokio::sync::watch;

/// Records of a bulk run, unless the second argument says otherwise.
const BULK: usize = 1_000_000;
/// Bytes of each, as a change of a usual row has.
const BYTES: usize = 600;
/// Records of a bulk run in one flush.
const IN_FLUSH: usize = 1000;
const LONE: usize = 300;
/// Between two lone records, as between two people's clicks.
const PAUSE: Duration = Duration::from_millis(20);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let options = KafkaOptions {
        bootstrap: arguments.next().ok_or("name the broker, HOST:PORT")?,
        properties: [].into(),
    };
    let bulk: usize = arguments.next().map_or(Ok(BULK), |count| count.parse())?;
    let writer = KafkaLog::open(options.clone(), None)?;
    let id = |name: &str| TopicPartition {
        topic: format!("rate-{name}-{}", std::process::id()).into(),
        partition: 0,
    };
    let (lone, many) = (id("lone"), id("bulk"));
    for id in [&lone, &many] {
        writer.ensure_topic(&id.topic, &TopicCreation::default())?;
    }
    for transactions in [false, true] {
        let name = WriterId {
            transactions,
            ..WriterId::new("rate")
        };
        let mut appender = writer.appender(&name)?;
        let dir = tempfile::tempdir()?;
        let log = KafkaLog::open(options.clone(), Some(copies(&dir, &lone)))?;
        lone_records(&log, &mut *appender, &lone, transactions).await?;
        let began = Instant::now();
        append_all(&mut *appender, &many, bulk).await?;
        let rate = bulk as f64 / began.elapsed().as_secs_f64();
        println!("transactions {transactions}: {rate:.0} records/s appended");
    }
    let dir = tempfile::tempdir()?;
    let began = Instant::now();
    let log = KafkaLog::open(options, Some(copies(&dir, &many)))?;
    log.topics_changed()
        .wait_for(|_| log.find_topic(&many.topic).is_ok_and(|found| found.is_some()))
        .await?;
    log.end(&many)?.wait_for(|end| *end >= Offset(2 * bulk as u64)).await?;
    let rate = 2.0 * bulk as f64 / began.elapsed().as_secs_f64();
    println!("{rate:.0} records/s copied");
    for id in [lone, many] {
        writer.delete_topic(&id.topic)?;
    }
    Ok(())
}

fn copies(dir: &tempfile::TempDir, id: &TopicPartition) -> KafkaCopies {
    KafkaCopies {
        data_dir: dir.path().to_owned(),
        files: EmbeddedOptions::default(),
        topics: TopicChoice {
            names: vec![id.topic.to_string()],
            ..TopicChoice::default()
        },
        sieve: None,
    }
}

async fn lone_records(
    log: &KafkaLog,
    appender: &mut dyn Appender,
    id: &TopicPartition,
    transactions: bool,
) -> Result<(), Box<dyn Error>> {
    log.topics_changed()
        .wait_for(|_| log.find_topic(&id.topic).is_ok_and(|found| found.is_some()))
        .await?;
    log.freshness(&id.topic).wait_for(|fresh| fresh.complete).await?;
    let mut end = log.end(id)?;
    let mut copied = Vec::with_capacity(LONE);
    let mut durable_after = Vec::with_capacity(LONE);
    for _ in 0..LONE {
        tokio::time::sleep(PAUSE).await;
        let before = *end.borrow_and_update();
        let began = Instant::now();
        let seq = append(appender, id, b"x")?;
        let mut durable = appender.durable();
        let (shown, acknowledged) = tokio::join!(
            async { end.wait_for(|end| *end > before).await.map(|_| began.elapsed()) },
            async {
                durable
                    .wait_for(|durable| *durable >= seq)
                    .await
                    .map(|_| began.elapsed())
            },
        );
        copied.push(shown?);
        durable_after.push(acknowledged?);
    }
    println!("transactions {transactions}: to durable {}", percentiles(durable_after));
    println!("transactions {transactions}: to copied  {}", percentiles(copied));
    Ok(())
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let ms = |percent: usize| times[percent * times.len() / 100].as_secs_f64() * 1e3;
    format!("p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms", ms(50), ms(90), ms(99))
}

fn append(appender: &mut dyn Appender, id: &TopicPartition, value: &[u8]) -> Result<FlushSeq, Box<dyn Error>> {
    let record = NewRecord {
        timestamp_ms: 1_700_000_000_000,
        key: Some(br#"{"id":1}"#),
        value: Some(value),
        headers: &[],
    };
    appender.append(id, record)?;
    appender.commit(b"p")?;
    Ok(appender.flush(Visibility::Now)?)
}

async fn append_all(appender: &mut dyn Appender, id: &TopicPartition, count: usize) -> Result<(), Box<dyn Error>> {
    let value = [b'x'; BYTES];
    let record = NewRecord {
        timestamp_ms: 1_700_000_000_000,
        key: Some(br#"{"id":1}"#),
        value: Some(&value),
        headers: &[],
    };
    let mut durable: watch::Receiver<FlushSeq> = appender.durable();
    let mut has_room = appender.has_room();
    let mut last = FlushSeq(0);
    for number in 1..=count {
        appender.append(id, record)?;
        if number % IN_FLUSH == 0 || number == count {
            appender.commit(b"p")?;
            last = appender.flush(Visibility::Now)?;
            has_room.wait_for(|has_room| *has_room).await?;
        }
    }
    durable.wait_for(|durable| *durable >= last).await?;
    Ok(())
}
