//! A truncated table is empty in the log and on every page, when the connector is told to capture truncates.

use anyhow::Result;
use rowcast_tests::{
    checker::{self, Began},
    postgres::{Postgres, Version},
    process::Rowcast,
    workload::{self},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_table_is_empty_for_everybody() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = workload::watched_tables(&postgres).await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.set("skipped.operations", "none");
    rowcast.start_ready().await?;
    let followers = workload::follow_tables(rowcast.address());
    let insert = "INSERT INTO ledger SELECT n, 1, n, 'row' FROM generate_series($1::bigint, $1 + 9) n";
    database.execute(insert, &[&1_i64]).await?;
    followers[0].1.row(10).await?;
    database.batch_execute("TRUNCATE ledger").await?;
    database.execute(insert, &[&101_i64]).await?;
    // A transaction that fills, empties and fills.
    let again = "BEGIN; INSERT INTO journal VALUES (1, 1, 1, 'gone'); TRUNCATE journal; \
                 INSERT INTO journal VALUES (2, 1, 2, 'stays'); COMMIT";
    database.batch_execute(again).await?;
    checker::everything_agrees(&database, &rowcast, followers, -1, Began::Empty).await
}
