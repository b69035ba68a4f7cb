//! PostgreSQL crashed at any moment under load: Rowcast comes back by itself and goes on exactly where its log ends.
//! (T11: a crash moves the slot's confirmed position back, and acknowledged transactions come again. T14: transactions
//! that asynchronous commit lost in the crash were never sent.)

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

/// Between two crashes.
const LIFE_MAX: Duration = Duration::from_millis(1_500);

crate::on_every_postgres!(an_immediate_stop_of_postgres_loses_and_repeats_nothing);

async fn an_immediate_stop_of_postgres_loses_and_repeats_nothing(version: Version) -> Result<()> {
    let test = "an_immediate_stop_of_postgres_loses_and_repeats_nothing";
    stops(test, version, StopMode::Immediate, &[], repetitions(6, 50)).await
}

/// An ordinary restart ends the stream in order, with words that a crash does not say.
#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_restart_of_postgres_loses_and_repeats_nothing() -> Result<()> {
    let test = "an_ordinary_restart_of_postgres_loses_and_repeats_nothing";
    stops(test, Version::Installed, StopMode::Fast, &[], repetitions(3, 20)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn asynchronous_commits_that_a_crash_takes_back_were_never_delivered() -> Result<()> {
    let settings = [("synchronous_commit", "off"), ("wal_writer_delay", "200ms")];
    let test = "asynchronous_commits_that_a_crash_takes_back_were_never_delivered";
    stops(
        test,
        Version::Installed,
        StopMode::Immediate,
        &settings,
        repetitions(4, 30),
    )
    .await
}

async fn stops(test: &str, version: Version, mode: StopMode, settings: &[(&str, &str)], times: usize) -> Result<()> {
    let mut random = Random::from_environment(test);
    let mut postgres = Postgres::start_with(version, settings)?;
    workload::watched_tables(&postgres).await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.start_ready().await?;
    let followers = workload::follow_tables_live(rowcast.address()).await?;

    let load = Load::start(postgres.port(), 4, &mut random);
    for _ in 0..times {
        tokio::time::sleep(random.pause(LIFE_MAX)).await;
        postgres.stop(mode)?;
        rowcast.unready(|_| true).await?;
        postgres.start_again()?;
        rowcast.ready().await?;
    }
    load.stop().await?;
    checker::everything_agrees(&postgres.connect().await?, &rowcast, followers, -1, Began::Empty).await
}
