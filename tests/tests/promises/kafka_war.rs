//! Two captures at war over one slot: the one at work is stopped (SIGSTOP), the other takes over, the first wakes up late
//! with records still on its way. With transactions the topic repeats nothing; without, a client is shown nothing twice.

use std::{collections::HashSet, mem, time::Duration};

use anyhow::{Context, Result, ensure};
use rowcast_tests::{
    checker,
    kafka::{Kafka, Record},
    oracle,
    postgres::{Postgres, Version},
    process::{Rowcast, topic},
    random::Random,
    repetitions,
    workload::{self, Load, TABLES},
};

use crate::kafka::{changes, place_in_source, same_for_each_key};

/// Between two events of the war.
const PAUSE_MAX: Duration = Duration::from_millis(1_500);
/// How soon PostgreSQL takes the slot from a capture that does not answer.
const WAL_SENDER_TIMEOUT: (&str, &str) = ("wal_sender_timeout", "1s");

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_wakes_up_late_shows_no_client_a_change_twice() -> Result<()> {
    war(
        "a_capture_that_wakes_up_late_shows_no_client_a_change_twice",
        "requested",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_wakes_up_late_repeats_nothing_with_transactions() -> Result<()> {
    war(
        "a_capture_that_wakes_up_late_repeats_nothing_with_transactions",
        "required",
    )
    .await
}

async fn war(test: &str, exactly_once_support: &str) -> Result<()> {
    let mut random = Random::from_environment(test);
    let postgres = Postgres::start_with(Version::Installed, &[WAL_SENDER_TIMEOUT])?;
    let database = workload::watched_tables(&postgres).await?;
    let kafka = Kafka::start().await?;
    let mut at_work = Rowcast::capture(&postgres, &workload::include_list(), &kafka.address())?;
    at_work.set("exactly.once.support", exactly_once_support);
    at_work.start_streaming().await?;
    let mut standing_by = Rowcast::capture(&postgres, &workload::include_list(), &kafka.address())?;
    standing_by.set("exactly.once.support", exactly_once_support);
    standing_by.start().await?;
    let mut gateway = Rowcast::gateway(&kafka.address(), &TABLES.map(topic))?;
    gateway.start_ready().await?;
    let followers = workload::follow_tables_live(gateway.address()).await?;

    let load = Load::start(postgres.port(), 2, &mut random);
    for _ in 0..repetitions(2, 30) {
        // On a busy machine PostgreSQL now and then takes the slot from the one at work, too.
        let stands_by = |reason: &str| reason.contains("in use by");
        tokio::select! {
            told = standing_by.unready(stands_by) => drop(told?),
            told = at_work.unready(stands_by) => {
                told?;
                mem::swap(&mut at_work, &mut standing_by);
            }
        }
        tokio::time::sleep(random.pause(PAUSE_MAX)).await;
        at_work.signal("STOP")?;
        standing_by.ready().await?;
        tokio::time::sleep(random.pause(PAUSE_MAX)).await;
        at_work.signal("CONT")?;
        mem::swap(&mut at_work, &mut standing_by);
    }
    load.stop().await?;
    workload::write_marker(&database, -1).await?;
    let mut repeated = 0;
    for (table, follower) in followers {
        let committed = oracle::changes(&database, table).await?;
        let all = follower
            .until("every change", |seen| seen.changes.len() >= committed.len())
            .await;
        all.with_context(|| format!("{table}; gateway:\n{}", gateway.log_text()))?;
        let seen = follower.stop();
        ensure!(seen.resets.is_empty(), "a client of {table} was reset");
        if let Err(error) = same_for_each_key("the client", &seen.changes, &committed) {
            let records = kafka.topics().read(&topic(table)).await?;
            let there = named_in(&records, &error.to_string());
            return Err(error.context(format!("{table}; the topic has of it\n{there}")));
        }
        checker::same_rows("the client", &seen.rows, &oracle::select(&database, table).await?)?;

        // Each delete has its tombstone; without transactions there are no markers, and every offset is a record.
        let mut wanted = committed.len() + committed.iter().filter(|change| change.op == "d").count();
        if exactly_once_support == "requested" {
            let offsets = kafka.topics().offsets(&topic(table)).await?;
            wanted = offsets.iter().map(|of| (of.end - of.earliest) as usize).sum();
        }
        let mut records = kafka
            .topics()
            .read_until(&topic(table), |records| records.len() >= wanted)
            .await?;
        let held = records.len();
        records.retain(|record| record.value.is_some());
        let once = without_repeats(&records);
        repeated += records.len() - once.len();
        eprintln!(
            "{table}: {} changes agree; the topic holds {held} records, {} of them repeated",
            committed.len(),
            records.len() - once.len()
        );
        same_for_each_key("the topic", &changes(&once)?, &committed).with_context(|| table.to_owned())?;
    }
    ensure!(
        repeated == 0 || exactly_once_support == "requested",
        "{repeated} records are there twice although they were written in transactions"
    );
    Ok(())
}

/// Where the records are whose key the error names, and who wrote them: by the time, each capture's differ.
fn named_in(records: &[Record], error: &str) -> String {
    let key = |record: &Record| String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
    let named = records.iter().filter(|record| error.contains(&key(record)));
    let told = named.map(|record| {
        let place = place_in_source(record).unwrap_or_else(|| "a tombstone".to_owned());
        format!("{} at {}: {place}", record.offset, record.timestamp_ms)
    });
    told.collect::<Vec<_>>().join("\n")
}

/// The records whose places in the source come for the first time.
fn without_repeats(records: &[Record]) -> Vec<Record> {
    let mut places = HashSet::new();
    let is_first = |record: &&Record| place_in_source(record).is_none_or(|place| places.insert(place));
    records.iter().filter(is_first).cloned().collect()
}
