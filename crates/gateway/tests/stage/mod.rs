//! Sets the stage for the gateway's promises: a real log in a temporary directory, a gateway on a real socket, clients.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part of the stage")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use rowcast_gateway::{Gateway, GatewayOptions, Pages};
use rowcast_log::{
    Appender, EmbeddedLog, EmbeddedOptions, Log, NewRecord, TopicCreation, TopicInfo, TopicPartition, Visibility,
    WriterId,
};
use rowcast_protocol::{ClientMessage, ServerMessage, Subscribe};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

pub const TOPIC: &str = "orders.public.orders";

/// No test waits longer for anything: a promise that is kept is kept in a moment.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A log and the gateway that serves it.
pub struct Stage {
    pub log: Arc<EmbeddedLog>,
    pub gateway: Arc<Gateway>,
    pub address: SocketAddr,
    pub stop: watch::Sender<bool>,
    pub serving: JoinHandle<std::io::Result<()>>,
    _dir: tempfile::TempDir,
}

struct NoPages;

impl Pages for NoPages {
    fn respond(&self, request: &hyper::http::request::Parts) -> hyper::Response<Bytes> {
        hyper::Response::new(Bytes::from(format!("page {}", request.uri.path())))
    }
}

impl Stage {
    pub async fn set() -> Stage {
        Stage::set_with(GatewayOptions::default(), |_| {}).await
    }

    /// Prepares the log before the gateway starts.
    pub async fn set_with(options: GatewayOptions, prepare: impl FnOnce(&EmbeddedLog)) -> Stage {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).expect("the log opens");
        prepare(&log);
        let gateway = Gateway::start(log.clone(), options);
        gateway.ready().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(gateway.clone().serve(listener, Arc::new(NoPages), stopped));
        Stage {
            log,
            gateway,
            address,
            stop,
            serving,
            _dir: dir,
        }
    }

    /// Another gateway on the same log: it has no frames in its rings. Told by its address.
    pub async fn another_gateway(&self) -> SocketAddr {
        self.serve(Gateway::start(self.log.clone(), GatewayOptions::default()))
            .await
    }

    /// Serves a gateway until the stage's own stops.
    pub async fn serve(&self, gateway: Arc<Gateway>) -> SocketAddr {
        gateway.ready().await;
        self.serve_now(gateway).await
    }

    /// The same, whether its views are complete or not.
    pub async fn serve_now(&self, gateway: Arc<Gateway>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(gateway.serve(listener, Arc::new(NoPages), self.stop.subscribe()));
        address
    }

    pub fn writer(&self, topic: &str) -> Writer {
        Writer::new(&*self.log, topic)
    }

    pub async fn raw(&self) -> Client {
        Client::connect(self.address, None).await
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.address, Some("rowcast.v1")).await
    }

    /// What a metric shows.
    pub fn metric(&self, name: &str) -> f64 {
        let mut registry = prometheus_client::registry::Registry::default();
        self.gateway.metrics().register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("metrics encode");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}"))
            .parse()
            .expect("a number")
    }
}

/// The topic, made with several partitions, and who writes to them.
pub fn spread(log: &dyn Log, partitions: u32) -> Box<dyn Appender> {
    let creation = TopicCreation {
        partitions: Some(partitions),
        ..TopicCreation::default()
    };
    log.ensure_topic(TOPIC, &creation).expect("the topic is made");
    log.appender(&WriterId::new("test"))
        .expect("an embedded log has one for all")
}

/// The one partition of a topic.
pub fn partition(topic: &str) -> TopicPartition {
    TopicPartition {
        topic: topic.into(),
        partition: 0,
    }
}

/// Ends a first snapshot of a table without rows, if the topic has not begun.
fn begin(log: &dyn Log, info: &TopicInfo) {
    let partition = partition(&info.name);
    if log.position(&partition).expect("the topic is there").is_some() {
        return;
    }
    let mut appender = log
        .appender(&WriterId::new("test"))
        .expect("an embedded log has one for all");
    appender.include(&partition).expect("a new topic has no writer");
    appender.commit(b"first").expect("the log takes it");
    appender.flush(Visibility::Now).expect("the log takes it");
}

/// Writes changes as capture does: one transaction per call of [`Writer::commit`].
pub struct Writer {
    appender: Box<dyn Appender>,
    partition: TopicPartition,
    commits: u64,
}

impl Writer {
    pub fn new(log: &dyn Log, topic: &str) -> Writer {
        let info = log
            .ensure_topic(topic, &TopicCreation::default())
            .expect("the topic is made");
        begin(log, &info);
        Writer {
            appender: log
                .appender(&WriterId::new("test"))
                .expect("an embedded log has one for all"),
            partition: TopicPartition {
                topic: info.name,
                partition: 0,
            },
            commits: 0,
        }
    }

    pub fn append(&mut self, key: Option<&str>, value: Option<&str>, headers: &[(&str, &[u8])]) -> u64 {
        let record = NewRecord {
            timestamp_ms: 1_700_000_000_000,
            key: key.map(str::as_bytes),
            value: value.map(str::as_bytes),
            headers,
        };
        let offset = self
            .appender
            .next_offset(&self.partition)
            .expect("the partition is ours");
        self.appender.append(&self.partition, record).expect("appended");
        offset.0
    }

    pub fn commit(&mut self) {
        self.commits += 1;
        self.appender.commit(&self.commits.to_be_bytes()).expect("committed");
        self.appender.flush(Visibility::Now).expect("flushed");
    }

