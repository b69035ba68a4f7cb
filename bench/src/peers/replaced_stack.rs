//! The stack that Rowcast replaces: Kafka, Kafka Connect with Debezium, a Node WebSocket service, on our database.
//!
//! Twice: with its defaults, and with the one property that people tune for latency (`poll.interval.ms=1`).

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{cache, run_to_end, source};
use crate::{
    bench::{Bench, Database},
    feed::TableFeed,
    generator::fan_out as generator_fan_out,
    process,
    product::TOPIC,
    results::{Figure, Measured, figure},
    rows::{drain::write_waiting_rows, fan_out::Shape, latency as latency_row},
    subscriber::Subscriber,
    websocket::Endpoint,
};

/// A name and the properties that make it so.
type Variant = (&'static str, &'static [(&'static str, &'static str)]);

const VARIANTS: [Variant; 2] = [
    (DEFAULTS, &[]),
    ("the same, poll.interval.ms=1", &[("poll.interval.ms", "1")]),
];
pub(crate) const DEFAULTS: &str = "Debezium + Kafka + Node ws";
/// What else people turn off when the rate counts: the schema in every key and value.
const WITHOUT_SCHEMAS: Variant = (
    "the same, also without schemas",
    &[
        ("poll.interval.ms", "1"),
        ("key.converter", JSON_CONVERTER),
        ("key.converter.schemas.enable", "false"),
        ("value.converter", JSON_CONVERTER),
        ("value.converter.schemas.enable", "false"),
    ],
);
const JSON_CONVERTER: &str = "org.apache.kafka.connect.json.JsonConverter";
/// The second connector, which snapshots what is in the table; its topic is called after it.
const SNAPSHOT: &str = "snapshot";
/// Over which the idle CPU is taken, after as long a rest.
const IDLE_TIME: Duration = Duration::from_secs(10);

struct Stack {
    folder: PathBuf,
    jars: PathBuf,
    cache: PathBuf,
    script: PathBuf,
    log: PathBuf,
    kafka_port: u16,
    connect_port: u16,
    ws_port: u16,
    database: Database,
    started_in: Duration,
}

impl Stack {
    fn start(bench: &mut Bench, extra: &[(&str, &str)]) -> Result<Stack> {
        let database = bench.database()?;
        let folder = bench.folder().join(format!("stack-{}", database.name));
        fs::create_dir_all(&folder)?;
        let mut stack = Stack {
            jars: jars(bench)?,
            cache: cache("replaced-stack")?,
            script: source(bench, "replaced-stack").join("stack.sh"),
            log: folder.join("stack.log"),
            folder,
            kafka_port: free_pair()?,
            connect_port: process::free_port()?,
            ws_port: process::free_port()?,
            database,
            started_in: Duration::ZERO,
        };
        stack.step(&["install"])?;
        let started = Instant::now();
        stack.step(&["kafka"])?;
        stack.step(&["connect"])?;
        stack.register(&stack.database.name, extra)?;
        stack.step(&["ws"])?;
        // The service can subscribe only when the topic is there, so the first row is part of the start.
        let mut client = Subscriber::connect(&stack.endpoint())?;
        latency_row::attach(&stack.database, &mut client)?;
        stack.started_in = started.elapsed();
        Ok(stack)
    }

    /// Has Connect run the connector `name`.
    fn register(&self, name: &str, extra: &[(&str, &str)]) -> Result<()> {
        let connector = self.folder.join(format!("{name}.json"));
        fs::write(&connector, self.database.connector_json(name, extra)?)?;
        self.step(&["register", &connector.to_string_lossy()])
    }

    /// Has `begin` done, and says how many records a second then came into `topic` until the whole table was in it.
    fn filled(&self, topic: &str, begin: impl FnOnce() -> Result<()>) -> Result<Figure> {
        // A connector that says it is stopped may still send some: the topic is full when it holds the whole table.
        let target = self.database.connect()?.scalar("SELECT count(*) FROM orders")?;
        let mut command = self.command("node");
        command
            .arg("drained.js")
            .current_dir(&self.cache)
            .env("KAFKA", format!("127.0.0.1:{}", self.kafka_port));
        command.env("TARGET", target).env("TOPIC", topic).stdout(Stdio::piped());
        let mut running = process::Running::start_piped("drained.js", &mut command)?;
        let mut lines = BufReader::new(running.child().stdout.take().context("its output was piped")?).lines();
        lines.next().context("drained.js ended before it could watch")??;
        begin()?;
        let rate = lines
            .next()
            .context("drained.js ended before the topic had all rows")??;
        running.wait()?;
        Ok(figure("rows", rate.trim().parse()?, "/s"))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("JARS", &self.jars)
            .env("CACHE", &self.cache)
            .env("STACK", &self.folder)
            .env("KAFKA_PORT", self.kafka_port.to_string());
        command
            .env("CONNECT_PORT", self.connect_port.to_string())
            .env("WS_PORT", self.ws_port.to_string());
        command
    }

    fn step(&self, arguments: &[&str]) -> Result<()> {
        let mut command = self.command("bash");
        command.arg(&self.script).args(arguments);
        run_to_end(&mut command, &self.log).with_context(|| format!("{}", self.script.display()))
    }

    fn endpoint(&self) -> Endpoint {
        let address = SocketAddr::from(([127, 0, 0, 1], self.ws_port));
        Endpoint {
            address,
            path: "/".to_owned(),
            subprotocol: None,
            hello: None,
        }
    }

    fn pid(&self, part: &str) -> Result<u32> {
        let path = self.folder.join(format!("{part}.pid"));
        fs::read_to_string(&path)?
            .trim()
            .parse()
            .with_context(|| format!("{} holds no number", path.display()))
    }

