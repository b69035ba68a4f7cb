//! Starts `rowcast run`, or `rowcast capture` and `rowcast gateway`, as an operator would, and knows where its doors are.

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

/// The topic of the measured table.
pub(crate) const TOPIC: &str = "orders.public.orders";
/// What a client asks `rowcast.v1` for: the page's subscription to the measured topic.
const SUBSCRIBE: &str = r#"{"type":"subscribe","topic":"orders.public.orders","snapshot":true,"cursor":null}"#;
/// A start with nothing to snapshot takes well under a second; a minute is broken.
const READY_TIME_MAX: Duration = Duration::from_secs(60);

/// A running `rowcast run`, `capture` or `gateway`.
pub(crate) struct Product {
    running: Running,
    /// The public listener; of a capture, which has none, the operator's.
    public: SocketAddr,
    /// From the start of the program to the first 200 of `/health/ready`.
    pub(crate) ready_after: Duration,
}

/// What stays between two starts: the arguments, the connector's file and the data directory that they name.
pub(crate) struct Installation {
    program: PathBuf,
    role: &'static str,
    arguments: Vec<String>,
    log: PathBuf,
}

impl Installation {
    /// All in one process.
    pub(crate) fn new(bench: &Bench, database: &Database) -> Result<Installation> {
        Installation::configured(bench, database, &[])
    }

    /// The same, with more properties for its connector.
    pub(crate) fn configured(bench: &Bench, database: &Database, extra: &[(&str, &str)]) -> Result<Installation> {
        let connector = connector_file(bench, database, extra)?;
        let data_dir = bench.folder().join(format!("{}-data", database.name));
        let arguments = ["--connector", &text(&connector), "--data-dir", &text(&data_dir)];
        Ok(Installation::of(bench, "run", &database.name, &arguments))
    }

    /// A capture that writes to the broker at `kafka`, with more properties for its connector.
    pub(crate) fn capture(
        bench: &Bench,
        database: &Database,
        kafka: &str,
        extra: &[(&str, &str)],
    ) -> Result<Installation> {
        let connector = connector_file(bench, database, extra)?;
        let arguments = ["--kafka", kafka, "--connector", &text(&connector)];
        Ok(Installation::of(bench, "capture", &database.name, &arguments))
    }

    /// A gateway that serves the measured topic of the broker at `kafka` and keeps its copies in `data_dir`.
    pub(crate) fn gateway(bench: &Bench, kafka: &str, data_dir: &Path) -> Installation {
        let arguments = ["--kafka", kafka, "--topic", TOPIC, "--data-dir", &text(data_dir)];
        Installation::of(bench, "gateway", "kafka", &arguments)
    }

    fn of(bench: &Bench, role: &'static str, name: &str, arguments: &[&str]) -> Installation {
        Installation {
            program: bench.rowcast.clone(),
            role,
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            log: bench.folder().join(format!("{name}-rowcast-{role}.log")),
        }
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
        let mut command = Command::new(&self.program);
        command.arg(self.role).args(&self.arguments);
        if self.role == "capture" {
            command.args(["--metrics-listen", &public.to_string()]);
        } else {
            let metrics = SocketAddr::from(([127, 0, 0, 1], process::free_port()?));
            command.args(["--listen", &public.to_string()]);
            command.args(["--metrics-listen", &metrics.to_string()]);
        }
        let running = Running::start(&format!("rowcast {}", self.role), &mut command, &self.log)?;
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

fn connector_file(bench: &Bench, database: &Database, extra: &[(&str, &str)]) -> Result<PathBuf> {
    let connector = bench.folder().join(format!("{}.json", database.name));
    fs::write(&connector, database.connector_json(&database.name, extra)?)?;
    Ok(connector)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// The end of a log, for an error message.
pub(crate) fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}
