//! A connector that starts anew on topics that hold rows already: its state is gone, it has another name, Debezium filled them
//! before, its own first snapshot was cut off, or a topic was deleted. Who reads the topics has the table's rows in the end,
//! and each way out that a refusal names leads there.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use rowcast_tests::{
    client::Follower,
    debezium::Debezium,
    kafka::{Kafka, MODES, NewRecord, Record},
    oracle,
    postgres::{Postgres, Version},
    process::{Rowcast, SLOT, connector, topic},
    until, workload,
};
use serde_json::json;
use tokio_postgres::Client;

use crate::kafka_snapshots::{records_until, story};

const ROWS: &str = "INSERT INTO ledger SELECT n, 1, 1, 'row' FROM generate_series($1::int, $2::int) n";

/// One table with three rows, in Kafka by a capture that has stopped, and two who watch them at a gateway.
struct Watched {
    postgres: Postgres,
    database: Client,
    kafka: Kafka,
    capture: Rowcast,
    gateway: Rowcast,
    follower: Follower,
}

impl Watched {
    async fn begin(exactly_once_support: &str) -> Result<Watched> {
        let postgres = Postgres::start(Version::Installed)?;
        let database = postgres.connect().await?;
        workload::create_tables(&database).await?;
        database.execute(ROWS, &[&1, &3]).await?;
        let kafka = Kafka::start().await?;
        let mut capture = Rowcast::capture(&postgres, "public.ledger", &kafka.address())?;
        capture.set("exactly.once.support", exactly_once_support);
        capture.start_streaming().await?;
        let mut gateway = Rowcast::gateway(&kafka.address(), &[topic("ledger")])?;
        gateway.start_ready().await?;
        let follower = Follower::start(gateway.address(), "ledger", true);
        follower.row(3).await?;
        capture.terminate().await?;
        Ok(Watched {
            postgres,
            database,
            kafka,
            capture,
            gateway,
            follower,
        })
    }

    /// A name for the connector, and the properties that it began with, for the server that there is now.
    fn configure(&mut self, name: &str, exactly_once_support: &str) {
        let mut config = connector(&self.postgres, "public.ledger");
        config.insert("exactly.once.support".to_owned(), exactly_once_support.into());
        self.capture.configure(name, config);
    }

    /// The records are these, whoever watches has the table's rows, and so has who comes now.
    async fn ends_as(&self, expected: &[&str], resets: usize) -> Result<()> {
        goes_on(self, 5, expected).await?;
        let table = oracle::select(&self.database, "ledger").await?;
        let late = Follower::start(self.gateway.address(), "ledger", true);
        let mut other = Rowcast::gateway(&self.kafka.address(), &[topic("ledger")])?;
        other.start_ready().await?;
        let elsewhere = Follower::start(other.address(), "ledger", true);
        for follower in [&self.follower, &late, &elsewhere] {
            follower.until("the table", |seen| seen.rows == table).await?;
        }
        self.follower
            .until("no more resets", |seen| seen.resets.len() == resets)
            .await
    }
}

/// What goes on while nobody keeps the changes.
async fn drop_slot_and_change(database: &Client) -> Result<()> {
    let gap = format!("SELECT pg_drop_replication_slot('{SLOT}'); DELETE FROM ledger WHERE id = 1");
    database.batch_execute(&gap).await?;
    database.execute(ROWS, &[&4, &4]).await?;
    Ok(())
}

/// The next row is there, and the topic's records are these in the end.
async fn goes_on(watched: &Watched, row: i32, expected: &[&str]) -> Result<()> {
    watched.database.execute(ROWS, &[&row, &row]).await?;
    let key = json!({ "id": row }).to_string();
    let told = story(&records_until(&watched.kafka, "ledger", &key).await?)?;
    ensure!(told == expected, "{told:?}");
    Ok(())
}

/// The state topic is deleted, and what the refusal says is done: the slot is dropped.
#[tokio::test(flavor = "multi_thread")]
async fn a_connector_whose_state_is_gone_tells_what_has_gone_from_the_tables() -> Result<()> {
    for mode in MODES {
        let mut watched = Watched::begin(mode).await?;
        let state = match mode {
            "required" => "__rowcast_offsets.shop-connector",
            _ => "__rowcast_offsets",
        };
        watched.kafka.topics().delete(state).await?;
        watched.capture.start().await?;
        watched
            .capture
            .refused(|reason| reason.contains("exists already") && reason.contains("drop it and start anew"))
            .await?;
        watched.capture.terminate().await?;
        drop_slot_and_change(&watched.database).await?;
        watched.capture.start_streaming().await?;
        let expected = ["r1", "r2", "r3", "r2", "r3", "r4", "-1", "c5"];
        watched.ends_as(&expected, 0).await?;
        // And goes on as after any other first snapshot.
        watched.capture.kill().await?;
        watched.capture.start_streaming().await?;
        goes_on(&watched, 6, &[&expected[..], &["c6"]].concat()).await?;
    }
    Ok(())
}

