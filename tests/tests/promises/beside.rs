//! Killed at any moment, in the embedded log and on Kafka in both modes: what is no table's row, logical messages and the
//! beginnings and ends of transactions, is there once, in the order in which it was written, as rows are. Heartbeats go
//! between them and take nothing along.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use rowcast_tests::{
    kafka::Kafka,
    postgres::{self, Postgres, Version},
    process::{Rowcast, topic},
    random::Random,
    repetitions, until,
};
use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle};

/// A life of the process: long enough to start and to write for a while, short enough to die in its start as well.
const LIFE_MAX: Duration = Duration::from_millis(1_500);

/// Between two rounds of the writer.
const ROUND_PAUSE: Duration = Duration::from_millis(5);

/// Where the records are.
enum Place {
    Embedded,
    Kafka(Kafka),
}

/// A record's key and value, as JSON.
type Pair = (Value, Value);

impl Place {
    async fn rowcast(&self, postgres: &Postgres) -> Result<Rowcast> {
        match self {
            Place::Embedded => Rowcast::new(postgres, "public.t"),
            Place::Kafka(kafka) => Rowcast::capture(postgres, "public.t", &kafka.address()),
        }
    }

    /// All that is there now, by partition and offset, without tombstones; nothing if there is no topic.
    async fn read(&self, rowcast: &Rowcast, topic: &str) -> Result<Vec<Pair>> {
        let json = |text: &[u8]| serde_json::from_slice::<Value>(text).context("JSON");
        match self {
            Place::Embedded => {
                let lines = match rowcast.tail_topic(topic).await {
                    Err(error) if error.to_string().contains("no topic") => return Ok(Vec::new()),
                    lines => lines?,
                };
                let text = |line: &Value, name: &str| line[name].as_str().unwrap_or("null").to_owned();
                let pair = |line: &Value| {
                    Ok((
                        json(text(line, "key").as_bytes())?,
                        json(text(line, "value").as_bytes())?,
                    ))
                };
                lines.iter().map(pair).collect()
            }
            Place::Kafka(kafka) => {
                let records = kafka.topics().read(topic).await?;
                let pair = |record: &rowcast_tests::kafka::Record| {
                    let text = |bytes: &Option<Vec<u8>>| json(bytes.as_deref().unwrap_or(b"null"));
                    Ok((text(&record.key)?, text(&record.value)?))
                };
                records.iter().map(pair).collect()
            }
        }
    }

