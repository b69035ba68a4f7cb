//! A subscription is the table, then every change to it, without a gap or a repeat.

mod stage;

use rowcast_protocol::{ErrorCode, ResetReason, ServerMessage};
use stage::{PATIENCE, Stage, TOPIC, Table};

#[tokio::test]
async fn rows_then_live_then_changes() {
    let stage = Stage::set().await;
    let mut writer = stage.writer(TOPIC);
    writer.change('c', 1, 1);
    writer.change('c', 2, 1);
    writer.change('u', 1, 2);
    writer.change('d', 2, 1);

    let mut client = stage.client().await;
    client.subscribe(|_| {}).await;
    let mut table = Table::default();
    while table.lives == 0 {
        table.take(client.next().await);
    }
    while table.rows.get(&1) != Some(&2) || table.rows.len() > 1 {
        table.take(client.next().await);
    }
    writer.change('c', 3, 1);
    table.take(client.next().await);
    assert_eq!(table.rows, [(1, 2), (3, 1)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_come_while_others_write_see_every_change_once() {
    const ROWS: u64 = 50;
    const CHANGES: u64 = 4000;
    let stage = Stage::set().await;
    let mut writer = stage.writer(TOPIC);
    let writing = std::thread::spawn(move || {
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        let mut truth = std::collections::BTreeMap::new();
        for version in 1..=CHANGES {
            random = random
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let id = (random >> 33) % ROWS;
            let op = match truth.contains_key(&id) {
                false => 'c',
                true if random >> 60 == 0 => 'd',
                true => 'u',
            };
            writer.append_change(op, id, version);
            if op == 'd' {
                truth.remove(&id)
            } else {
                truth.insert(id, version)
            };
            if random.is_multiple_of(3) {
                writer.commit();
            }
        }
        writer.change('c', u64::MAX, CHANGES + 1);
        truth.insert(u64::MAX, CHANGES + 1);
        truth
    });
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = stage.client().await;
        client.subscribe(|_| {}).await;
        clients.push(tokio::spawn(async move {
            let mut table = Table::default();
            while !table.rows.contains_key(&u64::MAX) || table.lives == 0 {
                table.take(client.next().await);
            }
            assert_eq!(table.lives, 1);
            table.rows
        }));
        tokio::task::yield_now().await;
    }
    let truth = writing.join().expect("the writer is done");
    for client in clients {
        let rows = tokio::time::timeout(PATIENCE, client)
            .await
            .expect("in time")
            .expect("promises kept");
        assert_eq!(rows, truth);
    }
}

#[tokio::test]
async fn a_client_that_comes_back_goes_on_from_its_cursor() {
    let stage = Stage::set().await;
    let mut writer = stage.writer(TOPIC);
    writer.change('c', 1, 1);
    let mut client = stage.client().await;
    client.subscribe(|subscribe| subscribe.snapshot = true).await;
    let mut table = Table::default();
    while table.rows.is_empty() || table.lives == 0 {
        table.take(client.next().await);
    }
    drop(client);

    for version in 2..500 {
        writer.change('u', 1, version);
    }
    let mut client = stage.client().await;
    let cursor = table.cursor.clone();
    client.subscribe(|subscribe| subscribe.cursor = cursor).await;
    while table.lives < 2 {
        table.take(client.next().await);
    }
    writer.change('u', 1, 500);
    while table.rows[&1] < 500 {
        table.take(client.next().await);
    }
    assert!(
        table.changes >= 499,
        "each version was a change of its own: {}",
        table.changes
    );
}

#[tokio::test]
async fn without_snapshot_only_what_is_new_comes() {
    let stage = Stage::set().await;
    let mut writer = stage.writer(TOPIC);
    for id in 0..100 {
        writer.change('c', id, 1);
    }
    let mut client = stage.client().await;
    // A subscription with rows shows that the gateway has seen all hundred.
    client.subscribe(|_| {}).await;
    let mut table = Table::default();
    while table.rows.len() < 100 || table.lives == 0 {
        table.take(client.next().await);
    }
    let mut other = stage.client().await;
    other.subscribe(|subscribe| subscribe.snapshot = false).await;
    assert!(matches!(other.next().await, ServerMessage::Live(_)));
    writer.change('u', 7, 2);
    match other.next().await {
        ServerMessage::Change(change) => assert_eq!(change.key.expect("a key").get(), r#"{"id":7}"#),
        other => panic!("{}", other.to_json()),
    }
}

#[tokio::test]
async fn a_forged_cursor_is_refused_and_a_foreign_one_resets() {
    let stage = Stage::set().await;
    stage.writer(TOPIC).change('c', 1, 1);
    stage.writer("orders.public.customers").change('c', 1, 1);
    let mut client = stage.client().await;
    client.subscribe(|subscribe| subscribe.snapshot = false).await;
    let ServerMessage::Live(live) = client.next().await else {
        panic!("not live")
    };

    let mut forged = live.cursor.clone().into_bytes();
    let last = forged.len() - 2;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).expect("ASCII");
    for cursor in [forged.as_str(), "", "garbage", "AAAA"] {
        let mut client = stage.client().await;
        client
            .say(format!(
                r#"{{"type":"subscribe","topic":"{TOPIC}","cursor":"{cursor}","ref":"r"}}"#
            ))
            .await;
        match client.next().await {
            ServerMessage::Error(error) => {
                assert_eq!(
                    (error.code, error.r#ref.as_deref(), error.sub),
                    (ErrorCode::BadCursor, Some("r"), None)
                );
            }
            other => panic!("{}", other.to_json()),
        }
    }

    let mut client = stage.client().await;
    let foreign = Some(live.cursor);
    client
        .subscribe(|subscribe| {
            subscribe.topic = "orders.public.customers".into();
            subscribe.cursor = foreign;
        })
        .await;
    match client.next().await {
        ServerMessage::Reset(reset) => assert_eq!(reset.reason, ResetReason::OtherTopic),
        other => panic!("{}", other.to_json()),
    }
    assert!(matches!(client.next().await, ServerMessage::Rows(rows) if rows.rows.len() == 1));
    assert!(matches!(client.next().await, ServerMessage::Live(_)));
}

#[tokio::test]
async fn a_client_without_subprotocol_gets_every_value_from_now_on() {
    let stage = Stage::set().await;
    let mut orders = stage.writer(TOPIC);
    orders.change('c', 1, 1);
    let mut waiting = stage.client().await;
    waiting.subscribe(|_| {}).await;
    while !matches!(waiting.next().await, ServerMessage::Live(_)) {}

    let mut raw = stage.raw().await;
    raw.say("this is ignored").await;
    let value = stage::envelope('u', "null", &stage::row(1, 2));
    orders.append(Some(&stage::key(1)), Some(&value), &[]);
    orders.append(Some(&stage::key(1)), None, &[]);
    orders.commit();
    assert_eq!(raw.text().await, value);

    let mut late = stage.writer("orders.public.late");
    late.append(None, Some("not even an envelope"), &[]);
    late.commit();
    stage.writer("__rowcast_secret").change('c', 1, 1);
    assert_eq!(raw.text().await, "not even an envelope");
    orders.change('u', 1, 3);
    assert!(raw.text().await.contains(r#""version":3"#));
}
