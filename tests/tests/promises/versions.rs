//! Every major version of PostgreSQL that we promise works: 15 and 18 run everything, the others this.

use std::time::Duration;

use anyhow::Result;
use rowcast::demo::server::StopMode;
use rowcast_tests::{
    checker::{self, Began},
    postgres::{Postgres, Version},
    process::Rowcast,
    random::Random,
    repetitions,
    workload::{self, Load},
};

#[tokio::test(flavor = "multi_thread")]
async fn postgres_14_snapshot_stream_and_restarts_lose_and_repeat_nothing() -> Result<()> {
    works(Version::V14, 14).await
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_16_snapshot_stream_and_restarts_lose_and_repeat_nothing() -> Result<()> {
    works(Version::V16, 16).await
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_17_snapshot_stream_and_restarts_lose_and_repeat_nothing() -> Result<()> {
    works(Version::V17, 17).await
}

/// A snapshot under load, kills, and a crash and an ordinary restart of the server.
async fn works(version: Version, major: u32) -> Result<()> {
    let mut random = Random::from_environment(&format!("postgres_{major}"));
    let mut postgres = Postgres::start(version)?;
    assert_eq!(postgres.major(), major);
    let database = workload::watched_tables(&postgres).await?;
    workload::fill(&database, 1_000).await?;
    let load = Load::start(postgres.port(), 2, &mut random);
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.start_ready().await?;
    let followers = workload::follow_tables_live(rowcast.address()).await?;
    for _ in 0..repetitions(1, 20) {
        load.wrote(30).await?;
        tokio::time::sleep(random.pause(Duration::from_millis(300))).await;
        rowcast.kill().await?;
        rowcast.start_ready().await?;
    }
    for mode in [StopMode::Immediate, StopMode::Fast] {
        load.wrote(30).await?;
        postgres.stop(mode)?;
        rowcast.unready(|_| true).await?;
        postgres.start_again()?;
        rowcast.ready().await?;
    }
    load.stop().await?;
    let database = postgres.connect().await?;
    checker::everything_agrees(&database, &rowcast, followers, -1, Began::WithSnapshot).await
}
