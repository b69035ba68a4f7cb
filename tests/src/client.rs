//! A client of `rowcast.v1` written only from the protocol's reference, and one that says nothing.
//!
//! Promises: a [`Follower`] comes back by itself, with its cursor, until it is told to stop, and keeps everything that it
//! was ever told in order: what it holds at the end is what a careful page would have shown. Knows nothing of the
//! product's own protocol crate, so that both can be wrong only separately.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::watch, task::JoinHandle};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Message, Utf8Bytes, client::IntoClientRequest, protocol::WebSocketConfig},
};

use crate::{
    PATIENCE,
    changes::{Row, RowChange, key_text, row},
    process::topic,
};

/// Between two attempts to connect to a server that is not there.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

/// A WebSocket connection, frame by frame.
pub struct Connection(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Connection {
    /// Connects with subprotocol `rowcast.v1`.
    pub async fn open(address: &str) -> anyhow::Result<Connection> {
        Self::connect(address, Some("rowcast.v1")).await
    }

    /// Connects with no subprotocol: every change, one message each.
    pub async fn open_silent(address: &str) -> anyhow::Result<Connection> {
        Self::connect(address, None).await
    }

    async fn connect(address: &str, subprotocol: Option<&str>) -> anyhow::Result<Connection> {
        let mut request = format!("ws://{address}/ws").into_client_request()?;
        if let Some(name) = subprotocol {
            request.headers_mut().insert("Sec-WebSocket-Protocol", name.parse()?);
        }
        // A row may be as long as PostgreSQL takes it.
        let unbounded = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let (stream, _) = connect_async_with_config(request, Some(unbounded), false)
            .await
            .with_context(|| format!("connecting to ws://{address}/ws"))?;
        Ok(Connection(stream))
    }

    /// Sends one message.
    pub async fn send(&mut self, message: &Value) -> anyhow::Result<()> {
        Ok(self.0.send(Message::text(message.to_string())).await?)
    }

    /// Subscribes to a table's topic.
    pub async fn subscribe(&mut self, table: &str, snapshot: bool, cursor: Option<&str>) -> anyhow::Result<()> {
        self.subscribe_to(&topic(table), snapshot, cursor).await
    }

    /// Subscribes to any topic.
    pub async fn subscribe_to(&mut self, topic: &str, snapshot: bool, cursor: Option<&str>) -> anyhow::Result<()> {
        self.send(&json!({ "type": "subscribe", "topic": topic, "snapshot": snapshot, "cursor": cursor }))
            .await
    }

    /// The next text message, parsed; `None` when the connection has ended, however it did.
    pub async fn next(&mut self) -> anyhow::Result<Option<Value>> {
        let text = self.next_text().await;
        text.map(|text| serde_json::from_str(&text).context("a message is JSON"))
            .transpose()
    }

    /// The next text message as it came.
    pub async fn next_text(&mut self) -> Option<Utf8Bytes> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Some(text),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next message of this type; others are passed over. An `error` is one.
    pub async fn next_of(&mut self, kind: &str) -> anyhow::Result<Value> {
        let wait = async {
            while let Some(message) = self.next().await? {
                match message["type"].as_str() {
                    Some(found) if found == kind => return Ok(message),
                    Some("error") => bail!("the server said {message}"),
                    _ => {}
                }
            }
            bail!("the connection ended while waiting for {kind:?}")
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .with_context(|| format!("waiting for {kind:?}"))?
    }
}

/// Everything that a follower was told.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Every change, in order, over all connections.
    pub changes: Vec<RowChange>,
    /// The table as a page would show it, by key.
    pub rows: BTreeMap<String, Row>,
    /// Rows that came as the first view.
    pub first_rows: usize,
    /// The last cursor.
    pub cursor: Option<String>,
    /// True between `live` and the end of a connection.
    pub live: bool,
    /// Connections that were answered by `subscribed`.
    pub connections: usize,
    /// Reasons of every `reset`.
    pub resets: Vec<String>,
    /// Every `error`.
    pub errors: Vec<String>,
}

/// A client that follows one table until it is stopped.
#[derive(Debug)]
pub struct Follower {
    seen: Arc<Mutex<Seen>>,
    told: watch::Receiver<()>,
    task: JoinHandle<()>,
}

impl Follower {
    /// Starts to follow; the server need not be there yet.
    pub fn start(address: &str, table: &str, snapshot: bool) -> Follower {
        Self::start_on(address, &topic(table), snapshot)
    }

    /// The same for any topic whose keys have an `id`.
    pub fn start_on(address: &str, topic: &str, snapshot: bool) -> Follower {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (tell, told) = watch::channel(());
        let follow = follow(address.to_owned(), topic.to_owned(), snapshot, seen.clone(), tell);
        Follower {
            seen,
            told,
            task: tokio::spawn(follow),
        }
    }

    /// Waits until what was seen satisfies `is_it`, for as long as there is news.
    pub async fn until(&self, what: &str, is_it: impl Fn(&Seen) -> bool) -> anyhow::Result<()> {
        let mut told = self.told.clone();
        loop {
            told.borrow_and_update();
            {
                let seen = self.seen.lock().expect("nobody panics while holding it");
                if is_it(&seen) {
                    return Ok(());
                }
                if let Some(error) = seen.errors.first() {
                    bail!("the server said {error}");
                }
            }
            match tokio::time::timeout(PATIENCE, told.changed()).await {
                Ok(changed) => changed.context("the follower has ended")?,
                Err(_) => break,
            }
        }
        let seen = self.seen.lock().expect("nobody panics while holding it");
        bail!(
            "gave up waiting for {what}: {} changes, {} rows, {} connections, live: {}, resets: {:?}",
            seen.changes.len(),
            seen.rows.len(),
            seen.connections,
            seen.live,
            seen.resets
        )
    }

    /// Waits until the row with this `id` is there.
    pub async fn row(&self, id: i64) -> anyhow::Result<()> {
        let key = key_text(&Row::from([("id".to_owned(), id.into())]));
        self.until(&format!("row {id}"), |seen| seen.rows.contains_key(&key))
            .await
    }

    /// Waits until the server has said `live`.
    pub async fn live(&self) -> anyhow::Result<()> {
        self.until("live", |seen| seen.live).await
    }

    /// Ends and tells what was seen.
    pub fn stop(self) -> Seen {
        self.task.abort();
        self.seen.lock().expect("nobody panics while holding it").clone()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connects, follows, and does it again when the connection ends.
async fn follow(address: String, topic: String, snapshot: bool, seen: Arc<Mutex<Seen>>, tell: watch::Sender<()>) {
    loop {
        let outcome = follow_once(&address, &topic, snapshot, &seen, &tell).await;
        seen.lock()
            .expect("nobody panics while holding it")
            .end_connection(outcome);
        tell.send_replace(());
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

/// One connection, to its end. An error is something that the protocol does not allow.
async fn follow_once(
    address: &str,
    topic: &str,
    snapshot: bool,
    seen: &Mutex<Seen>,
    tell: &watch::Sender<()>,
) -> anyhow::Result<()> {
    let Ok(mut connection) = Connection::open(address).await else {
        return Ok(());
    };
    let cursor = seen.lock().expect("nobody panics while holding it").cursor.clone();
    if connection
        .subscribe_to(topic, snapshot, cursor.as_deref())
        .await
        .is_err()
    {
        return Ok(());
    }
    while let Some(message) = connection.next().await? {
        if message["code"] == "not_ready" || message["code"] == "unknown_topic" {
            // Nobody has made it yet, or nobody knows: a page would ask again, too.
            return Ok(());
        }
        seen.lock().expect("nobody panics while holding it").take(&message)?;
        tell.send_replace(());
    }
    Ok(())
}

impl Seen {
    fn take(&mut self, message: &Value) -> anyhow::Result<()> {
        match message["type"].as_str() {
            Some("subscribed") => {
                self.connections += 1;
                if self.cursor.is_none() {
                    // A view begun on a connection that ended before its `live` begins again.
                    self.forget();
                }
            }
            Some("rows") => {
                for value in message["rows"].as_array().context("rows has rows")? {
                    let row = row(value)?;
                    let key = Row::from([("id".to_owned(), row["id"].clone())]);
                    self.first_rows += 1;
                    if self.rows.insert(key_text(&key), row).is_some() {
                        bail!("the first view has the key {key:?} twice");
                    }
                }
            }
            Some("live") => {
                self.live = true;
                self.cursor = Some(message["cursor"].as_str().context("live has a cursor")?.to_owned());
            }
            Some("change") => self.take_change(message)?,
            Some("reset") => {
                self.resets.push(message["reason"].to_string());
                self.cursor = None;
                self.live = false;
                self.forget();
            }
            Some("schema" | "pong" | "stale" | "fresh") => {}
            Some("error") => bail!("error message: {message}"),
            _ => bail!("a message of an unknown type: {message:.200}"),
        }
        Ok(())
    }

    fn take_change(&mut self, message: &Value) -> anyhow::Result<()> {
        let key = if message["key"].is_null() {
            Row::new()
        } else {
            row(&message["key"])?
        };
        let change = RowChange::from_envelope(key, message)?;
        let key = key_text(&change.key);
        match change.op.as_str() {
            "d" => drop(self.rows.remove(&key)),
            "t" => self.rows.clear(),
            _ => drop(self.rows.insert(key, change.after.clone())),
        }
        self.cursor = Some(message["cursor"].as_str().context("a change has a cursor")?.to_owned());
        self.changes.push(change);
        Ok(())
    }

    fn end_connection(&mut self, outcome: anyhow::Result<()>) {
        self.live = false;
        self.errors.extend(outcome.err().map(|error| format!("{error:#}")));
    }

    fn forget(&mut self) {
        self.rows.clear();
        self.changes.clear();
        self.first_rows = 0;
    }
}
