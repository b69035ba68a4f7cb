//! A real Debezium on a real Kafka Connect, which fills topics as ours should look.
//!
//! Promises: a registered connector runs and has made its snapshot; every line that it logged is kept; gone when it is
//! dropped or the test is killed. Knows nothing of what comes into the topics.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::{
    child::Child,
    http::{self, Response},
    java::{self, Program},
    kafka::{self, Kafka},
    lines::Lines,
    until,
};

/// What Connect logs once its REST API takes requests.
const READY: &str = "Kafka Connect started";
/// What it logs beside warnings: its start, and what Debezium does.
const LOGGERS: &str = "logger.start.name=org.apache.kafka.connect.runtime.Connect
logger.start.level=info
logger.debezium.name=io.debezium
logger.debezium.level=info
";

/// A standalone Connect worker (it is ready 1 s before a distributed one) with Debezium's PostgreSQL connector.
#[derive(Debug)]
pub struct Debezium {
    java: Option<Child>,
    lines: Lines,
    address: String,
    properties: BTreeMap<String, String>,
    // Dropped after the worker has stopped.
    folder: TempDir,
}

impl Debezium {
    /// Starts a worker that writes to this broker, without any connector.
    pub async fn start(kafka: &Kafka) -> anyhow::Result<Debezium> {
        Self::start_with(&kafka.address(), &[]).await
    }

    /// The same, for the broker at `host:port`, with properties as in `connect-standalone.properties`.
    pub async fn start_with(kafka: &str, properties: &[(&str, &str)]) -> anyhow::Result<Debezium> {
        let folder = tempfile::Builder::new().prefix("rowcast-debezium-").tempdir()?;
        let address = format!("127.0.0.1:{}", kafka::free_port()?);
        let mut debezium = Debezium {
            java: None,
            lines: Lines::default(),
            properties: usual_properties(kafka, &address, folder.path())?,
            address,
            folder,
        };
        for (name, value) in properties {
            debezium.properties.insert((*name).to_owned(), (*value).to_owned());
        }
        debezium.restart().await?;
        Ok(debezium)
    }

    /// The REST API, `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Starts a worker that was stopped or killed. It keeps its offsets; connectors must be registered again.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        assert!(self.java.is_none(), "one life at a time");
        let file = self.folder.path().join("connect.properties");
        kafka::write_properties(&file, &self.properties)?;
        let program = Program {
            name: "connect",
            main: "org.apache.kafka.connect.cli.ConnectStandalone",
            properties: file,
            folder: self.folder.path(),
            options: &[],
            loggers: LOGGERS,
            ready: READY,
        };
        self.java = Some(java::start(&program, &self.lines).await?);
        Ok(())
    }

    /// Registers a connector and returns when it runs and has ended its snapshot: from now on it sends what changes.
    pub async fn register(&self, name: &str, config: &Map<String, Value>) -> anyhow::Result<()> {
        let from = self.lines.len();
        let body = json!({ "name": name, "config": config }).to_string();
        let response = http::request("POST", &self.address, "/connectors", &body).await?;
        self.accepted(&response, name)?;
        let context = format!("[{name}|task-0");
        let line = self
            .lines
            .wait_from(from, |line| {
                line == Lines::END
                    || line.contains(&context) && (line.contains("Snapshot ended with") || line.contains(" ERROR "))
            })
            .await?;
        if !line.contains("status=COMPLETED") && !line.contains("status=SKIPPED") {
            bail!("connector {name} has failed:\n{}", self.lines.text_from(from));
        }
        self.state_is(name, "RUNNING").await
    }

    /// Waits until the connector and its task say so: `RUNNING`, `PAUSED`, `STOPPED`, `FAILED`.
    pub async fn state_is(&self, name: &str, wanted: &str) -> anyhow::Result<()> {
        until(&format!("connector {name} to be {wanted}"), async || {
            let status = self.status(name).await?;
            let tasks = status["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
            let is = status["connector"]["state"] == wanted && tasks.iter().all(|task| task["state"] == wanted);
            Ok(is.then_some(()))
        })
        .await
    }

    /// What the REST API says of a connector; `null` of one that it does not know yet.
    pub async fn status(&self, name: &str) -> anyhow::Result<Value> {
        let response = http::get(&self.address, &format!("/connectors/{name}/status")).await?;
        match response.status {
            404 => Ok(Value::Null),
            _ => serde_json::from_str(&response.body).context("a status is JSON"),
        }
    }

    /// Removes a connector; its slot and publication stay in PostgreSQL.
    pub async fn remove(&self, name: &str) -> anyhow::Result<()> {
        let response = http::request("DELETE", &self.address, &format!("/connectors/{name}"), "").await?;
        self.accepted(&response, name)
    }

    /// Stops it in order (SIGTERM); returns when it is gone.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let java = self.java.take().context("the worker runs")?;
        java.terminate(&self.lines, self.lines.len()).await
    }

    /// SIGKILL, at once; returns when it is gone.
    pub async fn kill_dash_nine(&mut self) -> anyhow::Result<()> {
        let java = self.java.take().context("the worker runs")?;
        java.kill(&self.lines).await
    }

    /// Waits for a line of its log, from any of its lives, old lines included.
    pub async fn logged(&self, is_it: impl Fn(&str) -> bool) -> anyhow::Result<String> {
        self.lines.wait_from(0, is_it).await
    }

    /// Everything it logged so far.
    pub fn log_text(&self) -> String {
        self.lines.text_from(0)
    }

    fn accepted(&self, response: &Response, name: &str) -> anyhow::Result<()> {
        if response.status >= 300 {
            bail!(
                "Connect refused connector {name}: {} {}",
                response.status,
                response.body
            );
        }
        Ok(())
    }
}

impl Drop for Debezium {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("Kafka Connect logged:\n{}", self.log_text());
        }
    }
}

fn usual_properties(kafka: &str, address: &str, folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let (listeners, offsets) = (
        format!("http://{address}"),
        folder.join("offsets").display().to_string(),
    );
    let plugins = java::home()?.join("plugins").display().to_string();
    let ours = [
        ("bootstrap.servers", kafka),
        ("listeners", &listeners),
        ("offset.storage.file.filename", &offsets),
        ("plugin.path", &plugins),
        // Connect's default looks into every class of every jar: 8 s of processor time instead of 1 s.
        ("plugin.discovery", "service_load"),
        ("key.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
    ];
    Ok(ours.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
}
