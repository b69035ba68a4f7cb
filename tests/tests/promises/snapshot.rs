//! The first view of a table is the table, whatever else happens meanwhile. (T13: a snapshot must be the slot's own.)

use std::time::Duration;

use anyhow::Result;
use rowcast_tests::{
    checker::{self, Began},
    client::Follower,
    postgres::{Postgres, Version},
    process::Rowcast,
    random::Random,
    repetitions,
    workload::{self, Load, TABLES},
};

/// Rows in each table before the first start: some seconds of snapshot in a debug build.
const ROWS: i64 = 60_000;

crate::on_every_postgres!(
    a_snapshot_under_four_writers_meets_the_stream_exactly,
    a_snapshot_killed_in_the_middle_begins_again
);

async fn a_snapshot_under_four_writers_meets_the_stream_exactly(version: Version) -> Result<()> {
    let mut random = Random::from_environment("a_snapshot_under_four_writers_meets_the_stream_exactly");
    let postgres = Postgres::start(version)?;
    let database = workload::watched_tables(&postgres).await?;
    workload::fill(&database, ROWS).await?;
    for round in 1..=repetitions(2, 20) as i64 {
        let load = Load::start_after(postgres.port(), 4, &mut random, round * 100_000_000);
        load.wrote(50).await?;
        let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
        rowcast.set("slot.name", &format!("round_{round}"));
        rowcast.start_ready().await?;
        let followers = workload::follow_tables(rowcast.address());
        load.wrote(200).await?;
        load.stop().await?;
        for (_, follower) in &followers {
            follower.live().await?;
        }
        checker::everything_agrees(&database, &rowcast, followers, -round, Began::WithSnapshot).await?;
        rowcast.terminate().await?;
    }
    Ok(())
}

async fn a_snapshot_killed_in_the_middle_begins_again(version: Version) -> Result<()> {
    let mut random = Random::from_environment("a_snapshot_killed_in_the_middle_begins_again");
    let postgres = Postgres::start(version)?;
    let database = workload::watched_tables(&postgres).await?;
    workload::fill(&database, ROWS).await?;
    let load = Load::start(postgres.port(), 2, &mut random);
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.start().await?;
    for _ in 0..repetitions(5, 50) {
        tokio::time::sleep(random.pause(Duration::from_millis(600))).await;
        rowcast.kill().await?;
        rowcast.start().await?;
    }
    rowcast.ready().await?;
    let followers = workload::follow_tables(rowcast.address());
    load.stop().await?;
    for (_, follower) in &followers {
        follower.live().await?;
    }
    checker::everything_agrees(&database, &rowcast, followers, -1, Began::WithSnapshot).await
}

/// The operator sees in `/metrics` how far it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_counts_its_rows() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    workload::create_tables(&database).await?;
    workload::fill(&database, 7).await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.start_ready().await?;
    for table in TABLES {
        let follower = Follower::start(rowcast.address(), table, true);
        follower.until("the table", |seen| seen.rows.len() == 7).await?;
    }
    let metrics = rowcast.metrics().await?;
    assert!(metrics.contains("rowcast_snapshot_rows_total 14\n"), "{metrics}");
    Ok(())
}
