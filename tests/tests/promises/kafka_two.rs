//! Two connectors on one Kafka: what one has not committed yet hides nothing from the other.

use anyhow::{Context, Result, ensure};
use rowcast_tests::{
    kafka::Kafka,
    oracle,
    postgres::{Postgres, Version},
    process::Rowcast,
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
