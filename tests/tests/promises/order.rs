//! Changes are in commit order, not in the order of their WAL records. (T08: interleaved transactions have change LSNs
//! that go back.)

use anyhow::Result;
use rowcast_tests::{
    checker::{self, Began},
    postgres::{Postgres, Version},
    process::Rowcast,
    repetitions,
    workload::{self},
};

crate::on_every_postgres!(interleaved_transactions_arrive_in_commit_order);

async fn interleaved_transactions_arrive_in_commit_order(version: Version) -> Result<()> {
    let postgres = Postgres::start(version)?;
    let database = workload::watched_tables(&postgres).await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.start_ready().await?;
    let followers = workload::follow_tables(rowcast.address());

    let (early, late) = (postgres.connect().await?, postgres.connect().await?);
    for pair in 0..repetitions(100, 1_000) {
        let id = pair * 10;
        early
            .batch_execute(&format!("BEGIN; INSERT INTO ledger VALUES ({id}, 1, 1, 'begun first')"))
            .await?;
        late.batch_execute(&format!(
            "BEGIN; INSERT INTO ledger VALUES ({id} + 1, 2, 1, 'begun last')"
        ))
        .await?;
        early
            .batch_execute(&format!("INSERT INTO ledger VALUES ({id} + 2, 1, 2, 'between')"))
            .await?;
        late.batch_execute("COMMIT").await?;
        early
            .batch_execute(&format!(
                "UPDATE ledger SET note = 'committed last' WHERE id = {id}; COMMIT"
            ))
            .await?;
    }
    checker::everything_agrees(&database, &rowcast, followers, -1, Began::Empty).await?;
    let log = checker::changes_of(&checker::log_of(&rowcast, "ledger").await?);
    let ids: Vec<i64> = log
        .iter()
        .take(4)
        .filter_map(|change| change.key["id"].as_i64())
        .collect();
    assert_eq!(ids, [1, 0, 2, 0], "the transaction that began last committed first");
    Ok(())
}