    /// Over all three processes.
    fn sum(&self, of: impl Fn(u32) -> Result<f64>) -> Result<f64> {
        ["kafka", "connect", "ws"].iter().map(|part| of(self.pid(part)?)).sum()
    }

    /// What it costs to have it running and nothing to do.
    fn idle_figures(&self) -> Result<Vec<Figure>> {
        std::thread::sleep(IDLE_TIME);
        let before_s = self.sum(process::tree_cpu_seconds)?;
        std::thread::sleep(IDLE_TIME);
        let cpu_s = self.sum(process::tree_cpu_seconds)? - before_s;
        let memory = self.sum(|pid| Ok(process::tree_memory_bytes(pid)? as f64))?;
        Ok(vec![
            figure("started in", self.started_in.as_secs_f64(), "s"),
            figure("idle memory", memory / 1e6, "MB"),
            figure("idle CPU", 100.0 * cpu_s / IDLE_TIME.as_secs_f64(), "% of a core"),
        ])
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if let Err(error) = self.step(&["down"]) {
            eprintln!("stopping the replaced stack: {error:#}");
        }
        let _ = self.database.drop_slots();
    }
}

/// Kafka and Debezium, where xtask keeps them.
pub(crate) fn jars(bench: &Bench) -> Result<PathBuf> {
    let folder = bench.root.join("target/tools/kafka");
    if !folder.exists() {
        bail!(
            "{} is missing; fetch Kafka's jars: cargo xtask prepare",
            folder.display()
        );
    }
    Ok(folder)
}

/// Two ports in a row: a broker's controller takes the second.
pub(crate) fn free_pair() -> Result<u16> {
    loop {
        let port = process::free_port()?;
        if port < u16::MAX && std::net::TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return Ok(port);
        }
    }
}

/// Each variant's figures, or why it has none.
fn each(bench: &mut Bench, measure: impl Fn(&mut Bench, &Stack) -> Result<Vec<Figure>>) -> Vec<Measured> {
    VARIANTS.map(|variant| one(bench, variant, &measure)).into()
}

fn one(
    bench: &mut Bench,
    (name, extra): Variant,
    measure: impl Fn(&mut Bench, &Stack) -> Result<Vec<Figure>>,
) -> Measured {
    let figures = Stack::start(bench, extra).and_then(|stack| measure(bench, &stack));
    Measured::from_result(name, figures)
}

pub(crate) fn latency(bench: &mut Bench, commits: u64) -> Vec<Measured> {
    each(bench, |_, stack| {
        let mut client = Subscriber::connect(&stack.endpoint())?;
        latency_row::attach(&stack.database, &mut client)?;
        let found = latency_row::block(&stack.database, 1, commits, &mut |sequence| client.receive(sequence))?;
        let mut figures = latency_row::Distribution::of(found).figures();
        figures.extend(stack.idle_figures()?);
        Ok(figures)
    })
}

/// What the stack costs while nothing happens, with one client.
pub(crate) fn idle(bench: &mut Bench) -> Vec<Measured> {
    each(bench, |_, stack| {
        let _client = Subscriber::connect(&stack.endpoint())?;
        stack.idle_figures()
    })
}

pub(crate) fn fan_out(bench: &mut Bench, shape: Shape) -> Vec<Measured> {
    each(bench, |bench, stack| {
        let mut feed = TableFeed::new(stack.database.connect()?)?;
        let pid = stack.pid("ws")?;
        let pace = shape.pace(bench);
        Ok(generator_fan_out(bench, &stack.endpoint(), shape.clients, &pace, &mut feed, pid)?.figures())
    })
}

/// `rows` waiting rows into the topic, timed from the first that arrives to the last.
pub(crate) fn drain(bench: &mut Bench, rows: u64) -> Vec<Measured> {
    let measure = |_: &mut Bench, stack: &Stack| {
        let connector = &stack.database.name;
        stack.step(&["stop-connector", connector])?;
        write_waiting_rows(&stack.database, rows)?;
        let rate = stack.filled(TOPIC, || stack.step(&["resume-connector", connector]))?;
        Ok(vec![rate, figure("of", rows as f64, "rows")])
    };
    let mut found = each(bench, measure);
    found.push(one(bench, WITHOUT_SCHEMAS, measure));
    found
}

/// The snapshot of a table of `rows` rows, timed in the same way: by a second connector, for the first has seen the table
/// when it was empty. With defaults only: Debezium waits for `poll.interval.ms` when it has nothing to send.
pub(crate) fn snapshot(bench: &mut Bench, rows: u64) -> Measured {
    one(bench, VARIANTS[0], |_, stack| {
        stack.step(&["stop-connector", &stack.database.name])?;
        write_waiting_rows(&stack.database, rows)?;
        let slot = format!("{SNAPSHOT}_{}", stack.database.name);
        let own = [("topic.prefix", SNAPSHOT), ("slot.name", slot.as_str())];
        let topic = format!("{SNAPSHOT}.public.orders");
        let rate = stack.filled(&topic, || stack.register(SNAPSHOT, &own))?;
        stack.step(&["stop-connector", SNAPSHOT])?;
        Ok(vec![rate, figure("of", rows as f64, "rows")])
    })
}

/// The rates that `peers` reached, if they were measured.
pub(crate) fn rates<'a>(peers: &'a [Measured]) -> impl Iterator<Item = (&'a str, f64)> {
    let of = |peer: &'a Measured| {
        let rate = peer.figures.iter().find(|found| found.label == "rows")?;
        Some((peer.who.as_str(), rate.value))
    };
    peers.iter().filter_map(of)
}