/// The slot is gone, and the way out that the refusal names for Kafka is another name: topics and prefix stay.
#[tokio::test(flavor = "multi_thread")]
async fn another_name_on_the_same_topics_tells_what_has_gone_from_the_tables() -> Result<()> {
    for mode in MODES {
        let mut watched = Watched::begin(mode).await?;
        drop_slot_and_change(&watched.database).await?;
        watched.capture.start().await?;
        watched
            .capture
            .refused(|reason| {
                reason.contains("does not exist") && reason.contains("on Kafka: with another connector name)")
            })
            .await?;
        watched.capture.terminate().await?;
        // Rows of another database that somebody routes into the topic are none of ours to bury.
        let foreign = |id: i64, name: &str, database: &str| NewRecord {
            key: Some(json!({ "id": id }).to_string().into_bytes()),
            value: Some(
                json!({ "after": { "id": id }, "source": { "name": name, "db": database }, "op": "c" })
                    .to_string()
                    .into_bytes(),
            ),
            ..NewRecord::default()
        };
        let foreign = [foreign(100, "shop", "another"), foreign(101, "another", "shop")];
        watched.kafka.topics().produce(&topic("ledger"), &foreign).await?;
        watched.configure("another-name", mode);
        watched.capture.start_streaming().await?;
        let expected = ["r1", "r2", "r3", "c100", "c101", "r2", "r3", "r4", "-1", "c5"];
        goes_on(&watched, 5, &expected).await.context(mode)?;
    }
    Ok(())
}

/// A restored copy or another cluster under the same name: the way out is another connector name, and what the old one had
/// more of goes. Its LSNs lie below those in the topic.
#[tokio::test(flavor = "multi_thread")]
async fn another_cluster_under_another_name_tells_what_it_has_not() -> Result<()> {
    for mode in MODES {
        let mut watched = Watched::begin(mode).await?;
        // So that the other one is behind.
        let wal = "SELECT pg_switch_wal(); INSERT INTO journal VALUES (1, 1, 1, 'x'); SELECT pg_switch_wal()";
        watched.database.batch_execute(wal).await?;
        watched.database.execute(ROWS, &[&6, &7]).await?;
        watched.capture.start_streaming().await?;
        watched.follower.row(7).await?;
        watched.capture.terminate().await?;
        watched.postgres = Postgres::start(Version::Installed)?;
        watched.database = watched.postgres.connect().await?;
        workload::create_tables(&watched.database).await?;
        watched.database.execute(ROWS, &[&3, &4]).await?;
        watched.configure("shop-connector", mode);
        watched.capture.start().await?;
        watched
            .capture
            .refused(|reason| {
                reason.contains("another PostgreSQL cluster") && reason.contains("another connector name")
            })
            .await?;
        watched.capture.terminate().await?;
        watched.configure("another-name", mode);
        watched.capture.start_streaming().await?;
        watched.database.execute(ROWS, &[&5, &5]).await?;
        watched.follower.row(5).await?;
        watched
            .database
            .batch_execute("DELETE FROM ledger WHERE id = 3; UPDATE ledger SET seq = 2 WHERE id = 4")
            .await?;
        let table = oracle::select(&watched.database, "ledger").await?;
        watched.follower.until("the table", |seen| seen.rows == table).await?;
        let late = Follower::start(watched.gateway.address(), "ledger", true);
        late.until("the table", |seen| seen.rows == table).await?;
    }
    Ok(())
}

/// Debezium filled the topic, with schemas around keys and rows; Rowcast goes on with it, without.
#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_follows_on_debezium_tells_what_has_gone_from_the_tables() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    workload::create_tables(&database).await?;
    database.execute(ROWS, &[&1, &3]).await?;
    let kafka = Kafka::start().await?;
    let mut debezium = Debezium::start(&kafka).await?;
    debezium
        .register("shop", &connector(&postgres, "public.ledger"))
        .await?;
    let is_read = |records: &[Record]| records.len() == 3;
    kafka.topics().read_until(&topic("ledger"), is_read).await?;
    debezium.stop().await?;
    let mut gateway = Rowcast::gateway(&kafka.address(), &[topic("ledger")])?;
    gateway.start_ready().await?;
    let follower = Follower::start(gateway.address(), "ledger", true);
    follower.row(3).await?;
    let mut capture = Rowcast::capture(&postgres, "public.ledger", &kafka.address())?;
    capture.start().await?;
    capture.refused(|reason| reason.contains("exists already")).await?;
    capture.terminate().await?;
    drop_slot_and_change(&database).await?;
    capture.start_streaming().await?;
    database.execute(ROWS, &[&5, &5]).await?;
    let table = oracle::select(&database, "ledger").await?;
    let late = Follower::start(gateway.address(), "ledger", true);
    for follower in [&follower, &late] {
        follower.until("the table", |seen| seen.rows == table).await?;
    }
    let tombstones = kafka.topics().read(&topic("ledger")).await?;
    let tombstones = tombstones.iter().filter(|record| record.value.is_none()).count();
    ensure!(tombstones == 1, "{tombstones} tombstones");
    Ok(())
}