    /// One change in a transaction of its own.
    pub fn change(&mut self, op: char, id: u64, version: u64) -> u64 {
        let offset = self.append_change(op, id, version);
        self.commit();
        offset
    }

    pub fn append_change(&mut self, op: char, id: u64, version: u64) -> u64 {
        let row = row(id, version);
        let (before, after) = if op == 'd' {
            (row.as_str(), "null")
        } else {
            ("null", row.as_str())
        };
        let offset = self.append(Some(&key(id)), Some(&envelope(op, before, after)), &[]);
        if op == 'd' {
            self.append(Some(&key(id)), None, &[]);
        }
        offset
    }
}

pub fn key(id: u64) -> String {
    format!(r#"{{"id":{id}}}"#)
}

pub fn row(id: u64, version: u64) -> String {
    format!(r#"{{"id":{id},"version":{version},"note":"Grüße, \"{id}\" 😀"}}"#)
}

/// The delete and the create that one change of a row's key becomes: their source block is the same.
pub fn key_change(before: &str, after: &str) -> (String, String) {
    let create = envelope('c', "null", after);
    let delete = create.replace(
        &format!(r#""before":null,"after":{after}"#),
        &format!(r#""before":{before},"after":null"#),
    );
    (delete.replace(r#""op":"c""#, r#""op":"d""#), create)
}

pub fn envelope(op: char, before: &str, after: &str) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_micros();
    format!(
        r#"{{"before":{before},"after":{after},"source":{{"version":"3.6.1.Final","connector":"postgresql","name":"orders","ts_ms":{},"snapshot":"false","db":"shop","sequence":"[null,\"1\"]","ts_us":{now},"ts_ns":{now}000,"schema":"public","table":"orders","txId":1,"lsn":1,"xmin":null,"origin":null,"origin_lsn":null}},"transaction":null,"op":"{op}","ts_ms":1,"ts_us":1,"ts_ns":1}}"#,
        now / 1000
    )
}

/// A WebSocket client.
pub struct Client {
    pub socket: WebSocketStream<TcpStream>,
}

impl Client {
    pub async fn connect(address: SocketAddr, subprotocol: Option<&'static str>) -> Client {
        let mut request = format!("ws://{address}/ws").into_client_request().expect("a request");
        if let Some(subprotocol) = subprotocol {
            request
                .headers_mut()
                .insert("Sec-WebSocket-Protocol", HeaderValue::from_static(subprotocol));
        }
        let stream = TcpStream::connect(address).await.expect("connected");
        let (socket, _) = tokio_tungstenite::client_async(request, stream)
            .await
            .expect("a WebSocket");
        Client { socket }
    }

    pub async fn say(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.expect("sent");
    }

    pub async fn subscribe(&mut self, change: impl FnOnce(&mut Subscribe)) -> u32 {
        let mut subscribe = Subscribe::new(TOPIC);
        change(&mut subscribe);
        self.say(ClientMessage::Subscribe(subscribe).to_json()).await;
        match self.next().await {
            ServerMessage::Subscribed(subscribed) => subscribed.sub,
            other => panic!("not subscribed: {}", other.to_json()),
        }
    }

    pub async fn text(&mut self) -> String {
        loop {
            match self.frame().await {
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("not a text: {other:?}"),
            }
        }
    }

    pub async fn frame(&mut self) -> Message {
        let frame = tokio::time::timeout(PATIENCE, self.socket.next())
            .await
            .expect("nothing came");
        frame.expect("the connection is open").expect("a frame")
    }

    /// The next message, checked to be one of the protocol's.
    pub async fn next(&mut self) -> ServerMessage {
        let text = self.text().await;
        ServerMessage::parse(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    /// The code and reason of the close frame that comes next.
    pub async fn closed(&mut self) -> u16 {
        loop {
            if let Message::Close(close) = self.frame().await {
                return close.map_or(1005, |close| close.code.into());
            }
        }
    }
}

/// What a client knows: the table by id, and where to go on from.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Table {
    pub rows: std::collections::BTreeMap<u64, u64>,
    pub cursor: Option<String>,
    pub changes: u64,
    pub lives: u64,
}

impl Table {
    /// Takes in a message; a row that is there twice, or a change out of order, is a broken promise.
    pub fn take(&mut self, message: ServerMessage) {
        match message {
            ServerMessage::Rows(rows) => {
                for row in rows.rows {
                    let (id, version) = id_and_version(row.get());
                    assert_eq!(self.rows.insert(id, version), None, "row {id} twice");
                }
            }
            ServerMessage::Live(live) => {
                self.lives += 1;
                self.cursor = Some(live.cursor);
            }
            ServerMessage::Change(change) => {
                self.changes += 1;
                self.cursor = Some(change.cursor);
                match change.after {
                    Some(after) => {
                        let (id, version) = id_and_version(after.get());
                        let before = self.rows.insert(id, version);
                        assert!(
                            before.is_none_or(|before| before < version),
                            "{id}: {before:?} then {version}"
                        );
                    }
                    None => {
                        let (id, _) = id_and_version(change.before.expect("a delete has its row").get());
                        assert!(self.rows.remove(&id).is_some(), "{id} deleted twice");
                    }
                }
            }
            other => panic!("unexpected: {}", other.to_json()),
        }
    }
}

pub fn id_and_version(row: &str) -> (u64, u64) {
    let row: serde_json::Value = serde_json::from_str(row).expect("a row");
    (
        row["id"].as_u64().expect("an id"),
        row["version"].as_u64().expect("a version"),
    )
}
