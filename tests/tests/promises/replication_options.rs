//! Slot, publication and stream, as `slot.*`, `publish.*` and their kin ask for them.

use anyhow::Result;
use rowcast_tests::{
    client::Follower,
    postgres::{Postgres, Version},
    process::{Rowcast, SLOT},
    until, workload,
};
use serde_json::Value;
use tokio_postgres::Client;

async fn server(version: Version) -> Result<(Postgres, Client)> {
    let postgres = Postgres::start(version)?;
    let database = postgres.connect().await?;
    workload::create_tables(&database).await?;
    Ok((postgres, database))
}

async fn insert(database: &Client, id: i64) -> Result<()> {
    let statement = format!("INSERT INTO ledger VALUES ({id}, 1, 1, 'row')");
    Ok(database.batch_execute(&statement).await?)
}

async fn text(database: &Client, query: &str) -> Result<String> {
    let row = database.query_one(query, &[]).await?;
    Ok(row.try_get::<_, Option<String>>(0)?.unwrap_or_default())
}

/// The slot goes with an orderly stop and with no other end; a mode that may read again begins anew by itself.
#[tokio::test(flavor = "multi_thread")]
async fn the_slot_is_dropped_when_the_connector_stops_in_order() -> Result<()> {
    let (postgres, database) = server(Version::Installed).await?;
    insert(&database, 1).await?;
    let slots = "SELECT count(*)::text FROM pg_replication_slots";
    let mut rowcast = Rowcast::new(&postgres, "public.ledger")?;
    rowcast.set("slot.drop.on.stop", "true");
    rowcast.set("snapshot.mode", "when_needed");
    rowcast.start_ready().await?;
    let follower = Follower::start(rowcast.address(), "ledger", true);
    follower.row(1).await?;
    rowcast.kill().await?;
    assert_eq!(text(&database, slots).await?, "1", "a crash is no stop");
    rowcast.start_ready().await?;
    insert(&database, 2).await?;
    follower.row(2).await?;
    rowcast.terminate().await?;
    assert_eq!(text(&database, slots).await?, "0");
    insert(&database, 3).await?;
    rowcast.start_ready().await?;
    follower.row(3).await?;
    assert_eq!(text(&database, slots).await?, "1");
    Ok(())
}

/// A busy slot is waited for as often as `slot.max.retries` says, and for ever without it.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_slot_is_given_up_after_as_many_retries_as_were_asked_for() -> Result<()> {
    let (postgres, database) = server(Version::Installed).await?;
    let mut first = Rowcast::new(&postgres, "public.ledger")?;
    first.start_ready().await?;
    insert(&database, 1).await?;
    Follower::start(first.address(), "ledger", true).row(1).await?;
    let mut second = first.fork()?;
    second.set("slot.max.retries", "2");
    second.set("slot.retry.delay.ms", "50");
    second.start().await?;
    let reason = second.refused(|reason| reason.contains("slot.max.retries")).await?;
    assert!(reason.contains("given up after 2 retries"), "{reason}");
    Ok(())
}

/// A slot is made for standbys where there are such slots, and one that was not is altered; older servers are told of.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_is_kept_over_a_failover_if_asked() -> Result<()> {
    for (version, knows) in [(Version::V17, true), (Version::Newest, true), (Version::V16, false)] {
        let (postgres, database) = server(version).await?;
        let failover = format!("SELECT failover::text FROM pg_replication_slots WHERE slot_name = '{SLOT}'");
        let mut rowcast = Rowcast::new(&postgres, "public.ledger")?;
        rowcast.start_ready().await?;
        insert(&database, 1).await?;
        Follower::start(rowcast.address(), "ledger", true).row(1).await?;
        rowcast.terminate().await?;
        rowcast.set("slot.failover", "true");
        rowcast.start_ready().await?;
        match knows {
            true => assert_eq!(text(&database, &failover).await?, "true", "altered"),
            false => drop(rowcast.logged(|line| line.contains("needs PostgreSQL 17")).await?),
        }
        rowcast.terminate().await?;
        let mut new = Rowcast::new(&postgres, "public.ledger")?;
        new.set("slot.failover", "true");
        new.set("slot.name", "made_so");
        new.start_ready().await?;
        if knows {
            let made = failover.replace(SLOT, "made_so");
            assert_eq!(text(&database, &made).await?, "true");
        }
    }
    Ok(())
}

