//! A reader that is slow, or was stopped for a while, keeps its connection or comes back: never a loop of reconnects that
//! resends the same for ever. (T16, T17)

use anyhow::Result;
use rowcast_tests::{
    checker::{self, Began},
    postgres::{Postgres, Version},
    process::Rowcast,
    repetitions,
    workload::{self},
};

/// T17: the transaction takes longer than `wal_sender_timeout`; feedback goes on meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn one_huge_transaction_outlasts_the_walsenders_timeout() -> Result<()> {
    let postgres = Postgres::start_with(Version::Installed, &[("wal_sender_timeout", "1s")])?;
    let database = workload::watched_tables(&postgres).await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.start_ready().await?;
    let followers = workload::follow_tables(rowcast.address());
    let rows = repetitions(200_000, 2_000_000);
    let sql = format!("INSERT INTO ledger SELECT n, 1, n, repeat('huge ', 20) FROM generate_series(1, {rows}) n");
    let walsender = walsender(&database).await?;
    database.batch_execute(&sql).await?;
    checker::everything_agrees(&database, &rowcast, followers, -1, Began::Empty).await?;
    assert_eq!(
        self::walsender(&database).await?,
        walsender,
        "the connection was lost and made again"
    );
    Ok(())
}

/// T16: a stopped process (SIGSTOP, a paused machine) is cut off by PostgreSQL, and goes on where it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_paused_process_goes_on_where_it_was() -> Result<()> {
    let postgres = Postgres::start_with(Version::Installed, &[("wal_sender_timeout", "1s")])?;
    let database = workload::watched_tables(&postgres).await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.start_ready().await?;
    let followers = workload::follow_tables(rowcast.address());
    database
        .execute("INSERT INTO ledger VALUES (1, 1, 1, 'before')", &[])
        .await?;
    followers[0].1.row(1).await?;
    rowcast.signal("STOP")?;
    let sql = "INSERT INTO ledger SELECT n, 1, n, repeat('paused ', 20) FROM generate_series(2, 100000) n";
    database.batch_execute(sql).await?;
    rowcast_tests::until("PostgreSQL to cut the connection", || async {
        Ok(walsender(&database).await?.is_none().then_some(()))
    })
    .await?;
    rowcast.signal("CONT")?;
    checker::everything_agrees(&database, &rowcast, followers, -1, Began::Empty).await
}

/// The process id of the walsender that serves us, if there is one.
async fn walsender(database: &tokio_postgres::Client) -> Result<Option<i32>> {
    Ok(database
        .query_opt("SELECT pid FROM pg_stat_replication", &[])
        .await?
        .map(|row| row.get(0)))
}
