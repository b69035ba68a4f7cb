//! What a client may not do, and what it costs when it tries.

mod stage;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rowcast_gateway::GatewayOptions;
use rowcast_protocol::{CloseCode, ErrorCode, ServerMessage};
use stage::{PATIENCE, Stage, TOPIC, Table, envelope, key};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::Message;

const REQUEST: &str = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: rowcast.v1\r\n\r\n";

async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .expect("the server hangs up");
    let _ = read;
    bytes
}

/// What the server sends after the handshake when the client sends these bytes with it.
async fn answer_to(stage: &Stage, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(stage.address).await.expect("connected");
    stream
        .write_all(&[REQUEST.as_bytes(), bytes].concat())
        .await
        .expect("sent");
    let answer = read_to_end(&mut stream).await;
    let head_end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    answer[head_end..].to_vec()
}

fn close_code(frame: &[u8]) -> u16 {
    assert_eq!(frame.first(), Some(&0x88), "{frame:?}");
    u16::from_be_bytes([frame[2], frame[3]])
}

#[tokio::test]
async fn frames_that_break_the_rules_are_answered_with_the_right_code() {
    let stage = Stage::set().await;
    let long = [&[0x81, 0xFF][..], &(64 * 1024 + 1_u64).to_be_bytes(), &[0; 4]].concat();
    let endless = [&[0x81, 0xFF][..], &(u64::MAX >> 1).to_be_bytes(), &[0; 4]].concat();
    let bomb = [vec![0x01, 0x80, 0, 0, 0, 0], [0x00, 0x80, 0, 0, 0, 0].repeat(1100)].concat();
    for (bytes, code) in [
        (&long[..], 1009),
        (&endless[..], 1009),
        (&bomb[..], 1009),
        (&[0x81, 0x01, b'x'][..], 1002),
        (&[0xC1, 0x80, 0, 0, 0, 0][..], 1002),
        (&[0x81, 0x81, 0, 0, 0, 0, 0xFF][..], 1007),
        (&[0x82, 0x81, 0, 0, 0, 0, 0xFF][..], CloseCode::UNSUPPORTED_DATA.0),
        (&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8][..], 1000),
    ] {
        assert_eq!(
            close_code(&answer_to(&stage, bytes).await),
            code,
            "{:?}",
            &bytes[..bytes.len().min(20)]
        );
    }
}

#[tokio::test]
async fn a_flood_of_pings_is_a_policy_violation() {
    let stage = Stage::set().await;
    let answer = answer_to(&stage, &[0x89, 0x80, 0, 0, 0, 0].repeat(1000)).await;
    let close = answer.iter().position(|byte| *byte == 0x88).expect("a close frame");
    assert_eq!(close_code(&answer[close..]), CloseCode::POLICY_VIOLATION.0);
    assert!(close < 100, "pongs are coalesced: {close} bytes");
}

#[tokio::test]
async fn pages_of_other_sites_are_refused_before_anything_is_set_up() {
    let stage = Stage::set().await;
    for path in ["/ws", "/sse?topic=x"] {
        let mut stream = TcpStream::connect(stage.address).await.expect("connected");
        let request = REQUEST
            .replace("/ws", path)
            .replace("Host", "Origin: http://evil.example\r\nHost");
        stream
            .write_all(request.replace("Upgrade\r\nUpg", "close\r\nUpg").as_bytes())
            .await
            .expect("sent");
        let answer = String::from_utf8(read_to_end(&mut stream).await).expect("text");
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        assert!(answer.contains("--allowed-origin"), "{answer}");
    }
    assert_eq!(stage.metric("rowcast_gateway_sessions"), 0.0);
}

#[tokio::test]
async fn one_connection_too_many_is_told_to_come_again() {
    let options = GatewayOptions {
        connections_max: 2,
        ..GatewayOptions::default()
    };
    let stage = Stage::set_with(options, |_| {}).await;
    let mut first = stage.client().await;
    let _second = stage.client().await;
    let mut third = TcpStream::connect(stage.address).await.expect("connected");
    let answer = String::from_utf8(read_to_end(&mut third).await).expect("text");
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After"),
        "{answer}"
    );
    first.socket.close(None).await.expect("closed");
    while first.socket.next().await.is_some() {}
    // The place is free a moment after the goodbye.
    let mut again = TcpStream::connect(stage.address).await.expect("connected");
    loop {
        let _ = again.write_all(REQUEST.as_bytes()).await;
        let mut head = [0; 12];
        if again.read_exact(&mut head).await.is_ok() && head.ends_with(b"101") {
            break;
        }
        again = TcpStream::connect(stage.address).await.expect("connected");
    }
}

