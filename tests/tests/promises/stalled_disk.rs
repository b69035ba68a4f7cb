//! A disk that does not answer for a while: nothing is confirmed that it does not hold (T02), and PostgreSQL is answered
//! meanwhile, so that the connection stands when the disk comes back (T16, T17).

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rowcast_tests::{
    checker::{self, Began},
    postgres::{Postgres, Version},
    process::{Rowcast, SLOT, signal},
    repetitions,
    stall::{FOR_EVER, SYNC, Stall, WRITE},
    until,
    workload::{self},
};
use tokio_postgres::Client;

/// PostgreSQL gives a connection up after so long without an answer. Short, so that a stall of several is soon over; long
/// enough that a machine that is busy otherwise does not reach it by itself.
const TIMEOUT: (&str, &str) = ("wal_sender_timeout", "3s");
/// Seconds of a stall: several timeouts.
const STALL: (usize, usize) = (10, 60);

/// Answers of ours to wait for, before we say that an answer confirms nothing.
const ANSWERS: usize = 5;

/// T02: a commit whose sync is not done is not confirmed, whatever the server asks for; a power cut then, and PostgreSQL
/// still has it.
#[tokio::test(flavor = "multi_thread")]
async fn no_answer_to_a_keepalive_confirms_what_is_not_durable() -> Result<()> {
    let (postgres, database, mut rowcast) = started(&[("wal_sender_timeout", "2s")], false).await?;
    let followers = workload::follow_tables(rowcast.address());
    database.batch_execute("CREATE TABLE other (n int)").await?;
    insert(&database, 1, 1).await?;
    followers[0].1.row(1).await?;
    until("the first row to be confirmed", || async {
        Ok((confirmed_beyond(&database, "pg_current_wal_flush_lsn() - 256").await?).then_some(()))
    })
    .await?;
    rowcast.back_up("what the disk holds")?;
    let before: String = database
        .query_one("SELECT pg_current_wal_insert_lsn()::text", &[])
        .await?
        .get(0);

    let stall = Stall::begin(rowcast.process_id()?, SYNC, FOR_EVER).await?;
    insert(&database, 2, 2).await?;
    followers[0].1.row(2).await?;
    // The walsender now does what it does before a shutdown: it asks to be answered until all is confirmed.
    let walsender = Walsender::of(&database).await?;
    signal(u32::try_from(walsender.pid)?, "USR2")?;
    for _ in 0..ANSWERS {
        // Not captured: only its WAL is news.
        database.batch_execute("INSERT INTO other VALUES (1)").await?;
        walsender.heard(&database).await?;
    }
    ensure!(
        !confirmed_beyond(&database, &format!("'{before}'::pg_lsn")).await?,
        "the commit was confirmed before it was durable"
    );

    // The power cut: all that was not synced is gone.
    stall.kill(&mut rowcast).await?;
    rowcast.restore("what the disk holds")?;
    rowcast.start_ready().await?;
    checker::everything_agrees(&postgres.connect().await?, &rowcast, followers, -1, Began::Empty).await
}

/// T16: the disk takes no write for many times `wal_sender_timeout`.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_no_write_costs_no_connection() -> Result<()> {
    outlasts(WRITE, false).await
}

/// The same where one core is all there is: whoever waits for the disk must not be who answers PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_no_write_costs_no_connection_on_one_core() -> Result<()> {
    outlasts(WRITE, true).await
}

/// And when it takes writes but does not sync them.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_syncs_nothing_costs_no_connection() -> Result<()> {
    outlasts(SYNC, false).await
}

