//! How fast the embedded log takes records while its syncs run behind: prints one line per run.
//!
//! `cargo run --release -p rowcast-log --example append_rate [RECORDS [VALUE_BYTES [RECORDS_PER_TRANSACTION [DIR]]]]`
//!
//! The log lies in DIR (default: the current directory, so a real disk and not a /tmp in memory). The rate counts from
//! the first append to the moment that the last record is durable.

use std::{path::PathBuf, time::Instant};

use rowcast_log::{
    EmbeddedLog, EmbeddedOptions, FlushSeq, Log, LogError, NewRecord, TopicCreation, TopicPartition, Visibility,
    WriterId,
};

/// Transactions between flushes: what a busy capture hands over at a time.
const TRANSACTIONS_PER_FLUSH: usize = 10;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default| {
        arguments
            .get(i)
            .map_or(Ok(default), |argument| argument.parse::<usize>())
    };
    let (records, value_bytes, per_transaction) = (number(0, 1_000_000)?, number(1, 600)?, number(2, 100)?.max(1));
    let parent = arguments.get(3).map_or(PathBuf::from("."), PathBuf::from);
    let dir = tempfile::tempdir_in(parent)?;
    let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default())?;
    log.ensure_topic("rate", &TopicCreation::default())?;
    let partition = TopicPartition {
        topic: "rate".into(),
        partition: 0,
    };

    let begun = Instant::now();
    let mut appender = log.appender(&WriterId::new("test"))?;
    let mut durable = appender.durable();
    let last = append_all(&mut *appender, &partition, records, value_bytes, per_transaction)?;
    let appended = begun.elapsed();
    durable.wait_for(|seq| *seq >= last).await?;
    let synced = begun.elapsed();
    drop(appender);

    let (read, read_for) = read_all(&*log, &partition)?;
    assert_eq!(read, records);
    let rate = |elapsed: std::time::Duration| records as f64 / elapsed.as_secs_f64();
    println!(
        "{records} records of {value_bytes} B, {per_transaction} a transaction: appended {:.0}/s, durable {:.0}/s, read {:.0}/s, {} MB on disk",
        rate(appended),
        rate(synced),
        rate(read_for),
        log.size_bytes() / 1_000_000,
    );
    drop(log);
    let begun = Instant::now();
    EmbeddedLog::open(dir.path(), EmbeddedOptions::default())?;
    println!("opened again in {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

fn append_all(
    appender: &mut dyn rowcast_log::Appender,
    partition: &TopicPartition,
    records: usize,
    value_bytes: usize,
    per_transaction: usize,
) -> Result<FlushSeq, LogError> {
    let value = vec![b'x'; value_bytes];
    for number in 1..=records {
        let key = (number as u64).to_be_bytes();
        let record = NewRecord {
            timestamp_ms: number as i64,
            key: Some(&key),
            value: Some(&value),
            headers: &[],
        };
        appender.append(partition, record)?;
        if number % per_transaction == 0 {
            appender.commit(&key)?;
        }
        if number % (per_transaction * TRANSACTIONS_PER_FLUSH) == 0 {
            appender.flush(Visibility::Now)?;
        }
    }
    appender.commit(b"end")?;
    appender.flush(Visibility::Now)
}

fn read_all(log: &dyn Log, partition: &TopicPartition) -> Result<(usize, std::time::Duration), LogError> {
    let begun = Instant::now();
    let (mut from, mut count) = (log.earliest(partition)?, 0);
    loop {
        let chunk = log.read(partition, from, 1 << 20)?;
        if chunk.is_empty() {
            return Ok((count, begun.elapsed()));
        }
        count += chunk.records().count();
        from = chunk.next_offset();
    }
}
