//! What would lose data, or break the owner's database, is refused by a sentence that says what to do.
//! (T05, T18, T19, T21, T28; invariant I11.)

use anyhow::Result;
use rowcast_tests::{
    client::Follower,
    oracle,
    postgres::{Postgres, Version},
    process::{Rowcast, SLOT},
    until, workload,
};
use tokio_postgres::Client;

/// A server with the tables, Rowcast stopped in order after it has captured one row, and a connection.
async fn stopped_after_one_row(version: Version, settings: &[(&str, &str)]) -> Result<(Postgres, Rowcast, Client)> {
    let postgres = Postgres::start_with(version, settings)?;
    let database = postgres.connect().await?;
    workload::create_tables(&database).await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.start_ready().await?;
    let follower = Follower::start(rowcast.address(), "ledger", true);
    database
        .execute("INSERT INTO ledger VALUES (1, 1, 1, 'row')", &[])
        .await?;
    follower.row(1).await?;
    rowcast.terminate().await?;
    Ok((postgres, rowcast, database))
}

crate::on_every_postgres!(
    a_slot_ahead_of_the_log_is_refused,
    a_slot_that_was_dropped_is_refused,
    a_slot_that_was_dropped_and_made_again_is_refused,
    an_invalidated_slot_is_refused,
    a_missing_publication_is_refused,
);

/// T05: a log that was lost, or restored from an older copy, must not be filled on from where the slot stands.
async fn a_slot_ahead_of_the_log_is_refused(version: Version) -> Result<()> {
    let (_postgres, mut rowcast, _database) = stopped_after_one_row(version, &[]).await?;
    std::fs::rename(rowcast.data_dir(), rowcast.data_dir().with_extension("lost"))?;
    rowcast.start().await?;
    let reason = rowcast.refused(|reason| reason.contains("exists already")).await?;
    assert!(reason.contains(SLOT) && reason.contains("data directory"), "{reason}");
    Ok(())
}

/// T05 again: only the table's own topic was lost, and the bookkeeping still says that it was filled.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_lost_is_refused() -> Result<()> {
    let (_postgres, mut rowcast, database) = stopped_after_one_row(Version::Installed, &[]).await?;
    std::fs::remove_dir_all(rowcast.data_dir().join("shop.public.ledger-0"))?;
    database
        .execute("INSERT INTO ledger VALUES (2, 1, 1, 'later')", &[])
        .await?;
    rowcast.start().await?;
    rowcast.refused(|_| true).await?;
    Ok(())
}

/// Although another topic goes further than the slot: its rows would just be missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_moved_aside_is_refused_until_it_is_back() -> Result<()> {
    let (_postgres, mut rowcast, database) = stopped_after_one_row(Version::Installed, &[]).await?;
    rowcast.start_ready().await?;
    let follower = Follower::start(rowcast.address(), "journal", true);
    database
        .execute("INSERT INTO journal VALUES (1, 1, 1, 'later')", &[])
        .await?;
    follower.row(1).await?;
    rowcast.kill().await?;
    let folder = rowcast.data_dir().join("shop.public.ledger-0");
    let aside = rowcast.data_dir().with_extension("aside");
    std::fs::rename(&folder, &aside)?;
    for _ in 0..2 {
        rowcast.start().await?;
        let reason = rowcast.refused(|reason| reason.contains("shop.public.ledger")).await?;
        assert!(reason.contains("backup") && reason.contains("start anew"), "{reason}");
        rowcast.terminate().await?;
    }
    std::fs::rename(&aside, &folder)?;
    rowcast.start_ready().await?;
    Follower::start(rowcast.address(), "ledger", true).row(1).await
}

