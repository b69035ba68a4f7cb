//! The built `rowcast` binary, as an operator runs it: started, asked how it is, killed, started again.
//!
//! Promises: one data directory and one address over all restarts; every line that it logged is kept, and printed when a
//! test fails. Knows nothing of the library inside.

use std::{
    env, fs,
    path::PathBuf,
    process::{ExitStatus, Stdio},
};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{
    PATIENCE, http,
    lines::Lines,
    postgres::{self, Postgres},
    until,
};

/// The connector's `topic.prefix`; topics are `shop.public.<table>`.
pub const TOPIC_PREFIX: &str = "shop";
/// The name of its slot, as Debezium calls it by default.
pub const SLOT: &str = "debezium";

/// A data directory, a connector, and the process that may run on them.
#[derive(Debug)]
pub struct Rowcast {
    folder: TempDir,
    /// The connector's name.
    name: String,
    config: serde_json::Map<String, Value>,
    /// The subcommand.
    role: &'static str,
    arguments: Vec<String>,
    one_core: bool,
    address: Option<String>,
    metrics_address: Option<String>,
    child: Option<Child>,
    /// Reads what the last life logs, to its end.
    reader: Option<tokio::task::JoinHandle<()>>,
    log: Lines,
}

impl Rowcast {
    /// A fresh data directory and a connector for `tables` (`public.a,public.b`) of this server. Not started yet.
    pub fn new(postgres: &Postgres, tables: &str) -> anyhow::Result<Rowcast> {
        let folder = tempfile::Builder::new().prefix("rowcast-test-").tempdir()?;
        Ok(Rowcast::in_folder(folder, connector(postgres, tables)))
    }

    fn in_folder(folder: TempDir, config: serde_json::Map<String, Value>) -> Rowcast {
        Rowcast {
            folder,
            name: "shop-connector".to_owned(),
            config,
            role: "run",
            arguments: Vec::new(),
            one_core: false,
            address: None,
            metrics_address: None,
            child: None,
            reader: None,
            log: Lines::default(),
        }
    }

    /// A capture that writes the tables' changes to Kafka. Not started yet.
    pub fn capture(postgres: &Postgres, tables: &str, kafka: &str) -> anyhow::Result<Rowcast> {
        let mut capture = Rowcast::new(postgres, tables)?;
        capture.role = "capture";
        capture.arguments = ["--kafka", kafka].map(str::to_owned).into();
        Ok(capture)
    }

    /// A gateway that serves `topics` of Kafka. Not started yet.
    pub fn gateway(kafka: &str, topics: &[String]) -> anyhow::Result<Rowcast> {
        let folder = tempfile::Builder::new().prefix("rowcast-test-").tempdir()?;
        let mut gateway = Rowcast::in_folder(folder, serde_json::Map::new());
        gateway.role = "gateway";
        gateway.arguments = ["--kafka", kafka].map(str::to_owned).into();
        for topic in topics {
            gateway.arguments.extend(["--topic".to_owned(), topic.clone()]);
        }
        Ok(gateway)
    }

    /// Gives the connector another name, as connectors on one Kafka must have, and all its properties, for the next start.
    pub fn configure(&mut self, name: &str, config: serde_json::Map<String, Value>) {
        self.name = name.to_owned();
        self.config = config;
    }

    /// Sets one of the connector's properties, for the next start.
    pub fn set(&mut self, property: &str, value: &str) {
        self.config.insert(property.to_owned(), value.into());
    }

    /// Adds a command line argument of `rowcast run`, for every start from now on.
    pub fn argument(&mut self, argument: &str) {
        self.arguments.push(argument.to_owned());
    }

    /// From the next start on it may use one core, as in a small container.
    pub fn on_one_core(&mut self) {
        self.one_core = true;
    }

    /// The log's directory.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// `127.0.0.1:port`, known after the first start and kept over the next ones.
    pub fn address(&self) -> &str {
        self.address.as_deref().expect("the process was started")
    }

