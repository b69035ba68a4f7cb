//! A change of the table filter, after a crash in the middle of a transaction, neither drops nor repeats a change.
//! (T10: changes are numbered in their transaction before any filter, so the numbers stay when the filter moves.)

use std::time::Duration;

use anyhow::Result;
use rowcast_tests::{
    checker,
    client::Follower,
    oracle,
    postgres::{Postgres, Version},
    process::Rowcast,
    random::Random,
    repetitions,
    workload::{self, write_marker},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_changed_after_a_crash_keeps_every_change_once() -> Result<()> {
    let mut random = Random::from_environment("a_filter_changed_after_a_crash_keeps_every_change_once");
    let postgres = Postgres::start(Version::Installed)?;
    let database = workload::watched_tables(&postgres).await?;
    // Both tables stay in the publication; only what we take of it changes.
    database
        .batch_execute("CREATE PUBLICATION both_tables FOR TABLE ledger, journal")
        .await?;
    let mut rowcast = Rowcast::new(&postgres, "public.ledger,public.journal")?;
    rowcast.set("publication.name", "both_tables");
    rowcast.set("publication.autocreate.mode", "disabled");
    rowcast.start_ready().await?;
    let follower = Follower::start(rowcast.address(), "ledger", true);
    follower.live().await?;

    for round in 0..repetitions(6, 60) {
        let first = round * 100_000;
        let sql = format!(
            "DO $$ BEGIN FOR n IN 1..8000 LOOP \
               INSERT INTO journal VALUES ({first} + n, 1, n, 'filtered at times'); \
               INSERT INTO ledger VALUES ({first} + n, 1, n, 'always taken'); \
             END LOOP; END $$"
        );
        database.batch_execute(&sql).await?;
        tokio::time::sleep(random.pause(Duration::from_millis(200))).await;
        rowcast.kill().await?;
        let tables = if round % 2 == 0 {
            "public.ledger"
        } else {
            "public.ledger,public.journal"
        };
        rowcast.set("table.include.list", tables);
        rowcast.start().await?;
    }
    write_marker(&database, -1).await?;
    follower.row(-1).await?;
    let seen = follower.stop();
    let log = checker::changes_of(&checker::log_of(&rowcast, "ledger").await?);
    checker::log_is_what_was_committed(&log, &oracle::changes(&database, "ledger").await?)?;
    checker::client_saw_the_end_of_the_log(&seen.changes, &log)?;
    assert_eq!(seen.changes.len(), log.len());
    Ok(())
}
