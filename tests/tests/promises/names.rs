//! Whatever tables and columns are called, each row arrives under its own names, in its own table's topic. (T57.)

use anyhow::{Context, Result, ensure};
use rowcast_tests::{
    client::Follower,
    postgres::{Postgres, Version},
    process::{Rowcast, TOPIC_PREFIX},
};
use serde_json::{Map, Value};

/// What is special in JavaScript, in SQL, in JSON or to the eye; PostgreSQL cuts names at 63 bytes.
const COLUMNS: [&str; 14] = [
    "__proto__",
    "constructor",
    "toString",
    "A",
    "a",
    "1st",
    "😀",
    "a\"b",
    "a\\b",
    "a\nb",
    "\u{200b}",
    " ",
    "select",
    "a_name_of_63_bytes_which_is_all_that_postgresql_keeps_of_a_name",
];

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_arrives_under_its_own_names() -> Result<()> {
    let long = |end: &str| format!("{}{end}", "n".repeat(63 - end.len()));
    let schema = long("\"\\\n😀");
    // Twins in all but case, and a name that together with its schema's is longer than a file's name may be when it is escaped.
    let tables = ["T".to_owned(), "t".to_owned(), long("ÄÖÜ%/..")];
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    database
        .batch_execute(&format!("CREATE SCHEMA {}", quoted(&schema)))
        .await?;
    let columns = COLUMNS.map(|name| format!("{} text", quoted(name))).join(", ");
    let insert = async |table: &str, id: i64| {
        let values: Vec<String> = (0..COLUMNS.len())
            .map(|place| format!("'value {place} of {id}'"))
            .collect();
        let values = values.join(", ");
        database
            .batch_execute(&format!(
                "INSERT INTO {}.{} VALUES ({id}, {values})",
                quoted(&schema),
                quoted(table)
            ))
            .await
    };
    for table in &tables {
        database
            .batch_execute(&format!(
                "CREATE TABLE {}.{} (id int PRIMARY KEY, {columns})",
                quoted(&schema),
                quoted(table)
            ))
            .await?;
        insert(table, 1).await?;
    }
    let mut rowcast = Rowcast::new(&postgres, "public.none")?;
    // A dot matches no end of a line, in Java's regular expressions as in ours.
    rowcast.set("table.include.list", r"n(.|\n)*");
    rowcast.start_ready().await?;
    for table in &tables {
        insert(table, 2).await?;
        let sanitized = |name: &str| -> String {
            let unit = |unit: u16| match u8::try_from(unit).map(char::from) {
                Ok(c) if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') => c,
                _ => '_',
            };
            name.encode_utf16().map(unit).collect()
        };
        let topic = format!("{TOPIC_PREFIX}.{}.{}", sanitized(&schema), sanitized(table));
        let follower = Follower::start_on(rowcast.address(), &topic, true);
        follower.row(2).await.with_context(|| topic.clone())?;
        let seen = follower.stop();
        let log = rowcast.tail_topic(&topic).await?;
        ensure!(log.len() == 2, "{topic} has {} records", log.len());
        for (id, record) in [1, 2].into_iter().zip(&log) {
            let row = format!(
                "SELECT to_jsonb(r)::text FROM {}.{} r WHERE id = {id}",
                quoted(&schema),
                quoted(table)
            );
            let row: String = database.query_one(&row, &[]).await?.get(0);
            let row: Map<String, Value> = serde_json::from_str(&row)?;
            ensure!(row.len() == COLUMNS.len() + 1, "{row:?}");
            let told: Value = serde_json::from_str(record["value"].as_str().unwrap_or_default())?;
            ensure!(
                told["after"] == Value::Object(row.clone()),
                "{topic} has {} for {row:?}",
                told["after"]
            );
            let at_client = seen
                .rows
                .get(&format!("{{\"id\":{id}}}"))
                .context("the client has the row")?;
            ensure!(
                at_client
                    .iter()
                    .eq(row.iter().collect::<std::collections::BTreeMap<_, _>>()),
                "the client has {at_client:?} for {row:?}"
            );
        }
    }
    Ok(())
}
