//! A topic of many partitions is one table and one stream of changes, and its cursors are good at every gateway.
#![allow(clippy::unwrap_used, reason = "in a test a refusal is a failure")]

mod stage;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use rowcast_gateway::{Gateway, GatewayOptions};
use rowcast_log::{
    Appender, Copier, EmbeddedLog, EmbeddedOptions, Epoch, Log, NewRecord, Offset, TopicPartition, Visibility,
    partition_of,
};
use rowcast_protocol::{Op, ServerMessage};
use stage::{Client, Stage, TOPIC, Table, envelope, key, key_change, row, spread};

const PARTITIONS: u32 = 5;

fn partition(number: u32) -> TopicPartition {
    TopicPartition {
        topic: TOPIC.into(),
        partition: number,
    }
}

fn record<'a>(key: &'a str, value: &'a str, timestamp_ms: i64) -> NewRecord<'a> {
    NewRecord {
        timestamp_ms,
        key: Some(key.as_bytes()),
        value: Some(value.as_bytes()),
        headers: &[],
    }
}

/// Writes version after version of many rows, each to the partition of its key.
struct Spreader {
    appender: Box<dyn Appender>,
    version: u64,
}

impl Spreader {
    fn new(log: &dyn Log) -> Spreader {
        Spreader {
            appender: spread(log, PARTITIONS),
            version: 0,
        }
    }

    fn write(&mut self, id: u64) {
        self.version += 1;
        self.put(&key(id), &envelope('u', "null", &row(id, self.version)), &[]);
    }

    fn put(&mut self, key: &str, value: &str, headers: &[(&str, &[u8])]) {
        let to = partition(partition_of(Some(key.as_bytes()), PARTITIONS));
        let new = NewRecord {
            headers,
            ..record(key, value, self.version as i64)
        };
        self.appender.append(&to, new).unwrap();
        self.appender.commit(&self.version.to_be_bytes()).unwrap();
        self.appender.flush(Visibility::Now).unwrap();
    }
}

/// Takes messages in until the table knows this version.
async fn until(client: &mut Client, table: &mut Table, version: u64) -> Vec<(u64, u64, String)> {
    let mut seen = Vec::new();
    while !table.rows.values().any(|known| *known == version) {
        let message = client.next().await;
        if let ServerMessage::Change(change) = &message {
            let after: serde_json::Value = serde_json::from_str(change.after.as_ref().unwrap().get()).unwrap();
            let number = |name: &str| after[name].as_u64().unwrap();
            seen.push((number("id"), number("version"), change.cursor.clone()));
        }
        table.take(message);
    }
    seen
}

