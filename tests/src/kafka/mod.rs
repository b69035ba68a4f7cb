//! An Apache Kafka of the test's own: one process that is broker and controller.
//!
//! Promises: ports and a folder of its own over all restarts; every line that it logged is kept; gone when it is dropped or
//! the test is killed. What is in its topics: [`Topics`]; what other clients see there: [`readers`].

mod faults;
pub mod readers;
pub mod security;
mod tools;
mod topics;

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    fs,
    hash::BuildHasher,
    net::TcpListener,
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};
use tempfile::TempDir;

pub use self::faults::WITH_RIGHTS;
pub use self::topics::{NewRecord, Offsets, Record, Topics};
use crate::{
    child::Child,
    java::{self, Program},
    lines::Lines,
};

/// `exactly.once.support`: what is promised with transactions and without.
pub const MODES: [&str; 2] = ["requested", "required"];

/// Below what the kernel hands out to outgoing connections (32768 and up): a client that knocks at a dead broker's port up
/// there may be connected to itself, and then the broker cannot come back.
const PORTS: Range<u16> = 15_000..32_000;
/// What a broker logs once clients may come.
const READY: &str = "Kafka Server started";
/// What it logs beside warnings: its start.
const LOGGERS: &str = "logger.server.name=kafka.server.KafkaRaftServer\nlogger.server.level=info\n";

/// What the kit's small heap asks of any broker: the buffer has 128 MB by default, which is half of it.
pub(crate) const SMALL_HEAP: (&str, &str) = ("log.cleaner.dedupe.buffer.size", "4194304");

/// A broker, running or stopped, and its folder.
#[derive(Debug)]
pub struct Kafka {
    java: Option<Child>,
    lines: Lines,
    address: String,
    properties: BTreeMap<String, String>,
    /// What only Java's own options can set.
    java_options: Vec<String>,
    folder: PathBuf,
    // Dropped after the broker has stopped.
    _temporary: Option<TempDir>,
}

impl Kafka {
    /// Starts an empty broker and returns when it takes connections.
    pub async fn start() -> anyhow::Result<Kafka> {
        Self::start_with(&[]).await
    }

    /// The same, with properties as in `server.properties`; they win over ours.
    pub async fn start_with(properties: &[(&str, &str)]) -> anyhow::Result<Kafka> {
        let mut kafka = Kafka::unstarted()?;
        for (name, value) in properties {
            kafka.set(name, value);
        }
        kafka.format()?;
        kafka.restart().await?;
        Ok(kafka)
    }

    /// With the usual properties, in a folder of its own, and without data yet.
    fn unstarted() -> anyhow::Result<Kafka> {
        let temporary = tempfile::Builder::new().prefix("rowcast-kafka-").tempdir()?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let properties = usual_properties(&address, free_port()?, &temporary.path().join("data"));
        let mut kafka = Kafka::new(address, properties, temporary.path().to_owned());
        kafka._temporary = Some(temporary);
        Ok(kafka)
    }

    /// Starts a broker with these properties and no others, which clients reach at `address`. It logs to `folder`, and goes
    /// on with the data in its `log.dirs`, if there are any.
    pub async fn start_as(
        address: String,
        properties: BTreeMap<String, String>,
        folder: PathBuf,
    ) -> anyhow::Result<Kafka> {
        let mut kafka = Kafka::new(address, properties, folder);
        if !kafka.data_dir()?.join("meta.properties").exists() {
            kafka.format()?;
        }
        kafka.restart().await?;
        Ok(kafka)
    }

    fn new(address: String, properties: BTreeMap<String, String>, folder: PathBuf) -> Kafka {
        Kafka {
            java: None,
            lines: Lines::default(),
            address,
            properties,
            java_options: Vec::new(),
            folder,
            _temporary: None,
        }
    }

    /// `127.0.0.1:port`, the same over all restarts.
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// A client for its topics, which outlives restarts.
    pub fn topics(&self) -> Topics {
        Topics::at(&self.address())
    }

