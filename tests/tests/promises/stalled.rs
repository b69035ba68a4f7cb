//! A client that stops reading costs a cursor, not memory, and slows nobody.

use anyhow::{Context, Result, bail, ensure};
use rowcast_tests::{
    PATIENCE,
    client::{Connection, Follower},
    postgres::{Postgres, Version},
    process::Rowcast,
    workload,
};
use serde_json::Value;
use tokio::task::JoinSet;

/// Clients that read while one does not.
const OTHERS: usize = 1_000;
/// Rows that are written while one client reads nothing.
const ROWS: i64 = 1_000;
/// With [`ROWS`], 20 MB: more than the ring (4 MB), the server's socket (4 MB) and that of a client which does not read
/// (well below its limit, since it grows by reading) can hold for it.
const ROW_BYTES: i32 = 20_000;
/// What the process may grow by: the feed's ring, one write in flight for each client, and slack for the allocator.
const GROWTH_KIB_MAX: u64 = 64 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_client_among_many_harms_nobody_and_catches_up() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    workload::create_tables(&database).await?;
    let mut rowcast = Rowcast::new(&postgres, "public.ledger")?;
    rowcast.start_ready().await?;
    let (mut stalled, mut cursor) = live(rowcast.address()).await?;
    let mut others = JoinSet::new();
    for _ in 0..OTHERS {
        let (other, _) = live(rowcast.address()).await?;
        others.spawn(sees_every_row(other));
    }

    let before = rowcast.resident_kib()?;
    let sql = "INSERT INTO ledger VALUES ($1, 1, 1, repeat('stalled ', $2))";
    for id in 1..=ROWS {
        database.execute(sql, &[&id, &(ROW_BYTES / 8)]).await?;
    }
    let everyone = async {
        while let Some(other) = others.join_next().await {
            other??;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, everyone)
        .await
        .context("the others wait for the stalled client")??;
    let grown = rowcast.resident_kib()?.saturating_sub(before);
    eprintln!(
        "{grown} KiB more resident after {} MB of changes",
        ROWS * i64::from(ROW_BYTES) / 1_000_000
    );
    ensure!(
        grown < GROWTH_KIB_MAX,
        "{grown} KiB more resident with a stalled client"
    );

    // It reads again: every row in order, or an honest reset and the table; never a hole. On a slow machine it was away for
    // so long that it was cut off; then it comes back with its cursor.
    let mut last = 0;
    while last < ROWS {
        let Some(message) = stalled.next().await? else {
            stalled = Connection::open(rowcast.address()).await?;
            stalled.subscribe("ledger", true, cursor.as_str()).await?;
            continue;
        };
        match message["type"].as_str() {
            Some("change") => {
                ensure!(
                    message["key"]["id"] == last + 1,
                    "row {} is followed by {}",
                    last,
                    message["key"]
                );
                last += 1;
                cursor = message["cursor"].clone();
            }
            Some("reset") => {
                stalled.next_of("live").await?;
                return Ok(());
            }
            Some("error") => bail!("the stalled client was refused: {message}"),
            _ => {}
        }
    }
    Ok(())
}

/// A connection whose subscription is live, and its cursor.
async fn live(address: &str) -> Result<(Connection, Value)> {
    // Ready comes before the first snapshot has made the topic; a follower asks until it is there.
    Follower::start(address, "ledger", true).live().await?;
    let mut connection = Connection::open(address).await?;
    connection.subscribe("ledger", true, None).await?;
    let cursor = connection.next_of("live").await?["cursor"].take();
    Ok((connection, cursor))
}

/// Reads until the last row, looking only at keys: a thousand of these share the test's two cores with the product.
async fn sees_every_row(mut connection: Connection) -> Result<()> {
    let mut last = 0;
    while last < ROWS {
        let text = connection
            .next_text()
            .await
            .context("a client that reads was cut off")?;
        if text.starts_with(r#"{"type":"schema""#) {
            continue;
        }
        last += 1;
        ensure!(
            text.contains(&format!(r#""key":{{"id":{last}}}"#)),
            "expected the change of row {last}, not {:.200}",
            text.as_str()
        );
    }
    Ok(())
}
