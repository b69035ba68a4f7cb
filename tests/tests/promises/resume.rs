//! Wherever the slot stands when Rowcast comes back, the log goes on exactly where it ended. (T06: a slot at a commit's
//! own LSN sends that transaction again, one byte further it does not; and PostgreSQL takes either without a word.)

use anyhow::{Context, Result, bail, ensure};
use rowcast_tests::{
    checker::{self, Began},
    oracle,
    postgres::{Postgres, Version},
    process::{Rowcast, SLOT},
    stall::{FOR_EVER, SYNC, Stall},
    until,
    workload::{self},
};
use tokio_postgres::{Client, types::PgLsn};

/// Where the slot stands, seen from a transaction that the log holds; and whether PostgreSQL sends that one again.
const PLACES: [(&str, bool); 4] = [
    ("before it", true),
    ("at its commit", true),
    ("one byte beyond its commit", false),
    ("at its end", false),
];

crate::on_every_postgres!(the_log_goes_on_wherever_the_slot_stands);

async fn the_log_goes_on_wherever_the_slot_stands(version: Version) -> Result<()> {
    let postgres = Postgres::start(version)?;
    let database = workload::watched_tables(&postgres).await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.start_ready().await?;
    let followers = workload::follow_tables(rowcast.address());

    // A table's first row waits for its shape to be durable; the others do not.
    database
        .execute("INSERT INTO ledger VALUES (1, 1, 1, 'first')", &[])
        .await?;
    followers[0].1.row(1).await?;

    for (round, (place, sent_again)) in PLACES.into_iter().enumerate() {
        let id = 10 * (round as i64 + 1);
        // While nothing is durable nothing is confirmed: the slot stays here, and the log gets both transactions.
        let stall = Stall::begin(rowcast.process_id()?, SYNC, FOR_EVER).await?;
        for id in [id, id + 1] {
            let sql = "INSERT INTO ledger SELECT n, 1, n, 'held' FROM unnest(ARRAY[$1::bigint, -$1::bigint - 1000]) n";
            database.execute(sql, &[&id]).await?;
        }
        followers[0].1.row(id + 1).await?;
        stall.kill(&mut rowcast).await?;
        until("the slot to be free", || async { slot_is_free(&database).await }).await?;

        let commits = commits_to_come(&database).await?;
        let [.., (commit, end), _] = commits[..] else {
            bail!("the slot went on without us: {commits:?}");
        };
        let to = match round {
            0 => None,
            1 => Some(commit),
            2 => Some(PgLsn::from(u64::from(commit) + 1)),
            _ => Some(end),
        };
        if let Some(to) = to {
            let sql = "SELECT end_lsn FROM pg_replication_slot_advance($1, $2)";
            database.query_one(sql, &[&SLOT, &to]).await?;
        }
        let comes_again = commits_to_come(&database).await?.contains(&(commit, end));
        ensure!(comes_again == sent_again, "{place}: PostgreSQL has changed its mind");

        rowcast
            .start_ready()
            .await
            .with_context(|| format!("with the slot {place}"))?;
        let sql = "INSERT INTO ledger VALUES ($1, 1, 1, 'after')";
        database.execute(sql, &[&(id + 2)]).await?;
        followers[0].1.row(id + 2).await?;
        let log = checker::changes_of(&checker::log_of(&rowcast, "ledger").await?);
        checker::log_is_what_was_committed(&log, &oracle::changes(&database, "ledger").await?)
            .with_context(|| format!("with the slot {place}"))?;
    }
    checker::everything_agrees(&database, &rowcast, followers, -1, Began::Empty).await
}

async fn slot_is_free(database: &Client) -> Result<Option<()>> {
    let sql = "SELECT active FROM pg_replication_slots WHERE slot_name = $1";
    let active: bool = database.query_one(sql, &[&SLOT]).await?.get(0);
    Ok((!active).then_some(()))
}

/// Commit and end LSN of every transaction that our slot would send now: pgoutput's own `C` messages.
async fn commits_to_come(database: &Client) -> Result<Vec<(PgLsn, PgLsn)>> {
    let sql = format!(
        "SELECT data FROM pg_logical_slot_peek_binary_changes('{SLOT}', NULL, NULL, 'proto_version', '1', \
         'publication_names', 'dbz_publication')"
    );
    let messages = database.query(&sql, &[]).await?;
    let commit = |message: &[u8]| -> Option<(PgLsn, PgLsn)> {
        let lsn = |from: usize| Some(PgLsn::from(u64::from_be_bytes(*message.get(from..)?.first_chunk()?)));
        (message.first() == Some(&b'C')).then_some(())?;
        Some((lsn(2)?, lsn(10)?))
    };
    Ok(messages.iter().filter_map(|row| commit(row.get(0))).collect())
}
