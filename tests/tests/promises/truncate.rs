//! A truncated table is empty in the log and on every page, when the connector is told to capture truncates.

use anyhow::{Context, Result};
use rowcast_tests::{
    checker::{self, Began},
    kafka::Kafka,
    oracle,
    postgres::{Postgres, Version},
    process::{Rowcast, topic},
    workload::{self, TABLES},
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

#[tokio::test(flavor = "multi_thread")]
async fn on_kafka_it_takes_what_is_older_and_nothing_else_from_every_partition() -> Result<()> {
    truncated_among_writes("requested").await
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kafka_with_transactions_it_takes_what_is_older_and_nothing_else() -> Result<()> {
    truncated_among_writes("required").await
}

/// Its one record lies in one of three partitions, and each gateway reads them in an order of its own.
async fn truncated_among_writes(exactly_once_support: &str) -> Result<()> {
    const ROUNDS: i64 = 25;
    let postgres = Postgres::start(Version::Installed)?;
    let database = workload::watched_tables(&postgres).await?;
    let kafka = Kafka::start().await?;
    let mut capture = Rowcast::capture(&postgres, &workload::include_list(), &kafka.address())?;
    capture.set("skipped.operations", "none");
    capture.set("exactly.once.support", exactly_once_support);
    capture.set("topic.creation.default.partitions", "3");
    capture.set("topic.creation.default.replication.factor", "1");
    capture.start_ready().await?;
    let topics = TABLES.map(topic);
    let mut gateways = [
        Rowcast::gateway(&kafka.address(), &topics)?,
        Rowcast::gateway(&kafka.address(), &topics)?,
    ];
    let mut followers = Vec::new();
    for gateway in &mut gateways {
        gateway.start_ready().await?;
        followers.extend(workload::follow_tables_live(gateway.address()).await?);
    }
    for round in 1..=ROUNDS {
        let from = round * 1_000;
        let write = |from| {
            format!("INSERT INTO ledger SELECT n, 1, {round}, 'row' FROM generate_series({from}, {from} + 29) n;")
        };
        let (gone, stays, later) = (write(from), write(from + 15), write(from + 100));
        let round =
            format!("BEGIN; {gone} TRUNCATE ledger; {stays} COMMIT; {later} UPDATE ledger SET note = 'changed'");
        database.batch_execute(&round).await?;
    }
    workload::write_marker(&database, -1).await?;
    let mut third = Rowcast::gateway(&kafka.address(), &topics)?;
    third.start_ready().await?;
    for address in [gateways[0].address(), gateways[1].address(), third.address()] {
        followers.extend(workload::follow_tables_live(address).await?);
    }
    for (table, follower) in followers {
        let rows = oracle::select(&database, table).await?;
        let agrees = follower.until("the table", |seen| seen.live && seen.rows == rows).await;
        let seen = follower.stop();
        checker::same_rows("a client", &seen.rows, &rows).with_context(|| table.to_owned())?;
        agrees?;
    }
    Ok(())
}