/// Rows that a first snapshot has shown before it was cut off, and that go before it is begun again.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_snapshot_that_was_cut_off_shows_no_row_that_has_gone_since() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    // So large that they are on their way before the snapshot ends.
    database
        .batch_execute(
            "CREATE TABLE a (id int PRIMARY KEY, note text); CREATE TABLE b (id int, note text); ALTER TABLE b REPLICA IDENTITY FULL; CREATE TABLE c (id int PRIMARY KEY); \
             INSERT INTO a SELECT n, repeat('x', 600000) FROM generate_series(1, 8) n; INSERT INTO b TABLE a; INSERT INTO c VALUES (1)",
        )
        .await?;
    let gate = postgres.connect().await?;
    gate.batch_execute("SELECT pg_advisory_lock(42)").await?;
    let kafka = Kafka::start().await?;
    let mut capture = Rowcast::capture(&postgres, "public.a,public.b,public.c", &kafka.address())?;
    capture.set("snapshot.select.statement.overrides", "public.c");
    capture.set(
        "snapshot.select.statement.overrides.public.c",
        "SELECT * FROM c WHERE pg_advisory_xact_lock_shared(42) IS NOT NULL",
    );
    capture.start().await?;
    let some = |records: &[Record]| records.len() >= 4;
    for table in ["a", "b"] {
        let read = kafka.topics().read_until(&topic(table), some).await;
        read.with_context(|| format!("{table}: {}", capture.log_text()))?;
    }
    let mut gateway = Rowcast::gateway(&kafka.address(), &[topic("a")])?;
    gateway.start_ready().await?;
    let follower = Follower::start(gateway.address(), "a", true);
    follower.row(2).await?;
    capture.kill().await?;
    database
        .batch_execute("DELETE FROM a WHERE id <= 2; DELETE FROM b WHERE id <= 2")
        .await?;
    gate.batch_execute("SELECT pg_advisory_unlock(42)").await?;
    capture.start_streaming().await?;
    let table = oracle::select(&database, "a").await?;
    follower.until("the table", |seen| seen.rows == table).await?;
    let late = Follower::start(gateway.address(), "a", true);
    late.until("the table", |seen| seen.rows == table).await?;
    // What has no key cannot be taken back, and nobody had a history with it.
    let records = kafka.topics().read(&topic("b")).await?;
    ensure!(records.len() == 6, "{} rows without a key", records.len());
    Ok(())
}

