//! Tables that are read a second time into topics that are not empty, on Kafka in both modes: what was streamed stays whole,
//! and each row that is read again lies behind the change that made it.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, ensure};
use rowcast_tests::{
    changes::{Row, RowChange, fold, key_text},
    checker,
    kafka::{Kafka, Record},
    oracle,
    postgres::{Postgres, Version},
    process::{Rowcast, SLOT, topic},
    random::Random,
    repetitions, until,
    workload::{self, Load, TABLES},
};
use tokio_postgres::{Client, types::PgLsn};

use crate::{
    kafka::{changes, same_for_each_key},
    snapshot_modes::told,
};

/// A life of a process: long enough for some to read the tables, and short enough for some to die at it.
const LIFE_MAX: Duration = Duration::from_millis(1_500);
/// So many that a snapshot takes a while.
const ROWS: i64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_read_again_into_kafka_are_read_behind_their_changes() -> Result<()> {
    always(
        "tables_that_are_read_again_into_kafka_are_read_behind_their_changes",
        "requested",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_read_again_in_transactions_are_read_behind_their_changes() -> Result<()> {
    always(
        "tables_that_are_read_again_in_transactions_are_read_behind_their_changes",
        "required",
    )
    .await
}

/// `snapshot.mode=always` under load, and kills at any moment, of reading as of streaming.
async fn always(test: &str, exactly_once_support: &str) -> Result<()> {
    let mut random = Random::from_environment(test);
    let postgres = Postgres::start(Version::Installed)?;
    let database = workload::watched_tables(&postgres).await?;
    let kafka = Kafka::start().await?;
    for table in TABLES {
        kafka.topics().create(&topic(table), 3, &[]).await?;
    }
    let mut capture = Rowcast::capture(&postgres, &workload::include_list(), &kafka.address())?;
    capture.set("snapshot.mode", "always");
    capture.set("exactly.once.support", exactly_once_support);
    capture.start_streaming().await?;
    workload::fill(&database, ROWS).await?;
    let load = Load::start_after(postgres.port(), 1, &mut random, ROWS);
    for round in 0..repetitions(3, 30) {
        load.wrote(20).await?;
        match round % 3 {
            2 => drop(capture.terminate().await?),
            _ => capture.kill().await?,
        }
        load.wrote(20).await?;
        capture.start().await?;
        tokio::time::sleep(random.pause(LIFE_MAX)).await;
    }
    load.stop().await?;
    capture.ready().await?;
    everything_is_confirmed(&database).await?;
    for table in TABLES {
        let records = kafka.topics().read(&topic(table)).await?;
        let log = changes(&records)?;
        let (read, streamed): (Vec<RowChange>, Vec<RowChange>) =
            log.iter().cloned().partition(|change| change.op == "r");
        ensure!(read.len() as i64 >= ROWS, "{table} was read again: {} rows", read.len());
        same_for_each_key("the stream", &streamed, &oracle::changes(&database, table).await?)?;
        rows_are_as_the_changes_before_made_them(&log)?;
        checker::same_rows("the topic", &fold(&log), &oracle::select(&database, table).await?)?;
        eprintln!("{table}: {} rows read again, {} changes", read.len(), streamed.len());
    }
    Ok(())
}

/// Key by key, which keep their order: nothing that is read again is older than what was streamed before it, nor newer.
fn rows_are_as_the_changes_before_made_them(log: &[RowChange]) -> Result<()> {
    let mut rows: BTreeMap<String, &Row> = BTreeMap::new();
    for change in log {
        let key = key_text(&change.key);
        match change.op.as_str() {
            "r" => ensure!(
                rows.get(&key) == Some(&&change.after),
                "{:?} was read where the changes before had made {:?}",
                change.after,
                rows.get(&key)
            ),
            "d" => drop(rows.remove(&key)),
            _ => drop(rows.insert(key, &change.after)),
        }
    }
    Ok(())
}

/// Waits until all that was written before is durable in Kafka, in every partition.
async fn everything_is_confirmed(database: &Client) -> Result<()> {
    let written: PgLsn = database
        .query_one("SELECT pg_current_wal_insert_lsn()", &[])
        .await?
        .get(0);
    until("everything to be confirmed", || async {
        let slot = "SELECT 1 FROM pg_replication_slots WHERE slot_name = $1 AND confirmed_flush_lsn >= $2";
        Ok(database.query_opt(slot, &[&SLOT, &written]).await?.map(drop))
    })
    .await
}

/// All of a topic, once there is a record with the key.
pub(crate) async fn records_until(kafka: &Kafka, table: &str, key: &str) -> Result<Vec<Record>> {
    let is_last = |record: &Record| record.key.as_deref() == Some(key.as_bytes());
    kafka
        .topics()
        .read_until(&topic(table), |records| records.iter().any(is_last))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn when_needed_mends_a_lost_slot_on_kafka_and_tells_what_has_gone() -> Result<()> {
    for exactly_once_support in ["requested", "required"] {
        when_needed(exactly_once_support).await?;
    }
    Ok(())
}

async fn when_needed(exactly_once_support: &str) -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    workload::create_tables(&database).await?;
    let rows = "INSERT INTO ledger SELECT n, 1, 1, 'row' FROM generate_series($1::int, $2::int) n";
    database.execute(rows, &[&1, &3]).await?;
    let kafka = Kafka::start().await?;
    let mut capture = Rowcast::capture(&postgres, "public.ledger", &kafka.address())?;
    capture.set("exactly.once.support", exactly_once_support);
    capture.set("snapshot.mode", "when_needed");
    capture.start_streaming().await?;
    capture.terminate().await?;
    let gap = format!("SELECT pg_drop_replication_slot('{SLOT}'); DELETE FROM ledger WHERE id = 1");
    database.batch_execute(&gap).await?;
    database.execute(rows, &[&4, &4]).await?;
    capture.start_streaming().await?;
    database.execute(rows, &[&5, &5]).await?;
    let expected = ["r1", "r2", "r3", "r2", "r3", "r4", "-1", "c5"];
    let records = records_until(&kafka, "ledger", r#"{"id":5}"#).await?;
    ensure!(
        story(&records)? == expected,
        "{exactly_once_support}: {:?}",
        story(&records)?
    );
    // A start without a gap reads nothing.
    capture.kill().await?;
    capture.start_ready().await?;
    database.execute(rows, &[&6, &6]).await?;
    let records = records_until(&kafka, "ledger", r#"{"id":6}"#).await?;
    ensure!(
        story(&records)? == [&expected[..], &["c6"]].concat(),
        "{exactly_once_support}: {:?}",
        story(&records)?
    );
    Ok(())
}

/// `r1 c2 d1 -1`: each record's operation and its key, `-` for a tombstone.
pub(crate) fn story(records: &[Record]) -> Result<Vec<String>> {
    let told = records
        .iter()
        .map(|record| told(record.key.as_deref(), record.value.as_deref()));
    told.collect()
}
