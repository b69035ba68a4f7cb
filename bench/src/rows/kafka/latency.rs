//! From COMMIT to the client through Kafka, on a machine that does nothing else: the latency row's definition and thread.

use anyhow::Result;

use crate::{
    bench::{Bench, Peers},
    broker::Broker,
    feed::insert_row,
    peers::replaced_stack,
    product::Installation,
    results::{Check, Measured, Row},
    rows::latency::{Distribution, attach, block},
    subscriber::Subscriber,
};

/// Alternating with nobody, but started anew as often as the latency row starts us.
const ROUNDS: u64 = 5;

pub(crate) fn at_least_once(bench: &mut Bench) -> Result<Row> {
    run(bench, "kafka-latency", "", &[], 6.0)
}

pub(crate) fn transactions(bench: &mut Bench) -> Result<Row> {
    let required = [("exactly.once.support", "required")];
    run(
        bench,
        "kafka-latency-transactions",
        " with Kafka's transactions",
        &required,
        14.0,
    )
}

fn run(bench: &mut Bench, name: &str, how: &str, extra: &[(&str, &str)], bound_ms: f64) -> Result<Row> {
    let commits = bench.choose(200, 20);
    let database = bench.database()?;
    let broker = Broker::start(bench, name)?;
    let capture = Installation::capture(bench, &database, &broker.address(), extra)?;
    let gateway = Installation::gateway(bench, &broker.address(), &bench.folder().join(format!("{name}-copies")));
    let mut found_us = Vec::new();
    for round in 0..ROUNDS {
        let capturing = capture.start_streaming(&database)?;
        if round == 0 {
            // The gateway is ready once the topic is there, which the first commit makes.
            insert_row(&mut database.connect()?, 0)?;
        }
        let serving = gateway.start()?;
        let mut client = Subscriber::connect(&serving.plain())?;
        attach(&database, &mut client)?;
        let first = 1 + round * 2 * commits;
        found_us.extend(block(&database, first, commits, &mut |sequence| {
            client.receive(sequence)
        })?);
        serving.stop()?;
        capturing.stop()?;
    }
    database.drop_slots()?;
    drop(broker);
    let ours = Distribution::of(found_us);
    let peers = match bench.peers {
        // Once, beside the default mode: the stack has no other.
        Peers::All if extra.is_empty() => replaced_stack::latency(bench, bench.choose(200, 20)),
        _ => Vec::new(),
    };
    Ok(Row {
        name: name.to_owned(),
        what: format!(
            "commit to client through capture, Kafka and gateway{how}, idle, one client, {} single-row commits",
            commits * ROUNDS
        ),
        checks: vec![Check::at_most("p50", ours.p50_ms, bound_ms, "ms")],
        ours: Measured::new("Rowcast", ours.figures()),
        peers,
        ..Row::default()
    })
}
