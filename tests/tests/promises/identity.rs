//! A server that is not the one the log was filled from, or not any more, is refused: LSNs mean nothing there.
//! (T04, T12; invariant I11: fail loudly, skip nothing.)

use anyhow::Result;
use rowcast_tests::{
    changes::LogRecord,
    checker,
    client::Follower,
    postgres::{Postgres, Version},
    process::Rowcast,
    workload,
};

/// A server with a table, a captured row in it, and Rowcast running on it.
async fn captured_row(version: Version) -> Result<(Postgres, Rowcast)> {
    let postgres = Postgres::start(version)?;
    let database = postgres.connect().await?;
    workload::create_tables(&database).await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.start_ready().await?;
    insert(&postgres, &rowcast, 1).await?;
    Ok((postgres, rowcast))
}

/// Inserts a row and waits until a client has it.
async fn insert(postgres: &Postgres, rowcast: &Rowcast, id: i64) -> Result<()> {
    let follower = Follower::start(rowcast.address(), "ledger", true);
    postgres
        .connect()
        .await?
        .execute("INSERT INTO ledger VALUES ($1, 1, 1, 'row')", &[&id])
        .await?;
    follower.row(id).await
}

/// Nothing may reach the log from another history. A row is shown as soon as PostgreSQL has sent it, and a stop may come
/// before its transaction's end has: that one record is cut at the next start, to come again.
async fn nothing_was_added(rowcast: &Rowcast, before: &[LogRecord]) -> Result<()> {
    let after = checker::log_of(rowcast, "ledger").await?;
    assert!(after.len() <= before.len() && after.len() + 1 >= before.len());
    for (after, before) in after.iter().zip(before) {
        assert_eq!((after.offset, &after.key), (before.offset, &before.key));
    }
    Ok(())
}

crate::on_every_postgres!(
    a_server_restored_from_an_older_backup_is_refused,
    a_server_restored_that_wrote_on_beyond_the_log_is_refused,
    another_cluster_at_the_same_address_is_refused
);

/// T04: to resume beyond the server's WAL is no error for PostgreSQL: it would silently skip what is written there next.
async fn a_server_restored_from_an_older_backup_is_refused(version: Version) -> Result<()> {
    let (mut postgres, mut rowcast) = captured_row(version).await?;
    postgres.back_up("yesterday")?;
    rowcast.ready().await?;
    for id in 2..50 {
        insert(&postgres, &rowcast, id).await?;
    }
    rowcast.terminate().await?;
    let before = checker::log_of(&rowcast, "ledger").await?;

    postgres.restore("yesterday")?;
    rowcast.start().await?;
    let reason = rowcast.refused(|reason| reason.contains("behind the log")).await?;
    assert!(
        reason.contains("new snapshot"),
        "the refusal must say what to do: {reason}"
    );
    postgres
        .connect()
        .await?
        .execute("INSERT INTO ledger VALUES (1000, 1, 1, 'in the other history')", &[])
        .await?;
    rowcast.kill().await?;
    nothing_was_added(&rowcast, &before).await?;
    Ok(())
}

/// The same timeline, and WAL beyond all that the log knows: the transactions that stand where ours stood look like ours.
async fn a_server_restored_that_wrote_on_beyond_the_log_is_refused(version: Version) -> Result<()> {
    let (mut postgres, mut rowcast) = captured_row(version).await?;
    postgres.back_up("yesterday")?;
    rowcast.ready().await?;
    for id in 2..10 {
        insert(&postgres, &rowcast, id).await?;
    }
    rowcast.terminate().await?;
    let before = checker::log_of(&rowcast, "ledger").await?;
    let end = wal_end(&postgres).await?;

    postgres.restore("yesterday")?;
    let database = postgres.connect().await?;
    let mut id = 1000_i64;
    while wal_end(&postgres).await? <= end + 10_000 {
        database
            .execute("INSERT INTO ledger VALUES ($1, 1, 1, 'in the other history')", &[&id])
            .await?;
        id += 1;
    }
    let confirmed = confirmed(&postgres).await?;
    for _ in 0..2 {
        rowcast.start().await?;
        let reason = rowcast.refused(|reason| reason.contains("another history")).await?;
        assert!(
            reason.contains("new snapshot"),
            "the refusal must say what to do: {reason}"
        );
        rowcast.terminate().await?;
    }
    nothing_was_added(&rowcast, &before).await?;
    assert_eq!(
        self::confirmed(&postgres).await?,
        confirmed,
        "nothing may be confirmed to it"
    );
    Ok(())
}

/// Bytes of WAL that the server has written since its beginning.
async fn wal_end(postgres: &Postgres) -> Result<i64> {
    let statement = "SELECT (pg_current_wal_insert_lsn() - '0/0')::int8";
    Ok(postgres.connect().await?.query_one(statement, &[]).await?.get(0))
}

/// How far the slot is confirmed.
async fn confirmed(postgres: &Postgres) -> Result<String> {
    let statement = "SELECT confirmed_flush_lsn::text FROM pg_replication_slots";
    Ok(postgres.connect().await?.query_one(statement, &[]).await?.get(0))
}

/// T12: the same LSN, another content.
async fn another_cluster_at_the_same_address_is_refused(version: Version) -> Result<()> {
    let (mut postgres, mut rowcast) = captured_row(version).await?;
    rowcast.terminate().await?;
    let before = checker::log_of(&rowcast, "ledger").await?;

    postgres.replace_by_new()?;
    workload::create_tables(&postgres.connect().await?).await?;
    rowcast.start().await?;
    let reason = rowcast
        .refused(|reason| reason.contains("another PostgreSQL cluster"))
        .await?;
    assert!(reason.contains("system identifier"), "{reason}");
    let slots = postgres
        .connect()
        .await?
        .query("SELECT 1 FROM pg_replication_slots", &[])
        .await?;
    assert!(slots.is_empty(), "a refused server is left as it was found");
    rowcast.kill().await?;
    nothing_was_added(&rowcast, &before).await
}
