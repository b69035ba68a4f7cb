//! `snapshot.*`: what is read before the stream, in which order, and what a second snapshot means for a log that is not
//! empty. (T51 to T53: what Debezium loses between the slot's position and a new snapshot, ours tells.)

use anyhow::Result;
use rowcast_tests::{
    changes::fold,
    checker,
    client::Follower,
    oracle,
    postgres::{Postgres, Version},
    process::{Rowcast, SLOT},
    random::Random,
    until,
    workload::{self, Load, TABLES, write_marker},
};
use serde_json::Value;
use tokio_postgres::Client;

crate::on_every_postgres!(
    always_reads_again_after_every_change_and_repeats_none,
    when_needed_mends_a_lost_slot_and_tells_what_has_gone,
    initial_only_makes_neither_slot_nor_publication,
);

/// `r1 c2 d1 -1`: each record's operation and its key, `-` for a tombstone.
async fn story(rowcast: &Rowcast, table: &str) -> Result<Vec<String>> {
    let records = rowcast.tail(table).await?;
    let bytes = |text: &Value| text.as_str().map(|text| text.as_bytes().to_vec());
    let told = records
        .iter()
        .map(|record| told(bytes(&record["key"]).as_deref(), bytes(&record["value"]).as_deref()));
    told.collect()
}