/// A topic that is deleted, and made again or not, by hand.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_deleted_is_filled_again_where_the_mode_allows_it() -> Result<()> {
    for (mode, is_made) in MODES.into_iter().zip([true, false]) {
        let mut watched = Watched::begin(mode).await?;
        let topics = watched.kafka.topics();
        topics.delete(&topic("ledger")).await?;
        if is_made {
            topics.create(&topic("ledger"), 3, &[]).await?;
        }
        watched
            .database
            .batch_execute("DELETE FROM ledger WHERE id = 1")
            .await?;
        watched.database.execute(ROWS, &[&4, &4]).await?;
        watched.capture.start().await?;
        let names_ways_out = |reason: &str| {
            reason.contains("shop.public.ledger") && reason.contains("when_needed") && reason.contains("another name")
        };
        watched.capture.refused(names_ways_out).await?;
        watched.capture.terminate().await?;
        watched.capture.set("snapshot.mode", "when_needed");
        watched.capture.start_streaming().await?;
        watched.database.execute(ROWS, &[&5, &5]).await?;
        records_until(&watched.kafka, "ledger", r#"{"id":5}"#).await?;
        let mut records = topics.read(&topic("ledger")).await?;
        let partitions = if is_made { 3 } else { 1 };
        ensure!(topics.partitions(&topic("ledger"))?.len() == partitions);
        let filled: BTreeSet<i32> = records.iter().map(|record| record.partition).collect();
        ensure!(filled.len() > 1 || !is_made, "only partitions {filled:?} are filled");
        // What came before the snapshot's moment, the rows, and what came after; by key, since there may be partitions.
        records.sort_by_key(|record| record.key.clone());
        let expected = ["d1", "-1", "r2", "r3", "c4", "r4", "c5"];
        ensure!(story(&records)? == expected, "{mode}: {:?}", story(&records)?);
        let table = oracle::select(&watched.database, "ledger").await?;
        watched.follower.until("the table", |seen| seen.rows == table).await?;
        // Once is enough, and `initial` is content with the topic as it is now.
        watched.capture.kill().await?;
        watched.capture.set("snapshot.mode", "initial");
        watched.capture.start_streaming().await?;
        watched.database.execute(ROWS, &[&6, &6]).await?;
        records_until(&watched.kafka, "ledger", r#"{"id":6}"#).await?;
        let records = topics.read(&topic("ledger")).await?;
        ensure!(records.len() == expected.len() + 1, "{mode}: {:?}", story(&records)?);
    }
    Ok(())
}

/// The same under the feet of a capture that fills it.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_deleted_while_it_is_filled_is_filled_again() -> Result<()> {
    for mode in MODES {
        let postgres = Postgres::start(Version::Installed)?;
        let database = postgres.connect().await?;
        workload::create_tables(&database).await?;
        database.execute(ROWS, &[&1, &3]).await?;
        // Or the broker makes the topic for the next record, and only the next start finds out.
        let kafka = Kafka::start_with(&[("auto.create.topics.enable", "false")]).await?;
        let mut capture = Rowcast::capture(&postgres, "public.ledger", &kafka.address())?;
        capture.set("exactly.once.support", mode);
        capture.set("snapshot.mode", "when_needed");
        capture.start_streaming().await?;
        database.execute(ROWS, &[&4, &4]).await?;
        records_until(&kafka, "ledger", r#"{"id":4}"#).await?;
        kafka.topics().delete(&topic("ledger")).await?;
        database.execute(ROWS, &[&5, &5]).await?;
        let is_read = |records: &[Record]| records.iter().filter(|record| record.value.is_some()).count() >= 6;
        let records = kafka.topics().read_until(&topic("ledger"), is_read).await;
        let records = records.with_context(|| capture.log_text())?;
        ensure!(
            story(&records)? == ["c5", "r1", "r2", "r3", "r4", "r5"],
            "{mode}: {:?}",
            story(&records)?
        );
    }
    Ok(())
}

/// The other way out: another name, after the slot is dropped.
#[tokio::test(flavor = "multi_thread")]
async fn a_connector_whose_topic_was_deleted_starts_anew_under_another_name() -> Result<()> {
    for mode in MODES {
        let mut watched = Watched::begin(mode).await?;
        watched.kafka.topics().delete(&topic("ledger")).await?;
        drop_slot_and_change(&watched.database).await?;
        watched.configure("another-name", mode);
        watched.capture.start_streaming().await?;
        watched.ends_as(&["r2", "r3", "r4", "c5"], 1).await?;
    }
    Ok(())
}

/// Rows that are owed to a topic are still owed when the snapshot that was to bring them is cut off.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_topic_is_filled_again_although_the_first_attempt_was_killed() -> Result<()> {
    for mode in MODES {
        let mut watched = Watched::begin(mode).await?;
        watched.kafka.topics().delete(&topic("ledger")).await?;
        watched.database.execute(ROWS, &[&4, &4]).await?;
        let locked = watched.postgres.connect().await?;
        locked.batch_execute("SELECT pg_advisory_lock(42)").await?;
        watched.capture.set("snapshot.mode", "when_needed");
        watched
            .capture
            .set("snapshot.select.statement.overrides", "public.ledger");
        watched.capture.set(
            "snapshot.select.statement.overrides.public.ledger",
            "SELECT * FROM ledger WHERE pg_advisory_xact_lock_shared(42) IS NOT NULL",
        );
        watched.capture.start().await?;
        // The change that came before the snapshot is there, so the topic is made and known.
        records_until(&watched.kafka, "ledger", r#"{"id":4}"#).await?;
        until("the table to be read", || async {
            let sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
            let waits: i64 = watched.database.query_one(sql, &[]).await?.get(0);
            Ok((waits > 0).then_some(()))
        })
        .await?;
        watched.capture.kill().await?;
        locked.batch_execute("SELECT pg_advisory_unlock(42)").await?;
        watched.capture.start_streaming().await?;
        watched.ends_as(&["c4", "r1", "r2", "r3", "r4", "c5"], 1).await?;
    }
    Ok(())
}