#[tokio::test]
async fn a_connection_has_as_many_subscriptions_as_it_may_and_all_are_served() {
    let options = GatewayOptions {
        subscriptions_max: 8,
        ..GatewayOptions::default()
    };
    let stage = Stage::set_with(options, |_| {}).await;
    let mut writers: Vec<_> = (0..9).map(|number| stage.writer(&format!("t{number}"))).collect();
    let mut client = stage.client().await;
    let mut subs = Vec::new();
    for number in 0..8 {
        subs.push(
            client
                .subscribe(|subscribe| {
                    subscribe.topic = format!("t{number}");
                    subscribe.snapshot = false;
                })
                .await,
        );
        assert!(matches!(client.next().await, ServerMessage::Live(live) if live.sub == subs[number]));
    }
    let mut refusals = Vec::new();
    for topic in ["t8", "t0", "__rowcast_schemas", "nowhere"] {
        client
            .say(format!(r#"{{"type":"subscribe","topic":"{topic}","ref":"r"}}"#))
            .await;
        match client.next().await {
            ServerMessage::Error(error) => refusals.push(error.code),
            other => panic!("{}", other.to_json()),
        }
        if refusals.len() == 1 {
            client
                .say(format!(
                    r#"{{"type":"unsubscribe","sub":{}}}"#,
                    subs.pop().expect("eight")
                ))
                .await;
            assert!(matches!(client.next().await, ServerMessage::Unsubscribed(_)));
        }
    }
    use ErrorCode::{AlreadySubscribed, TooManySubscriptions, UnknownTopic};
    assert_eq!(
        refusals,
        [TooManySubscriptions, AlreadySubscribed, UnknownTopic, UnknownTopic]
    );
    for writer in &mut writers {
        writer.change('c', 1, 1);
    }
    let mut heard = Vec::new();
    while heard.len() < 7 {
        match client.next().await {
            ServerMessage::Change(change) => heard.push(change.sub),
            other => panic!("{}", other.to_json()),
        }
    }
    heard.sort_unstable();
    subs.sort_unstable();
    assert_eq!(heard, subs);
    for member in ["where", "columns", "mode"] {
        client
            .say(format!(r#"{{"type":"subscribe","topic":"t8","{member}":"x"}}"#))
            .await;
        match client.next().await {
            ServerMessage::Error(error) => assert_eq!(error.code, ErrorCode::Unsupported),
            other => panic!("{}", other.to_json()),
        }
    }
}

#[tokio::test]
async fn everyone_is_told_to_reconnect_when_the_gateway_stops() {
    let stage = Stage::set().await;
    stage.writer(TOPIC);
    let mut clients = vec![stage.client().await, stage.raw().await];
    clients[0].subscribe(|_| {}).await;
    stage.stop.send_replace(true);
    for client in &mut clients {
        let code = client.closed().await;
        assert_eq!(code, CloseCode::SERVICE_RESTART.0);
        assert!(CloseCode(code).reconnect());
    }
    drop(clients);
    let drained = tokio::time::timeout(Duration::from_secs(10), stage.serving)
        .await
        .expect("within ten seconds");
    drained.expect("no panic").expect("no error");
    assert!(
        TcpStream::connect(stage.address).await.is_err(),
        "nobody is let in any more"
    );
}

/// RFC 9112, section 3.2.
#[tokio::test]
async fn a_request_names_its_host_once() {
    let stage = Stage::set().await;
    let requests = [
        ("GET / HTTP/1.1\r\nHost: localhost\r\n", "200"),
        ("GET / HTTP/1.1\r\nHost:\r\n", "421"),
        ("GET / HTTP/1.0\r\n", "421"),
        ("GET / HTTP/1.1\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n", "400"),
        ("GET / HTTP/1.0\r\nHost: localhost\r\nHost: other\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: local host\r\n", "400"),
        ("GET /ws HTTP/1.1\r\n", "400"),
        ("GET /sse?topic=x HTTP/1.1\r\n", "400"),
    ];
    for (request, status) in requests {
        let mut stream = TcpStream::connect(stage.address).await.expect("connected");
        let request = format!("{request}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let answer = String::from_utf8(read_to_end(&mut stream).await).expect("text");
        let got = answer.split(' ').nth(1).unwrap_or_default();
        assert_eq!(got, status, "{request:?}: {answer}");
    }
}

#[tokio::test]
async fn a_client_that_never_answers_is_given_up() {
    let options = GatewayOptions {
        ping_after: Duration::from_secs(1),
        dead_after: Duration::from_secs(2),
        ..GatewayOptions::default()
    };
    let stage = Stage::set_with(options, |_| {}).await;
    let mut alive = stage.client().await;
    let mut dead = TcpStream::connect(stage.address).await.expect("connected");
    dead.write_all(REQUEST.as_bytes()).await.expect("sent");
    let answering = tokio::spawn(async move {
        // Reading is what makes the library answer pings.
        while let Some(Ok(message)) = alive.socket.next().await {
            if message.is_text() {
                return true;
            }
        }
        false
    });
    let last_words = read_to_end(&mut dead).await;
    assert!(
        last_words.windows(2).any(|two| two == [0x89, 0x00]),
        "it was asked first"
    );
    assert_eq!(stage.metric("rowcast_gateway_sessions"), 1.0);
    assert_eq!(stage.metric("rowcast_gateway_sessions_given_up_total"), 1.0);
    assert!(!answering.is_finished());
    answering.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_harms_nobody_and_catches_up() {
    // 16 MB in all: more than the kernel holds for a reader that does not read (4 MB here) and the ring together, so that
    // it is left behind whatever the machine's pace.
    const CHANGES: u64 = 2_000;
    let long = "a".repeat(8 * 1024);
    let options = GatewayOptions {
        ring_bytes_max: 256 * 1024,
        ..GatewayOptions::default()
    };
    let stage = Stage::set_with(options, |_| {}).await;
    let mut writer = stage.writer(TOPIC);
    let mut slow = stage.client().await;
    slow.subscribe(|subscribe| subscribe.snapshot = false).await;
    assert!(matches!(slow.next().await, ServerMessage::Live(_)));
    let mut quick = Vec::new();
    for _ in 0..10 {
        let mut client = stage.client().await;
        client.subscribe(|_| {}).await;
        quick.push(tokio::spawn(async move {
            let mut table = Table::default();
            while table.rows.values().max() != Some(&CHANGES) {
                table.take(client.next().await);
            }
            table
        }));
    }
    for version in 1..=CHANGES {
        let id = version % 10;
        let row = format!(r#"{{"id":{id},"version":{version},"note":"{long}"}}"#);
        writer.append(Some(&key(id)), Some(&envelope('u', "null", &row)), &[]);
        if version.is_multiple_of(50) {
            writer.commit();
            tokio::task::yield_now().await;
        }
    }
    for client in quick {
        tokio::time::timeout(PATIENCE, client)
            .await
            .expect("in time")
            .expect("promises kept");
    }
    let mut table = Table::default();
    while table.changes < CHANGES {
        table.take(slow.next().await);
    }
    // Counted when it fell behind, which may be long before the others had everything.
    assert!(stage.metric("rowcast_gateway_ring_misses_total") > 0.0);
    assert_eq!(table.rows.values().max(), Some(&CHANGES));
}

#[tokio::test]
async fn pings_of_both_kinds_are_answered() {
    let stage = Stage::set().await;
    let mut client = stage.client().await;
    client.socket.send(Message::Ping("hello".into())).await.expect("sent");
    assert_eq!(client.frame().await, Message::Pong("hello".into()));
    client.say(r#"{"type":"ping","ref":"a"}"#).await;
    assert_eq!(client.text().await, r#"{"type":"pong","ref":"a"}"#);
    client.say("{").await;
    assert!(matches!(client.next().await, ServerMessage::Error(error) if error.code == ErrorCode::BadMessage));
}

#[tokio::test]
async fn a_site_that_points_its_own_name_here_is_turned_away_at_every_door() {
    let stage = Stage::set().await;
    for path in ["/", "/ws", "/sse?topic=x", "/health/ready"] {
        for (host, status) in [("evil.example", " 421 "), ("localhost", "")] {
            let mut stream = TcpStream::connect(stage.address).await.expect("connected");
            let request = format!("GET {path} HTTP/1.1\r\nHost: {host}:3000\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.expect("sent");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("an answer");
            assert!(
                answer.starts_with(&format!("HTTP/1.1{status}")),
                "{path} {host}: {answer}"
            );
            assert_eq!(
                answer.contains("allowed_host"),
                host == "evil.example",
                "{path} {host}: {answer}"
            );
        }
    }
}
