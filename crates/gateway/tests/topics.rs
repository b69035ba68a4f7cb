//! What a topic's records say reaches clients as it should: large values, shapes, missing keys, foreign records, lives.

mod stage;

use rowcast_log::{Log, TopicCreation, Visibility, WriterId};
use rowcast_protocol::{Change, ErrorCode, ResetReason, ServerMessage};
use stage::{Client, Stage, TOPIC, Writer, envelope, key, key_change};

const LEFT_OUT: &str = "__debezium_unavailable_value";

fn document(id: u64, body: &str) -> String {
    format!(r#"{{"id":{id},"body":"{body}"}}"#)
}

fn put(writer: &mut Writer, op: char, id: u64, body: &str, headers: &[(&str, &[u8])]) {
    writer.append(
        Some(&key(id)),
        Some(&envelope(op, "null", &document(id, body))),
        headers,
    );
    writer.commit();
}

async fn change(client: &mut Client) -> Change {
    match client.next().await {
        ServerMessage::Change(change) => change,
        other => panic!("not a change: {}", other.to_json()),
    }
}

async fn rows(client: &mut Client) -> Vec<String> {
    let mut rows = Vec::new();
    loop {
        match client.next().await {
            ServerMessage::Rows(more) => rows.extend(more.rows.iter().map(|row| row.get().to_owned())),
            ServerMessage::Live(_) => return rows,
            other => panic!("not a row: {}", other.to_json()),
        }
    }
}

fn after(change: &Change) -> &str {
    change.after.as_ref().expect("a row").get()
}

#[tokio::test]
async fn large_values_that_an_update_left_alone_reach_clients() {
    let stage = Stage::set().await;
    let mut writer = stage.writer(TOPIC);
    let mut client = stage.client().await;
    client.subscribe(|_| {}).await;
    assert!(rows(&mut client).await.is_empty());
    put(&mut writer, 'c', 1, "long text", &[]);
    let created = change(&mut client).await;
    put(&mut writer, 'u', 1, LEFT_OUT, &[]);
    put(&mut writer, 'u', 1, LEFT_OUT, &[]);
    for _ in 0..2 {
        let change = change(&mut client).await;
        assert_eq!(after(&change), document(1, "long text"));
        assert!(change.unchanged.is_none());
    }

    // The key changes: the value stands under the old one.
    let (delete, create) = key_change(&document(1, ""), &document(2, LEFT_OUT));
    writer.append(Some(&key(1)), Some(&delete), &[("__debezium.newkey", b"{}")]);
    writer.append(Some(&key(1)), None, &[("__debezium.newkey", b"{}")]);
    writer.append(Some(&key(2)), Some(&create), &[("__debezium.oldkey", b"{}")]);
    writer.commit();
    assert_eq!(change(&mut client).await.op, rowcast_protocol::Op::Delete);
    assert_eq!(after(&change(&mut client).await), document(2, "long text"));

    let mut late = stage.client().await;
    late.subscribe(|_| {}).await;
    assert_eq!(rows(&mut late).await, [document(2, "long text")]);

    // Read again from the log, only the row's latest record is known to the view; the client has the others' values.
    let mut back = Client::connect(stage.another_gateway().await, Some("rowcast.v1")).await;
    back.subscribe(|subscribe| subscribe.cursor = Some(created.cursor))
        .await;
    for _ in 0..2 {
        let change = change(&mut back).await;
        assert_eq!(after(&change), r#"{"id":1}"#);
        assert_eq!(change.unchanged, Some(vec!["body".to_owned()]));
    }
    assert_eq!(change(&mut back).await.op, rowcast_protocol::Op::Delete);
    assert_eq!(after(&change(&mut back).await), document(2, "long text"));
}

#[tokio::test]
async fn a_schema_comes_before_the_first_change_of_its_shape() {
    fn shape(writer: &mut Writer, from_offset: u64, table: &str) {
        let schema = format!(r#"{{"topic":"{TOPIC}","table":"{table}","columns":[]}}"#);
        let value = format!(r#"{{"topic":"{TOPIC}","from_offsets":[{from_offset}],"schema":{schema}}}"#);
        writer.append(Some(TOPIC), Some(&value), &[]);
        writer.commit();
    }
    async fn table(client: &mut Client) -> Option<String> {
        match client.next().await {
            ServerMessage::Subscribed(subscribed) => subscribed.schema?.parse().expect("a schema").table,
            ServerMessage::Schema(schema) => schema.schema?.parse().expect("a schema").table,
            other => panic!("no schema: {}", other.to_json()),
        }
    }
    let stage = Stage::set().await;
    let mut schemas = stage.writer("__rowcast_schemas");
    let mut writer = stage.writer(TOPIC);
    let mut client = stage.client().await;
    let subscribe = format!(r#"{{"type":"subscribe","topic":"{TOPIC}"}}"#);
    client.say(&subscribe).await;
    assert_eq!(table(&mut client).await, None);
    assert!(rows(&mut client).await.is_empty());

    let begun = stage.log.end(&stage::partition(TOPIC)).expect("the topic").borrow().0;
    shape(&mut schemas, begun, "first");
    let last = writer.change('c', 1, 1);
    assert_eq!(table(&mut client).await.as_deref(), Some("first"));
    let first = change(&mut client).await;
    shape(&mut schemas, last + 2, "second");
    writer.change('u', 1, 2);
    writer.change('u', 1, 3);
    assert_eq!(table(&mut client).await.as_deref(), Some("second"));
    change(&mut client).await;
    change(&mut client).await;

    let mut late = stage.client().await;
    late.say(&subscribe).await;
    assert_eq!(table(&mut late).await.as_deref(), Some("second"));

    let mut back = stage.client().await;
    back.say(format!(
        r#"{{"type":"subscribe","topic":"{TOPIC}","cursor":"{}"}}"#,
        first.cursor
    ))
    .await;
    assert_eq!(table(&mut back).await.as_deref(), Some("first"));
    assert_eq!(table(&mut back).await.as_deref(), Some("second"));
    change(&mut back).await;
}

#[tokio::test]
async fn a_topic_without_keys_has_changes_but_no_rows() {
    let stage = Stage::set().await;
    let mut writer = stage.writer(TOPIC);
    writer.append(None, Some(&envelope('c', "null", r#"{"a":1}"#)), &[]);
    writer.commit();
    let mut client = stage.client().await;
    let sub = client.subscribe(|_| {}).await;
    // The view may be a moment behind; then the first rows are none, and the next try is refused.
    let mut message = client.next().await;
    while let ServerMessage::Live(_) | ServerMessage::Change(_) = message {
        client.say(format!(r#"{{"type":"unsubscribe","sub":{sub}}}"#)).await;
        while !matches!(client.next().await, ServerMessage::Unsubscribed(_)) {}
        client.subscribe(|_| {}).await;
        message = client.next().await;
    }
    match message {
        ServerMessage::Error(error) => assert_eq!((error.code, error.sub), (ErrorCode::NoKey, Some(sub))),
        other => panic!("{}", other.to_json()),
    }
    client.subscribe(|subscribe| subscribe.snapshot = false).await;
    assert!(matches!(client.next().await, ServerMessage::Live(_)));
    writer.append(None, Some(&envelope('c', "null", r#"{"a":2}"#)), &[]);
    writer.commit();
    let change = change(&mut client).await;
    assert_eq!((change.key.is_none(), after(&change)), (true, r#"{"a":2}"#));
}

#[tokio::test]
async fn records_that_are_not_json_are_told_once_and_stop_nothing() {
    let stage = Stage::set().await;
    let mut writer = stage.writer(TOPIC);
    let mut client = stage.client().await;
    client.subscribe(|subscribe| subscribe.snapshot = false).await;
    assert!(matches!(client.next().await, ServerMessage::Live(_)));
    let broken = envelope('c', "null", r#"{"id":tru}"#);
    for value in [
        "plain text",
        &broken,
        r#"{"op":"m","message":{}}"#,
        "{\"op\":\"c\",\"after\":{\"a\":\"\u{1}\"}}",
    ] {
        writer.append(Some(&key(1)), Some(value), &[]);
    }
    writer.append(
        Some("not json"),
        Some("{ \"op\" : \"c\",\n\"after\" : { \"id\" : 7,\n \"version\" : 1 } }"),
        &[],
    );
    writer.commit();
    match client.next().await {
        ServerMessage::Error(error) => assert_eq!((error.code, error.sub), (ErrorCode::NotJson, None)),
        other => panic!("{}", other.to_json()),
    }
    let change = change(&mut client).await;
    assert_eq!(change.key.as_ref().map(|key| key.get()), Some(r#""not json""#));
    assert_eq!(stage::id_and_version(after(&change)), (7, 1));
    assert_eq!(change.ts_ms, None);
}

#[tokio::test]
async fn a_topic_that_is_made_anew_resets_its_old_cursors() {
    let stage = Stage::set().await;
    let mut writer = stage.writer(TOPIC);
    writer.change('c', 1, 1);
    let mut client = stage.client().await;
    client.subscribe(|subscribe| subscribe.snapshot = false).await;
    let ServerMessage::Live(live) = client.next().await else {
        panic!("not live")
    };
    drop(writer);
    stage.log.delete_topic(TOPIC).expect("deleted");
    match client.next().await {
        ServerMessage::Error(error) => assert_eq!(error.code, ErrorCode::UnknownTopic),
        other => panic!("{}", other.to_json()),
    }
    let mut writer = stage.writer(TOPIC);
    writer.change('c', 5, 5);
    client.subscribe(|subscribe| subscribe.cursor = Some(live.cursor)).await;
    match client.next().await {
        ServerMessage::Reset(reset) => assert_eq!(reset.reason, ResetReason::OtherEpoch),
        other => panic!("{}", other.to_json()),
    }
    let mut table = stage::Table::default();
    while table.rows.is_empty() || table.lives == 0 {
        table.take(client.next().await);
    }
    assert_eq!(table.rows, [(5, 5)].into());
}

#[tokio::test]
async fn a_truncated_table_is_empty_for_everyone() {
    let stage = Stage::set().await;
    let mut writer = stage.writer(TOPIC);
    let mut client = stage.client().await;
    client.subscribe(|_| {}).await;
    assert!(rows(&mut client).await.is_empty());
    writer.change('c', 1, 1);
    writer.append(None, Some(&envelope('t', "null", "null")), &[]);
    writer.commit();
    change(&mut client).await;
    let truncate = change(&mut client).await;
    assert_eq!(truncate.op, rowcast_protocol::Op::Truncate);
    assert!(truncate.key.is_none() && truncate.before.is_none() && truncate.after.is_none());
    let mut late = stage.client().await;
    late.subscribe(|_| {}).await;
    assert!(rows(&mut late).await.is_empty());
}

#[tokio::test]
async fn views_are_rebuilt_from_the_log_and_large_snapshots_come_whole() {
    const ROWS: u64 = 20_000;
    let stage = Stage::set_with(Default::default(), |log| {
        let mut writer = Writer::new(log, TOPIC);
        for id in 0..ROWS {
            writer.append_change('r', id, 1);
        }
        writer.commit();
        for id in (0..ROWS).step_by(3) {
            writer.append_change('u', id, 2);
        }
        writer.commit();
    })
    .await;
    let reading = (0..5).map(|_| async {
        let mut client = stage.client().await;
        client.subscribe(|_| {}).await;
        let mut table = stage::Table::default();
        while table.lives == 0 {
            table.take(client.next().await);
        }
        assert_eq!(table.rows.len() as u64, ROWS);
        assert!(
            table
                .rows
                .iter()
                .all(|(id, version)| *version == if id.is_multiple_of(3) { 2 } else { 1 })
        );
    });
    futures_util::future::join_all(reading).await;
    assert_eq!(stage.metric("rowcast_gateway_snapshot_rows_total"), (5 * ROWS) as f64);
}

#[tokio::test]
async fn a_table_is_not_called_empty_while_its_first_snapshot_is_on_its_way() {
    let stage = Stage::set().await;
    let mut other = stage.writer("other");
    let partition = stage::partition(TOPIC);
    stage
        .log
        .ensure_topic(TOPIC, &TopicCreation::default())
        .expect("the topic is made");
    let mut snapshot = stage.log.appender(&WriterId::new("test")).unwrap();
    let mut append = |id: u64| {
        let (key, value) = (key(id), envelope('r', "null", &document(id, "row")));
        let record = rowcast_log::NewRecord {
            timestamp_ms: 0,
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            headers: &[],
        };
        snapshot.append(&partition, record).expect("appended");
        snapshot.flush(Visibility::AfterSync).expect("flushed")
    };
    append(1);
    let mut client = stage.client().await;
    client.subscribe(|_| {}).await;
    // Whatever would be said of the first topic is said before this.
    client.subscribe(|subscribe| subscribe.topic = "other".into()).await;
    assert!(rows(&mut client).await.is_empty());
    put(&mut other, 'c', 7, "other", &[]);
    assert_eq!(after(&change(&mut client).await), document(7, "other"));
    append(2);
    snapshot.commit(b"snapshot").expect("committed");
    snapshot.flush(Visibility::AfterSync).expect("flushed");
    assert_eq!(rows(&mut client).await, [document(1, "row"), document(2, "row")]);
}

#[tokio::test]
async fn a_table_that_has_no_rows_is_live_once_its_first_snapshot_has_ended() {
    let stage = Stage::set().await;
    stage
        .log
        .ensure_topic(TOPIC, &TopicCreation::default())
        .expect("the topic is made");
    let mut client = stage.client().await;
    client.subscribe(|_| {}).await;
    let mut snapshot = stage.log.appender(&WriterId::new("test")).unwrap();
    snapshot.include(&stage::partition(TOPIC)).expect("nobody else writes");
    snapshot.commit(b"snapshot").expect("committed");
    snapshot.flush(Visibility::AfterSync).expect("flushed");
    assert!(rows(&mut client).await.is_empty());
}
