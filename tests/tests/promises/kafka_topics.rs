//! Topics on Kafka are made as Kafka Connect makes them: `topic.creation.*`, or the broker's own settings; and filled to as
//! many partitions as they had at the beginning.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use rowcast_tests::{
    client::Follower,
    kafka::Kafka,
    oracle,
    postgres::{Postgres, Version},
    process::{Rowcast, topic},
    random::Random,
    workload::{self, Load, TABLES},
};

use crate::kafka::same_for_each_key;

const ORDERS: &str = "CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE orders_log (id int PRIMARY KEY);
    CREATE TABLE plain (id int PRIMARY KEY);
    INSERT INTO orders VALUES (1); INSERT INTO orders_log VALUES (1); INSERT INTO plain VALUES (1)";
const INCLUDE_LIST: &str = "public.orders,public.orders_log,public.plain";

/// What `kafka-topics --describe` says of a topic, in its first line.
async fn described(kafka: &Kafka, table: &str) -> Result<String> {
    let said = kafka.kafka_topics(&["--describe", "--topic", &topic(table)]).await?;
    Ok(said.lines().next().context("a line of each topic")?.to_owned())
}

async fn holds_records(kafka: &Kafka, table: &str) -> Result<()> {
    let read = kafka
        .topics()
        .read_until(&topic(table), |records| !records.is_empty())
        .await;
    read.with_context(|| table.to_owned()).map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_made_with_the_partitions_and_settings_of_its_group() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    postgres.connect().await?.batch_execute(ORDERS).await?;
    let kafka = Kafka::start_with(&[("num.partitions", "2")]).await?;
    let mut capture = Rowcast::capture(&postgres, INCLUDE_LIST, &kafka.address())?;
    for (property, value) in [
        ("topic.creation.groups", "logs,orders"),
        ("topic.creation.default.partitions", "-1"),
        ("topic.creation.default.replication.factor", "-1"),
        ("topic.creation.default.cleanup.policy", "compact"),
        ("topic.creation.logs.include", r"shop\.public\..*_log"),
        ("topic.creation.logs.retention.ms", "86400000"),
        ("topic.creation.logs.partitions", "5"),
        ("topic.creation.orders.include", r"shop\.public\.orders.*"),
        ("topic.creation.orders.partitions", "3"),
        ("topic.creation.orders.replication.factor", "1"),
        ("topic.creation.orders.min.insync.replicas", "1"),
    ] {
        capture.set(property, value);
    }
    capture.start_streaming().await?;
    for (table, partitions, configuration) in [
        ("orders", 3, "min.insync.replicas=1"),
        ("orders_log", 5, "retention.ms=86400000"),
        ("plain", 2, "cleanup.policy=compact"),
    ] {
        let said = described(&kafka, table).await?;
        ensure!(said.contains(&format!("PartitionCount: {partitions}\t")), "{said}");
        ensure!(said.contains("ReplicationFactor: 1\t"), "{said}");
        ensure!(said.contains(configuration), "{said}");
        let others = ["retention.ms=86400000", "cleanup.policy=compact"];
        let others = others.into_iter().filter(|other| *other != configuration);
        for other in others {
            ensure!(!said.contains(other), "{table} has what is another group's: {said}");
        }
        holds_records(&kafka, table).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_off_topics_are_the_brokers_to_make() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    postgres.connect().await?.batch_execute(ORDERS).await?;
    let mut kafka = Kafka::start_with(&[("num.partitions", "2"), ("auto.create.topics.enable", "false")]).await?;
    let mut capture = Rowcast::capture(&postgres, "public.orders", &kafka.address())?;
    capture.set("topic.creation.enable", "false");
    capture.start().await?;
    capture
        .unready(|reason| {
            reason.contains("shop.public.orders does not exist") && reason.contains("auto.create.topics.enable")
        })
        .await?;
    capture.kill().await?;
    kafka.stop().await?;
    kafka.set("auto.create.topics.enable", "true");
    kafka.restart().await?;
    capture.start_ready().await?;
    holds_records(&kafka, "orders").await?;
    ensure!(described(&kafka, "orders").await?.contains("PartitionCount: 2\t"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_given_more_partitions_keeps_the_order_of_each_key() -> Result<()> {
    let mut random = Random::from_environment("a_topic_that_is_given_more_partitions_keeps_the_order_of_each_key");
    let postgres = Postgres::start(Version::Installed)?;
    let database = workload::watched_tables(&postgres).await?;
    let kafka = Kafka::start().await?;
    let mut capture = Rowcast::capture(&postgres, &workload::include_list(), &kafka.address())?;
    capture.set("topic.creation.default.partitions", "2");
    capture.set("topic.creation.default.replication.factor", "1");
    capture.start_streaming().await?;
    let mut gateway = Rowcast::gateway(&kafka.address(), &TABLES.map(topic))?;
    gateway.start_ready().await?;
    let followers = workload::follow_tables_live(gateway.address()).await?;

    let load = Load::start(postgres.port(), 2, &mut random);
    for (wrote, partitions) in [(20, "5"), (60, "7")] {
        load.wrote(wrote).await?;
        for table in TABLES {
            let alter = ["--alter", "--partitions", partitions, "--topic", &topic(table)];
            kafka.kafka_topics(&alter).await?;
        }
        capture.kill().await?;
        capture.start_ready().await?;
    }
    load.stop().await?;
    workload::write_marker(&database, -1).await?;
    let warning = capture.logged(|line| line.contains("was given more partitions") && line.contains("\"filled\":2"));
    warning.await?;
    for (table, follower) in followers {
        let committed = oracle::changes(&database, table).await?;
        follower
            .until("every change", |seen| seen.changes.len() >= committed.len())
            .await?;
        let seen = follower.stop();
        ensure!(
            seen.resets.is_empty(),
            "a client of {table} was reset: {:?}",
            seen.resets
        );
        same_for_each_key("the client", &seen.changes, &committed).with_context(|| table.to_owned())?;
        ensure!(kafka.topics().partitions(&topic(table))?.len() == 7);
        let mut places = BTreeMap::new();
        for record in kafka.topics().read(&topic(table)).await? {
            let place = *places.entry(record.key.clone()).or_insert(record.partition);
            ensure!(
                place == record.partition,
                "changes of {:?} lie in partitions {place} and {}",
                record.key.as_deref().map(String::from_utf8_lossy),
                record.partition
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_log_says_that_it_makes_topics_its_own_way() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    postgres.connect().await?.batch_execute(ORDERS).await?;
    let mut rowcast = Rowcast::new(&postgres, "public.orders")?;
    rowcast.set("topic.creation.default.partitions", "3");
    rowcast.set("topic.creation.default.replication.factor", "-1");
    rowcast.start_ready().await?;
    let warning = rowcast.logged(|line| line.contains("topic.creation.* is ignored"));
    warning.await?;
    let follower = Follower::start(rowcast.address(), "orders", true);
    follower.row(1).await?;
    ensure!(rowcast.tail("orders").await?.len() == 1);
    Ok(())
}
