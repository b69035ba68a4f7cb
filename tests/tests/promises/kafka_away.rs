//! Kafka away between the parts: what waits for it says so, and goes on by itself without loss.

use anyhow::Result;
use rowcast_tests::{
    kafka::Kafka,
    oracle,
    postgres::{Postgres, Version},
    process::{Rowcast, topic},
    workload::{self, TABLES},
};

use crate::kafka::{changes, same_for_each_key};

/// A connector asks Kafka for what it knows of itself. No answer is not "nothing is known": that would be a snapshot again,
/// or the refusal of a slot that is its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_kafka_does_not_answer_goes_on_with_its_state() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = workload::watched_tables(&postgres).await?;
    let kafka = Kafka::start().await?;
    let mut first = Rowcast::capture(&postgres, &workload::include_list(), &kafka.address())?;
    first.start_ready().await?;
    workload::write_marker(&database, -1).await?;
    first.logged(|line| line.contains("\"streaming\"")).await?;
    // One that is always about to ask: whoever stands by looks again and again.
    let mut second = Rowcast::capture(&postgres, &workload::include_list(), &kafka.address())?;
    second.start().await?;
    second.unready(|reason| reason.contains("in use by")).await?;
    kafka.pause()?;
    first.kill().await?;
    workload::write_marker(&database, -2).await?;
    second.unready(|reason| reason.contains("did not answer")).await?;
    kafka.resume()?;
    second.ready().await?;
    the_topics_hold_what_was_committed(&kafka, &database).await?;
    let log = second.log_text();
    assert!(
        !log.contains("snapshot is complete"),
        "a snapshot was taken again:\n{log}"
    );
    Ok(())
}

/// Every change once, in each table's topic.
async fn the_topics_hold_what_was_committed(kafka: &Kafka, database: &tokio_postgres::Client) -> Result<()> {
    for table in TABLES {
        let committed = oracle::changes(database, table).await?;
        // Each delete has its tombstone.
        let wanted = committed.len() + committed.iter().filter(|change| change.op == "d").count();
        let records = kafka
            .topics()
            .read_until(&topic(table), |records| records.len() >= wanted)
            .await?;
        same_for_each_key("the topic", &changes(&records)?, &committed)?;
    }
    Ok(())
}