async fn subscribed(address: SocketAddr, cursor: Option<String>) -> Client {
    let mut client = Client::connect(address, Some("rowcast.v1")).await;
    client
        .subscribe(|subscribe| {
            subscribe.snapshot = true;
            subscribe.cursor = cursor;
        })
        .await;
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_the_table_and_then_every_change_of_each_row_in_order() {
    let stage = Stage::set().await;
    let mut writer = Spreader::new(&*stage.log);
    for id in 0..50 {
        writer.write(id);
    }
    let mut client = subscribed(stage.address, None).await;
    let mut table = Table::default();
    until(&mut client, &mut table, 50).await;
    for round in 0..20 {
        for id in 0..50 {
            writer.write((id * 7 + round) % 60);
        }
    }
    // Another order would be a panic: the table takes no version that is not above the one before.
    until(&mut client, &mut table, writer.version).await;
    while table.changes < 1000 {
        table.take(client.next().await);
    }
    assert_eq!(table.rows.len(), 60);
}

/// Whatever a client has, from whichever gateway: what it gets at another is exactly the rest.
#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_one_gateway_is_good_at_every_other() {
    let stage = Stage::set().await;
    let mut writer = Spreader::new(&*stage.log);
    for id in 0..20 {
        writer.write(id);
    }
    let second = stage.another_gateway().await;
    let mut first_client = subscribed(stage.address, None).await;
    let mut second_client = subscribed(second, None).await;
    let (mut first, mut second_table) = (Table::default(), Table::default());
    until(&mut first_client, &mut first, 20).await;
    until(&mut second_client, &mut second_table, 20).await;
    for id in 0..300 {
        writer.write((id * 11) % 40);
    }
    let mut from_first = Vec::new();
    while from_first.len() < 300 {
        let ServerMessage::Change(change) = first_client.next().await else {
            continue;
        };
        let after: serde_json::Value = serde_json::from_str(change.after.as_ref().unwrap().get()).unwrap();
        from_first.push((after["version"].as_u64().unwrap(), change.cursor));
    }
    // A gateway that was started after all of it knows nothing of anybody's order.
    let third = stage.another_gateway().await;
    for (seen, address) in [
        (0, second),
        (17, third),
        (150, second),
        (151, third),
        (298, third),
        (299, second),
    ] {
        let had: BTreeSet<u64> = from_first[..=seen].iter().map(|(version, _)| *version).collect();
        let mut client = subscribed(address, Some(from_first[seen].1.clone())).await;
        let wanted: BTreeSet<u64> = (21..=writer.version).filter(|version| !had.contains(version)).collect();
        let (mut got, mut is_live) = (BTreeSet::new(), false);
        // What the gateway had not read yet when the client came follows when it is live.
        while !is_live || got.len() < wanted.len() {
            match client.next().await {
                ServerMessage::Change(change) => {
                    let after: serde_json::Value = serde_json::from_str(change.after.as_ref().unwrap().get()).unwrap();
                    let version = after["version"].as_u64().unwrap();
                    assert!(got.insert(version), "{version} twice after {seen}");
                }
                ServerMessage::Live(_) => is_live = true,
                other => panic!("{}", other.to_json()),
            }
        }
        assert_eq!(got, wanted, "after {seen} changes");
        writer.write(1);
        let live = client.next().await;
        assert!(
            matches!(live, ServerMessage::Change(_)),
            "live goes on: {}",
            live.to_json()
        );
    }
}

/// A copy of a topic elsewhere, whose offsets have holes and which may grow.
struct Copy {
    log: Arc<EmbeddedLog>,
    copier: Copier,
    _dir: tempfile::TempDir,
}

impl Copy {
    fn of(partitions: usize) -> Copy {
        let dir = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open_copies(dir.path(), Some("cluster"), EmbeddedOptions::default()).unwrap();
        log.copy_topic(TOPIC, Epoch(7), &vec![Offset(0); partitions]).unwrap();
        Copy {
            copier: log.copier(),
            log,
            _dir: dir,
        }
    }

