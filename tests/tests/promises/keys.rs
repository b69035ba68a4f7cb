//! Each row has a key of its own in its topic, and its delete carries that key.

use anyhow::Result;
use rowcast_tests::{
    client::Follower,
    postgres::{Postgres, Version},
    process::Rowcast,
};

crate::on_every_postgres!(a_table_is_keyed_by_an_identity_index_that_lacks_its_primary_key);

/// PostgreSQL sends the index's columns of a deleted row, and nothing else of it.
async fn a_table_is_keyed_by_an_identity_index_that_lacks_its_primary_key(version: Version) -> Result<()> {
    let postgres = Postgres::start(version)?;
    let database = postgres.connect().await?;
    database
        .batch_execute(
            "CREATE TABLE t (id bigint PRIMARY KEY, k int NOT NULL UNIQUE); \
             ALTER TABLE t REPLICA IDENTITY USING INDEX t_k_key; INSERT INTO t VALUES (1, 10), (2, 20), (3, 30); \
             CREATE TABLE both_ways (id bigint PRIMARY KEY, k int NOT NULL, UNIQUE (k, id)); \
             ALTER TABLE both_ways REPLICA IDENTITY USING INDEX both_ways_k_id_key; INSERT INTO both_ways VALUES (1, 10)",
        )
        .await?;
    let mut rowcast = Rowcast::new(&postgres, "public.t,public.both_ways")?;
    rowcast.start_ready().await?;
    let line = rowcast
        .logged(|line| line.contains("keyed by its replica identity"))
        .await?;
    assert!(line.contains("WARN") && line.contains("public.t "), "{line}");
    let follower = Follower::start(rowcast.address(), "t", true);
    let other = Follower::start(rowcast.address(), "both_ways", true);
    follower.live().await?;
    other.live().await?;
    database
        .batch_execute(
            "DELETE FROM t WHERE id = 1; UPDATE t SET k = 99 WHERE id = 2; INSERT INTO t VALUES (4, 40); \
             DELETE FROM both_ways; INSERT INTO both_ways VALUES (4, 40)",
        )
        .await?;
    follower
        .until("the last row", |seen| {
            seen.changes
                .last()
                .is_some_and(|change| change.after.get("k") == Some(&40.into()))
        })
        .await?;
    other.row(4).await?;
    assert_eq!(
        keys(&rowcast, "t").await?,
        [
            r#"r {"k":10}"#,
            r#"r {"k":20}"#,
            r#"r {"k":30}"#,
            r#"d {"k":10}"#,
            r#"- {"k":10}"#,
            r#"d {"k":20}"#,
            r#"- {"k":20}"#,
            r#"c {"k":99}"#,
            r#"c {"k":40}"#
        ]
    );
    assert_eq!(
        keys(&rowcast, "both_ways").await?,
        [r#"r {"id":1}"#, r#"d {"id":1}"#, r#"- {"id":1}"#, r#"c {"id":4}"#]
    );
    Ok(())
}

/// Operation and key of each record; a tombstone is `-`.
async fn keys(rowcast: &Rowcast, table: &str) -> Result<Vec<String>> {
    let records = rowcast.tail(table).await?;
    let line = |record: &serde_json::Value| {
        let operation = record["value"]
            .as_str()
            .and_then(|value| serde_json::from_str::<serde_json::Value>(value).ok())
            .and_then(|value| value["op"].as_str().map(str::to_owned));
        format!(
            "{} {}",
            operation.as_deref().unwrap_or("-"),
            record["key"].as_str().unwrap_or_default()
        )
    };
    Ok(records.iter().map(line).collect())
}

/// "a b" and "a_b" have the same topic name.
#[tokio::test(flavor = "multi_thread")]
async fn two_tables_of_one_topic_are_refused() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    database
        .batch_execute("CREATE TABLE a_b (id bigint PRIMARY KEY); INSERT INTO a_b VALUES (1)")
        .await?;
    let mut rowcast = Rowcast::new(&postgres, "public\\.a.b")?;
    rowcast.set("publication.autocreate.mode", "all_tables");
    rowcast.start_ready().await?;
    Follower::start(rowcast.address(), "a_b", true).row(1).await?;
    database
        .batch_execute(
            r#"CREATE TABLE "a b" (id bigint PRIMARY KEY); INSERT INTO a_b VALUES (2); INSERT INTO "a b" VALUES (1)"#,
        )
        .await?;
    for _ in 0..2 {
        let reason = rowcast.refused(|reason| reason.contains("shop.public.a_b")).await?;
        assert!(
            reason.contains("a b") && reason.contains("table.exclude.list"),
            "{reason}"
        );
        rowcast.terminate().await?;
        rowcast.start().await?;
    }
    rowcast.terminate().await?;
    assert_eq!(
        keys(&rowcast, "a_b").await?.len(),
        1,
        "nothing of the other table may reach the topic"
    );
    Ok(())
}

/// Debezium's default leaves truncates out; whoever does not know that is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_truncate_that_is_left_out_is_told() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    database.batch_execute("CREATE TABLE t (id bigint PRIMARY KEY)").await?;
    let mut rowcast = Rowcast::new(&postgres, "public.t")?;
    rowcast.start_ready().await?;
    let follower = Follower::start(rowcast.address(), "t", true);
    database
        .batch_execute("TRUNCATE t; TRUNCATE t; INSERT INTO t VALUES (1)")
        .await?;
    follower.row(1).await?;
    let log = rowcast.log_text();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("truncated")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("public.t ") && told[0].contains("skipped.operations"),
        "{}",
        told[0]
    );
    Ok(())
}