async fn outlasts(call: &str, one_core: bool) -> Result<()> {
    let (postgres, database, rowcast) = started(&[TIMEOUT], one_core).await?;
    let followers = workload::follow_tables(rowcast.address());
    insert(&database, 1, 1).await?;
    followers[0].1.row(1).await?;
    let walsender = Walsender::of(&database).await?;
    let stall = Stall::begin(rowcast.process_id()?, call, FOR_EVER).await?;
    // More than the sockets' buffers hold: the walsender itself is held up by us.
    let rows = 4_000;
    let writer = postgres.connect().await?;
    insert(&writer, 2, rows).await?;
    walsender.heard_after(&database, repetitions(STALL.0, STALL.1)).await?;
    stall.end().await?;
    checker::everything_agrees(&database, &rowcast, followers, -1, Began::Empty).await?;
    walsender.is_the_same(&database).await
}

/// T17: a transaction that takes many times the timeout, because every write is slow.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_takes_a_huge_transaction_on_one_connection() -> Result<()> {
    let (_postgres, database, rowcast) = started(&[TIMEOUT], false).await?;
    let followers = workload::follow_tables(rowcast.address());
    insert(&database, 1, 1).await?;
    followers[0].1.row(1).await?;
    let walsender = Walsender::of(&database).await?;
    let stall = Stall::begin(rowcast.process_id()?, WRITE, Duration::from_millis(300)).await?;
    insert(&database, 2, repetitions(5_000, 50_000) as i64).await?;
    let began = std::time::Instant::now();
    checker::everything_agrees(&database, &rowcast, followers, -1, Began::Empty).await?;
    let took = began.elapsed();
    eprintln!("the transaction took {:.1} s", took.as_secs_f64());
    ensure!(took > Duration::from_secs(9), "{took:?} is not slow");
    stall.end().await?;
    walsender.is_the_same(&database).await
}

async fn started(settings: &[(&str, &str)], one_core: bool) -> Result<(Postgres, Client, Rowcast)> {
    let postgres = Postgres::start_with(Version::Installed, settings)?;
    let database = workload::watched_tables(&postgres).await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    if one_core {
        rowcast.on_one_core();
    }
    rowcast.start_ready().await?;
    Ok((postgres, database, rowcast))
}

async fn insert(database: &Client, from: i64, to: i64) -> Result<()> {
    let sql = "INSERT INTO ledger SELECT n, 1, n, repeat('stalled ', 400) FROM generate_series($1::bigint, $2) n";
    database.execute(sql, &[&from, &to]).await?;
    Ok(())
}

/// Whether the slot's confirmed position is beyond an LSN, given in SQL.
async fn confirmed_beyond(database: &Client, lsn: &str) -> Result<bool> {
    let sql = format!("SELECT confirmed_flush_lsn > {lsn} FROM pg_replication_slots WHERE slot_name = '{SLOT}'");
    Ok(database.query_one(&sql, &[]).await?.get(0))
}

/// The server's process that serves us.
struct Walsender {
    pid: i32,
}

impl Walsender {
    async fn of(database: &Client) -> Result<Walsender> {
        let row = database.query_one("SELECT pid FROM pg_stat_replication", &[]).await?;
        Ok(Walsender { pid: row.get(0) })
    }

    async fn is_the_same(&self, database: &Client) -> Result<()> {
        let now = Self::of(database).await.context("nobody serves us any more")?;
        ensure!(now.pid == self.pid, "the connection was lost and made again");
        Ok(())
    }

    /// Waits until an answer of ours has come in.
    async fn heard(&self, database: &Client) -> Result<()> {
        self.heard_after(database, 0).await
    }

    /// Waits until an answer of ours has come in that was sent `seconds` after now, or later.
    async fn heard_after(&self, database: &Client, seconds: usize) -> Result<()> {
        let sql = format!("SELECT (clock_timestamp() + interval '{seconds} s')::text");
        let moment: String = database.query_one(&sql, &[]).await?.get(0);
        let sql = format!(
            "SELECT reply_time > '{moment}' FROM pg_stat_replication WHERE pid = {}",
            self.pid
        );
        until("an answer to PostgreSQL", || async {
            let row = database.query_opt(&sql, &[]).await?;
            let row = row.context("the connection was lost")?;
            Ok(row.get::<_, Option<bool>>(0).unwrap_or(false).then_some(()))
        })
        .await
    }
}
