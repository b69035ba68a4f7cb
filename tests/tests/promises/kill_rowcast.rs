//! Killed at any moment, under any load, Rowcast's log holds every committed change once, in commit order, and clients
//! that come back with their cursor saw each once. (T01, T06, T07, T09; invariants I1, I2, I3, I6, I7.)

use std::time::Duration;

use anyhow::Result;
use rowcast_tests::{
    checker::{self, Began},
    postgres::{Postgres, Version},
    process::Rowcast,
    random::Random,
    repetitions,
    workload::{self, Load, TABLES},
};

/// A life of the process: long enough to be ready and to write for a while, short enough to die in its start as well.
const LIFE_MAX: Duration = Duration::from_millis(1_200);

crate::on_every_postgres!(kill_dash_nine_at_random_moments_loses_and_repeats_nothing);

async fn kill_dash_nine_at_random_moments_loses_and_repeats_nothing(version: Version) -> Result<()> {
    let mut random = Random::from_environment("kill_dash_nine_at_random_moments_loses_and_repeats_nothing");
    let postgres = Postgres::start(version)?;
    let database = workload::watched_tables(&postgres).await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.start_ready().await?;
    let followers = workload::follow_tables_live(rowcast.address()).await?;

    let load = Load::start(postgres.port(), 4, &mut random);
    for _ in 0..repetitions(12, 200) {
        tokio::time::sleep(random.pause(LIFE_MAX)).await;
        rowcast.kill().await?;
        rowcast.start().await?;
    }
    let transactions = load.stop().await?;
    assert!(transactions > 50, "{transactions} transactions are no load");
    rowcast.ready().await?;
    checker::everything_agrees(&database, &rowcast, followers, -1, Began::Empty).await
}

/// COPY gives thousands of rows of one transaction nearly one LSN (T07), and a kill in the middle of a transaction makes
/// PostgreSQL send all of it again (T09): only an ordinal inside the transaction tells what the log already has.
#[tokio::test(flavor = "multi_thread")]
async fn kills_while_one_big_transaction_arrives_repeat_no_row() -> Result<()> {
    let mut random = Random::from_environment("kills_while_one_big_transaction_arrives_repeat_no_row");
    let postgres = Postgres::start(Version::Installed)?;
    let database = workload::watched_tables(&postgres).await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.start_ready().await?;
    let followers = workload::follow_tables_live(rowcast.address()).await?;

    for round in 0..repetitions(5, 40) {
        let (first, rows) = (round * 1_000_000, 1_000 + random.below(60_000));
        for table in TABLES {
            let sql = format!("INSERT INTO {table} SELECT {first} + n, 1, n, 'big' FROM generate_series(1, {rows}) n");
            database.batch_execute(&sql).await?;
        }
        tokio::time::sleep(random.pause(Duration::from_millis(400))).await;
        rowcast.kill().await?;
        rowcast.start().await?;
    }
    rowcast.ready().await?;
    checker::everything_agrees(&database, &rowcast, followers, -1, Began::Empty).await
}