    /// The same, once there are so many: one transaction of Kafka's is not shown in all partitions at one moment.
    async fn read_until(&self, rowcast: &Rowcast, topic: &str, count: usize) -> Result<Vec<Pair>> {
        until(&format!("{count} records in {topic}"), async || {
            let read = self.read(rowcast, topic).await?;
            Ok((read.len() >= count).then_some(read))
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_and_repeat_no_message_in_the_embedded_log() -> Result<()> {
    kills(
        "kills_lose_and_repeat_no_message_in_the_embedded_log",
        Place::Embedded,
        "requested",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_and_repeat_no_message_on_kafka() -> Result<()> {
    let place = Place::Kafka(Kafka::start().await?);
    kills("kills_lose_and_repeat_no_message_on_kafka", place, "requested").await
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_and_repeat_no_message_with_transactions() -> Result<()> {
    let place = Place::Kafka(Kafka::start().await?);
    kills("kills_lose_and_repeat_no_message_with_transactions", place, "required").await
}

async fn kills(test: &str, place: Place, exactly_once_support: &str) -> Result<()> {
    let mut random = Random::from_environment(test);
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    database.batch_execute("CREATE TABLE t (id int PRIMARY KEY)").await?;
    if let Place::Kafka(kafka) = &place
        && exactly_once_support == "requested"
    {
        for topic in [MESSAGES, TRANSACTIONS] {
            kafka.topics().create(topic, 3, &[]).await?;
        }
    }
    let mut rowcast = place.rowcast(&postgres).await?;
    rowcast.set("exactly.once.support", exactly_once_support);
    rowcast.set("binary.handling.mode", "hex");
    rowcast.set("provide.transaction.metadata", "true");
    // Between all that is written, all the time.
    rowcast.set("heartbeat.interval.ms", "20");
    rowcast.start_streaming().await?;

    let writer = Writer::start(postgres.port());
    for _ in 0..repetitions(6, 60) {
        tokio::time::sleep(random.pause(LIFE_MAX)).await;
        rowcast.kill().await?;
        rowcast.start().await?;
    }
    let rounds = writer.stop().await?;
    ensure!(rounds > 20, "{rounds} rounds are no load");
    rowcast.ready().await?;
    all_is_there(&place, &rowcast, rounds).await.context(rowcast.log_text())
}

const MESSAGES: &str = "shop.message";
const TRANSACTIONS: &str = "shop.transaction";
const HEARTBEATS: &str = "__debezium-heartbeat.shop";

async fn all_is_there(place: &Place, rowcast: &Rowcast, rounds: u64) -> Result<()> {
    // A row that is written last is there last.
    let last = until("the last row", async || {
        let rows = place.read(rowcast, &topic("t")).await?;
        Ok(rows.iter().any(|(_, row)| row["after"]["id"] == -1).then_some(rows))
    });
    let rows = last.await?;
    let inserted: Vec<i64> = rows.iter().filter_map(|(_, row)| row["after"]["id"].as_i64()).collect();
    let expected: Vec<i64> = (0..2 * rounds as i64).chain([-1]).collect();
    ensure!(inserted == expected, "rows: {inserted:?}");
    let mut by_prefix: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (key, value) in place.read_until(rowcast, MESSAGES, 2 * rounds as usize).await? {
        ensure!(
            key["prefix"] == value["message"]["prefix"],
            "{key} is the key of {value}"
        );
        let prefix = key["prefix"].as_str().context("a prefix")?.to_owned();
        by_prefix.entry(prefix).or_default().push(value);
    }
    ensure!(by_prefix.len() == 2, "{:?}", by_prefix.keys());
    for (prefix, values) in &by_prefix {
        let contents: Vec<&str> = values
            .iter()
            .filter_map(|value| value["message"]["content"].as_str())
            .collect();
        let hex = |round: u64| -> String { round.to_string().bytes().map(|byte| format!("{byte:02x}")).collect() };
        let expected: Vec<String> = (0..rounds).map(hex).collect();
        ensure!(contents == expected, "messages of {prefix}: {contents:?}");
        let is_inside = prefix == "inside";
        ensure!(
            values.iter().all(|value| value["source"]["txId"].is_u64() == is_inside),
            "{values:?}"
        );
    }
    transactions_are_whole(place, rowcast, &rows, &by_prefix["inside"]).await?;
    beats(place, rowcast, 10).await?;
    eprintln!("{rounds} rounds agree");
    Ok(())
}

/// Each has one beginning, then one end that counts what there is of it, and each record its own place.
async fn transactions_are_whole(place: &Place, rowcast: &Rowcast, rows: &[Pair], inside: &[Value]) -> Result<()> {
    let mut orders: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for value in rows.iter().map(|(_, row)| row).chain(inside) {
        let xid = value["source"]["txId"]
            .as_u64()
            .context("it is part of a transaction")?;
        let order = value["transaction"]["total_order"]
            .as_u64()
            .context("it has its place")?;
        orders.entry(xid).or_default().push(order);
    }
    let mut told: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
    for (key, value) in place.read_until(rowcast, TRANSACTIONS, 2 * orders.len()).await? {
        ensure!(key["id"] == value["id"], "{key} is the key of {value}");
        let id = value["id"]
            .as_str()
            .and_then(|id| id.split_once(':'))
            .context("an id")?;
        told.entry(id.0.parse()?).or_default().push(value);
    }
    ensure!(
        told.keys().eq(orders.keys()),
        "{:?} are told, of {:?}",
        told.keys(),
        orders.keys()
    );
    for (xid, mut orders) in orders {
        let of_it = &mut told.get_mut(&xid).context("it is told")?[..];
        // They may lie in two partitions.
        of_it.sort_by_key(|value| value["status"].to_string());
        let [begin, end] = of_it else {
            anyhow::bail!("transaction {xid} is told as {of_it:?}")
        };
        orders.sort_unstable();
        ensure!(
            (1..=orders.len() as u64).eq(orders.iter().copied()),
            "{xid}: {orders:?}"
        );
        ensure!(begin["status"] == "BEGIN" && end["status"] == "END", "{begin} {end}");
        ensure!(end["event_count"] == orders.len() as u64, "{end}: {orders:?}");
    }
    Ok(())
}

/// Waits until there are more than so many heartbeats, and looks at them.
async fn beats(place: &Place, rowcast: &Rowcast, more_than: usize) -> Result<usize> {
    let all = place.read_until(rowcast, HEARTBEATS, more_than + 1).await?;
    let times: Vec<i64> = all.iter().filter_map(|(_, value)| value["ts_ms"].as_i64()).collect();
    ensure!(times.len() == all.len() && times.is_sorted(), "{times:?}");
    ensure!(all.iter().all(|(key, _)| key["serverName"] == "shop"), "{all:?}");
    Ok(all.len())
}

/// The topic of messages has its own name under any delimiter, and what is in it is what the log knows of the source.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_ends_with_a_message_goes_on_under_any_delimiter() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    database.batch_execute("CREATE TABLE t (id int PRIMARY KEY)").await?;
    let place = Place::Embedded;
    let mut rowcast = place.rowcast(&postgres).await?;
    rowcast.set("topic.delimiter", "_");
    rowcast.start_ready().await?;
    for count in 1..=3 {
        // A commit, so that the message is written out.
        let statements =
            "SELECT pg_logical_emit_message(false, 'lone', 'x'); CREATE TABLE other (id int); DROP TABLE other";
        database.batch_execute(statements).await?;
        let messages = place.read_until(&rowcast, MESSAGES, count).await?;
        ensure!(messages.len() == count, "{messages:?}");
        let lsn = messages[count - 1].1["source"]["lsn"].as_i64().context("an LSN")?;
        until("the slot to be confirmed behind it", async || {
            let confirmed = "SELECT confirmed_flush_lsn - '0/0'::pg_lsn >= $1::bigint FROM pg_replication_slots";
            let row = database.query_one(confirmed, &[&lsn]).await?;
            Ok(row.get::<_, bool>(0).then_some(()))
        })
        .await?;
        rowcast.kill().await?;
        rowcast.start_ready().await?;
    }
    Ok(())
}

/// While nothing is written, and again after a kill; a statement goes with each, and one that fails stops nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connector_shows_that_it_lives() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    database
        .batch_execute("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE acts (id serial PRIMARY KEY)")
        .await?;
    let place = Place::Embedded;
    let mut rowcast = place.rowcast(&postgres).await?;
    rowcast.set("heartbeat.interval.ms", "100");
    rowcast.set("heartbeat.action.query", "INSERT INTO acts DEFAULT VALUES");
    rowcast.start_ready().await?;
    let before = beats(&place, &rowcast, 2).await?;
    rowcast.kill().await?;
    database.batch_execute("ALTER TABLE acts RENAME TO acted").await?;
    rowcast.start_ready().await?;
    beats(&place, &rowcast, before).await?;
    rowcast
        .logged(|line| line.contains("heartbeat.action.query") && line.contains("acts"))
        .await?;
    database.batch_execute("ALTER TABLE acted RENAME TO acts").await?;
    let count = "SELECT count(*) FROM acts";
    let acts: i64 = database.query_one(count, &[]).await?.get(0);
    ensure!(acts > 0, "the statement went with none");
    until("a statement after the one that failed", async || {
        let now: i64 = database.query_one(count, &[]).await?.get(0);
        Ok((now > acts).then_some(()))
    })
    .await?;
    database.batch_execute("INSERT INTO t VALUES (1)").await?;
    until("a row behind all of them", async || {
        Ok((place.read(&rowcast, &topic("t")).await?.len() == 1).then_some(()))
    })
    .await
}

/// Writes rounds of messages and rows, one after the other, until it is stopped.
struct Writer {
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<u64>>,
}

impl Writer {
    fn start(port: u16) -> Writer {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let database = postgres::connect(port, postgres::DATABASE).await?;
            let mut round = 0;
            while !*stopped.borrow() {
                let statements = format!(
                    "SELECT pg_logical_emit_message(false, 'lone', '{round}');
                    BEGIN; INSERT INTO t VALUES ({first}); SELECT pg_logical_emit_message(true, 'inside', '{round}');
                    INSERT INTO t VALUES ({second}); COMMIT",
                    first = 2 * round,
                    second = 2 * round + 1,
                );
                database.batch_execute(&statements).await?;
                round += 1;
                tokio::time::sleep(ROUND_PAUSE).await;
            }
            database.batch_execute("INSERT INTO t VALUES (-1)").await?;
            Ok(round)
        });
        Writer { stop, task }
    }

    async fn stop(self) -> Result<u64> {
        self.stop.send_replace(true);
        self.task.await?
    }
}
