//! What becomes of topics on a broker (compaction, retention, another life, more partitions, aborted transactions), and
//! what clients of gateways see of it: every row that is there, every change once, or `reset`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use rowcast_tests::{
    client::{Connection, Follower, Seen},
    kafka::{Kafka, NewRecord},
    process::{Rowcast, topic},
    until,
};
use serde_json::{Value, json};

/// What a plain producer fills, so that nothing but the broker and the gateway is in play.
const TABLE: &str = "things";

fn version_of(id: i64, version: i64) -> NewRecord {
    row(json!({ "id": id, "version": version }))
}

fn row(row: Value) -> NewRecord {
    NewRecord {
        key: Some(json!({ "id": row["id"] }).to_string().into_bytes()),
        value: Some(row.to_string().into_bytes()),
        ..NewRecord::default()
    }
}

async fn gateway(kafka: &Kafka) -> Result<Rowcast> {
    let mut gateway = Rowcast::gateway(&kafka.address(), &[topic(TABLE)])?;
    gateway.start_ready().await?;
    Ok(gateway)
}

/// Id and version of each change, in order.
fn versions(seen: &Seen) -> Vec<(i64, i64)> {
    let number = |value: &Value| value.as_i64().unwrap_or(-1);
    let changes = seen.changes.iter();
    changes
        .map(|change| (number(&change.key["id"]), number(&change.after["version"])))
        .collect()
}

/// Version by id.
fn rows(seen: &Seen) -> BTreeMap<i64, i64> {
    let number = |value: &Value| value.as_i64().unwrap_or(-1);
    let rows = seen.rows.values();
    rows.map(|row| (number(&row["id"]), number(&row["version"]))).collect()
}

/// The cursor of the change number `count`, from 1, of a client that begins with the table.
async fn cursor_after(gateway: &Rowcast, count: usize, produce: impl AsyncFnOnce() -> Result<()>) -> Result<String> {
    let mut client = Connection::open(gateway.address()).await?;
    client.subscribe(TABLE, true, None).await?;
    client.next_of("live").await?;
    produce().await?;
    let mut cursor = None;
    for _ in 0..count {
        cursor = client.next_of("change").await?["cursor"].as_str().map(str::to_owned);
    }
    cursor.context("changes have cursors")
}

