//! `/sse` gives the same rows, changes and cursors as a WebSocket.

mod stage;

use std::collections::HashMap;

use stage::{PATIENCE, Stage, TOPIC, Table};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// Reads events as a browser does, chunked encoding included.
struct Events {
    reader: BufReader<TcpStream>,
    text: String,
}

#[derive(Debug)]
struct Event {
    name: String,
    id: Option<String>,
    data: serde_json::Value,
}

impl Events {
    async fn open(stage: &Stage, query: &str, last_event_id: Option<&str>) -> (String, Events) {
        let mut stream = TcpStream::connect(stage.address).await.expect("connected");
        let last = last_event_id
            .map(|id| format!("Last-Event-ID: {id}\r\n"))
            .unwrap_or_default();
        let request = format!("GET /sse?{query} HTTP/1.1\r\nHost: {}\r\n{last}\r\n", stage.address);
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut events = Events {
            reader: BufReader::new(stream),
            text: String::new(),
        };
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            events.reader.read_line(&mut head).await.expect("a head");
        }
        (head, events)
    }

    async fn next(&mut self) -> Event {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                let fields: HashMap<&str, &str> = event.lines().filter_map(|line| line.split_once(": ")).collect();
                if let Some(name) = fields.get("event") {
                    return Event {
                        name: (*name).to_owned(),
                        id: fields.get("id").map(|id| (*id).to_owned()),
                        data: serde_json::from_str(fields["data"]).expect("JSON on one line"),
                    };
                }
                continue;
            }
            tokio::time::timeout(PATIENCE, self.read_chunk())
                .await
                .expect("nothing came");
        }
    }

    async fn read_chunk(&mut self) {
        let mut size = String::new();
        self.reader.read_line(&mut size).await.expect("a chunk");
        let size = usize::from_str_radix(size.trim(), 16).expect("a chunk's size");
        let mut chunk = vec![0; size + 2];
        tokio::io::AsyncReadExt::read_exact(&mut self.reader, &mut chunk)
            .await
            .expect("a chunk");
        self.text
            .push_str(std::str::from_utf8(&chunk[..size]).expect("UTF-8, cut between frames"));
    }

    async fn take(&mut self, table: &mut Table) -> Event {
        let event = self.next().await;
        assert_eq!(event.data["type"], event.name.as_str());
        assert_eq!(event.data.get("sub"), None);
        let mut with_sub = event.data.clone();
        with_sub["sub"] = 1.into();
        table.take(rowcast_protocol::ServerMessage::parse(&with_sub.to_string()).expect("a message"));
        if let Some(id) = &event.id {
            assert_eq!(event.data["cursor"], id.as_str());
        }
        event
    }
}

#[tokio::test]
async fn an_event_stream_is_the_table_then_its_changes_and_resumes() {
    let stage = Stage::set().await;
    let mut writer = stage.writer(TOPIC);
    writer.change('c', 1, 1);
    let (head, mut events) = Events::open(&stage, &format!("topic={TOPIC}"), None).await;
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.contains("text/event-stream"),
        "{head}"
    );
    let mut table = Table::default();
    while table.lives == 0 || table.rows.is_empty() {
        events.take(&mut table).await;
    }
    writer.change('u', 1, 2);
    let change = events.take(&mut table).await;
    assert_eq!(change.name, "change");
    drop(events);

    writer.change('u', 1, 3);
    let (_, mut events) = Events::open(&stage, &format!("topic={TOPIC}"), change.id.as_deref()).await;
    while table.lives < 2 {
        events.take(&mut table).await;
    }
    // Pretty-printed JSON would break an event's line.
    writer.append(
        Some("{\"id\" :\n 1}"),
        Some(&stage::envelope('u', "null", "{\n\"id\":1,\r\n\"version\":4}")),
        &[],
    );
    writer.commit();
    while table.rows[&1] < 4 {
        events.take(&mut table).await;
    }
    assert_eq!(table.changes, 3);
}

#[tokio::test]
async fn wrong_requests_are_told_what_is_wrong() {
    let stage = Stage::set().await;
    stage.writer(TOPIC);
    let topic = format!("topic={TOPIC}");
    for (query, status) in [
        ("", "400"),
        ("topic=nowhere", "404"),
        ("topic=__rowcast_schemas", "404"),
        (&format!("{topic}&where=a"), "400"),
        (&format!("{topic}&cursor=AAAA"), "400"),
    ] {
        let (head, _) = Events::open(&stage, query, None).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{query}: {head}");
    }
}

#[tokio::test]
async fn a_long_backlog_comes_whole_and_in_order() {
    const CHANGES: u64 = 30_000;
    let stage = Stage::set().await;
    let mut writer = stage.writer(TOPIC);
    let (_, mut events) = Events::open(&stage, &format!("topic={TOPIC}&snapshot=false"), None).await;
    let mut table = Table::default();
    events.take(&mut table).await;
    for version in 1..=CHANGES {
        writer.append_change('u', version % 10, version);
        if version.is_multiple_of(100) {
            writer.commit();
            tokio::task::yield_now().await;
        }
    }
    while table.changes < CHANGES {
        events.take(&mut table).await;
    }
    assert_eq!(table.lives, 1);
}

#[tokio::test]
async fn an_event_stream_ends_when_the_gateway_stops() {
    let stage = Stage::set().await;
    stage.writer(TOPIC);
    let (_, mut events) = Events::open(&stage, &format!("topic={TOPIC}"), None).await;
    assert_eq!(events.next().await.name, "live");
    stage.stop.send_replace(true);
    stage.serving.await.expect("no panic").expect("drained");
}