/// Options reach pgoutput, and the server hears of us as often as it was promised.
#[tokio::test(flavor = "multi_thread")]
async fn the_stream_is_asked_for_as_configured() -> Result<()> {
    // Without a timeout of the server's, only the interval makes us speak.
    let postgres = Postgres::start_with(Version::Installed, &[("wal_sender_timeout", "0")])?;
    let database = postgres.connect().await?;
    workload::create_tables(&database).await?;
    let mut rowcast = Rowcast::new(&postgres, "public.ledger")?;
    rowcast.set("slot.stream.params", "nonsense=1");
    rowcast.start().await?;
    rowcast
        .refused(|reason| reason.contains("unrecognized pgoutput option: nonsense"))
        .await?;
    rowcast.terminate().await?;
    rowcast.set("slot.stream.params", "messages=false");
    rowcast.set("status.update.interval.ms", "100");
    rowcast.start_ready().await?;
    let said = "SELECT reply_time::text FROM pg_stat_replication";
    let mut before = String::new();
    for _ in 0..3 {
        before = until("a status", || async {
            let now = database.query_opt(said, &[]).await?;
            let now = now.and_then(|row| row.get::<_, Option<String>>(0)).unwrap_or_default();
            Ok((!now.is_empty() && now != before).then_some(now))
        })
        .await?;
    }
    insert(&database, 1).await?;
    Follower::start(rowcast.address(), "ledger", true).row(1).await
}

/// A partitioned table comes under its own name, once, in snapshot and stream; its rows do not come without it.
#[tokio::test(flavor = "multi_thread")]
async fn partitions_come_as_their_root_if_asked() -> Result<()> {
    for mode in ["all_tables", "filtered"] {
        let postgres = Postgres::start(Version::Installed)?;
        let database = postgres.connect().await?;
        database
            .batch_execute(
                "CREATE TABLE part (id bigint, kind text, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind); \
                 CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a'); \
                 CREATE TABLE part_b PARTITION OF part FOR VALUES IN ('b'); INSERT INTO part VALUES (1, 'a'), (2, 'b')",
            )
            .await?;
        let mut rowcast = Rowcast::new(&postgres, "public.part.*")?;
        rowcast.set("publish.via.partition.root", "true");
        rowcast.set("publication.autocreate.mode", mode);
        rowcast.start_ready().await?;
        database
            .batch_execute("INSERT INTO part VALUES (3, 'a'); UPDATE part SET kind = 'b' WHERE id = 3")
            .await?;
        let ops = until("the rows", || async {
            let records = rowcast.tail("part").await.unwrap_or_default();
            let op = |record: &Value| {
                let value: Value = serde_json::from_str(record["value"].as_str().unwrap_or("{}")).unwrap_or_default();
                value["op"].as_str().unwrap_or("-").to_owned()
            };
            let ops: Vec<String> = records.iter().map(op).collect();
            Ok((ops.len() >= 6).then_some(ops))
        })
        .await?;
        assert_eq!(ops, ["r", "r", "c", "d", "-", "c"], "{mode}");
        let leaf = rowcast.tail("part_a").await;
        assert!(leaf.is_err() || leaf.is_ok_and(|records| records.is_empty()));
    }
    Ok(())
}

/// Identities are set before anything is published; an older publication is widened; lists may change between starts.
#[tokio::test(flavor = "multi_thread")]
async fn identities_and_publication_follow_the_configuration() -> Result<()> {
    let (postgres, database) = server(Version::Installed).await?;
    database
        .batch_execute("CREATE TABLE keyless (id bigint, note text); CREATE UNIQUE INDEX by_seq ON journal (seq)")
        .await?;
    let mut rowcast = Rowcast::new(&postgres, "public.ledger,public.keyless")?;
    for (property, value) in [
        ("publication.autocreate.mode", "filtered"),
        (
            "replica.identity.autoset.values",
            r"public\.key.*:FULL,public.journal:INDEX by_seq",
        ),
        ("skipped.operations", "t,d"),
    ] {
        rowcast.set(property, value);
    }
    rowcast.start_ready().await?;
    let identity = |table: &str| format!("SELECT relreplident::text FROM pg_class WHERE relname = '{table}'");
    assert_eq!(text(&database, &identity("keyless")).await?, "f");
    assert_eq!(text(&database, &identity("journal")).await?, "d", "it is not captured");
    let publishes = "SELECT concat_ws(' ', pubinsert, pubupdate, pubdelete, pubtruncate) FROM pg_publication";
    assert_eq!(text(&database, publishes).await?, "t t f f");
    let tables = "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_publication_tables";
    assert_eq!(text(&database, tables).await?, "keyless ledger");
    insert(&database, 1).await?;
    let follower = Follower::start(rowcast.address(), "ledger", true);
    follower.row(1).await?;
    rowcast.terminate().await?;

    rowcast.set("table.include.list", "public.ledger,public.journal");
    rowcast.set("skipped.operations", "none");
    rowcast.start_ready().await?;
    // The index needs columns that are NOT NULL: seq is.
    assert_eq!(text(&database, &identity("journal")).await?, "i");
    assert_eq!(text(&database, publishes).await?, "t t t t");
    assert_eq!(text(&database, tables).await?, "journal ledger");
    database.batch_execute("DELETE FROM ledger WHERE id = 1").await?;
    follower.until("the delete", |seen| seen.rows.is_empty()).await?;
    Ok(())
}
