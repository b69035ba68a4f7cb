//! Measures the fan-out alone: a log in memory-backed files, the gateway, and clients in another process.
//!
//! ```text
//! cargo build --release -p rowcast-gateway --examples
//! target/release/examples/fanout CLIENTS TRANSACTIONS_PER_SECOND ROWS_PER_TRANSACTION SECONDS
//! ```
//!
//! Starts `fanout_clients` from its own directory, waits until all are connected and live, writes records whose
//! `change` frame is about 600 bytes, and prints what the clients saw and what the gateway cost.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use rowcast_gateway::{Gateway, GatewayOptions, Pages};
use rowcast_log::{
    Appender, EmbeddedLog, EmbeddedOptions, Log, NewRecord, TopicCreation, TopicPartition, Visibility, WriterId,
};
use tokio::{net::TcpListener, sync::watch};

const TOPIC: &str = "orders.public.orders";

struct NoPages;

impl Pages for NoPages {
    fn respond(&self, _: &hyper::http::request::Parts) -> hyper::Response<Bytes> {
        hyper::Response::new(Bytes::new())
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|number| number.parse::<u64>().expect("a number"));
    let mut number = |default| numbers.next().unwrap_or(default);
    let (clients, rate, rows, seconds) = (number(1000), number(100), number(1), number(10));

    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).expect("the log opens");
    log.ensure_topic(TOPIC, &TopicCreation::default())
        .expect("the topic is made");
    let gateway = Gateway::start(log.clone(), GatewayOptions::default());
    gateway.ready().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(gateway.clone().serve(listener, Arc::new(NoPages), stopped));

    let program = std::env::current_exe()
        .expect("a path")
        .with_file_name("fanout_clients");
    let before_kib = resident_kib();
    let mut load = Command::new(program)
        .args([
            address.to_string(),
            clients.to_string(),
            (rate * seconds * rows).to_string(),
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("fanout_clients is built beside this program");
    let mut said = BufReader::new(load.stdout.take().expect("piped")).lines();
    let ready = said.next().expect("a line").expect("readable");
    let idle_kib = resident_kib();
    println!(
        "{ready}; {} KiB resident, {:.2} KiB a client",
        idle_kib,
        (idle_kib - before_kib) as f64 / clients as f64
    );

    let cpu_before = cpu_seconds();
    let started = Instant::now();
    let writer = std::thread::spawn(move || write(&*log, rate, rows, seconds));
    let done = tokio::task::spawn_blocking(move || said.next())
        .await
        .expect("no panic");
    let (took, cpu) = (started.elapsed(), cpu_seconds() - cpu_before);
    let wrote = writer.join().expect("the writer is done");
    println!(
        "{}",
        done.map_or("no answer".to_owned(), |line| line.expect("readable"))
    );
    println!(
        "writing took {wrote:.1?}, all {took:.1?}; server: {cpu:.2} s of CPU, {} KiB resident; {} ring misses, {} sessions left",
        resident_kib(),
        gateway.metrics().ring_misses.get(),
        gateway.metrics().sessions.get(),
    );
    let _ = load.wait();
    stop.send_replace(true);
    let _ = serving.await;
}

fn write(log: &dyn Log, rate: u64, rows: u64, seconds: u64) -> Duration {
    let started = Instant::now();
    let mut appender = log.appender(&WriterId::new("test")).expect("a log of our own");
    let partition = TopicPartition {
        topic: TOPIC.into(),
        partition: 0,
    };
    let filler = "x".repeat(330);
    for transaction in 0..rate * seconds {
        let due = Duration::from_nanos(transaction * 1_000_000_000 / rate);
        std::thread::sleep(due.saturating_sub(started.elapsed()));
        let now_us = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_micros();
        for row in 0..rows {
            append(
                &mut *appender,
                &partition,
                (transaction * rows + row) % 1000,
                now_us,
                &filler,
            );
        }
        appender.commit(&transaction.to_be_bytes()).expect("committed");
        appender.flush(Visibility::Now).expect("flushed");
    }
    let _ = std::io::stdout().flush();
    started.elapsed()
}

fn append(appender: &mut dyn Appender, partition: &TopicPartition, id: u64, now_us: u128, filler: &str) {
    let key = format!(r#"{{"id":{id}}}"#);
    let value = format!(
        r#"{{"before":null,"after":{{"id":{id},"note":"{filler}"}},"source":{{"version":"3.6.1.Final","connector":"postgresql","name":"orders","ts_ms":{},"snapshot":"false","db":"shop","sequence":"[null,\"1\"]","ts_us":{now_us},"ts_ns":{now_us}000,"schema":"public","table":"orders","txId":1,"lsn":1,"xmin":null,"origin":null,"origin_lsn":null}},"transaction":null,"op":"u","ts_ms":1,"ts_us":1,"ts_ns":1}}"#,
        now_us / 1000
    );
    let record = NewRecord {
        timestamp_ms: (now_us / 1000) as i64,
        key: Some(key.as_bytes()),
        value: Some(value.as_bytes()),
        headers: &[],
    };
    appender.append(partition, record).expect("appended");
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// User and system time of this process; the kernel counts in hundredths.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / 100.0
}
