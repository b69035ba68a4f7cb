//! Kafka between the parts: killed at any moment, in both modes, the topic holds every committed change once, in commit
//! order for each key, and clients that come back with their cursor, at this gateway or at another, saw each once.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use rowcast_tests::{
    changes::{Row, RowChange, row},
    checker,
    kafka::{Kafka, Record},
    oracle,
    postgres::{Postgres, Version},
    process::{Rowcast, topic},
    random::Random,
    repetitions, until,
    workload::{self, Load, TABLES},
};
use serde_json::Value;

/// A life of a process: long enough to start and to write for a while.
const LIFE_MAX: Duration = Duration::from_millis(2_500);

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_capture_loses_and_repeats_nothing() -> Result<()> {
    campaigns("a_killed_capture_loses_and_repeats_nothing", "requested", 3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_capture_with_transactions_loses_and_repeats_nothing() -> Result<()> {
    campaigns(
        "a_killed_capture_with_transactions_loses_and_repeats_nothing",
        "required",
        1,
    )
    .await
}

/// Each with a server and a broker of its own: all that was seen is compared before there is too much of it to keep.
async fn campaigns(test: &str, exactly_once_support: &str, partitions: i32) -> Result<()> {
    let mut random = Random::from_environment(test);
    for _ in 0..repetitions(1, 10) {
        kills(&mut random, exactly_once_support, partitions).await?;
    }
    Ok(())
}

async fn kills(random: &mut Random, exactly_once_support: &str, partitions: i32) -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = workload::watched_tables(&postgres).await?;
    let mut kafka = Kafka::start().await?;
    for table in TABLES {
        kafka.topics().create(&topic(table), partitions, &[]).await?;
    }
    let mut capture = Rowcast::capture(&postgres, &workload::include_list(), &kafka.address())?;
    capture.set("exactly.once.support", exactly_once_support);
    capture.start_streaming().await?;
    let mut gateway = Rowcast::gateway(&kafka.address(), &TABLES.map(topic))?;
    gateway.start_ready().await?;
    let followers = workload::follow_tables_live(gateway.address()).await?;

    let load = Load::start(postgres.port(), 2, random);
    // Of 10 rounds, 4 kill the broker too, and 5 the gateway.
    for round in 0..repetitions(3, 10) {
        if round % 3 == 2 {
            // Some lives are long enough to get on, however busy the machine is: others end before they have begun.
            capture.ready().await?;
        }
        tokio::time::sleep(random.pause(LIFE_MAX)).await;
        capture.kill().await?;
        capture.start().await?;
        if round % 3 == 0 {
            kafka.kill_dash_nine().await?;
            kafka.restart().await?;
        }
        if round % 2 == 1 {
            gateway.kill().await?;
            gateway.start().await?;
        }
    }
    load.stop().await?;
    workload::write_marker(&database, -1).await?;
    let mut seen = Vec::new();
    for (table, follower) in followers {
        // Partitions come in no order among each other: who has as many as were committed has all.
        let committed = oracle::changes(&database, table).await?.len();
        let all = follower
            .until("every change", |seen| seen.changes.len() >= committed)
            .await;
        all.with_context(|| {
            format!(
                "{table}; capture:\n{}\ngateway:\n{}",
                capture.log_text(),
                gateway.log_text()
            )
        })?;
        seen.push((table, follower.stop()));
    }
    for (table, seen) in seen {
        let committed = oracle::changes(&database, table).await?;
        // Each delete has its tombstone.
        let wanted = committed.len() + committed.iter().filter(|change| change.op == "d").count();
        let last = |record: &Record| record.key.as_deref() == Some(br#"{"id":-1}"#);
        let records = kafka
            .topics()
            .read_until(&topic(table), |records| {
                records.len() >= wanted && records.iter().any(last)
            })
            .await?;
        let agree = same_for_each_key("the topic", &changes(&records)?, &committed);
        agree.with_context(|| {
            format!(
                "{table}\n{}\ncapture:\n{}",
                repeats(&records).join("\n"),
                capture.log_text()
            )
        })?;
        ensure!(
            seen.resets.is_empty(),
            "a client of {table} was reset: {:?}",
            seen.resets
        );
        same_for_each_key("the client", &seen.changes, &committed).with_context(|| table.to_owned())?;
        checker::same_rows("the client", &seen.rows, &oracle::select(&database, table).await?)?;
        eprintln!("{table}: {} changes agree", committed.len());
    }
    Ok(())
}

/// Two captures of one connector: one works, the other stands by, and takes over when the first is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_stands_by_takes_over() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = workload::watched_tables(&postgres).await?;
    let kafka = Kafka::start().await?;
    let mut first = Rowcast::capture(&postgres, &workload::include_list(), &kafka.address())?;
    first.start_streaming().await?;
    let mut second = Rowcast::capture(&postgres, &workload::include_list(), &kafka.address())?;
    second.argument("--log-level");
    second.argument("info,rowcast_postgres::source=debug");
    second.start().await?;
    second.unready(|reason| reason.contains("in use by")).await?;
    // It looks again each second, for days maybe: that is nothing to tell an operator.
    until("it to look again and again", || async {
        Ok((connections(&second, "").len() >= 4).then_some(()))
    })
    .await?;
    let told = connections(&second, "\"INFO\"");
    ensure!(told.is_empty(), "each look is told:\n{}", told.join("\n"));
    workload::write_marker(&database, -1).await?;
    first.kill().await?;
    workload::write_marker(&database, -2).await?;
    second.ready().await?;
    for table in TABLES {
        let committed = oracle::changes(&database, table).await?;
        let records = kafka
            .topics()
            .read_until(&topic(table), |records| records.len() >= 2)
            .await?;
        same_for_each_key("the topic", &changes(&records)?, &committed)?;
    }
    ensure!(connections(&second, "\"INFO\"").len() == 1, "{}", second.log_text());
    Ok(())
}

/// Lines of this level that tell of a connection to PostgreSQL.
fn connections(capture: &Rowcast, level: &str) -> Vec<String> {
    let log = capture.log_text();
    let lines = log
        .lines()
        .filter(|line| line.contains("connected to") && line.contains(level));
    lines.map(str::to_owned).collect()
}

/// Which records repeat which, and whose lives wrote them.
fn repeats(records: &[Record]) -> Vec<String> {
    let life = |record: &Record| {
        let found = record
            .headers
            .iter()
            .find(|(name, _)| name == "__debezium.context.runId");
        found.map_or(String::new(), |(_, value)| {
            String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned()
        })
    };
    let place = |record: &Record| {
        format!(
            "record {} of partition {}, written at {} by {}",
            record.offset,
            record.partition,
            record.timestamp_ms,
            life(record)
        )
    };
    let mut first = BTreeMap::new();
    let mut found = Vec::new();
    for record in records {
        let Some(source) = place_in_source(record) else {
            continue;
        };
        let here = place(record);
        match first.get(&source) {
            Some(before) => found.push(format!("{here} repeats {before}")),
            None => drop(first.insert(source, here)),
        }
    }
    found
}

/// What tells a change from all others, the two halves of a key change included; `None` for a tombstone.
pub(crate) fn place_in_source(record: &Record) -> Option<String> {
    let value: Value = serde_json::from_slice(record.value.as_deref()?).unwrap_or_default();
    let source = &value["source"];
    Some(format!(
        "{} {} {} {:?}",
        source["txId"], source["lsn"], value["op"], record.key
    ))
}

pub(crate) fn changes(records: &[Record]) -> Result<Vec<RowChange>> {
    let change = |record: &Record| {
        let value: Value = serde_json::from_slice(record.value.as_deref()?).ok()?;
        let key = record.key.as_deref().and_then(|key| serde_json::from_slice(key).ok());
        let key = key.map_or_else(Row::new, |key: Value| row(&key).unwrap_or_default());
        Some(RowChange::from_envelope(key, &value))
    };
    records.iter().filter_map(change).collect()
}

/// The same changes in the same order, key by key: between keys partitions promise no order.
pub(crate) fn same_for_each_key(whose: &str, ours: &[RowChange], committed: &[RowChange]) -> Result<()> {
    let by_key = |changes: &[RowChange]| {
        let mut keys: BTreeMap<String, Vec<RowChange>> = BTreeMap::new();
        for change in changes {
            let key = serde_json::to_string(&change.key).expect("a row of JSON values is JSON");
            // A client is not told the transaction.
            keys.entry(key).or_default().push(RowChange {
                xid: None,
                ..change.clone()
            });
        }
        keys
    };
    let (ours_by_key, theirs) = (by_key(ours), by_key(committed));
    for (key, committed) in &theirs {
        let ours = ours_by_key.get(key).map_or(&[][..], |changes| changes);
        ensure!(
            ours == committed,
            "{whose} has for {key}\n    {ours:?}\nwhere PostgreSQL committed\n    {committed:?}"
        );
    }
    ensure!(
        ours.len() == committed.len(),
        "{whose} has {} changes, PostgreSQL committed {}",
        ours.len(),
        committed.len()
    );
    Ok(())
}
