//! Two captures on one Kafka: what one has not committed yet hides nothing from the other connector; one that reads its
//! tables is left in peace by the other capture of its connector.

use anyhow::{Context, Result, ensure};
use rowcast_tests::{
    changes::fold,
    checker,
    kafka::Kafka,
    oracle,
    postgres::{Postgres, Version},
    process::{Rowcast, topic},
    random::Random,
    repetitions, until,
    workload::{self, Load, TABLES},
};
use tokio_postgres::Client;

use crate::kafka::{changes, same_for_each_key};

/// A `read_committed` reader stops before the first open transaction, whoever wrote behind it. A connector that found its
/// state so, as it was minutes ago, refused to go on: PostgreSQL had been told of more than it knew of.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_of_one_connector_does_not_hold_up_another() -> Result<()> {
    let mut random = Random::from_environment("an_open_transaction_of_one_connector");
    let postgres = Postgres::start(Version::Installed)?;
    let database = workload::watched_tables(&postgres).await?;
    let kafka = Kafka::start().await?;
    let mut frozen = Rowcast::capture(&postgres, &workload::include_list(), &kafka.address())?;
    frozen.set("exactly.once.support", "required");
    frozen.start_ready().await?;
    let mut other = Rowcast::capture(&postgres, &workload::include_list(), &kafka.address())?;
    for (property, value) in [
        ("topic.prefix", "other"),
        ("slot.name", "other"),
        ("publication.name", "other"),
    ] {
        other.set(property, value);
    }
    other.start_ready().await?;
    for capture in [&frozen, &other] {
        capture.logged(|line| line.contains("\"streaming\"")).await?;
    }
    let load = Load::start(postgres.port(), 2, &mut random);
    load.wrote(100).await?;
    for _ in 0..repetitions(5, 50) {
        // In the middle of one of its transactions, as often as not.
        frozen.signal("STOP")?;
        for _ in 0..3 {
            confirms_more(&database, "other").await?;
        }
        other.kill().await?;
        other.start_ready().await?;
        frozen.signal("CONT")?;
        confirms_more(&database, "debezium").await?;
    }
    load.stop().await?;
    for table in TABLES {
        let committed = oracle::changes(&database, table).await?;
        let wanted = committed.len() + committed.iter().filter(|change| change.op == "d").count();
        let topic = format!("other.public.{table}");
        let records = kafka
            .topics()
            .read_until(&topic, |records| records.len() >= wanted)
            .await?;
        same_for_each_key("the topic", &changes(&records)?, &committed).with_context(|| topic)?;
    }
    ensure!(other.terminate().await?.success());
    Ok(())
}

/// A slot whose snapshot is still read is not active: the one that stands by took it for a dead capture's, dropped it, and
/// the first went on from the other's slot, thousands of rows short.
#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_comes_while_another_reads_the_tables_stands_by() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = workload::watched_tables(&postgres).await?;
    let rows = "INSERT INTO ledger SELECT n, 1, n, 'as it was' FROM generate_series(1, 100) n";
    database.batch_execute(rows).await?;
    let gate = postgres.connect().await?;
    gate.batch_execute("SELECT pg_advisory_lock(42)").await?;
    let kafka = Kafka::start().await?;
    let mut captures = Vec::new();
    for _ in 0..2 {
        let mut capture = Rowcast::capture(&postgres, &workload::include_list(), &kafka.address())?;
        capture.set("snapshot.select.statement.overrides", "public.ledger");
        capture.set(
            "snapshot.select.statement.overrides.public.ledger",
            "SELECT * FROM ledger WHERE pg_advisory_xact_lock_shared(42) IS NOT NULL",
        );
        captures.push(capture);
    }
    let [first, second] = &mut captures[..] else {
        unreachable!("there are two")
    };
    first.start().await?;
    until("the snapshot to be read", || async {
        let sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
        let waits: i64 = database.query_one(sql, &[]).await?.get(0);
        Ok((waits > 0).then_some(()))
    })
    .await?;
    second.start().await?;
    second
        .unready(|reason| reason.contains("another capture prepares"))
        .await?;
    let changed = "UPDATE ledger SET note = 'changed' WHERE id <= 50";
    database.batch_execute(changed).await?;
    gate.batch_execute("SELECT pg_advisory_unlock(42)").await?;
    first.logged(|line| line.contains("\"streaming\"")).await?;
    second.unready(|reason| reason.contains("in use by")).await?;
    first.kill().await?;
    workload::write_marker(&database, -1).await?;
    second.ready().await?;
    // Of the snapshot, of the update, and the marker.
    let wanted = 100 + 50 + 1;
    let records = kafka
        .topics()
        .read_until(&topic("ledger"), |records| records.len() >= wanted)
        .await?;
    ensure!(records.len() == wanted, "{} records", records.len());
    let shown = fold(&changes(&records)?);
    checker::same_rows("the topic", &shown, &oracle::select(&database, "ledger").await?)
}

/// Waits until the slot's confirmed position has moved.
async fn confirms_more(database: &Client, slot: &str) -> Result<()> {
    let confirmed = async || -> Result<String> {
        let sql = "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1";
        Ok(database.query_one(sql, &[&slot]).await?.get(0))
    };
    let before = confirmed().await?;
    until("a confirmation to PostgreSQL", || async {
        Ok((confirmed().await? != before).then_some(()))
    })
    .await
}