    /// Where its data (`data/`), its properties and its log (`broker.log`) are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The process's number, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.java.as_ref().map(Child::id)
    }

    /// Sets one of the broker's properties, for the next start.
    pub fn set(&mut self, property: &str, value: &str) {
        self.properties.insert(property.to_owned(), value.to_owned());
    }

    /// Starts a broker that was stopped or killed, on the same ports and data, and returns when it takes connections.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        assert!(self.java.is_none(), "one life at a time");
        let file = self.folder.join("server.properties");
        write_properties(&file, &self.properties)?;
        let program = Program {
            name: "broker",
            main: "kafka.Kafka",
            properties: file,
            folder: &self.folder,
            options: &self.java_options,
            loggers: LOGGERS,
            ready: READY,
        };
        self.java = Some(java::start(&program, &self.lines).await?);
        Ok(())
    }

    /// Stops it in order (SIGTERM); returns when it is gone.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let java = self.java.take().context("the broker runs")?;
        java.terminate(&self.lines, self.lines.len()).await
    }

    /// SIGKILL, at once; returns when it is gone.
    pub async fn kill_dash_nine(&mut self) -> anyhow::Result<()> {
        let java = self.java.take().context("the broker runs")?;
        java.kill(&self.lines).await
    }

    /// SIGSTOP: its connections stay open and nothing answers.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.java.as_ref().context("the broker runs")?.signal("STOP")
    }

    /// SIGCONT.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.java.as_ref().context("the broker runs")?.signal("CONT")
    }

    /// Throws the data of a stopped broker away and makes a new cluster in its place: same address, no topics, another id.
    pub fn replace_by_new(&mut self) -> anyhow::Result<()> {
        assert!(self.java.is_none(), "only a stopped broker's data can be thrown away");
        fs::remove_dir_all(self.data_dir()?)?;
        self.format()
    }

    /// Waits for a line of its log, from any of its lives, old lines included.
    pub async fn logged(&self, is_it: impl Fn(&str) -> bool) -> anyhow::Result<String> {
        self.lines.wait_from(0, is_it).await
    }

    /// Everything it logged so far: its starts, and warnings.
    pub fn log_text(&self) -> String {
        self.lines.text_from(0)
    }

    fn data_dir(&self) -> anyhow::Result<PathBuf> {
        self.properties
            .get("log.dirs")
            .map(PathBuf::from)
            .context("a broker has log.dirs")
    }

    /// Makes the data directory of a new cluster.
    ///
    /// What `kafka-storage format` writes beside the ids (the versions of features) is the same for every cluster, so its
    /// 2 s are spent once for a machine.
    fn format(&self) -> anyhow::Result<()> {
        let made_once = java::home()?.join("bootstrap.checkpoint");
        let data_dir = self.data_dir()?;
        if made_once.exists() {
            fs::create_dir_all(&data_dir)?;
            fs::copy(&made_once, data_dir.join("bootstrap.checkpoint"))?;
            let (cluster, directory) = (random_id(), random_id());
            let node = self.properties.get("node.id").context("a broker has a node.id")?;
            let text = format!("version=1\nnode.id={node}\ncluster.id={cluster}\ndirectory.id={directory}\n");
            return Ok(fs::write(data_dir.join("meta.properties"), text)?);
        }
        let file = self.folder.join("server.properties");
        write_properties(&file, &self.properties)?;
        let mut format = Command::new("java");
        format
            .arg("-cp")
            .arg(java::class_path()?)
            .args(["kafka.tools.StorageTool", "format"]);
        format.args(["--cluster-id", &random_id(), "--config"]).arg(&file);
        let output = format.output().context("starting java")?;
        if !output.status.success() {
            bail!(
                "kafka-storage format failed: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        // Whole or not at all, whoever else does the same at this moment.
        let beside = made_once.with_extension(random_id());
        fs::copy(data_dir.join("bootstrap.checkpoint"), &beside)?;
        Ok(fs::rename(&beside, &made_once)?)
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the broker logged:\n{}", self.log_text());
        }
    }
}

/// One process, few threads, and no waiting for members that will not come.
fn usual_properties(broker: &str, controller_port: u16, data_dir: &Path) -> BTreeMap<String, String> {
    let controller = format!("127.0.0.1:{controller_port}");
    let listeners = format!("PLAINTEXT://{broker},CONTROLLER://{controller}");
    let voters = format!("1@{controller}");
    let advertised = format!("PLAINTEXT://{broker}");
    let data_dir = data_dir.display().to_string();
    let ours = [
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("controller.quorum.voters", &voters),
        ("listeners", &listeners),
        ("advertised.listeners", &advertised),
        ("controller.listener.names", "CONTROLLER"),
        ("log.dirs", &data_dir),
        ("offsets.topic.replication.factor", "1"),
        ("offsets.topic.num.partitions", "1"),
        ("transaction.state.log.replication.factor", "1"),
        ("transaction.state.log.min.isr", "1"),
        ("transaction.state.log.num.partitions", "1"),
        ("share.coordinator.state.topic.replication.factor", "1"),
        ("share.coordinator.state.topic.min.isr", "1"),
        ("group.initial.rebalance.delay.ms", "0"),
        // A killed broker may come back when its controller has given its predecessor up: after 9 s by default.
        ("broker.session.timeout.ms", "2000"),
        ("broker.heartbeat.interval.ms", "500"),
        SMALL_HEAP,
    ];
    ours.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// A Java properties file.
pub(crate) fn write_properties(file: &Path, properties: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let lines: String = properties
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect();
    fs::write(file, lines).with_context(|| format!("writing {}", file.display()))
}

/// A port below the outgoing ones that nobody listens on.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let mut ports: Vec<u16> = PORTS.collect();
    ports.rotate_left(random_number() as usize % PORTS.len());
    let free = ports
        .into_iter()
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.with_context(|| format!("nothing is free among the ports {PORTS:?} on 127.0.0.1"))
}

/// An id as Kafka writes them: 16 bytes in 22 letters of base64, of which the last has only two bits.
fn random_id() -> String {
    let digits = format!("{:016x}{:016x}", random_number(), random_number());
    format!("{}A", &digits[..21])
}

/// Different in every process and at every call; no test depends on which.
fn random_number() -> u64 {
    RandomState::new().hash_one(())
}