/// A record of it.
pub(crate) fn told(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<String> {
    let key: Value = serde_json::from_slice(key.unwrap_or(b"{}"))?;
    let value: Value = serde_json::from_slice(value.unwrap_or(b"{}"))?;
    Ok(format!("{}{}", value["op"].as_str().unwrap_or("-"), key["id"]))
}

/// `source.snapshot` and a column of each record that is a row.
async fn rows(rowcast: &Rowcast, table: &str, column: &str) -> Result<Vec<(String, String)>> {
    let mut rows = Vec::new();
    for record in rowcast.tail(table).await? {
        let value: Value = serde_json::from_str(record["value"].as_str().unwrap_or("{}"))?;
        let marker = value["source"]["snapshot"].as_str().unwrap_or_default().to_owned();
        rows.push((marker, value["after"][column].to_string()));
    }
    Ok(rows)
}

async fn insert(database: &Client, ids: &[i64]) -> Result<()> {
    for id in ids {
        let statement = format!("INSERT INTO ledger VALUES ({id}, 1, 1, 'row')");
        database.batch_execute(&statement).await?;
    }
    Ok(())
}

async fn count(database: &Client, query: &str) -> Result<i64> {
    Ok(database.query_one(query, &[]).await?.get(0))
}

/// A server with both tables, and three rows in one.
async fn three_rows(version: Version) -> Result<(Postgres, Client)> {
    let postgres = Postgres::start(version)?;
    let database = postgres.connect().await?;
    workload::create_tables(&database).await?;
    insert(&database, &[1, 2, 3]).await?;
    Ok((postgres, database))
}

async fn always_reads_again_after_every_change_and_repeats_none(version: Version) -> Result<()> {
    let (postgres, database) = three_rows(version).await?;
    let mut rowcast = Rowcast::new(&postgres, "public.ledger")?;
    rowcast.set("snapshot.mode", "always");
    rowcast.start_ready().await?;
    let follower = Follower::start(rowcast.address(), "ledger", true);
    follower.row(3).await?;
    rowcast.terminate().await?;
    database
        .batch_execute("DELETE FROM ledger WHERE id = 1; UPDATE ledger SET seq = 2 WHERE id = 2")
        .await?;
    insert(&database, &[4]).await?;
    rowcast.start_ready().await?;
    insert(&database, &[5]).await?;
    follower.row(5).await?;
    let first = ["r1", "r2", "r3", "d1", "-1", "u2", "c4"];
    // In the order of the table's file: the update put row 2 behind row 3.
    let again = ["r3", "r2", "r4", "c5"];
    assert_eq!(story(&rowcast, "ledger").await?, [&first[..], &again[..]].concat());

    // A reconnection is no start.
    database
        .batch_execute("SELECT pg_terminate_backend(pid) FROM pg_stat_replication")
        .await?;
    insert(&database, &[6]).await?;
    follower.row(6).await?;
    assert_eq!(story(&rowcast, "ledger").await?.len(), first.len() + again.len() + 1);
    assert_eq!(count(&database, "SELECT count(*) FROM pg_replication_slots").await?, 1);
    // The client was never told to begin anew, and shows the table.
    let seen = follower.stop();
    assert_eq!(seen.resets, [""; 0]);
    checker::same_rows("the client", &seen.rows, &oracle::select(&database, "ledger").await?)
}

/// The seam under load: what was streamed is exactly what was committed, and snapshots change nothing of where it ends.
#[tokio::test(flavor = "multi_thread")]
async fn snapshots_at_every_start_leave_the_stream_whole() -> Result<()> {
    let mut random = Random::from_environment("snapshots_at_every_start_leave_the_stream_whole");
    let postgres = Postgres::start(Version::Installed)?;
    let database = workload::watched_tables(&postgres).await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.set("snapshot.mode", "always");
    rowcast.start_ready().await?;
    let load = Load::start(postgres.port(), 4, &mut random);
    for round in 0..4 {
        load.wrote(150).await?;
        match round % 2 {
            0 => drop(rowcast.terminate().await?),
            _ => rowcast.kill().await?,
        }
        load.wrote(100).await?;
        rowcast.start().await?;
    }
    load.stop().await?;
    rowcast.ready().await?;
    write_marker(&database, -1).await?;
    for table in TABLES {
        let follower = Follower::start(rowcast.address(), table, true);
        follower.row(-1).await?;
        let log = checker::changes_of(&checker::log_of(&rowcast, table).await?);
        let snapshot_rows = log.iter().filter(|change| change.op == "r").count();
        assert!(snapshot_rows > 0, "{table} was never read again");
        let streamed: Vec<_> = log.iter().filter(|change| change.op != "r").cloned().collect();
        checker::log_is_what_was_committed(&streamed, &oracle::changes(&database, table).await?)?;
        checker::same_rows("the log", &fold(&log), &oracle::select(&database, table).await?)?;
    }
    Ok(())
}

async fn when_needed_mends_a_lost_slot_and_tells_what_has_gone(version: Version) -> Result<()> {
    let (postgres, database) = three_rows(version).await?;
    let mut rowcast = Rowcast::new(&postgres, "public.ledger")?;
    rowcast.start_ready().await?;
    let follower = Follower::start(rowcast.address(), "ledger", true);
    follower.row(3).await?;
    rowcast.terminate().await?;
    database
        .batch_execute(&format!(
            "SELECT pg_drop_replication_slot('{SLOT}'); DELETE FROM ledger WHERE id = 1"
        ))
        .await?;
    insert(&database, &[4]).await?;
    rowcast.start().await?;
    rowcast.refused(|reason| reason.contains("does not exist")).await?;
    rowcast.terminate().await?;

    rowcast.set("snapshot.mode", "when_needed");
    rowcast.start_ready().await?;
    follower.row(4).await?;
    insert(&database, &[5]).await?;
    follower.row(5).await?;
    let expected = ["r1", "r2", "r3", "r2", "r3", "r4", "-1", "c5"];
    assert_eq!(story(&rowcast, "ledger").await?, expected);

    // The same while it streams: nobody can tell when the slot will go.
    database
        .batch_execute(&format!(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{SLOT}'"
        ))
        .await?;
    until("the slot to be free and gone", || async {
        let dropped = database
            .execute(&format!("SELECT pg_drop_replication_slot('{SLOT}')"), &[])
            .await;
        Ok(dropped.ok())
    })
    .await
    .ok();
    database.batch_execute("DELETE FROM ledger WHERE id = 5").await?;
    insert(&database, &[6]).await?;
    let table = oracle::select(&database, "ledger").await?;
    follower.until("the table", |seen| seen.rows == table).await?;
    assert_eq!(follower.stop().resets, [""; 0]);
    // Nothing of it comes back: a start without a gap takes no snapshot.
    let before = story(&rowcast, "ledger").await?;
    rowcast.terminate().await?;
    rowcast.start_ready().await?;
    insert(&database, &[7]).await?;
    until("the last row", || async {
        let now = story(&rowcast, "ledger").await?;
        Ok((now.last().map(String::as_str) == Some("c7")).then_some(now))
    })
    .await
    .map(|now| assert_eq!(now.len(), before.len() + 1))
}

async fn initial_only_makes_neither_slot_nor_publication(version: Version) -> Result<()> {
    let (postgres, database) = three_rows(version).await?;
    let mut rowcast = Rowcast::new(&postgres, "public.ledger")?;
    rowcast.set("snapshot.mode", "initial_only");
    for _ in 0..2 {
        rowcast.start_ready().await?;
        rowcast.logged(|line| line.contains("asks for no stream")).await?;
        assert_eq!(story(&rowcast, "ledger").await?, ["r1", "r2", "r3"]);
        rowcast.terminate().await?;
        database.batch_execute("DELETE FROM ledger WHERE id = 1").await?;
    }
    assert_eq!(rows(&rowcast, "ledger", "id").await?[2].0, "last");
    assert_eq!(count(&database, "SELECT count(*) FROM pg_replication_slots").await?, 0);
    assert_eq!(count(&database, "SELECT count(*) FROM pg_publication").await?, 0);

    // The same at every start, by flags: rows that have gone meanwhile are told.
    rowcast.set("snapshot.mode", "configuration_based");
    rowcast.set("snapshot.mode.configuration.based.snapshot.data", "true");
    rowcast.start_ready().await?;
    until("the second snapshot", || async {
        let told = story(&rowcast, "ledger").await?;
        Ok((told.len() > 3).then_some(told))
    })
    .await
    .map(|told| assert_eq!(told, ["r1", "r2", "r3", "r2", "r3", "-1"]))?;
    assert_eq!(count(&database, "SELECT count(*) FROM pg_replication_slots").await?, 0);
    Ok(())
}

/// `snapshot.locking.mode=shared` does not wait for ever for somebody who alters a table. (Without a slot: making one waits
/// for them in any mode.)
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_be_locked_in_time_is_told_and_tried_again() -> Result<()> {
    let (postgres, database) = three_rows(Version::Installed).await?;
    let mut rowcast = Rowcast::new(&postgres, "public.ledger")?;
    for (property, value) in [
        ("snapshot.mode", "initial_only"),
        ("snapshot.isolation.mode", "repeatable_read"),
        ("snapshot.locking.mode", "shared"),
        ("snapshot.lock.timeout.ms", "200"),
        ("snapshot.delay.ms", "1"),
    ] {
        rowcast.set(property, value);
    }
    database
        .batch_execute("BEGIN; LOCK TABLE ledger IN ACCESS EXCLUSIVE MODE")
        .await?;
    rowcast.start().await?;
    rowcast.logged(|line| line.contains("snapshot.delay.ms asks")).await?;
    rowcast
        .logged(|line| line.contains("could not be locked within 200 ms"))
        .await?;
    database.batch_execute("COMMIT").await?;
    rowcast.ready().await?;
    rowcast.logged(|line| line.contains("asks for no stream")).await?;
    assert_eq!(story(&rowcast, "ledger").await?, ["r1", "r2", "r3"]);
    Ok(())
}

/// Tables, statements, columns and order: what is asked for is read, and the stream is none the poorer.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_reads_what_it_is_asked_for() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    database
        .batch_execute(
            "CREATE TABLE a (id int PRIMARY KEY, secret text, note text); INSERT INTO a VALUES (1, 's', 'x'), (2, 's', 'y'); \
             CREATE TABLE b (LIKE a INCLUDING ALL); INSERT INTO b SELECT n, 's', 'note' FROM generate_series(1, 9) n; \
             CREATE TABLE c (LIKE a INCLUDING ALL); INSERT INTO c VALUES (1, 's', 'z'); \
             CREATE TABLE d (LIKE a INCLUDING ALL); ALTER TABLE a REPLICA IDENTITY FULL; ANALYZE",
        )
        .await?;
    let mut rowcast = Rowcast::new(&postgres, "public.[a-d]")?;
    for (property, value) in [
        ("snapshot.include.collection.list", r"public\.(a|b|d)"),
        ("snapshot.tables.order.by.row.count", "descending"),
        ("snapshot.select.statement.overrides", "public.b"),
        (
            "snapshot.select.statement.overrides.public.b",
            "SELECT upper(note) AS note, id FROM b WHERE id > 7 ORDER BY id DESC;",
        ),
        ("column.exclude.list", r"public\.[a-c]\.secret,public\.c\.id"),
    ] {
        rowcast.set(property, value);
    }
    rowcast.start_ready().await?;
    database
        .batch_execute(
            "INSERT INTO c VALUES (2, 's', 'streamed'); INSERT INTO d VALUES (1, 'kept', 'n'); \
             UPDATE a SET note = 'changed' WHERE id = 1; DELETE FROM a WHERE id = 2",
        )
        .await?;
    let follower = Follower::start(rowcast.address(), "d", true);
    follower.row(1).await?;
    let text = |marker: &str, value: &str| (marker.to_owned(), value.to_owned());
    assert_eq!(
        rows(&rowcast, "b", "note").await?,
        [text("first", "\"NOTE\""), text("last_in_data_collection", "\"NOTE\"")]
    );
    assert_eq!(story(&rowcast, "b").await?, ["r9", "r8"]);
    assert_eq!(rows(&rowcast, "c", "note").await?, [text("false", "\"streamed\"")]);
    let a = rows(&rowcast, "a", "note").await?;
    // The last table is empty, so the last row lies in the one before it.
    assert_eq!(
        a[..2],
        [text("first_in_data_collection", "\"x\""), text("last", "\"y\"")]
    );
    assert_eq!(story(&rowcast, "a").await?, ["r1", "r2", "u1", "d2", "-2"]);
    for record in rowcast.tail("a").await? {
        assert!(!record.to_string().contains("secret"), "{record}");
    }
    assert_eq!(rows(&rowcast, "d", "secret").await?, [text("false", "\"kept\"")]);
    // A key column that is left out is in the key all the same.
    assert_eq!(story(&rowcast, "c").await?, ["c2"]);
    Ok(())
}

/// As in Debezium its older rows do not come, and its page would look whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_captured_later_is_named_as_not_read() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = workload::watched_tables(&postgres).await?;
    workload::fill(&database, 3).await?;
    let mut rowcast = Rowcast::new(&postgres, "public.ledger")?;
    rowcast.start_ready().await?;
    Follower::start(rowcast.address(), "ledger", true).row(3).await?;
    rowcast.terminate().await?;
    rowcast.set("table.include.list", "public.ledger,public.journal");
    rowcast.start_ready().await?;
    let named = rowcast.logged(|line| line.contains("table public.journal not captured when"));
    named.await?;
    workload::write_marker(&database, -4).await?;
    let journal = Follower::start(rowcast.address(), "journal", true);
    journal.row(-4).await?;
    assert_eq!(journal.stop().rows.len(), 1);
    Ok(())
}