    fn write(&mut self, to: u32, offset: u64, id: u64, version: u64) {
        let (key, value) = (key(id), envelope('u', "null", &row(id, version)));
        let record = record(&key, &value, version as i64);
        self.copier.append(&partition(to), Offset(offset), &record).unwrap();
        self.copier.flush().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn holes_in_the_offsets_are_no_gaps_and_a_topic_may_be_given_more_partitions() {
    let mut copy = Copy::of(1);
    copy.write(0, 10, 1, 1);
    let stage = Stage::set().await;
    let gateway = Gateway::start(copy.log.clone(), GatewayOptions::default());
    let address = stage.serve(gateway).await;
    let mut client = subscribed(address, None).await;
    let mut table = Table::default();
    until(&mut client, &mut table, 1).await;
    copy.write(0, 500, 2, 2);
    let before_growth = until(&mut client, &mut table, 2).await;

    copy.log.copy_topic(TOPIC, Epoch(7), &[Offset(0); 3]).unwrap();
    copy.write(2, 40, 3, 3);
    copy.write(0, 501, 1, 4);
    copy.write(1, 7, 2, 5);
    until(&mut client, &mut table, 5).await;
    while table.rows.len() < 3 || table.rows[&3] != 3 || table.rows[&1] != 4 {
        table.take(client.next().await);
    }
    assert_eq!(table.rows, BTreeMap::from([(1, 4), (2, 5), (3, 3)]));

    // A cursor from before the growth names one partition of three.
    let (_, _, cursor) = before_growth.last().unwrap().clone();
    let mut late = subscribed(address, Some(cursor)).await;
    let mut versions = BTreeSet::new();
    while versions.len() < 3 {
        match late.next().await {
            ServerMessage::Change(change) => {
                assert_eq!(change.op, Op::Update);
                let after: serde_json::Value = serde_json::from_str(change.after.as_ref().unwrap().get()).unwrap();
                assert!(versions.insert(after["version"].as_u64().unwrap()));
            }
            other => panic!("{}", other.to_json()),
        }
    }
    assert_eq!(versions, BTreeSet::from([3, 4, 5]));

    // A gateway that starts now sees the newest version of a key that lives in two partitions.
    let another = stage
        .serve(Gateway::start(copy.log.clone(), GatewayOptions::default()))
        .await;
    let mut fresh = subscribed(another, None).await;
    let mut table = Table::default();
    until(&mut fresh, &mut table, 5).await;
    assert_eq!(table.rows, BTreeMap::from([(1, 4), (2, 5), (3, 3)]));
}

/// The halves of a key change lie in two partitions, and a row's left-out value is its own or told as unknown, never
/// another row's.
#[tokio::test]
async fn what_a_key_change_left_out_is_the_rows_own() {
    const LEFT_OUT: &str = "__debezium_unavailable_value";
    const ROWS: u64 = 40;
    let body = |id: u64, body: &str| format!(r#"{{"id":{id},"body":"{body}"}}"#);
    let stage = Stage::set().await;
    let mut spreader = Spreader::new(&*stage.log);
    let gateway = || Gateway::start(stage.log.clone(), GatewayOptions::default());
    for id in 0..ROWS {
        let value = envelope('c', "null", &body(id, &format!("body of {id}")));
        spreader.put(&key(id), &value, &[]);
    }
    let first = stage.serve(gateway()).await;
    let mut live = Client::connect(first, Some("rowcast.v1")).await;
    live.subscribe(|_| {}).await;
    while !matches!(live.next().await, ServerMessage::Live(_)) {}
    let new_id = |id: u64| id + 1_000;
    for id in 0..ROWS {
        let (delete, create) = key_change(&body(id, ""), &body(new_id(id), LEFT_OUT));
        spreader.put(&key(id), &delete, &[("__debezium.newkey", b"{}")]);
        spreader.put(&key(new_id(id)), &create, &[("__debezium.oldkey", b"{}")]);
    }
    let mut halves = 0;
    while halves < 2 * ROWS {
        let ServerMessage::Change(change) = live.next().await else {
            continue;
        };
        halves += 1;
        if change.op == Op::Create {
            let after: serde_json::Value = serde_json::from_str(change.after.unwrap().get()).unwrap();
            let own = format!("body of {}", after["id"].as_u64().unwrap() - 1_000);
            match change.unchanged {
                None => assert_eq!(after["body"], own.as_str()),
                Some(unchanged) => assert_eq!(
                    (unchanged.as_slice(), after.get("body")),
                    (&["body".to_owned()][..], None)
                ),
            }
        }
    }
    // Whoever comes later, to this gateway or to one that begins now, gets all of them.
    for address in [first, stage.serve(gateway()).await] {
        let mut late = Client::connect(address, Some("rowcast.v1")).await;
        late.subscribe(|_| {}).await;
        let mut bodies = BTreeMap::new();
        loop {
            match late.next().await {
                ServerMessage::Rows(rows) => {
                    for row in &rows.rows {
                        let row: serde_json::Value = serde_json::from_str(row.get()).unwrap();
                        bodies.insert(row["id"].as_u64().unwrap(), row["body"].as_str().unwrap().to_owned());
                    }
                }
                ServerMessage::Live(_) => break,
                _ => {}
            }
        }
        let wanted = (0..ROWS).map(|id| (new_id(id), format!("body of {id}")));
        assert_eq!(bodies, wanted.collect());
    }
}
