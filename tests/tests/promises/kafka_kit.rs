//! The kit's Apache Kafka and Debezium: real ones, and what we say about topics is what others see in them.

use std::{collections::BTreeSet, process::Stdio};

use anyhow::{Context, Result};
use rowcast_tests::{
    PATIENCE,
    debezium::Debezium,
    kafka::{Kafka, NewRecord, Record, readers},
    postgres::{Postgres, Version},
    process::{connector, topic},
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::TcpStream,
};

fn numbered(number: usize) -> NewRecord {
    NewRecord {
        key: Some(format!("key {number}").into_bytes()),
        value: Some(format!("value {number}").into_bytes()),
        ..NewRecord::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_comes_back_with_what_it_acknowledged() -> Result<()> {
    let started = std::time::Instant::now();
    let mut kafka = Kafka::start().await?;
    eprintln!("started in {} ms", started.elapsed().as_millis());
    let topics = kafka.topics();
    topics.create("kept", 3, &[("cleanup.policy", "compact")]).await?;
    let mut acknowledged = BTreeSet::new();
    for life in 0..3 {
        let records: Vec<_> = (life * 1000..life * 1000 + 500).map(numbered).collect();
        acknowledged.extend(topics.produce("kept", &records).await?);
        kafka.kill_dash_nine().await?;
        let started = std::time::Instant::now();
        kafka.restart().await?;
        eprintln!("restarted in {} ms", started.elapsed().as_millis());
        let read = topics.read("kept").await?;
        let places: BTreeSet<_> = read.iter().map(|record| (record.partition, record.offset)).collect();
        eprintln!("read after {} ms", started.elapsed().as_millis());
        assert_eq!(places, acknowledged);
    }
    let ends: i64 = topics
        .offsets("kept")
        .await?
        .iter()
        .map(|partition| partition.end)
        .sum();
    assert_eq!(ends as usize, acknowledged.len());
    kafka.stop().await?;
    kafka.replace_by_new()?;
    kafka.restart().await?;
    assert!(topics.partitions("kept")?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_broker_answers_nobody_and_then_everybody() -> Result<()> {
    let kafka = Kafka::start().await?;
    let topics = kafka.topics();
    topics.create("waiting", 1, &[]).await?;
    kafka.pause()?;
    let produced = tokio::spawn(async move { topics.produce("waiting", &[numbered(1)]).await });
    kafka.resume()?;
    assert_eq!(produced.await??, [(0, 0)]);
    let topics = kafka.topics();
    topics.add_partitions("waiting", 4).await?;
    assert_eq!(topics.partitions("waiting")?, [0, 1, 2, 3]);
    topics.delete("waiting").await?;
    assert!(topics.partitions("waiting")?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_client_sees_what_ours_sees() -> Result<()> {
    let kafka = Kafka::start().await?;
    let topics = kafka.topics();
    topics.create("seen", 2, &[]).await?;
    let text = |text: &str| Some(text.as_bytes().to_vec());
    let header = |name: &str, value| (name.to_owned(), value);
    let odd = [
        (None, None, vec![]),
        (None, text("without a key"), vec![header("a", None)]),
        (
            text("tombstone"),
            None,
            vec![header("b", text("")), header("b", text("twice"))],
        ),
        (text(""), text(""), vec![]),
        (
            text("größe"),
            Some((0..=255).collect()),
            vec![header("ключ", Some(vec![0, 255]))],
        ),
    ];
    let mut records: Vec<_> = (0..300).map(numbered).collect();
    for (number, (key, value, headers)) in odd.into_iter().enumerate() {
        records.push(NewRecord {
            partition: (key.is_none()).then_some(1),
            timestamp_ms: Some(1_700_000_000_000 + number as i64),
            key,
            value,
            headers,
        });
    }
    topics.produce("seen", &records).await?;
    let ours = topics.read("seen").await?;
    assert_eq!(ours.len(), records.len());
    assert_eq!(readers::kafkajs(&kafka.address(), "seen").await?, ours);
    let tombstone = ours.iter().find(|record| record.key == text("tombstone"));
    let tombstone = tombstone.context("the tombstone was read")?;
    assert_eq!((tombstone.value.clone(), tombstone.headers.len()), (None, 2));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn debezium_fills_a_topic_from_postgresql() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let client = postgres.connect().await?;
    client
        .batch_execute("CREATE TABLE orders (id int PRIMARY KEY, status text); INSERT INTO orders VALUES (1, 'new')")
        .await?;
    let kafka = Kafka::start().await?;
    let started = std::time::Instant::now();
    let mut debezium = Debezium::start(&kafka).await?;
    eprintln!("Connect started in {} ms", started.elapsed().as_millis());
    debezium
        .register("orders", &connector(&postgres, "public.orders"))
        .await?;
    eprintln!("snapshot after {} ms", started.elapsed().as_millis());
    client
        .batch_execute("UPDATE orders SET status = 'shipped'; DELETE FROM orders")
        .await?;
    let records = kafka
        .topics()
        .read_until(&topic("orders"), |records| records.len() >= 4)
        .await?;
    let ops: Vec<_> = records.iter().map(op).collect::<Result<_>>()?;
    assert_eq!(ops, ["r", "u", "d", "tombstone"]);
    debezium.stop().await?;
    Ok(())
}

/// Debezium's `op`, out of the envelope with its schema.
fn op(record: &Record) -> Result<String> {
    let Some(value) = &record.value else {
        return Ok("tombstone".to_owned());
    };
    let value: Value = serde_json::from_slice(value)?;
    Ok(value["payload"]["op"]
        .as_str()
        .context("an envelope has an op")?
        .to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_dies_with_the_program_that_started_it() -> Result<()> {
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_private-kafka"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = program.stdout.take().context("its output was piped")?;
    let line = BufReader::new(stdout).lines().next_line().await?;
    let place: Value = serde_json::from_str(&line.context("it says where its broker is")?)?;
    let mut connection = TcpStream::connect(place["address"].as_str().context("an address")?).await?;
    program.kill().await?;
    // An open connection ends at the moment when the broker does.
    let ended = tokio::time::timeout(PATIENCE, connection.read(&mut [0])).await?;
    assert!(ended.is_err() || ended.is_ok_and(|bytes| bytes == 0));
    Ok(())
}
