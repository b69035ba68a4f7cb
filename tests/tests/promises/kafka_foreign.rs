//! Topics that somebody else fills, served with nothing set but their names: a real Debezium's in the forms that its users
//! choose, a plain producer's, and one that is not JSON.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use rowcast_tests::{
    PATIENCE,
    client::{Connection, Follower, Seen},
    debezium::Debezium,
    kafka::{Kafka, NewRecord},
    postgres::{Postgres, Version},
    process::{Rowcast, connector},
};
use serde_json::{Value, json};

const JSON_CONVERTER: &str = "org.apache.kafka.connect.json.JsonConverter";
const UNWRAP: &str = "io.debezium.transforms.ExtractNewRecordState";

/// How a connector writes its topic: name of the prefix, whether schemas go with each record, and how it flattens.
const FORMS: [(&str, bool, Option<&str>); 6] = [
    ("envelope-with-schemas", true, None),
    ("envelope", false, None),
    ("flat-with-schemas", true, Some("tombstone")),
    ("flat", false, Some("tombstone")),
    ("flat-delete-to-tombstone", false, Some("delete-to-tombstone")),
    ("flat-rewrite", false, Some("rewrite-with-tombstone")),
];

fn topic_of(form: &str) -> String {
    format!("{form}.public.orders")
}

async fn register(debezium: &Debezium, postgres: &Postgres, number: usize) -> Result<()> {
    let (form, schemas, flat) = FORMS[number];
    let mut config = connector(postgres, "public.orders");
    let mut set = |name: &str, value: &str| config.insert(name.to_owned(), value.into());
    set("topic.prefix", form);
    set("slot.name", &format!("foreign_{number}"));
    set("publication.name", &format!("foreign_{number}"));
    for side in ["key", "value"] {
        set(&format!("{side}.converter"), JSON_CONVERTER);
        set(
            &format!("{side}.converter.schemas.enable"),
            if schemas { "true" } else { "false" },
        );
    }
    if let Some(deletes) = flat {
        set("transforms", "unwrap");
        set("transforms.unwrap.type", UNWRAP);
        set("transforms.unwrap.delete.tombstone.handling.mode", deletes);
    }
    debezium.register(form, &config).await
}