/// Subscribes with the cursor and tells the first thing that is said: `reset`'s reason, or that it is `live` or a change.
async fn answer_to(gateway: &Rowcast, cursor: &str) -> Result<String> {
    let mut client = Connection::open(gateway.address()).await?;
    client.subscribe(TABLE, true, Some(cursor)).await?;
    client.next_of("subscribed").await?;
    let first = client.next().await?.context("the connection stands")?;
    let said = first["reason"].as_str().or(first["type"].as_str());
    Ok(said.context("a message has a type")?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn holes_of_compaction_are_no_gaps_at_any_gateway() -> Result<()> {
    let kafka = Kafka::start_with(&[("log.cleaner.backoff.ms", "100")]).await?;
    let topics = kafka.topics();
    let compacted = [
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.001"),
        // The least that Kafka takes: what lies in the newest segment is never compacted.
        ("segment.bytes", "1048576"),
    ];
    topics.create(&topic(TABLE), 1, &compacted).await?;
    let first = gateway(&kafka).await?;
    let follower = Follower::start(first.address(), TABLE, true);
    follower.live().await?;
    let padding = "x".repeat(3_000);
    let padded = |id: i64, version: i64| row(json!({ "id": id, "version": version, "padding": padding }));
    let written: Vec<_> = (0..1_000).map(|n| padded(n % 20, n)).collect();
    let cursor = cursor_after(&first, 100, async || {
        topics.produce(&topic(TABLE), &written).await.map(drop)
    })
    .await?;
    follower
        .until("every change", |seen| seen.changes.len() >= written.len())
        .await?;
    until("compaction", async || {
        let left = topics.read(&topic(TABLE)).await?;
        // Everything but the newest segment, which holds a third of it.
        Ok((left.len() < written.len() / 2).then_some(()))
    })
    .await?;

    // Has never seen what was compacted away.
    let second = gateway(&kafka).await?;
    let whole = Follower::start(second.address(), TABLE, true);
    whole.live().await?;
    let resumed = resume(&second, &cursor).await?;
    topics.produce(&topic(TABLE), &[version_of(7, 5_000)]).await?;
    for client in [&follower, &whole] {
        client
            .until("the last change", |seen| versions(seen).last() == Some(&(7, 5_000)))
            .await?;
    }
    let latest: BTreeMap<i64, i64> = (980..1_000).map(|n| (n % 20, n)).chain([(7, 5_000)]).collect();
    ensure!(rows(&whole.stop()) == latest, "the new gateway's rows");
    let seen = follower.stop();
    ensure!(seen.resets.is_empty() && rows(&seen) == latest && seen.changes.len() == written.len() + 1);
    let newest: BTreeMap<i64, i64> = resumed.iter().copied().collect();
    ensure!(
        resumed.len() < 900,
        "nothing was compacted away behind the cursor: {}",
        resumed.len()
    );
    ensure!(
        newest == (980..1_000).map(|n| (n % 20, n)).collect(),
        "resumed: {resumed:?}"
    );
    ensure!(
        resumed.is_sorted_by_key(|(_, version)| *version),
        "resumed: {resumed:?}"
    );
    Ok(())
}

/// Id and version of all changes from the cursor until `live`.
async fn resume(gateway: &Rowcast, cursor: &str) -> Result<Vec<(i64, i64)>> {
    let mut client = Connection::open(gateway.address()).await?;
    client.subscribe(TABLE, true, Some(cursor)).await?;
    let mut changes = Vec::new();
    while let Some(message) = client.next().await? {
        match message["type"].as_str() {
            Some("change") => {
                let number = |name: &str| message["after"][name].as_i64().context("a number");
                changes.push((number("id")?, number("version")?));
            }
            Some("live") => return Ok(changes),
            Some("subscribed" | "schema") => {}
            _ => anyhow::bail!("not a change: {message:.200}"),
        }
    }
    anyhow::bail!("the connection ended")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_retention_has_passed_is_reset_and_given_the_rows_that_are_left() -> Result<()> {
    let kafka = Kafka::start_with(&[("log.retention.check.interval.ms", "100")]).await?;
    let topics = kafka.topics();
    topics.create(&topic(TABLE), 1, &[]).await?;
    let mut first = gateway(&kafka).await?;
    let follower = Follower::start(first.address(), TABLE, true);
    follower.live().await?;
    let old: Vec<_> = (0..10).map(|id| version_of(id, 1)).collect();
    let cursor = cursor_after(&first, 3, async || topics.produce(&topic(TABLE), &old).await.map(drop)).await?;
    follower.until("all rows", |seen| seen.rows.len() == 10).await?;
    ensure!(
        answer_to(&first, &cursor).await? == "change",
        "the cursor is good while its place is kept"
    );

    kafka.alter_topic(&topic(TABLE), "retention.ms=1").await?;
    until("retention", async || {
        let reach = topics.offsets(&topic(TABLE)).await?;
        Ok((reach[0].earliest == 10).then_some(()))
    })
    .await?;
    kafka.alter_topic(&topic(TABLE), "retention.ms=-1").await?;
    let new: Vec<_> = (100..105).map(|id| version_of(id, 1)).collect();
    topics.produce(&topic(TABLE), &new).await?;
    // Who was there all the time has missed nothing.
    follower.until("the new rows", |seen| seen.changes.len() == 15).await?;
    ensure!(follower.stop().resets.is_empty());

    let second = gateway(&kafka).await?;
    // Looks at the topic anew; what retention took is still in its files.
    first.kill().await?;
    first.start_ready().await?;
    for gateway in [&second, &first] {
        until("the cursor to be out of range", async || {
            Ok((answer_to(gateway, &cursor).await? == "expired").then_some(()))
        })
        .await?;
        let late = Follower::start(gateway.address(), TABLE, true);
        late.live().await?;
        ensure!(rows(&late.stop()) == (100..105).map(|id| (id, 1)).collect());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_deleted_and_made_again_resets_every_client() -> Result<()> {
    let kafka = Kafka::start().await?;
    let topics = kafka.topics();
    topics.create(&topic(TABLE), 1, &[]).await?;
    let first = gateway(&kafka).await?;
    let follower = Follower::start(first.address(), TABLE, true);
    follower.live().await?;
    let old: Vec<_> = (0..10).map(|id| version_of(id, 1)).collect();
    let cursor = cursor_after(&first, 3, async || topics.produce(&topic(TABLE), &old).await.map(drop)).await?;
    topics.delete(&topic(TABLE)).await?;
    topics.create(&topic(TABLE), 1, &[]).await?;
    // As many records as before, so that offsets alone would be good.
    let new: Vec<_> = (100..110).map(|id| version_of(id, 2)).collect();
    topics.produce(&topic(TABLE), &new).await?;
    let wanted: BTreeMap<i64, i64> = (100..110).map(|id| (id, 2)).collect();
    follower
        .until("the rows of the new topic, and no others", |seen| rows(seen) == wanted)
        .await?;
    let resets = follower.stop().resets;
    ensure!(resets.len() == 1, "{resets:?}");
    for gateway in [&first, &gateway(&kafka).await?] {
        let said = answer_to(gateway, &cursor).await?;
        ensure!(said == "other_epoch", "{said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_are_added_to_a_foreign_topic_are_served() -> Result<()> {
    let kafka = Kafka::start().await?;
    let topics = kafka.topics();
    topics.create(&topic(TABLE), 1, &[]).await?;
    let first = gateway(&kafka).await?;
    let follower = Follower::start(first.address(), TABLE, true);
    follower.live().await?;
    let cursor = cursor_after(&first, 1, async || {
        topics.produce(&topic(TABLE), &[version_of(1, 1)]).await.map(drop)
    })
    .await?;
    kafka
        .kafka_topics(&["--alter", "--partitions", "3", "--topic", &topic(TABLE)])
        .await?;
    let spread: Vec<_> = (0..30)
        .map(|n| NewRecord {
            partition: Some(n % 3),
            ..version_of(i64::from(10 + n), 1)
        })
        .collect();
    topics.produce(&topic(TABLE), &spread).await?;
    follower.until("every row", |seen| seen.rows.len() == 31).await?;
    let seen = follower.stop();
    ensure!(
        seen.resets.is_empty() && seen.changes.len() == 31,
        "{:?}",
        versions(&seen)
    );
    // A cursor of one partition is good at a gateway that knows three.
    let second = gateway(&kafka).await?;
    for gateway in [&first, &second] {
        let mut resumed: Vec<i64> = resume(gateway, &cursor).await?.into_iter().map(|(id, _)| id).collect();
        resumed.sort_unstable();
        ensure!(resumed == (10..40).collect::<Vec<i64>>(), "{resumed:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_aborted_transaction_wrote_is_never_seen() -> Result<()> {
    let kafka = Kafka::start().await?;
    let topics = kafka.topics();
    topics.create(&topic(TABLE), 1, &[]).await?;
    let first = gateway(&kafka).await?;
    let follower = Follower::start(first.address(), TABLE, true);
    follower.live().await?;
    let rounds = [(1, true), (2, false), (3, true), (4, false)];
    for (version, commits) in rounds {
        let records: Vec<_> = (0..5).map(|id| version_of(id, version)).collect();
        topics.produce_in_transaction(&topic(TABLE), &records, commits).await?;
    }
    topics.produce(&topic(TABLE), &[version_of(100, 5)]).await?;
    ensure!(
        topics.read_uncommitted(&topic(TABLE)).await?.len() == 21,
        "the aborted records are in the topic"
    );
    let second = gateway(&kafka).await?;
    let late = Follower::start(second.address(), TABLE, true);
    late.live().await?;
    follower.until("the last change", |seen| seen.rows.len() == 6).await?;
    let wanted: BTreeMap<i64, i64> = (0..5).map(|id| (id, 3)).chain([(100, 5)]).collect();
    let seen = follower.stop();
    ensure!(rows(&seen) == wanted && rows(&late.stop()) == wanted);
    let of = |version| (0..5).map(move |id| (id, version));
    ensure!(versions(&seen) == of(1).chain(of(3)).chain([(100, 5)]).collect::<Vec<_>>());
    Ok(())
}
