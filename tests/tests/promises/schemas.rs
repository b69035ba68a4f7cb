//! Records with their schemas (`schemas.enable=true`) are for consumers that come from Debezium; a page must not notice.

use anyhow::{Context, Result, ensure};
use rowcast_tests::{
    client::Follower,
    postgres::{Postgres, Version},
    process::Rowcast,
    workload,
};
use serde_json::Value;

/// Longer than a page of PostgreSQL's, and not compressed: an update that leaves it alone does not send it.
const LONG_NOTE: &str = "repeat('long ', 3000)";

#[tokio::test(flavor = "multi_thread")]
async fn a_page_sees_the_same_table_with_schemas_around_its_records_and_without() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    workload::create_tables(&database).await?;
    database
        .batch_execute(&format!(
            "ALTER TABLE ledger ALTER note SET STORAGE EXTERNAL;
             INSERT INTO ledger VALUES (1, 1, 1, {LONG_NOTE}), (2, 1, 1, 'moves'), (3, 1, 1, 'goes')"
        ))
        .await?;
    let mut rowcast = Rowcast::new(&postgres, "public.ledger")?;
    switch_schemas(&mut rowcast, "true");
    rowcast.start_ready().await?;
    let follower = Follower::start(rowcast.address(), "ledger", true);
    follower.live().await?;
    database
        .batch_execute(
            "UPDATE ledger SET seq = 2 WHERE id = 1; UPDATE ledger SET id = 4 WHERE id = 2;
             DELETE FROM ledger WHERE id = 3; INSERT INTO ledger VALUES (5, 1, 1, 'with schema')",
        )
        .await?;
    follower.row(5).await?;

    // The same topic goes on without schemas, and the client from its cursor.
    rowcast.terminate().await?;
    switch_schemas(&mut rowcast, "false");
    rowcast.start_ready().await?;
    database
        .batch_execute(
            "UPDATE ledger SET seq = 3 WHERE id = 1; UPDATE ledger SET note = 'moved' WHERE id = 4;
             INSERT INTO ledger VALUES (6, 1, 1, 'without schema')",
        )
        .await?;
    follower.row(6).await?;
    let seen = follower.stop();
    ensure!(seen.resets.is_empty(), "the client went on: {:?}", seen.resets);
    let expected = database
        .query_one("SELECT json_agg(l ORDER BY id)::text FROM ledger l", &[])
        .await?
        .get::<_, String>(0);
    let rows: Value = seen.rows.values().cloned().map(Value::from_iter).collect();
    ensure!(
        rows == serde_json::from_str::<Value>(&expected)?,
        "the page shows {rows:.400}"
    );
    schemas_are_around_the_first_records(&rowcast).await
}

fn switch_schemas(rowcast: &mut Rowcast, to: &str) {
    for side in ["key", "value"] {
        rowcast.set(&format!("{side}.converter.schemas.enable"), to);
    }
}

async fn schemas_are_around_the_first_records(rowcast: &Rowcast) -> Result<()> {
    let records = rowcast.tail("ledger").await?;
    let part = |record: &Value, part: &str| -> Result<Value> {
        let text = record[part]
            .as_str()
            .with_context(|| format!("a record has a {part}"))?;
        Ok(serde_json::from_str(text)?)
    };
    let (first, last) = (&records[0], &records[records.len() - 1]);
    for (side, name) in [("key", "Key"), ("value", "Envelope")] {
        let schema = part(first, side)?["schema"]["name"].clone();
        ensure!(
            schema
                .as_str()
                .is_some_and(|schema| schema.ends_with(&format!("public.ledger.{name}"))),
            "the {side}'s schema is {schema}"
        );
        ensure!(part(last, side)?.get("schema").is_none(), "the last {side} has none");
    }
    Ok(())
}