/// Status by id, as a page would show it.
fn statuses(seen: &Seen) -> BTreeMap<i64, String> {
    let rows = seen.rows.values();
    rows.map(|row| {
        (
            row["id"].as_i64().unwrap_or(-1),
            row["status"].as_str().unwrap_or("?").to_owned(),
        )
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_debezium_fills_is_served_in_every_form_that_it_writes() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    database
        .batch_execute(
            "CREATE TABLE orders (id int PRIMARY KEY, status text);
             INSERT INTO orders SELECT id, 'new' FROM generate_series(1, 5) AS id",
        )
        .await?;
    let kafka = Kafka::start().await?;
    let debezium = Debezium::start(&kafka).await?;
    for number in 0..FORMS.len() {
        register(&debezium, &postgres, number).await?;
    }
    let topics = FORMS.map(|(form, ..)| topic_of(form));
    let mut gateway = Rowcast::gateway(&kafka.address(), &topics)?;
    gateway.start_ready().await?;
    let follow = |gateway: &Rowcast| {
        topics
            .clone()
            .map(|topic| (Follower::start_on(gateway.address(), &topic, true), topic))
    };
    let followers = follow(&gateway);
    for (follower, topic) in &followers {
        follower
            .until("the snapshot", |seen| seen.rows.len() == 5)
            .await
            .with_context(|| topic.clone())?;
        follower.live().await?;
    }
    database
        .batch_execute(
            "UPDATE orders SET status = 'shipped' WHERE id < 3; DELETE FROM orders WHERE id = 4;
             UPDATE orders SET id = 50 WHERE id = 5; INSERT INTO orders VALUES (6, 'new'); DELETE FROM orders WHERE id = 6;
             INSERT INTO orders VALUES (6, 'again'); INSERT INTO orders VALUES (100, 'last')",
        )
        .await?;
    let wanted: BTreeMap<i64, String> = [
        (1, "shipped"),
        (2, "shipped"),
        (3, "new"),
        (50, "new"),
        (6, "again"),
        (100, "last"),
    ]
    .map(|(id, status)| (id, status.to_owned()))
    .into();
    for (follower, topic) in followers {
        follower
            .until("the last row", |seen| statuses(seen).contains_key(&100))
            .await
            .with_context(|| topic.clone())?;
        let seen = follower.stop();
        ensure!(statuses(&seen) == wanted, "{topic}: {:?}", statuses(&seen));
        let deletes = seen.changes.iter().filter(|change| change.op == "d").count();
        // Two rows, and the old key of the one that was given another.
        ensure!(deletes == 3, "{topic}: {deletes} deletes");
        ensure!(seen.resets.is_empty(), "{topic}: {:?}", seen.resets);
    }
    // Who knows the topics only as they lie there shows the same rows.
    let mut late = Rowcast::gateway(&kafka.address(), &topics)?;
    late.start_ready().await?;
    for (follower, topic) in follow(&late) {
        follower.live().await.with_context(|| topic.clone())?;
        let rows = statuses(&follower.stop());
        ensure!(rows == wanted, "{topic}, read anew: {rows:?}");
    }
    Ok(())
}

fn record(key: &str, value: &[u8]) -> NewRecord {
    NewRecord {
        key: Some(key.as_bytes().to_vec()),
        value: Some(value.to_vec()),
        ..NewRecord::default()
    }
}

/// The next message about a record or an error; patience is over when none comes.
async fn next(client: &mut Connection) -> Result<Value> {
    let wait = async {
        loop {
            let message = client.next().await?.context("the connection stands")?;
            if matches!(message["type"].as_str(), Some("change" | "error")) {
                return Ok(message);
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .context("a change or an error")?
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_json_is_refused_and_stops_no_other() -> Result<()> {
    let (plain, avro) = ("events.plain", "events.avro");
    let kafka = Kafka::start().await?;
    let topics = kafka.topics();
    for topic in [plain, avro] {
        topics.create(topic, 2, &[]).await?;
    }
    let confluent = b"\0\0\0\0\x2A\x02\x06secret";
    topics.produce(avro, &[record("7", confluent)]).await?;
    topics
        .produce(plain, &[record("a", br#"{"id":1,"kind":"first"}"#)])
        .await?;
    let mut gateway = Rowcast::gateway(&kafka.address(), &[plain, avro].map(str::to_owned))?;
    gateway.start_ready().await?;
    let said = gateway
        .logged(|line| line.contains(avro) && line.contains("not JSON"))
        .await?;
    ensure!(said.contains("Avro") && !said.contains("secret"), "{said}");

    let mut client = Connection::open(gateway.address()).await?;
    client.subscribe_to(plain, true, None).await?;
    let rows = client.next_of("rows").await?;
    ensure!(rows["rows"] == json!([{ "id": 1, "kind": "first" }]), "{rows}");
    client.next_of("live").await?;
    client.subscribe_to(avro, true, None).await?;
    let refused = next(&mut client).await?;
    ensure!(refused["code"] == "not_json", "{refused}");
    let why = refused["message"].as_str().unwrap_or_default();
    ensure!(
        why.contains(&format!("of {avro} is not JSON")) && why.contains("Avro"),
        "{why}"
    );
    ensure!(!why.contains("secret"), "{why}");

    topics.produce(avro, &[record("8", confluent)]).await?;
    topics
        .produce(
            plain,
            &[record("a", br#"{"id":1,"kind":"second"}"#), record("b", b"[1, 2]")],
        )
        .await?;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let message = next(&mut client).await?;
        match message["type"].as_str() {
            Some("change") => seen.push(message["after"].to_string()),
            // The one that came while we listened.
            _ => ensure!(message["code"] == "not_json", "{message}"),
        }
    }
    seen.sort();
    ensure!(seen == ["[1,2]", r#"{"id":1,"kind":"second"}"#], "{seen:?}");
    Ok(())
}
