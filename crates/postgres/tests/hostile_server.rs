//! A server that lies, drips or hangs up: an error each time, no panic, no memory for what never came.

mod support;

use std::time::Duration;

use rowcast_postgres::{ConnectorConfig, Resume, SourceError};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// A server that says these bytes to whoever connects, whatever they say, and hangs up.
async fn server_that_says(bytes: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let bytes = bytes.clone();
            tokio::spawn(async move {
                let mut startup = [0; 1024];
                let _ = socket.read(&mut startup).await;
                let _ = socket.write_all(&bytes).await;
                let _ = socket.shutdown().await;
                // Until the client hangs up too: an early reset would hide what it makes of the bytes.
                while matches!(socket.read(&mut startup).await, Ok(1..)) {}
            });
        }
    });
    port
}

fn config(port: u16, sslmode: &str) -> ConnectorConfig {
    ConnectorConfig::from_json(&format!(
        r#"{{"name":"t","config":{{"connector.class":"io.debezium.connector.postgresql.PostgresConnector",
        "plugin.name":"pgoutput","database.hostname":"127.0.0.1","database.port":"{port}","database.user":"u",
        "database.password":"very secret","database.dbname":"d","topic.prefix":"t","database.sslmode":"{sslmode}"}}}}"#
    ))
    .expect("a sound configuration")
}

async fn error_of(bytes: Vec<u8>, sslmode: &str) -> SourceError {
    let port = server_that_says(bytes).await;
    let (config, resume) = (config(port, sslmode), Resume::default());
    let opened = tokio::time::timeout(Duration::from_secs(60), support::open(&config, &resume)).await;
    opened.expect("no hang").expect_err("no server answers like this")
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend((body.len() as u32 + 4).to_be_bytes());
    bytes.extend(body);
    bytes
}

fn authentication(code: u32, data: &[u8]) -> Vec<u8> {
    message(b'R', &[&code.to_be_bytes(), data].concat())
}

#[tokio::test]
async fn lies_are_errors() {
    let ready = [authentication(0, b""), message(b'Z', b"I")].concat();
    let cases: Vec<Vec<u8>> = vec![
        vec![],
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        b"R\xff\xff\xff\xff".to_vec(),
        b"R\0\0\0\x03".to_vec(),
        b"R\x7f\xff\xff\xff".to_vec(),
        message(b'R', b""),
        authentication(5, b"abc"),
        authentication(10, b""),
        authentication(10, b"SCRAM-SHA-256"),
        [
            authentication(10, b"SCRAM-SHA-256\0\0"),
            authentication(11, b"r=x,s=AAAA,i=4096"),
        ]
        .concat(),
        [authentication(10, b"SCRAM-SHA-256\0\0"), authentication(12, b"v=AAAA")].concat(),
        authentication(7, b""),
        message(b'E', b""),
        message(b'E', b"MSomething\0"),
        [authentication(0, b""), message(b'D', b"\0\x01")].concat(),
        [ready.clone(), message(b'D', b"\xff\xff\0\0\0\x01a")].concat(),
        [ready.clone(), message(b'D', b"\0\x01\x7f\xff\xff\xff")].concat(),
        [ready.clone(), b"D\x7f\xff\xff\xff".to_vec()].concat(),
        [
            ready,
            message(b'Z', b"I"),
            message(b'T', b"\xff\xff"),
            message(b'Z', b"I"),
        ]
        .concat(),
    ];
    for bytes in cases {
        let error = error_of(bytes.clone(), "disable").await;
        assert!(!error.to_string().contains("very secret"), "{error}");
    }
}

#[tokio::test]
async fn a_password_in_clear_text_is_not_sent_where_anyone_can_read_it() {
    let error = error_of(authentication(3, b""), "disable").await;
    assert!(
        matches!(error, SourceError::Refused(_)) && error.to_string().contains("clear text"),
        "{error}"
    );
    // "prefer", and the server declines TLS.
    let error = error_of([b"N".to_vec(), authentication(3, b"")].concat(), "prefer").await;
    assert!(
        matches!(error, SourceError::Refused(_)) && error.to_string().contains("clear text"),
        "{error}"
    );
}

#[tokio::test]
async fn tls_that_was_asked_for_is_not_done_without() {
    let error = error_of(b"N".to_vec(), "require").await;
    assert!(
        matches!(error, SourceError::Refused(_)) && error.to_string().contains("does not offer TLS"),
        "{error}"
    );
    for answer in [&b"E"[..], b"S", b"SGarbage instead of a handshake", b"X"] {
        error_of(answer.to_vec(), "require").await;
    }
}

#[tokio::test]
async fn control_characters_of_a_server_do_not_reach_the_terminal() {
    let error = error_of(
        message(
            b'E',
            b"SFATAL\0VFATAL\0C28000\0M\x1b[31mred\nline\0DDETAIL with data\0\0",
        ),
        "disable",
    )
    .await;
    let sentence = error.to_string();
    assert!(
        sentence.contains("red line") && !sentence.contains('\x1b') && !sentence.contains("DETAIL"),
        "{sentence:?}"
    );
}

/// Seeds printed on failure; every prefix and some thousand garbled versions of a conversation.
#[tokio::test]
async fn garbled_conversations_never_panic() {
    let conversation = [
        authentication(0, b""),
        message(b'S', b"a\0b\0"),
        message(b'K', b"\0\0\0\x01\0\0\0\x02"),
        message(b'Z', b"I"),
        message(b'T', b"\0\0"),
        message(b'D', b"\0\x01\0\0\0\x01a"),
        message(b'C', b"SELECT 1\0"),
        message(b'Z', b"I"),
    ]
    .concat();
    for end in 0..conversation.len() {
        error_of(conversation[..end].to_vec(), "disable").await;
    }
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    for round in 0..300 {
        let mut bytes = conversation.clone();
        for _ in 0..3 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let place = (state >> 33) as usize % bytes.len();
            bytes[place] ^= (state >> 20) as u8;
        }
        let error = error_of(bytes, "disable").await;
        assert!(!error.to_string().is_empty(), "round {round}");
    }
}
