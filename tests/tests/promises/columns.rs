//! Columns that are hidden are hidden everywhere, and the key that was chosen is the key of the view.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rowcast_tests::{
    client::Connection,
    postgres::{Postgres, Version},
    process::Rowcast,
};
use serde_json::Value;
use tokio_postgres::Client;

/// A server with a table `t`, and Rowcast for it, not started yet.
async fn with_table(version: Version, sql: &str) -> Result<(Postgres, Client, Rowcast)> {
    let postgres = Postgres::start(version)?;
    let database = postgres.connect().await?;
    database.batch_execute(sql).await?;
    let rowcast = Rowcast::new(&postgres, "public.t")?;
    Ok((postgres, database, rowcast))
}

/// A client that asked for the table.
async fn subscribed(rowcast: &Rowcast) -> Result<Connection> {
    let mut client = Connection::open(rowcast.address()).await?;
    client.subscribe("t", true, None).await?;
    Ok(client)
}

/// Everything that the connection says until a text has this in it.
async fn heard_until(connection: &mut Connection, end: &str) -> Result<String> {
    let mut heard = String::new();
    while !heard.contains(end) {
        let text = tokio::time::timeout(std::time::Duration::from_secs(60), connection.next_text());
        heard.push_str(&text.await?.context("the connection ended")?);
        heard.push('\n');
    }
    Ok(heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_masked_value_and_its_salt_reach_no_client_no_topic_and_no_log() -> Result<()> {
    let (_postgres, database, mut rowcast) = with_table(
        Version::Installed,
        "CREATE TABLE t (id bigint PRIMARY KEY, masked text NOT NULL, hashed text, cut text, open text); \
         ALTER TABLE t REPLICA IDENTITY FULL; \
         INSERT INTO t SELECT n, 'canary', 'canary', 'cut canary', 'open' FROM generate_series(1, 3) n",
    )
    .await?;
    rowcast.argument("--log-level");
    rowcast.argument("debug");
    rowcast.set("column.mask.with.3.chars", "public.t.masked");
    rowcast.set("column.mask.hash.SHA-512.with.salt.canary", "public.t.hashed");
    rowcast.set("column.truncate.to.3.chars", "public.t.cut");
    rowcast.start_ready().await?;
    let mut silent = Connection::open_silent(rowcast.address()).await?;
    let mut client = subscribed(&rowcast).await?;
    let mut heard = heard_until(&mut client, r#""type":"live""#).await?;
    database
        .batch_execute(
            "UPDATE t SET hashed = 'other canary' WHERE id = 1; UPDATE t SET id = 9 WHERE id = 2; DELETE FROM t WHERE id = 3; \
             INSERT INTO t VALUES (10, 'canary', 'canary', 'cut canary', 'the last')",
        )
        .await?;
    heard += &heard_until(&mut client, "the last").await?;
    heard += &heard_until(&mut silent, "the last").await?;
    for record in rowcast.tail("t").await? {
        heard += &record.to_string();
    }
    assert!(
        heard.contains(r#""masked":"***""#) && heard.contains(r#""cut":"cut""#),
        "{heard}"
    );
    assert!(!heard.contains("canary"), "{heard}");
    assert!(!rowcast.log_text().contains("canary"), "{}", rowcast.log_text());
    Ok(())
}

/// The rows that a new client gets, by the key that it is told.
async fn view(rowcast: &Rowcast) -> Result<BTreeMap<String, Value>> {
    let mut client = subscribed(rowcast).await?;
    let mut rows = BTreeMap::new();
    for line in heard_until(&mut client, r#""type":"live""#).await?.lines() {
        let message: Value = serde_json::from_str(line)?;
        for (place, row) in message["rows"].as_array().into_iter().flatten().enumerate() {
            rows.insert(message["keys"][place].to_string(), row.clone());
        }
    }
    Ok(rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chosen_key_that_the_rows_leave_out_is_the_key_of_the_view() -> Result<()> {
    let (_postgres, database, mut rowcast) = with_table(
        Version::Installed,
        "CREATE TABLE t (id bigint PRIMARY KEY, k text NOT NULL, v text); ALTER TABLE t REPLICA IDENTITY FULL; \
         INSERT INTO t VALUES (1, 'a', 'one'), (2, 'b', 'two'), (3, 'c', 'three')",
    )
    .await?;
    rowcast.set("message.key.columns", "public.t:k");
    rowcast.set("column.exclude.list", "public.t.k");
    rowcast.start_ready().await?;
    let mut client = subscribed(&rowcast).await?;
    client.next_of("live").await?;
    database
        .batch_execute(
            "UPDATE t SET k = 'd', v = 'moved' WHERE id = 1; DELETE FROM t WHERE id = 2; UPDATE t SET id = 30 WHERE id = 3; \
             INSERT INTO t VALUES (4, 'e', 'the last')",
        )
        .await?;
    let heard = heard_until(&mut client, "the last").await?;
    let changes: Vec<Value> = heard.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let told: Vec<String> = changes
        .iter()
        .filter(|change| change["type"] == "change")
        .map(|change| format!("{} {}", change["op"].as_str().unwrap_or_default(), change["key"]))
        .collect();
    let key = |op: &str, key: &str| format!(r#"{op} {{"k":"{key}"}}"#);
    assert_eq!(
        told,
        [
            key("d", "a"),
            key("c", "d"),
            key("d", "b"),
            key("u", "c"),
            key("c", "e")
        ]
    );
    rowcast.terminate().await?;
    rowcast.start_ready().await?;
    let rows = view(&rowcast).await?;
    let keys: Vec<&String> = rows.keys().collect();
    assert_eq!(keys, [r#"{"k":"c"}"#, r#"{"k":"d"}"#, r#"{"k":"e"}"#], "{rows:?}");
    assert_eq!(rows[r#"{"k":"d"}"#], serde_json::json!({ "id": 1, "v": "moved" }));
    assert_eq!(rows[r#"{"k":"c"}"#]["id"], 30);
    Ok(())
}

/// Nothing can be published of it, and `filtered` publishes nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn an_unlogged_table_alone_is_read_and_told_to_be_still() -> Result<()> {
    let (_postgres, _database, mut rowcast) = with_table(
        Version::Installed,
        "CREATE UNLOGGED TABLE t (id bigint PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'x')",
    )
    .await?;
    for _ in 0..2 {
        rowcast.start_ready().await?;
        let told = rowcast.logged(|line| line.contains("unlogged")).await?;
        assert!(told.contains("WARN") && told.contains("public.t"), "{told}");
        let mut client = subscribed(&rowcast).await?;
        let heard = heard_until(&mut client, r#""type":"live""#).await?;
        assert!(heard.contains(r#"{"id":1,"v":"x"}"#), "{heard}");
        rowcast.terminate().await?;
    }
    Ok(())
}

/// PostgreSQL 18 can publish stored ones, and has virtual ones, which it can only compute.
#[tokio::test(flavor = "multi_thread")]
async fn generated_columns_come_as_far_as_the_server_sends_them() -> Result<()> {
    let (_postgres, database, mut rowcast) = with_table(
        Version::Newest,
        "CREATE TABLE t (id bigint PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED, \
             thrice int GENERATED ALWAYS AS (n * 3) VIRTUAL); INSERT INTO t VALUES (1, 1); \
             CREATE PUBLICATION generated FOR TABLE t WITH (publish_generated_columns = stored)",
    )
    .await?;
    rowcast.set("publication.name", "generated");
    rowcast.set("publication.autocreate.mode", "disabled");
    rowcast.start_ready().await?;
    let mut client = subscribed(&rowcast).await?;
    let heard = heard_until(&mut client, r#""type":"live""#).await?;
    assert!(heard.contains(r#"{"id":1,"n":1,"twice":2,"thrice":3}"#), "{heard}");
    database
        .batch_execute("INSERT INTO t VALUES (2, 2); UPDATE t SET n = 5 WHERE id = 1")
        .await?;
    let heard = heard_until(&mut client, r#"{"id":1,"n":5,"twice":10}"#).await?;
    assert!(heard.contains(r#"{"id":2,"n":2,"twice":4}"#), "{heard}");
    Ok(())
}
