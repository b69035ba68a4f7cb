//! Topics that somebody else fills are served as they are: with schemas and without, envelopes, flat rows, any JSON.

mod stage;

use rowcast_protocol::{Change, ErrorCode, Op, Schema, ServerMessage};
use stage::{Client, Stage, TOPIC, Writer};

/// Printed by Connect's JsonConverter: an insert with its schema, and the same without.
const GOLDEN: &str = include_str!("golden/debezium_envelope.txt");

const KEY_SCHEMA: &str = r#"{"type":"struct","fields":[{"type":"int32","optional":false,"default":0,"field":"id"}],"optional":false,"name":"tp.public.customers.Key"}"#;

fn golden() -> (&'static str, &'static str) {
    let mut lines = GOLDEN.lines();
    (lines.next().expect("with schema"), lines.next().expect("without"))
}

fn wrapped(schema: &str, payload: &str) -> String {
    format!(r#"{{"schema":{schema},"payload":{payload}}}"#)
}

fn wrapped_key(id: u64) -> String {
    wrapped(KEY_SCHEMA, &format!(r#"{{"id":{id}}}"#))
}

/// ExtractNewRecordState's schema of a row with these columns.
fn row_schema(columns: &[&str]) -> String {
    let fields: Vec<String> = columns
        .iter()
        .map(|name| format!(r#"{{"type":"string","optional":true,"field":"{name}"}}"#))
        .collect();
    format!(
        r#"{{"type":"struct","fields":[{}],"optional":true,"name":"tp.public.customers.Value"}}"#,
        fields.join(",")
    )
}

fn put(writer: &mut Writer, key: Option<&str>, value: Option<&str>) -> u64 {
    let offset = writer.append(key, value, &[]);
    writer.commit();
    offset
}

async fn change(client: &mut Client) -> Change {
    match client.next().await {
        ServerMessage::Change(change) => change,
        other => panic!("not a change: {}", other.to_json()),
    }
}

async fn schema(client: &mut Client) -> Option<Schema> {
    match client.next().await {
        ServerMessage::Subscribed(subscribed) => Some(subscribed.schema?.parse().expect("a schema")),
        ServerMessage::Schema(schema) => Some(schema.schema?.parse().expect("a schema")),
        other => panic!("no schema: {}", other.to_json()),
    }
}

async fn subscribe(client: &mut Client) -> Option<Schema> {
    client.say(format!(r#"{{"type":"subscribe","topic":"{TOPIC}"}}"#)).await;
    schema(client).await
}

fn columns(schema: &Option<Schema>) -> Vec<&str> {
    let columns = schema.iter().flat_map(|schema| &schema.columns);
    columns.map(|column| &*column.name).collect()
}

/// Rows and their keys, up to `live`.
async fn rows(client: &mut Client) -> Vec<(String, Option<String>)> {
    let mut all = Vec::new();
    loop {
        match client.next().await {
            ServerMessage::Rows(part) => {
                let keys = part.keys.unwrap_or_default();
                let key = |at: usize| keys.get(at).map(|key| key.get().to_owned());
                all.extend(
                    part.rows
                        .iter()
                        .enumerate()
                        .map(|(at, row)| (row.get().to_owned(), key(at))),
                );
            }
            ServerMessage::Live(_) => return all,
            other => panic!("not a row: {}", other.to_json()),
        }
    }
}

fn text(json: &Option<rowcast_protocol::RawJson>) -> Option<&str> {
    json.as_ref().map(|json| json.get())
}

#[tokio::test]
async fn debeziums_envelope_with_schemas_tells_its_own_shape() {
    let (value, plain) = golden();
    let stage = Stage::set().await;
    let mut writer = stage.writer(TOPIC);
    let mut client = stage.client().await;
    assert!(subscribe(&mut client).await.is_none(), "nobody knows it yet");
    assert!(rows(&mut client).await.is_empty());

    put(&mut writer, Some(&wrapped_key(1)), Some(value));
    let shape = schema(&mut client).await;
    assert_eq!(columns(&shape), ["id", "name", "price"]);
    let shape = shape.expect("a schema");
    assert_eq!(shape.table.as_deref(), Some("public.customers"));
    assert_eq!((shape.columns[0].key, shape.columns[1].key), (true, false));
    assert_eq!(
        shape.columns[2].semantic.as_deref(),
        Some("org.apache.kafka.connect.data.Decimal")
    );
    let first = change(&mut client).await;
    assert_eq!((first.op, text(&first.key)), (Op::Create, Some(r#"{"id":1}"#)));
    assert_eq!(text(&first.after), Some(r#"{"id":1,"name":"Anne","price":"bg=="}"#));
    assert_eq!(first.ts_us, Some(1_785_830_400_123_456));

    // The same shape is told once; the row without schemas is the same row.
    put(
        &mut writer,
        Some(&wrapped_key(1)),
        Some(&value.replace("\"op\":\"c\"", "\"op\":\"u\"")),
    );
    assert_eq!(change(&mut client).await.op, Op::Update);
    put(&mut writer, Some(r#"{"id":1}"#), Some(plain));
    change(&mut client).await;
    let mut late = stage.client().await;
    assert_eq!(columns(&subscribe(&mut late).await), ["id", "name", "price"]);
    let row = r#"{"id":1,"name":"Anne","price":"bg=="}"#.to_owned();
    assert_eq!(rows(&mut late).await, [(row, None)]);
}

#[tokio::test]
async fn a_late_client_is_told_the_shape_that_held_where_it_begins() {
    let old = wrapped(&row_schema(&["id", "name"]), r#"{"id":"1","name":"a"}"#);
    let new = wrapped(&row_schema(&["id", "mail"]), r#"{"id":"1","mail":"b"}"#);
    let key = wrapped_key(1);
    let stage = Stage::set().await;
    let mut writer = stage.writer(TOPIC);
    let mut client = stage.client().await;
    subscribe(&mut client).await;
    rows(&mut client).await;
    put(&mut writer, Some(&key), Some(&old));
    assert_eq!(columns(&schema(&mut client).await), ["id", "name"]);
    let first = change(&mut client).await;
    // Far enough that the shapes change in different blocks of a replay.
    for _ in 0..100 {
        put(&mut writer, Some(&key), Some(&old));
        change(&mut client).await;
    }
    put(&mut writer, Some(&key), Some(&new));
    assert_eq!(columns(&schema(&mut client).await), ["id", "mail"]);
    change(&mut client).await;
    put(&mut writer, Some(&key), Some(&old));
    assert_eq!(columns(&schema(&mut client).await), ["id", "name"]);
    let last = change(&mut client).await;

    // A gateway that never saw a client learns them from the log.
    let address = stage.another_gateway().await;
    let mut back = Client::connect(address, Some("rowcast.v1")).await;
    let from = |cursor: &str| format!(r#"{{"type":"subscribe","topic":"{TOPIC}","cursor":"{cursor}"}}"#);
    back.say(from(&first.cursor)).await;
    assert_eq!(columns(&schema(&mut back).await), ["id", "name"]);
    for _ in 0..100 {
        change(&mut back).await;
    }
    assert_eq!(columns(&schema(&mut back).await), ["id", "mail"]);
    assert_eq!(text(&change(&mut back).await.after), Some(r#"{"id":"1","mail":"b"}"#));
    assert_eq!(columns(&schema(&mut back).await), ["id", "name"]);
    assert_eq!(change(&mut back).await.cursor, last.cursor);
    assert!(matches!(back.next().await, ServerMessage::Live(_)));

    let mut late = Client::connect(address, Some("rowcast.v1")).await;
    assert_eq!(columns(&subscribe(&mut late).await), ["id", "name"]);
}

#[tokio::test]
async fn a_client_that_comes_before_the_view_is_built_is_told_the_shape_with_the_rows() {
    let value = wrapped(&row_schema(&["id", "name"]), r#"{"id":"1","name":"a"}"#);
    let stage = Stage::set_with(Default::default(), |log| {
        let mut writer = Writer::new(log, TOPIC);
        for id in 0..3000 {
            writer.append(Some(&wrapped_key(id)), Some(&value), &[]);
        }
        writer.commit();
    })
    .await;
    // Not waited for: whether the view is there when the client comes is a matter of luck.
    let gateway = rowcast_gateway::Gateway::start(stage.log.clone(), Default::default());
    let mut client = Client::connect(stage.serve_now(gateway).await, Some("rowcast.v1")).await;
    let mut told = subscribe(&mut client).await;
    loop {
        match client.next().await {
            ServerMessage::Schema(schema) => told = Some(schema.schema.expect("one").parse().expect("a schema")),
            ServerMessage::Rows(_) => assert_eq!(columns(&told), ["id", "name"]),
            ServerMessage::Live(_) => break,
            other => panic!("{}", other.to_json()),
        }
    }
}

#[tokio::test]
async fn flat_rows_upsert_and_tombstones_delete() {
    let stage = Stage::set().await;
    let mut writer = stage.writer(TOPIC);
    let mut client = stage.client().await;
    client.subscribe(|_| {}).await;
    rows(&mut client).await;
    let key = |id: u64| format!(r#"{{"id":{id}}}"#);
    let deleted = r#"{"id":3,"name":"c","__deleted":"true"}"#;
    let records: [(u64, Option<&str>); 12] = [
        (1, Some(r#"{"id":1,"name":"a"}"#)),
        (1, Some(r#"{"id":1,"name":"b","__op":"u","__source_ts_ms":5}"#)),
        (2, Some(r#"{"id":2,"name":"x"}"#)),
        (2, None), // delete-to-tombstone
        (3, Some(r#"{"id":3,"name":"c","__deleted":"false"}"#)),
        (3, Some(deleted)), // rewrite-with-tombstone
        (3, None),          // ... and its tombstone, silent
        (4, Some(r#"{"id":4}"#)),
        (4, Some("null")), // tombstone, the default mode
        (5, Some(r#"{"id":5}"#)),
        (5, Some(r#"{"schema":{"type":"struct"},"payload":null}"#)), // the same with schemas
        (1, Some(r#"{"id":1,"name":"z"}"#)),
    ];
    for (id, value) in records {
        put(&mut writer, Some(&key(id)), value);
    }
    let expected = [
        (Op::Update, 1, true, None),
        (Op::Update, 1, true, Some(5)),
        (Op::Update, 2, true, None),
        (Op::Delete, 2, false, None),
        (Op::Update, 3, true, None),
        (Op::Delete, 3, false, None),
        (Op::Update, 4, true, None),
        (Op::Delete, 4, false, None),
        (Op::Update, 5, true, None),
        (Op::Delete, 5, false, None),
        (Op::Update, 1, true, None),
    ];
    let mut cursors = Vec::new();
    for (op, id, has_row, ts_ms) in expected {
        let change = change(&mut client).await;
        assert_eq!(
            (change.op, text(&change.key), change.after.is_some(), change.ts_ms),
            (op, Some(&*key(id)), has_row, ts_ms)
        );
        assert_eq!(
            change.before.is_some(),
            op == Op::Delete && id == 3,
            "only a rewritten delete has its row"
        );
        cursors.push(change.cursor);
    }

    // Read again from the log the records say the same, wherever the reader begins.
    let address = stage.another_gateway().await;
    for (at, cursor) in cursors.iter().enumerate() {
        let mut back = Client::connect(address, Some("rowcast.v1")).await;
        back.subscribe(|subscribe| subscribe.cursor = Some(cursor.clone()))
            .await;
        for cursor in &cursors[at + 1..] {
            assert_eq!(change(&mut back).await.cursor, *cursor);
        }
        assert!(matches!(back.next().await, ServerMessage::Live(_)));
    }
    let mut late = stage.client().await;
    late.subscribe(|_| {}).await;
    let row = (r#"{"id":1,"name":"z"}"#.to_owned(), Some(key(1)));
    assert_eq!(
        rows(&mut late).await,
        [row],
        "without a schema the key comes beside the row"
    );
}

#[tokio::test]
async fn a_tombstone_behind_its_delete_is_silent_at_the_beginning_of_a_block_too() {
    let stage = Stage::set().await;
    let mut writer = stage.writer(TOPIC);
    let mut client = stage.client().await;
    client.subscribe(|_| {}).await;
    rows(&mut client).await;
    let mut cursors = Vec::new();
    for id in 0..100 {
        writer.append_change('c', id, 1);
        cursors.push(change_after(&mut writer, &mut client).await);
        writer.append_change('d', id, 1);
        cursors.push(change_after(&mut writer, &mut client).await);
    }
    let mut back = Client::connect(stage.another_gateway().await, Some("rowcast.v1")).await;
    back.subscribe(|subscribe| subscribe.cursor = Some(cursors[0].clone()))
        .await;
    for cursor in &cursors[1..] {
        assert_eq!(change(&mut back).await.cursor, *cursor);
    }
    assert!(matches!(back.next().await, ServerMessage::Live(_)));
}

async fn change_after(writer: &mut Writer, client: &mut Client) -> String {
    writer.commit();
    change(client).await.cursor
}

#[tokio::test]
async fn any_json_under_any_key_is_a_row() {
    let stage = Stage::set().await;
    let mut writer = stage.writer(TOPIC);
    let mut client = stage.client().await;
    client.subscribe(|_| {}).await;
    rows(&mut client).await;
    let records = [
        ("user-7", r#"{"name":"Ann"}"#, r#""user-7""#),
        ("7", "[1,2]", "7"),
        ("\0\0\0\u{7}", "\"text\"", r#""AAAABw==""#),
        (r#"{"user":8}"#, "8.50", r#"{"user":8}"#),
    ];
    for (key, value, key_json) in records {
        put(&mut writer, Some(key), Some(value));
        let change = change(&mut client).await;
        assert_eq!(
            (change.op, text(&change.key), text(&change.after)),
            (Op::Update, Some(key_json), Some(value))
        );
    }
    let mut late = stage.client().await;
    late.subscribe(|_| {}).await;
    let expected = records.map(|(_, value, key)| (value.to_owned(), Some(key.to_owned())));
    assert_eq!(rows(&mut late).await, expected);
}

#[tokio::test]
async fn a_topic_that_is_not_json_says_so_and_disturbs_no_other() {
    const AVRO: &str = "\0\0\0\0\u{2A}\u{2}\u{6}abc";
    let stage = Stage::set().await;
    let mut writer = stage.writer(TOPIC);
    let mut other = stage.writer("orders.public.customers");
    let mut client = stage.client().await;
    client.subscribe(|_| {}).await;
    rows(&mut client).await;
    client
        .subscribe(|subscribe| subscribe.topic = "orders.public.customers".into())
        .await;
    rows(&mut client).await;
    let mut raw = stage.raw().await;
    raw.say("").await;

    let offset = put(&mut writer, Some("7"), Some(AVRO));
    let complaint = |message: ServerMessage| match message {
        ServerMessage::Error(error) => {
            assert_eq!((error.code, error.sub), (ErrorCode::NotJson, None));
            error.message
        }
        other => panic!("{}", other.to_json()),
    };
    let message = complaint(client.next().await);
    assert!(
        message.contains(&format!("record {offset} of {TOPIC} is not JSON")),
        "{message}"
    );
    assert!(
        message.contains("the magic byte of Confluent's wire format: is the topic Avro?"),
        "{message}"
    );
    put(&mut writer, Some("7"), Some(AVRO));
    other.change('c', 1, 1);
    assert_eq!(text(&change(&mut client).await.key), Some(r#"{"id":1}"#));
    assert_eq!(raw.text().await, AVRO);

    // Whoever comes later is told, with rows and without.
    for snapshot in [true, false] {
        let mut late = stage.client().await;
        late.subscribe(|subscribe| subscribe.snapshot = snapshot).await;
        complaint(late.next().await);
        let mut message = late.next().await;
        if snapshot {
            assert!(!matches!(message, ServerMessage::Rows(ref rows) if !rows.rows.is_empty()));
            while matches!(message, ServerMessage::Rows(_)) {
                message = late.next().await;
            }
        }
        assert!(matches!(message, ServerMessage::Live(_)));
    }
}

#[tokio::test]
async fn one_topic_may_mix_all_forms() {
    let (with_schema, without) = golden();
    let stage = Stage::set().await;
    let mut writer = stage.writer(TOPIC);
    let mut client = stage.client().await;
    client.subscribe(|_| {}).await;
    rows(&mut client).await;
    let flat = r#"{"id":1,"name":"flat","price":null}"#;
    for value in [
        with_schema,
        flat,
        without,
        "no json",
        &wrapped(&row_schema(&["id"]), r#"{"id":"1"}"#),
    ] {
        put(&mut writer, Some(&wrapped_key(1)), Some(value));
    }
    let mut kinds = Vec::new();
    while kinds.len() < 7 {
        kinds.push(match client.next().await {
            ServerMessage::Schema(_) => 's',
            ServerMessage::Change(change) => char::from(change.op.letter()),
            ServerMessage::Error(_) => 'e',
            other => panic!("{}", other.to_json()),
        });
    }
    assert_eq!(kinds, ['s', 'c', 'u', 'c', 'e', 's', 'u']);
    let mut late = stage.client().await;
    late.subscribe(|_| {}).await;
    complaint_then(&mut late).await;
    assert_eq!(
        rows(&mut late).await,
        [(r#"{"id":"1"}"#.to_owned(), Some(r#"{"id":1}"#.to_owned()))],
        "one key, however it is written, and told beside a row that says it otherwise"
    );
}

async fn complaint_then(client: &mut Client) {
    assert!(matches!(client.next().await, ServerMessage::Error(error) if error.code == ErrorCode::NotJson));
}