/// Each way out that the refusals of lost topics name ends with the table, also for who watches all the time.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_of_the_log_comes_again_by_each_way_out() -> Result<()> {
    let (read_again, begin_anew, state_lost) = (0, 1, 2);
    for case in [read_again, begin_anew, state_lost] {
        let (_postgres, mut rowcast, database) = stopped_after_one_row(Version::Installed, &[]).await?;
        rowcast.start_ready().await?;
        let follower = Follower::start(rowcast.address(), "ledger", true);
        follower.row(1).await?;
        rowcast.terminate().await?;
        let (lost, refusal) = match case == state_lost {
            true => ("__rowcast_offsets-0", "drop it and start anew"),
            false => ("shop.public.ledger-0", "snapshot.mode=when_needed"),
        };
        std::fs::remove_dir_all(rowcast.data_dir().join(lost))?;
        let changes = "DELETE FROM ledger; INSERT INTO ledger VALUES (2, 1, 1, 'later')";
        database.batch_execute(changes).await?;
        rowcast.start().await?;
        rowcast.refused(|reason| reason.contains(refusal)).await?;
        rowcast.terminate().await?;
        match case == read_again {
            true => rowcast.set("snapshot.mode", "when_needed"),
            false => drop_slot(&database).await?,
        }
        if case == begin_anew {
            std::fs::remove_dir_all(rowcast.data_dir())?;
        }
        rowcast.start_ready().await?;
        let insert = "INSERT INTO ledger VALUES (3, 1, 1, 'last')";
        database.batch_execute(insert).await?;
        let table = oracle::select(&database, "ledger").await?;
        let late = Follower::start(rowcast.address(), "ledger", true);
        for follower in [&follower, &late] {
            follower.until("the table", |seen| seen.rows == table).await?;
        }
        // Nothing is amiss any more.
        rowcast.terminate().await?;
        rowcast.set("snapshot.mode", "initial");
        rowcast.start_ready().await?;
    }
    Ok(())
}

/// T21.
async fn a_slot_that_was_dropped_is_refused(version: Version) -> Result<()> {
    let (_postgres, mut rowcast, database) = stopped_after_one_row(version, &[]).await?;
    drop_slot(&database).await?;
    database
        .execute("INSERT INTO ledger VALUES (2, 1, 1, 'nobody keeps this')", &[])
        .await?;
    rowcast.start().await?;
    let reason = rowcast.refused(|reason| reason.contains("does not exist")).await?;
    assert!(reason.contains(SLOT), "{reason}");
    let slots = database.query("SELECT 1 FROM pg_replication_slots", &[]).await?;
    assert!(slots.is_empty(), "a new slot would hide the hole");
    Ok(())
}

/// T21: the name is the same, what was written in between is gone.
async fn a_slot_that_was_dropped_and_made_again_is_refused(version: Version) -> Result<()> {
    let (_postgres, mut rowcast, database) = stopped_after_one_row(version, &[]).await?;
    drop_slot(&database).await?;
    database
        .execute("INSERT INTO ledger VALUES (2, 1, 1, 'nobody keeps this')", &[])
        .await?;
    database
        .execute("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", &[&SLOT])
        .await?;
    rowcast.start().await?;
    rowcast.refused(|reason| reason.contains(SLOT)).await?;
    Ok(())
}

/// T18: PostgreSQL removed WAL that the slot still needed.
async fn an_invalidated_slot_is_refused(version: Version) -> Result<()> {
    let settings = [
        ("max_slot_wal_keep_size", "1MB"),
        ("max_wal_size", "32MB"),
        ("min_wal_size", "32MB"),
    ];
    let (_postgres, mut rowcast, database) = stopped_after_one_row(version, &settings).await?;
    database.batch_execute("CREATE TABLE noise (text text)").await?;
    until("the slot to be lost", || async {
        database
            .batch_execute("INSERT INTO noise SELECT repeat('x', 1000) FROM generate_series(1, 20000)")
            .await?;
        database.batch_execute("SELECT pg_switch_wal()").await?;
        database.batch_execute("CHECKPOINT").await?;
        let row = database
            .query_one("SELECT wal_status = 'lost' FROM pg_replication_slots", &[])
            .await?;
        Ok(row.get::<_, bool>(0).then_some(()))
    })
    .await?;
    rowcast.start().await?;
    let reason = rowcast.refused(|reason| reason.contains(SLOT)).await?;
    assert!(reason.contains("lost") || reason.contains("invalidated"), "{reason}");
    assert!(reason.contains("snapshot"), "the refusal must say what to do: {reason}");
    Ok(())
}

