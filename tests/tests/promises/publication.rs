//! A table that PostgreSQL no longer decodes for us is noticed within seconds, and never forgotten by a restart.
//!
//! PostgreSQL says nothing when a table is taken out of a publication, and PostgreSQL 18 nearly nothing when the whole
//! publication is dropped: the changes would just not come.

use anyhow::Result;
use rowcast_tests::{
    client::Follower,
    postgres::{Postgres, Version},
    process::Rowcast,
    workload,
};
use tokio_postgres::Client;

crate::on_every_postgres!(
    a_publication_dropped_while_streaming_fails_loudly,
    a_table_taken_out_while_streaming_fails_loudly,
    a_table_taken_out_and_put_back_while_stopped_is_refused,
    changes_that_leave_a_table_published_are_no_trouble,
);

/// Rowcast at work on the tables, after it has captured one row.
async fn streaming(version: Version) -> Result<(Postgres, Rowcast, Client, Follower)> {
    let postgres = Postgres::start(version)?;
    let database = postgres.connect().await?;
    workload::create_tables(&database).await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.start_ready().await?;
    let follower = Follower::start(rowcast.address(), "ledger", true);
    insert(&database, 1).await?;
    follower.row(1).await?;
    Ok((postgres, rowcast, database, follower))
}

async fn insert(database: &Client, id: i64) -> Result<()> {
    let statement = format!("INSERT INTO ledger VALUES ({id}, 1, 1, 'row')");
    Ok(database.batch_execute(&statement).await?)
}

/// It stays refused over a restart that mends the publication, since what was written in between is gone.
async fn refused_now_and_after_a_restart(rowcast: &mut Rowcast) -> Result<()> {
    for _ in 0..2 {
        let reason = rowcast.refused(|reason| reason.contains("dbz_publication")).await?;
        assert!(reason.contains("take a new snapshot"), "{reason}");
        rowcast.terminate().await?;
        rowcast.start().await?;
    }
    Ok(())
}

async fn a_publication_dropped_while_streaming_fails_loudly(version: Version) -> Result<()> {
    let (_postgres, mut rowcast, database, _follower) = streaming(version).await?;
    database.batch_execute("DROP PUBLICATION dbz_publication").await?;
    insert(&database, 2).await?;
    refused_now_and_after_a_restart(&mut rowcast).await
}

async fn a_table_taken_out_while_streaming_fails_loudly(version: Version) -> Result<()> {
    let (_postgres, mut rowcast, database, _follower) = streaming(version).await?;
    database
        .batch_execute("ALTER PUBLICATION dbz_publication DROP TABLE ledger")
        .await?;
    insert(&database, 2).await?;
    let reason = rowcast.refused(|reason| reason.contains("public.ledger")).await?;
    assert!(reason.contains("ADD TABLE"), "{reason}");
    refused_now_and_after_a_restart(&mut rowcast).await
}

async fn a_table_taken_out_and_put_back_while_stopped_is_refused(version: Version) -> Result<()> {
    let (_postgres, mut rowcast, database, _follower) = streaming(version).await?;
    rowcast.terminate().await?;
    database
        .batch_execute("ALTER PUBLICATION dbz_publication DROP TABLE ledger")
        .await?;
    insert(&database, 2).await?;
    database
        .batch_execute("ALTER PUBLICATION dbz_publication ADD TABLE ledger")
        .await?;
    rowcast.start().await?;
    refused_now_and_after_a_restart(&mut rowcast).await
}

/// Other tables come, one that was captured is dropped, the owner changes: nothing is missing.
async fn changes_that_leave_a_table_published_are_no_trouble(version: Version) -> Result<()> {
    let (_postgres, mut rowcast, database, follower) = streaming(version).await?;
    rowcast.terminate().await?;
    database
        .batch_execute(
            "CREATE TABLE other (id int PRIMARY KEY); CREATE ROLE keeper SUPERUSER; \
             ALTER PUBLICATION dbz_publication ADD TABLE other; ALTER PUBLICATION dbz_publication OWNER TO keeper; \
             DROP TABLE other",
        )
        .await?;
    rowcast.start_ready().await?;
    insert(&database, 2).await?;
    follower.row(2).await?;
    Ok(())
}

/// Even when other items of the list match.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_matches_no_table_is_told_at_start() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    workload::create_tables(&postgres.connect().await?).await?;
    let mut rowcast = Rowcast::new(&postgres, "public.ledger,public.ledgre")?;
    rowcast.start_ready().await?;
    let line = rowcast.logged(|line| line.contains("public.ledgre")).await?;
    assert!(line.contains("WARN") && line.contains("table.include.list"), "{line}");
    assert!(!line.contains("public.ledger,"), "{line}");
    Ok(())
}
