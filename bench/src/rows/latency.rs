//! From COMMIT to the client, on a machine that does nothing else.
//!
//! One thread holds the database connection and the client: it inserts a row in an open transaction, takes the time, writes
//! COMMIT, blocks in `read` until the row is here, takes the time again. The same for the bare walsender reader and every
//! peer. Blocks of ours, of the bare reader and of the bare relay alternate, each alone on the machine, so that all see
//! the same disk.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{
    bench::{Bench, Database, Peers},
    feed::insert_row,
    peers::{centrifuge, replaced_stack},
    product::Installation,
    relay::Relay,
    results::{Check, Figure, Measured, Row, figure},
    subscriber::Subscriber,
    walsender::Walsender,
    wire::Connection,
};

/// Alternating blocks.
const ROUNDS: u64 = 5;
/// After a row has arrived and its commit has been answered, the next one is sent this much later: everybody sleeps again.
const PAUSE: Duration = Duration::from_millis(10);
/// Rows at the start of each block that are not counted: caches, and the walsender's first lookups.
const UNCOUNTED: u64 = 10;

pub(crate) fn run(bench: &mut Bench) -> Result<Row> {
    let commits = bench.choose(200, 20);
    let (mut ours_us, mut bare_us, mut relayed_us) = (Vec::new(), Vec::new(), Vec::new());
    let database = bench.database()?;
    let installation = Installation::new(bench, &database)?;
    for round in 0..ROUNDS {
        let mut first = 1 + round * 3 * (commits + UNCOUNTED);
        let mut walsender = Walsender::start(&database, "bare_reader")?;
        bare_us.extend(block(&database, first, commits, &mut |sequence| {
            walsender.receive(sequence)
        })?);
        drop(walsender);
        first += commits + UNCOUNTED;
        let mut relay = Relay::start(&database)?;
        relayed_us.extend(block(&database, first, commits, &mut |sequence| {
            relay.client.receive(sequence)
        })?);
        drop(relay);
        first += commits + UNCOUNTED;
        let product = installation.start_streaming(&database)?;
        let mut client = Subscriber::connect(&product.plain())?;
        attach(&database, &mut client)?;
        ours_us.extend(block(&database, first, commits, &mut |sequence| {
            client.receive(sequence)
        })?);
        product.stop()?;
    }
    database.drop_slots()?;
    let (ours, bare) = (Distribution::of(ours_us), Distribution::of(bare_us));
    let mut peers = vec![
        Measured::new("bare walsender reader", bare.figures()),
        Measured::new("bare relay", Distribution::of(relayed_us).figures()),
    ];
    if bench.peers >= Peers::Light {
        peers.push(Measured::from_result(
            "Go: pglogrepl into centrifuge",
            centrifuge::latency(bench, commits * ROUNDS),
        ));
    }
    if bench.peers >= Peers::All {
        peers.extend(replaced_stack::latency(bench, bench.choose(200, 20)));
    }
    Ok(Row {
        name: "latency".into(),
        what: format!(
            "commit to client, idle, one client, {} single-row commits",
            commits * ROUNDS
        ),
        checks: vec![
            Check::at_most("p50", ours.p50_ms, 1.5, "ms"),
            Check::at_most("p50 over the bare reader's", ours.p50_ms / bare.p50_ms, 1.2, "x"),
        ],
        ours: Measured::new("Rowcast", ours.figures()),
        peers,
        ..Row::default()
    })
}

/// Commits rows until the client has had one: from then on it is attached.
pub(crate) fn attach(database: &Database, client: &mut Subscriber) -> Result<()> {
    let mut connection = database.connect()?;
    for _ in 0..300 {
        insert_row(&mut connection, 0)?;
        if client.wait_for(0, Duration::from_millis(200))?.is_some() {
            // Rows of attempts whose answer was late may still be on their way; they are uncounted, too.
            return Ok(());
        }
    }
    anyhow::bail!("the client got none of 300 rows")
}

/// `commits` counted latencies in microseconds, rows numbered from `first`.
pub(crate) fn block(
    database: &Database,
    first: u64,
    commits: u64,
    receive: &mut dyn FnMut(u64) -> Result<Instant>,
) -> Result<Vec<f64>> {
    let mut connection = database.connect()?;
    let mut latencies_us = Vec::new();
    for sequence in first..first + UNCOUNTED + commits {
        let latency = commit_to_client(&mut connection, sequence, receive)?;
        if sequence >= first + UNCOUNTED {
            latencies_us.push(latency.as_secs_f64() * 1e6);
        }
        std::thread::sleep(PAUSE);
    }
    Ok(latencies_us)
}

fn commit_to_client(
    connection: &mut Connection,
    sequence: u64,
    receive: &mut dyn FnMut(u64) -> Result<Instant>,
) -> Result<Duration> {
    connection.query("BEGIN")?;
    insert_row(connection, sequence)?;
    let sent = Instant::now();
    connection.send("COMMIT")?;
    let received = receive(sequence)?;
    connection.finish()?;
    Ok(received.duration_since(sent))
}

/// Exact percentiles of a few hundred values.
pub(crate) struct Distribution {
    count: usize,
    pub(crate) p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl Distribution {
    pub(crate) fn of(mut latencies_us: Vec<f64>) -> Distribution {
        latencies_us.sort_by(f64::total_cmp);
        let at = |quantile: f64| {
            let rank = (quantile * latencies_us.len() as f64).ceil().max(1.0) as usize;
            latencies_us.get(rank - 1).copied().unwrap_or(f64::NAN) / 1e3
        };
        Distribution {
            count: latencies_us.len(),
            p50_ms: at(0.50),
            p99_ms: at(0.99),
            max_ms: at(1.0),
        }
    }

    pub(crate) fn figures(&self) -> Vec<Figure> {
        vec![
            figure("p50", self.p50_ms, "ms"),
            figure("p99", self.p99_ms, "ms"),
            figure("max", self.max_ms, "ms"),
            figure("of", self.count as f64, "commits"),
        ]
    }
}
