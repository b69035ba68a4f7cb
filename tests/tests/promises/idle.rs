//! The slot never fills the disk: PostgreSQL may forget its WAL while only other databases write. (T03)

use anyhow::Result;
use rowcast_tests::{
    postgres::{Postgres, Version},
    process::{Rowcast, SLOT},
    repetitions, until, workload,
};

/// What the slot may hold back in the end: two WAL segments of 16 MB, since a confirmed position lies within one.
const RETAINED_BYTES_MAX: i64 = 32 * 1024 * 1024;

crate::on_every_postgres!(an_idle_slot_lets_other_databases_wal_go);

async fn an_idle_slot_lets_other_databases_wal_go(version: Version) -> Result<()> {
    let postgres = Postgres::start(version)?;
    let database = postgres.connect().await?;
    workload::create_tables(&database).await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.start_ready().await?;

    let other = postgres.connect_to("postgres").await?;
    other.batch_execute("CREATE TABLE foreign_load (text text)").await?;
    // 8 MB of WAL each.
    for _ in 0..repetitions(16, 128) {
        other
            .batch_execute("INSERT INTO foreign_load SELECT repeat('x', 1000) FROM generate_series(1, 8000)")
            .await?;
    }
    let written: i64 = other
        .query_one("SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint", &[])
        .await?
        .get(0);
    let retained = format!(
        "SELECT (pg_current_wal_lsn() - confirmed_flush_lsn)::bigint, (pg_current_wal_lsn() - restart_lsn)::bigint \
         FROM pg_replication_slots WHERE slot_name = '{SLOT}'"
    );
    let kept = until("the slot to let go of the other database's WAL", || async {
        // Moves restart_lsn by the running-transactions record that it writes, as PostgreSQL itself does every 15 s.
        other.batch_execute("CHECKPOINT").await?;
        let row = database.query_one(&retained, &[]).await?;
        let (unconfirmed, kept): (i64, i64) = (row.get(0), row.get(1));
        Ok((unconfirmed <= RETAINED_BYTES_MAX && kept <= RETAINED_BYTES_MAX).then_some(kept))
    })
    .await?;
    eprintln!(
        "{} MB of WAL written in all, {} MB held by the slot",
        written >> 20,
        kept >> 20
    );

    // And what is idle is not asleep.
    database
        .batch_execute("INSERT INTO ledger VALUES (1, 1, 1, 'after')")
        .await?;
    until("the row to be in the log", || async {
        Ok((rowcast.tail("ledger").await?.len() == 1).then_some(()))
    })
    .await
}

/// Confirming while idle writes to the log; it must not write for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_at_rest_leaves_the_log_at_rest() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    workload::create_tables(&database).await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.start_ready().await?;
    let size = |metrics: &str| -> Option<u64> {
        let line = metrics
            .lines()
            .find(|line| line.starts_with("rowcast_log_size_bytes"))?;
        line.split(' ').nth(1)?.parse::<f64>().ok().map(|bytes| bytes as u64)
    };
    until("the slot to be confirmed to the end", || async {
        let sql = format!("SELECT confirmed_flush_lsn >= pg_current_wal_insert_lsn() - 1024 FROM pg_replication_slots WHERE slot_name = '{SLOT}'");
        Ok(database.query_one(&sql, &[]).await?.get::<_, Option<bool>>(0).unwrap_or(false).then_some(()))
    })
    .await?;
    let before = size(&rowcast.metrics().await?);
    assert!(before.is_some(), "the metric rowcast_log_size_bytes is missing");
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let grown = size(&rowcast.metrics().await?)
        .unwrap_or_default()
        .saturating_sub(before.unwrap_or_default());
    assert!(grown < 4096, "the log grew by {grown} bytes in 5 s without a change");
    Ok(())
}