/// T19: PostgreSQL 18 can give up slots that nobody reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_timed_out_is_refused() -> Result<()> {
    let settings = [("idle_replication_slot_timeout", "1s")];
    let (_postgres, mut rowcast, database) = stopped_after_one_row(Version::Newest, &settings).await?;
    until("the slot to time out", || async {
        database.batch_execute("CHECKPOINT").await?;
        let row = database
            .query_one("SELECT invalidation_reason FROM pg_replication_slots", &[])
            .await?;
        Ok(row.get::<_, Option<String>>(0))
    })
    .await?;
    rowcast.start().await?;
    let reason = rowcast.refused(|reason| reason.contains(SLOT)).await?;
    assert!(reason.contains("idle") || reason.contains("invalidated"), "{reason}");
    Ok(())
}

/// PostgreSQL 18 itself says nothing: it would deliver no change at all.
async fn a_missing_publication_is_refused(version: Version) -> Result<()> {
    let (_postgres, mut rowcast, database) = stopped_after_one_row(version, &[]).await?;
    database.batch_execute("DROP PUBLICATION dbz_publication").await?;
    rowcast.set("publication.autocreate.mode", "disabled");
    rowcast.start().await?;
    let reason = rowcast.refused(|reason| reason.contains("dbz_publication")).await?;
    assert!(reason.contains("CREATE PUBLICATION"), "{reason}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_logical_wal_is_refused() -> Result<()> {
    let postgres = Postgres::start_with(Version::Installed, &[("wal_level", "replica")])?;
    workload::create_tables(&postgres.connect().await?).await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.start().await?;
    let reason = rowcast.refused(|reason| reason.contains("wal_level")).await?;
    assert!(reason.contains("ALTER SYSTEM"), "{reason}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_replicate_is_refused() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    workload::create_tables(&database).await?;
    database
        .batch_execute("CREATE ROLE reader LOGIN PASSWORD 'reader-5ecret'; GRANT SELECT ON ledger TO reader")
        .await?;
    let mut rowcast = Rowcast::new(&postgres, "public.ledger")?;
    rowcast.set("database.user", "reader");
    rowcast.set("database.password", "reader-5ecret");
    rowcast.start().await?;
    let reason = rowcast.refused(|reason| reason.contains("REPLICATION")).await?;
    assert!(!reason.contains("5ecret"), "{reason}");
    Ok(())
}

/// To publish a table without a key would make PostgreSQL refuse every UPDATE and DELETE that its owner makes.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_key_is_not_published() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    database
        .batch_execute("CREATE TABLE keyless (text text); INSERT INTO keyless VALUES ('a')")
        .await?;
    let mut rowcast = Rowcast::new(&postgres, "public.keyless")?;
    rowcast.start().await?;
    let reason = rowcast.refused(|reason| reason.contains("public.keyless")).await?;
    assert!(
        reason.contains("REPLICA IDENTITY") || reason.contains("primary key"),
        "{reason}"
    );
    database.batch_execute("UPDATE keyless SET text = 'b'").await?;
    let slots = database.query("SELECT 1 FROM pg_replication_slots", &[]).await?;
    assert!(slots.is_empty(), "a refused start leaves no slot behind");
    Ok(())
}

/// I10: what was refused, logged or measured never shows the password.
#[tokio::test(flavor = "multi_thread")]
async fn the_password_is_in_no_log_line_no_health_page_and_no_metric() -> Result<()> {
    let (mut postgres, mut rowcast, _database) = stopped_after_one_row(Version::Installed, &[]).await?;
    rowcast.argument("--log-level");
    rowcast.argument("debug");
    rowcast.start_ready().await?;
    let metrics = rowcast.metrics().await?;
    postgres.stop(rowcast::demo::server::StopMode::Immediate)?;
    let health = rowcast.unready(|_| true).await?;
    for (where_to, text) in [("log", rowcast.log_text()), ("metrics", metrics), ("health", health)] {
        assert!(
            !text.contains(rowcast_tests::postgres::PASSWORD),
            "the password is in the {where_to}"
        );
    }
    Ok(())
}

async fn drop_slot(database: &Client) -> Result<()> {
    until("the slot to be free", || async {
        let free = database
            .query(
                "SELECT 1 FROM pg_replication_slots WHERE slot_name = $1 AND NOT active",
                &[&SLOT],
            )
            .await?;
        Ok((!free.is_empty()).then_some(()))
    })
    .await?;
    database
        .execute("SELECT pg_drop_replication_slot($1)", &[&SLOT])
        .await?;
    Ok(())
}