    /// Starts the process and returns when it listens, before it is ready.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        assert!(self.child.is_none(), "one life at a time");
        // The last words of the life before would be taken for this one's.
        if let Some(reader) = self.reader.take() {
            reader.await?;
        }
        let connector = self.folder.path().join("connector.json");
        let registration = json!({ "name": self.name, "config": self.config });
        fs::write(&connector, serde_json::to_string_pretty(&registration)?)?;
        let mut command = Command::new(if self.one_core { "taskset".into() } else { binary()? });
        if self.one_core {
            command.args(["--cpu-list", "0"]).arg(binary()?);
        }
        command.args([self.role, "--log-format", "json"]);
        if self.role != "gateway" {
            command.arg("--connector").arg(&connector);
        }
        if self.role != "capture" {
            command.arg("--data-dir").arg(self.data_dir());
            command.args(["--listen", self.address.as_deref().unwrap_or("127.0.0.1:0")]);
        }
        command.args([
            "--metrics-listen",
            self.metrics_address.as_deref().unwrap_or("127.0.0.1:0"),
        ]);
        command.args(&self.arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .with_context(|| format!("starting {}", binary().unwrap_or_default().display()))?;
        let stderr = child.stderr.take().context("its stderr was piped")?;
        let from = self.log.len();
        let log = self.log.clone();
        self.reader = Some(tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                log.push(line);
            }
            log.push(Lines::END.to_owned());
        }));
        self.child = Some(child);
        let up = self
            .log
            .wait_from(from, |line| line.contains("rowcast is up") || line == Lines::END)
            .await?;
        if up == Lines::END {
            let status = self.exited().await?;
            bail!("rowcast ended at its start ({status}):\n{}", self.log.text_from(from));
        }
        self.metrics_address = Some(field(&up, "metrics").context("the first line names the operator address")?);
        // A capture has no public address; its health is asked for at the operator's.
        self.address = match self.role {
            "capture" => self.metrics_address.clone(),
            _ => Some(field(&up, "listen").context("the first line names the public address")?),
        };
        Ok(())
    }

    /// Starts the process and returns when `/health/ready` says 200.
    pub async fn start_ready(&mut self) -> anyhow::Result<()> {
        self.start().await?;
        self.ready().await
    }

    /// The same, and has a connector that streams: what is written from now on comes from the stream.
    pub async fn start_streaming(&mut self) -> anyhow::Result<()> {
        self.start_ready().await?;
        self.logged(|line| line.contains("\"streaming\"")).await.map(drop)
    }

    /// Waits until `/health/ready` says 200.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let address = self.address().to_owned();
        let ready = until("/health/ready to say 200", || async {
            Ok(http::get(&address, "/health/ready")
                .await
                .ok()
                .filter(|response| response.status == 200))
        });
        match ready.await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.context(format!("rowcast logged:\n{}", self.log_text()))),
        }
    }

    /// Waits until `/health/ready` says 503 with a reason that `is_it` knows; returns the reason.
    pub async fn unready(&self, is_it: impl Fn(&str) -> bool) -> anyhow::Result<String> {
        let address = self.address();
        let found = until("/health/ready to give the expected reason", || async {
            let response = http::get(address, "/health/ready").await.ok();
            Ok(response
                .filter(|response| response.status == 503 && is_it(&response.body))
                .map(|response| response.body))
        });
        match found.await {
            Ok(body) => Ok(body),
            Err(error) => {
                let last = http::get(address, "/health/ready").await;
                Err(error.context(format!("it says {last:?}; rowcast logged:\n{}", self.log_text())))
            }
        }
    }

    /// Waits until the product has stopped for a reason that `is_it` knows and that a person must act on: the connector
    /// has failed, or the process has ended. Returns the reason.
    pub async fn refused(&mut self, is_it: impl Fn(&str) -> bool) -> anyhow::Result<String> {
        self.unready(|reason| reason.contains("has failed") && is_it(reason))
            .await
    }

    /// The operator's metrics, as Prometheus reads them.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        let address = self.metrics_address.as_deref().context("the process was started")?;
        Ok(http::get(address, "/metrics").await?.body)
    }

    /// SIGKILL, at once; returns when the process is gone.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("the process was started")?;
        child.start_kill()?;
        child.wait().await?;
        Ok(())
    }

    /// SIGTERM; returns when the process has ended by itself.
    pub async fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal("TERM")?;
        self.exited().await
    }

    /// Any signal, by its name without `SIG`.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        signal(self.process_id()?, name)
    }

    /// The running process.
    pub fn process_id(&self) -> anyhow::Result<u32> {
        self.child.as_ref().and_then(Child::id).context("the process runs")
    }

    /// Copies the data directory aside as it is now; [`Rowcast::restore`] brings it back.
    pub fn back_up(&self, name: &str) -> anyhow::Result<()> {
        postgres::copy(&self.data_dir(), &self.folder.path().join(name))
    }

    /// Puts a copy in the place of the data directory, while no process runs.
    pub fn restore(&self, name: &str) -> anyhow::Result<()> {
        assert!(self.child.is_none(), "a running process would not notice");
        fs::remove_dir_all(self.data_dir())?;
        postgres::copy(&self.folder.path().join(name), &self.data_dir())
    }

    /// Another machine with a copy of this one's data directory, as it is now. Not started yet.
    pub fn fork(&self) -> anyhow::Result<Rowcast> {
        let folder = tempfile::Builder::new().prefix("rowcast-test-").tempdir()?;
        postgres::copy(&self.data_dir(), &folder.path().join("data"))?;
        Ok(Rowcast::in_folder(folder, self.config.clone()))
    }

    /// Waits until the process has ended by itself.
    pub async fn exited(&mut self) -> anyhow::Result<ExitStatus> {
        let mut child = self.child.take().context("the process was started")?;
        let status = tokio::time::timeout(PATIENCE, child.wait()).await;
        Ok(status.with_context(|| format!("rowcast did not end; it logged:\n{}", self.log_text()))??)
    }

    /// Resident memory in KiB, as the kernel counts it.
    pub fn resident_kib(&self) -> anyhow::Result<u64> {
        self.memory_kib("VmRSS:")
    }

    /// The same at its peak.
    pub fn peak_kib(&self) -> anyhow::Result<u64> {
        self.memory_kib("VmHWM:")
    }

    fn memory_kib(&self, which: &str) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process_id()?))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(which))
            .context("a process has it")?;
        line.split_whitespace()
            .next()
            .and_then(|number| number.parse().ok())
            .context("it is a number")
    }

    /// Waits for a line of the log, from any of its lives, old lines included.
    pub async fn logged(&self, is_it: impl Fn(&str) -> bool) -> anyhow::Result<String> {
        self.log.wait_from(0, is_it).await
    }

    /// Everything it logged so far.
    pub fn log_text(&self) -> String {
        self.log.text_from(0)
    }

    /// The records of a table's topic as `rowcast tail --raw --exit-at-end` prints them, one JSON object each.
    pub async fn tail(&self, table: &str) -> anyhow::Result<Vec<Value>> {
        self.tail_topic(&topic(table)).await
    }

    /// The same of any topic.
    pub async fn tail_topic(&self, topic: &str) -> anyhow::Result<Vec<Value>> {
        let mut command = Command::new(binary()?);
        command
            .args(["tail", topic, "--raw", "--exit-at-end", "--data-dir"])
            .arg(self.data_dir());
        let output = command.stdin(Stdio::null()).output().await?;
        if !output.status.success() {
            bail!("rowcast tail {topic}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let text = String::from_utf8(output.stdout).context("tail prints UTF-8")?;
        text.lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("a line of tail is JSON: {line:.200}")))
            .collect()
    }
}

