//! What a client is told: the table, then every change once, from wherever it comes back.

use anyhow::{Context, Result, ensure};
use rowcast_tests::{
    PATIENCE, checker,
    client::{Connection, Follower},
    http, oracle,
    postgres::{Postgres, Version},
    process::{Rowcast, topic},
    random::Random,
    repetitions,
    workload::{self, Load},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

async fn ready(version: Version) -> Result<(Postgres, tokio_postgres::Client, Rowcast)> {
    let postgres = Postgres::start(version)?;
    let database = postgres.connect().await?;
    workload::create_tables(&database).await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.start_ready().await?;
    // Ready comes before the first snapshot has made the topics; a follower asks until they are there.
    for table in workload::TABLES {
        Follower::start(rowcast.address(), table, true).live().await?;
    }
    Ok((postgres, database, rowcast))
}

/// Subscribes and reads up to `live`; returns the cursor.
async fn live_cursor(connection: &mut Connection, table: &str) -> Result<String> {
    connection.subscribe(table, true, None).await?;
    let live = connection.next_of("live").await?;
    Ok(live["cursor"].as_str().context("live has a cursor")?.to_owned())
}

/// Reads changes until the row with this id is created; returns all ids on the way.
async fn ids_until(connection: &mut Connection, last: i64) -> Result<Vec<i64>> {
    let mut ids = Vec::new();
    while ids.last() != Some(&last) {
        let change = connection.next_of("change").await?;
        ids.push(change["key"]["id"].as_i64().context("a change has a key")?);
    }
    Ok(ids)
}

/// Connections come and go at random moments under load; each goes on from the cursor of the one before.
#[tokio::test(flavor = "multi_thread")]
async fn a_reconnecting_client_sees_every_commit_once() -> Result<()> {
    let mut random = Random::from_environment("a_reconnecting_client_sees_every_commit_once");
    let (postgres, database, rowcast) = ready(Version::Installed).await?;
    oracle::create(&database).await?;
    let mut connection = Connection::open(rowcast.address()).await?;
    let mut cursor = live_cursor(&mut connection, "ledger").await?;
    let load = Load::start(postgres.port(), 4, &mut random);
    let mut seen = Vec::new();
    for _ in 0..repetitions(60, 600) {
        for _ in 0..random.below(200) {
            let message = connection.next_of("change").await?;
            cursor = message["cursor"].as_str().context("a change has a cursor")?.to_owned();
            seen.push(change_of(&message)?);
        }
        connection = Connection::open(rowcast.address()).await?;
        connection.subscribe("ledger", true, Some(&cursor)).await?;
    }
    load.stop().await?;
    workload::write_marker(&database, -1).await?;
    while seen.last().is_none_or(|change| change.key["id"] != -1) {
        seen.push(change_of(&connection.next_of("change").await?)?);
    }
    let log = checker::changes_of(&checker::log_of(&rowcast, "ledger").await?);
    checker::log_is_what_was_committed(&log, &oracle::changes(&database, "ledger").await?)?;
    ensure!(
        seen.len() == log.len(),
        "{} changes seen, {} in the log",
        seen.len(),
        log.len()
    );
    checker::client_saw_the_end_of_the_log(&seen, &log)
}

fn change_of(message: &Value) -> Result<rowcast_tests::changes::RowChange> {
    let key = if message["key"].is_null() {
        Default::default()
    } else {
        rowcast_tests::changes::row(&message["key"])?
    };
    rowcast_tests::changes::RowChange::from_envelope(key, message)
}

/// However long it was away: also over a restart, and when the ring of recent frames has long moved on.
#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_good_after_a_hundred_thousand_changes_and_a_restart() -> Result<()> {
    let (_postgres, database, mut rowcast) = ready(Version::Installed).await?;
    let mut connection = Connection::open(rowcast.address()).await?;
    let cursor = live_cursor(&mut connection, "ledger").await?;
    drop(connection);
    database
        .batch_execute("INSERT INTO ledger SELECT n, 1, n, repeat('away ', 20) FROM generate_series(1, 100000) n")
        .await?;
    let follower = Follower::start(rowcast.address(), "ledger", true);
    follower.row(100_000).await?;
    rowcast.terminate().await?;
    rowcast.start_ready().await?;
    let mut connection = Connection::open(rowcast.address()).await?;
    connection.subscribe("ledger", true, Some(&cursor)).await?;
    let ids = ids_until(&mut connection, 100_000).await?;
    ensure!(
        ids == (1..=100_000).collect::<Vec<i64>>(),
        "{} ids, beginning {:?}",
        ids.len(),
        &ids[..5.min(ids.len())]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_a_cut_and_a_foreign_cursor_are_refused() -> Result<()> {
    let (_postgres, _database, rowcast) = ready(Version::Installed).await?;
    let mut connection = Connection::open(rowcast.address()).await?;
    let cursor = live_cursor(&mut connection, "ledger").await?;
    let mut forged = cursor.clone().into_bytes();
    let middle = forged.len() / 2;
    forged[middle] = if forged[middle] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged)?;
    for bad in [
        forged.as_str(),
        &cursor[..cursor.len() - 4],
        "",
        "AAAA",
        "no base64 at all \u{1F980}",
    ] {
        let mut connection = Connection::open(rowcast.address()).await?;
        connection.subscribe("ledger", true, Some(bad)).await?;
        let answer = connection.next().await?.context("an answer")?;
        assert_eq!(
            (&answer["type"], &answer["code"]),
            (&json!("error"), &json!("bad_cursor")),
            "for {bad:?}: {answer}"
        );
    }
    // Good, but of another table: a reset that says so, and the view.
    let mut connection = Connection::open(rowcast.address()).await?;
    connection.subscribe("journal", true, Some(&cursor)).await?;
    let mut answers = Vec::new();
    while answers.last().is_none_or(|kind| kind != "live") {
        let answer = connection.next().await?.context("an answer")?;
        answers.push(answer["type"].as_str().unwrap_or_default().to_owned());
        if answer["type"] == "error" {
            assert_eq!(answer["code"], "bad_cursor", "{answer}");
            return Ok(());
        }
    }
    assert!(answers.contains(&"reset".to_owned()), "{answers:?}");
    Ok(())
}

/// What people's pages expect today: no subprotocol, no question, every change as one JSON object.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_nothing_gets_every_change_as_its_record() -> Result<()> {
    let (_postgres, database, rowcast) = ready(Version::Installed).await?;
    let mut silent = Connection::open_silent(rowcast.address()).await?;
    // The handshake's answer comes before the session has taken its place; a change that it is told proves that it has.
    let mut id = 0;
    let first = loop {
        id += 1;
        database
            .execute("INSERT INTO ledger VALUES ($1, 1, 1, 'hello')", &[&i64::from(id)])
            .await?;
        if let Ok(message) = tokio::time::timeout(std::time::Duration::from_millis(200), silent.next()).await {
            break message?.context("a message")?;
        }
    };
    assert_eq!((&first["op"], &first["after"]["note"]), (&json!("c"), &json!("hello")));
    assert_eq!(first["source"]["table"], "ledger");
    database.batch_execute("UPDATE journal SET seq = 2; INSERT INTO journal VALUES (-7, 1, 1, 'other table'); DELETE FROM journal WHERE id = -7").await?;
    let mut ops = Vec::new();
    while ops.len() < 2 {
        let message = tokio::time::timeout(PATIENCE, silent.next())
            .await??
            .context("a message")?;
        if message["source"]["table"] == "journal" {
            ops.push(message["op"].clone());
        }
    }
    assert_eq!(ops, [json!("c"), json!("d")], "and no message for a tombstone");
    Ok(())
}

