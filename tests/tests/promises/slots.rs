//! Slots are the customer's disk: one for each connector, never an orphan, never taken from somebody who reads it.
//! (T15, T20, T22)

use std::time::Duration;

use anyhow::Result;
use rowcast_tests::{
    checker::{self, Began},
    client::Follower,
    oracle,
    postgres::{Postgres, Version},
    process::{Rowcast, SLOT},
    random::Random,
    repetitions, until,
    workload::{self},
};

/// The timeout of 2 s and the longest pause between two looks, 5 s; and three for a busy machine.
const TAKE_OVER_MAX: Duration = Duration::from_secs(10);

/// T22: killed between making the slot and remembering it, in any order of luck, the next start leaves exactly one.
#[tokio::test(flavor = "multi_thread")]
async fn kills_during_the_first_start_leave_one_slot() -> Result<()> {
    let mut random = Random::from_environment("kills_during_the_first_start_leave_one_slot");
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    workload::create_tables(&database).await?;
    workload::fill(&database, 1_000).await?;
    for _ in 0..repetitions(3, 20) {
        let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
        for _ in 0..4 {
            rowcast.start().await?;
            tokio::time::sleep(random.pause(Duration::from_millis(150))).await;
            rowcast.kill().await?;
        }
        rowcast.start_ready().await?;
        let follower = Follower::start(rowcast.address(), "ledger", true);
        // Live may come before the snapshot is durable; its rows then follow as changes.
        follower
            .until("the snapshot's rows", |seen| seen.rows.len() == 1_000)
            .await?;
        let seen = follower.stop();
        checker::same_rows("the client", &seen.rows, &oracle::select(&database, "ledger").await?)?;
        let slots = database
            .query("SELECT slot_name::text FROM pg_replication_slots", &[])
            .await?;
        let names: Vec<String> = slots.iter().map(|row| row.get(0)).collect();
        assert_eq!(names, [SLOT]);
        rowcast.terminate().await?;
        until("the slot to be free", || async {
            let row = database
                .query_one("SELECT active FROM pg_replication_slots", &[])
                .await?;
            Ok((!row.get::<_, bool>(0)).then_some(()))
        })
        .await?;
        database
            .execute("SELECT pg_drop_replication_slot($1)", &[&SLOT])
            .await?;
    }
    Ok(())
}

/// T15: a second Rowcast with a log of its own must not disturb the first.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_reader_of_the_slot_is_kept_out() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = workload::watched_tables(&postgres).await?;
    let mut first = Rowcast::new(&postgres, &workload::include_list())?;
    first.start_ready().await?;
    let followers = workload::follow_tables(first.address());

    let mut second = Rowcast::new(&postgres, &workload::include_list())?;
    second.start().await?;
    second.unready(|reason| reason.contains(SLOT)).await?;
    database
        .execute("INSERT INTO ledger VALUES (1, 1, 1, 'for the first')", &[])
        .await?;
    checker::everything_agrees(&database, &first, followers, -1, Began::Empty).await?;
    assert!(
        second.tail("ledger").await.map_or(true, |records| records.is_empty()),
        "the second has taken records"
    );
    Ok(())
}

/// T15: the successor takes over as soon as its predecessor is gone, by itself.
#[tokio::test(flavor = "multi_thread")]
async fn the_slot_is_taken_over_from_a_dead_predecessor() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    workload::create_tables(&database).await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.start_ready().await?;
    rowcast.terminate().await?;
    // Somebody else holds the slot, as a half-dead predecessor does.
    let holder = postgres.connect().await?;
    let advance = tokio::spawn(async move {
        // Peeking acquires the slot; the sleep keeps it, for every change that is peeked at.
        holder.batch_execute(&format!("SELECT pg_sleep(3) FROM pg_logical_slot_peek_binary_changes('{SLOT}', NULL, 1, 'proto_version', '1', 'publication_names', 'dbz_publication')")).await
    });
    database
        .execute("INSERT INTO ledger VALUES (1, 1, 1, 'waiting')", &[])
        .await?;
    rowcast.start().await?;
    rowcast.ready().await?;
    let follower = Follower::start(rowcast.address(), "ledger", true);
    follower.row(1).await?;
    let _ = advance.await?;
    Ok(())
}

/// T15: the predecessor is half dead: it reads nothing and answers nothing, and still holds the slot. Its successor waits
/// until PostgreSQL gives the connection up, takes over, and is left alone when the other comes back.
#[tokio::test(flavor = "multi_thread")]
async fn the_slot_is_taken_over_from_a_half_dead_predecessor() -> Result<()> {
    let postgres = Postgres::start_with(Version::Installed, &[("wal_sender_timeout", "2s")])?;
    let database = workload::watched_tables(&postgres).await?;
    let mut first = Rowcast::new(&postgres, &workload::include_list())?;
    first.start_ready().await?;
    let insert = "INSERT INTO ledger VALUES ($1, 1, 1, 'whose?')";
    database.execute(insert, &[&1_i64]).await?;
    let follower = Follower::start(first.address(), "ledger", true);
    follower.row(1).await?;
    drop(follower);

    first.signal("STOP")?;
    let mut second = first.fork()?;
    second.start().await?;
    second.unready(|reason| reason.contains("in use")).await?;
    let waits_since = std::time::Instant::now();
    database.execute(insert, &[&2_i64]).await?;
    second.ready().await?;
    let took = waits_since.elapsed();
    eprintln!("taken over after {:.1} s", took.as_secs_f64());
    assert!(took < TAKE_OVER_MAX, "{took:?} is too long");

    let followers = workload::follow_tables(second.address());
    followers[0].1.row(2).await?;
    first.signal("CONT")?;
    first.unready(|reason| reason.contains("in use")).await?;
    database.execute(insert, &[&3_i64]).await?;
    checker::everything_agrees(&database, &second, followers, -1, Began::Empty).await?;
    // What was in the first one's socket it may have read; then it must have stopped.
    let theirs = checker::changes_of(&checker::log_of(&first, "ledger").await?);
    let ours = checker::changes_of(&checker::log_of(&second, "ledger").await?);
    assert!(ours.starts_with(&theirs), "the two logs tell different stories");
    assert!(theirs.len() <= 2, "the first went on beside its successor");
    Ok(())
}

/// T20: a slot cannot be made while an old transaction runs; that is said, and it ends with the transaction.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_waits_for_an_old_transaction_says_so_and_goes_on() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    workload::create_tables(&database).await?;
    let old = postgres.connect().await?;
    old.batch_execute("BEGIN; SELECT pg_current_xact_id()").await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.start().await?;
    rowcast
        .logged(|line| line.contains("transaction") && line.contains("wait"))
        .await?;
    old.batch_execute("COMMIT").await?;
    rowcast.ready().await
}