impl Drop for Rowcast {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("rowcast logged:\n{}", self.log_text());
        }
    }
}

/// The connector's configuration for `tables` of this server, which Debezium takes as well as Rowcast.
pub fn connector(postgres: &Postgres, tables: &str) -> serde_json::Map<String, Value> {
    let config = json!({
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.hostname": "127.0.0.1",
        "database.port": postgres.port().to_string(),
        "database.user": postgres::USER,
        "database.password": postgres::PASSWORD,
        "database.dbname": postgres::DATABASE,
        "topic.prefix": TOPIC_PREFIX,
        "table.include.list": tables,
        "plugin.name": "pgoutput",
        "publication.autocreate.mode": "filtered",
    });
    match config {
        Value::Object(config) => config,
        _ => unreachable!("the macro made an object"),
    }
}

/// Sends a signal to any process, by its name without `SIG`.
pub fn signal(id: u32, name: &str) -> anyhow::Result<()> {
    let status = std::process::Command::new("sh")
        .args(["-c", &format!("kill -{name} {id}")])
        .status()?;
    if !status.success() {
        bail!("kill -{name} {id} failed");
    }
    Ok(())
}

/// The topic of a table in schema `public`.
pub fn topic(table: &str) -> String {
    format!("{TOPIC_PREFIX}.public.{table}")
}

/// The binary under test: `ROWCAST_BIN`, or the one that cargo built beside this program, which may be a test.
pub fn binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = env::var_os("ROWCAST_BIN") {
        return Ok(PathBuf::from(path));
    }
    let this = env::current_exe()?;
    // A test lies one folder deeper, in `deps`.
    let mut beside = this.ancestors().skip(1).take(2).map(|folder| folder.join("rowcast"));
    let found = beside.find(|path| path.is_file());
    found.with_context(|| {
        format!(
            "there is no rowcast beside {}; build it: cargo build -p rowcast, or set ROWCAST_BIN",
            this.display()
        )
    })
}

/// A field of a JSON log line, wherever the line keeps its fields.
fn field(line: &str, name: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let value = line["fields"].get(name).or_else(|| line.get(name))?;
    value.as_str().map(str::to_owned)
}
