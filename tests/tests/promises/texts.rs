//! Text is text: whatever a row says arrives as it was written, in the log and at the client.

use anyhow::{Context, Result};
use rowcast_tests::{
    client::Follower,
    postgres::{Postgres, Version},
    process::Rowcast,
    workload,
};
use serde_json::Value;

crate::on_every_postgres!(hostile_texts_arrive_intact, a_row_of_many_megabytes_arrives_whole);

/// Several times what any buffer on the way holds. (T58)
const MEGABYTES: usize = 40;

async fn hostile_texts_arrive_intact(version: Version) -> Result<()> {
    let megabyte = "0123456789abcdef🦀\"\\\n".repeat(1024 * 1024 / 24);
    let texts = [
        "<img src=x onerror=alert(1)>",
        "</script><script>alert(1)</script>",
        "\\u0000 and \\x00 and \\0",
        "\u{1} \u{8} \u{c} \u{1f} \u{7f} \u{85} \u{2028} \u{2029} \u{feff}",
        "🦀 𝒳 👨‍👩‍👧‍👦 \u{10ffff}",
        "\"quotes\" 'and' \\backslashes\\ \t \r\n",
        "",
        " ",
        "null",
        "\\N",
        "\\.",
        "{\"op\":\"d\"}",
        "ends with a backslash\\",
        &megabyte,
    ];
    let postgres = Postgres::start(version)?;
    let database = postgres.connect().await?;
    workload::create_tables(&database).await?;
    // Half of them are there before the snapshot, so both ways in are tried.
    let (before, after) = texts.split_at(texts.len() / 2);
    let insert = "INSERT INTO ledger VALUES ($1, 1, 1, $2)";
    for (id, text) in before.iter().enumerate() {
        database.execute(insert, &[&(id as i64), text]).await?;
    }
    // The largest of all, through the snapshot as well.
    database.execute(insert, &[&100_i64, &texts[texts.len() - 1]]).await?;
    let mut rowcast = Rowcast::new(&postgres, "public.ledger")?;
    rowcast.start_ready().await?;
    let follower = Follower::start(rowcast.address(), "ledger", true);
    follower.live().await?;
    for (id, text) in after.iter().enumerate() {
        database.execute(insert, &[&((id + before.len()) as i64), text]).await?;
    }
    database.execute(insert, &[&101_i64, &"last"]).await?;
    follower.row(101).await?;

    let seen = follower.stop();
    let log = rowcast.tail("ledger").await?;
    for (id, text) in texts.iter().enumerate().chain([(100, &texts[texts.len() - 1])]) {
        let row = seen
            .rows
            .get(&format!("{{\"id\":{id}}}"))
            .with_context(|| format!("the client has row {id}"))?;
        assert!(
            row["note"] == **text,
            "the client has text {id} otherwise: {:.100}",
            row["note"]
        );
        let in_log = log
            .iter()
            .filter_map(|record| record["value"].as_str())
            .find_map(|value| {
                let envelope: Value = serde_json::from_str(value).ok()?;
                (envelope["after"]["id"] == id).then(|| envelope["after"]["note"].clone())
            });
        assert!(
            in_log.as_ref().is_some_and(|found| found == text),
            "the log has text {id} otherwise"
        );
    }
    Ok(())
}

async fn a_row_of_many_megabytes_arrives_whole(version: Version) -> Result<()> {
    let postgres = Postgres::start(version)?;
    let database = postgres.connect().await?;
    workload::create_tables(&database).await?;
    let insert =
        |id: i64| format!("INSERT INTO ledger VALUES ({id}, 1, 1, repeat('0123456789abcdef', {MEGABYTES} * 65536))");
    database.batch_execute(&insert(1)).await?;
    let mut rowcast = Rowcast::new(&postgres, "public.ledger")?;
    rowcast.start_ready().await?;
    let follower = Follower::start(rowcast.address(), "ledger", true);
    follower.live().await?;
    database.batch_execute(&insert(2)).await?;
    // One that leaves the text alone, and so does not send it.
    database.batch_execute("UPDATE ledger SET seq = 2 WHERE id = 1").await?;
    workload::write_marker(&database, -3).await?;
    follower.row(-3).await?;
    let seen = follower.stop();
    let text = "0123456789abcdef".repeat(MEGABYTES * 65536);
    for (id, seq) in [(1, 2), (2, 1)] {
        let row = &seen.rows[&format!("{{\"id\":{id}}}")];
        assert_eq!(row["seq"], seq);
        assert!(row["note"] == text, "row {id} has another text");
    }
    Ok(())
}
