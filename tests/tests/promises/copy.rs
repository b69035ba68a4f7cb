//! COPY gives a hundred rows of one transaction the same LSN. Stopped in order in the middle of it and started again,
//! capture delivers the rest, and no row twice. (T07; dbz#1554: of the 40,000 rows of one COPY, Debezium 3.6.1 loses a run
//! of 66 to one restart of its connector, and says RUNNING.)

use std::{cell::Cell, time::Duration};

use anyhow::{Result, ensure};
use rowcast_tests::{
    checker::{self, Began},
    postgres::{Postgres, Version},
    process::Rowcast,
    random::Random,
    repetitions,
    stall::{Stall, WRITE},
    workload,
};
use tokio_postgres::Client;

/// What Debezium was seen to lose rows of.
const ROWS: i64 = 40_000;
/// How much longer each write of the log takes: the transaction is some hundreds of writes, and then lasts for seconds.
const WRITE_DELAY: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_of_a_copy_loses_and_repeats_no_row() -> Result<()> {
    let mut random = Random::from_environment("a_restart_in_the_middle_of_a_copy_loses_and_repeats_no_row");
    let postgres = Postgres::start(Version::Installed)?;
    let database = workload::watched_tables(&postgres).await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.start_ready().await?;
    let followers = workload::follow_tables_live(rowcast.address()).await?;
    let ledger = &followers[0].1;
    for round in 0..repetitions(1, 20) as i64 {
        let first = round * ROWS;
        let stall = Stall::begin(rowcast.process_id()?, WRITE, WRITE_DELAY).await?;
        copy(&database, first).await?;
        let seen = 1 + random.below(ROWS as u64 / 4) as i64;
        ledger.row(first + seen).await?;
        rowcast.terminate().await?;
        stall.end().await?;
        let held = Cell::new(0);
        ledger
            .until("nothing", |seen| {
                held.set(seen.changes.len() as i64 - first);
                true
            })
            .await?;
        eprintln!("round {round}: restarted after {} rows", held.get());
        ensure!(held.get() < ROWS, "the whole COPY had arrived before the restart");
        rowcast.start_ready().await?;
        ledger.row(first + ROWS - 1).await?;
    }
    checker::everything_agrees(&database, &rowcast, followers, -1, Began::Empty).await
}

/// One COPY of [`ROWS`] short rows.
async fn copy(database: &Client, first: i64) -> Result<()> {
    let text: String = (first..first + ROWS)
        .map(|id| format!("{id}\t1\t{id}\tcopied\n"))
        .collect();
    workload::copy_in(database, "ledger", text).await
}