/// Server-Sent Events tell the same, and `Last-Event-ID` is the cursor.
#[tokio::test(flavor = "multi_thread")]
async fn server_sent_events_resume_by_their_last_id() -> Result<()> {
    let (_postgres, database, rowcast) = ready(Version::Installed).await?;
    database
        .batch_execute("INSERT INTO ledger VALUES (1, 1, 1, 'first')")
        .await?;
    let mut events = Events::open(rowcast.address(), "ledger", None).await?;
    let last_id = events.id_of_row(1).await?;
    drop(events);
    database
        .batch_execute("INSERT INTO ledger SELECT n, 1, n, 'away' FROM generate_series(2, 50) n")
        .await?;
    let mut events = Events::open(rowcast.address(), "ledger", Some(&last_id)).await?;
    let mut ids = Vec::new();
    while ids.last() != Some(&50) {
        let (_, data) = events.next().await?;
        if data["type"] == "change" {
            ids.push(data["key"]["id"].as_i64().context("a change has a key")?);
        }
    }
    assert_eq!(ids, (2..=50).collect::<Vec<i64>>());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_supported_yet_is_refused_and_not_ignored() -> Result<()> {
    let (_postgres, _database, rowcast) = ready(Version::Installed).await?;
    for (member, value) in [
        ("where", json!("id = 1")),
        ("columns", json!(["id"])),
        ("mode", json!("latest")),
    ] {
        let mut connection = Connection::open(rowcast.address()).await?;
        let mut message = json!({ "type": "subscribe", "topic": topic("ledger"), "ref": "r1" });
        message[member] = value;
        connection.send(&message).await?;
        let answer = connection.next().await?.context("an answer")?;
        assert_eq!(
            (&answer["type"], &answer["code"], &answer["ref"]),
            (&json!("error"), &json!("unsupported"), &json!("r1")),
            "{answer}"
        );
        assert!(
            answer["message"].as_str().unwrap_or_default().contains(member),
            "{answer}"
        );
        // The connection is still good.
        live_cursor(&mut connection, "ledger").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn internal_topics_are_nobodys_business() -> Result<()> {
    let (_postgres, _database, rowcast) = ready(Version::Installed).await?;
    for name in [
        "__rowcast_offsets",
        "__rowcast_schemas",
        "__rowcast_connectors",
        "no.such.topic",
    ] {
        let mut connection = Connection::open(rowcast.address()).await?;
        connection.send(&json!({ "type": "subscribe", "topic": name })).await?;
        let answer = connection.next().await?.context("an answer")?;
        assert_eq!(
            (&answer["type"], &answer["code"]),
            (&json!("error"), &json!("unknown_topic")),
            "{answer}"
        );
    }
    let sse = http::get(rowcast.address(), "/sse?topic=__rowcast_offsets").await?;
    assert_eq!(sse.status, 404, "{sse:?}");
    Ok(())
}

/// A stream of Server-Sent Events.
struct Events(BufReader<TcpStream>);

impl Events {
    async fn open(address: &str, table: &str, last_id: Option<&str>) -> Result<Events> {
        let mut stream = TcpStream::connect(address).await?;
        let last_id = last_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let path = format!("/sse?topic={}", topic(table));
        stream
            .write_all(
                format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n{last_id}\r\n")
                    .as_bytes(),
            )
            .await?;
        Ok(Events(BufReader::new(stream)))
    }

    /// The next event: its id (empty for none) and its data. Chunk sizes of HTTP are lines of their own and are passed over.
    async fn next(&mut self) -> Result<(String, Value)> {
        let (mut id, mut data) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(PATIENCE, self.0.read_line(&mut line))
                .await
                .context("waiting for an event")??;
            ensure!(read > 0, "the stream of events ended");
            let line = line.trim_end_matches(['\r', '\n']);
            if let Some(value) = line.strip_prefix("id:") {
                id = value.trim_start().to_owned();
            } else if let Some(value) = line.strip_prefix("data:") {
                data.push_str(value.trim_start());
            } else if line.is_empty() && !data.is_empty() {
                return Ok((
                    id,
                    serde_json::from_str(&data).with_context(|| format!("an event's data is JSON: {data:.200}"))?,
                ));
            }
        }
    }

    /// The id of the event that leaves a client with this row: of its change, or of the `live` after the first rows.
    async fn id_of_row(&mut self, row: i64) -> Result<String> {
        let mut has_row = false;
        loop {
            let (id, data) = self.next().await?;
            has_row |= data["rows"]
                .as_array()
                .is_some_and(|rows| rows.iter().any(|found| found["id"] == row));
            has_row |= data["key"]["id"] == row;
            if has_row && !id.is_empty() {
                return Ok(id);
            }
        }
    }
}
