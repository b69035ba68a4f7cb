//! Starts `rowcast run` as an operator would and knows where its doors are.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{
    bench::{Bench, Database},
    process::{self, Running, wait_until},
    websocket::Endpoint,
};

/// What a client asks `rowcast.v1` for: the page's subscription to the measured topic.
const SUBSCRIBE: &str = r#"{"type":"subscribe","topic":"orders.public.orders","snapshot":true,"cursor":null}"#;
/// A start with nothing to snapshot takes well under a second; a minute is broken.
const READY_TIME_MAX: Duration = Duration::from_secs(60);

/// A running `rowcast run` with one connector.
pub(crate) struct Product {
    running: Running,
    public: SocketAddr,
    /// From the start of the program to the first 200 of `/health/ready`.
    pub(crate) ready_after: Duration,
}

/// What stays between two starts: the connector's file and the data directory.
pub(crate) struct Installation {
    program: PathBuf,
    connector: PathBuf,
    data_dir: PathBuf,
    log: PathBuf,
}

impl Installation {
    pub(crate) fn new(bench: &Bench, database: &Database) -> Result<Installation> {
        let connector = bench.folder().join(format!("{}.json", database.name));
        fs::write(&connector, database.connector_json(&[])?)?;
        let data_dir = bench.folder().join(format!("{}-data", database.name));
        let log = bench.folder().join(format!("{}-rowcast.log", database.name));
        Ok(Installation {
            program: bench.rowcast.clone(),
            connector,
            data_dir,
            log,
        })
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn start(&self) -> Result<Product> {
        let started = Instant::now();
        let mut product = self.spawn()?;
        let public = product.public;
        // Asked every millisecond: the poll's own cost is one connection, its error at most that pause.
        let ready = || process::http_get(public, "/health/ready").is_some_and(|(status, _)| status == 200);
        wait_until(
            "/health/ready",
            READY_TIME_MAX,
            Duration::from_millis(1),
            &mut product.running,
            ready,
        )
        .with_context(|| format!("rowcast did not become ready: {}", last_lines(&self.log)))?;
        product.ready_after = started.elapsed();
        Ok(product)
    }

    /// Starts it and waits until it follows its slot: an empty snapshot is behind it, a later start finds the slot.
    pub(crate) fn start_streaming(&self, database: &Database) -> Result<Product> {
        let mut product = self.start()?;
        let mut connection = database.connect()?;
        let streaming = format!(
            "SELECT count(*) FROM pg_replication_slots s JOIN pg_stat_replication r ON r.pid = s.active_pid \
             WHERE s.slot_name = 'slot_{}' AND r.state = 'streaming'",
            database.name
        );
        let streams = || connection.scalar(&streaming).is_ok_and(|count| count == "1");
        let pause = Duration::from_millis(5);
        wait_until(
            "streaming from its slot",
            READY_TIME_MAX,
            pause,
            &mut product.running,
            streams,
        )?;
        Ok(product)
    }

    /// Starts it and does not wait.
    pub(crate) fn spawn(&self) -> Result<Product> {
        let public = SocketAddr::from(([127, 0, 0, 1], process::free_port()?));
        let metrics = SocketAddr::from(([127, 0, 0, 1], process::free_port()?));
        let mut command = Command::new(&self.program);
        command
            .arg("run")
            .arg("--connector")
            .arg(&self.connector)
            .arg("--data-dir")
            .arg(&self.data_dir);
        command.args([
            "--listen",
            &public.to_string(),
            "--metrics-listen",
            &metrics.to_string(),
        ]);
        let running = Running::start("rowcast run", &mut command, &self.log)?;
        Ok(Product {
            running,
            public,
            ready_after: Duration::ZERO,
        })
    }
}

impl Product {
    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// The door for a client that says nothing and gets the bare events.
    pub(crate) fn plain(&self) -> Endpoint {
        Endpoint {
            address: self.public,
            path: "/ws".to_owned(),
            subprotocol: None,
            hello: None,
        }
    }

    /// The door for the live page's protocol.
    pub(crate) fn subscription(&self) -> Endpoint {
        Endpoint {
            subprotocol: Some("rowcast.v1".to_owned()),
            hello: Some(SUBSCRIBE.to_owned()),
            ..self.plain()
        }
    }

    pub(crate) fn running(&mut self) -> &mut Running {
        &mut self.running
    }

    pub(crate) fn stop(self) -> Result<()> {
        self.running.stop()
    }
}

/// The end of a log, for an error message.
pub(crate) fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}
