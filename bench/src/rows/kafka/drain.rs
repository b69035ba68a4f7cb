//! A backlog of a million rows into Kafka: what a capture must do after a pause.

use anyhow::Result;

use crate::{
    bench::{Bench, Peers},
    broker::Broker,
    peers::replaced_stack,
    product::Installation,
    results::{Check, Measured, Row, figure},
    rows::drain::{ROWS_PER_TRANSACTION, drain_ours, write_waiting_rows},
};

/// What Debezium with `poll.interval.ms=1` did on the machine that the targets were set on, for runs without it.
const DEBEZIUM_ROWS_PER_S: f64 = 18_500.0;

pub(crate) fn at_least_once(bench: &mut Bench) -> Result<Row> {
    run(bench, "kafka-drain", "", &[])
}

pub(crate) fn transactions(bench: &mut Bench) -> Result<Row> {
    let required = [("exactly.once.support", "required")];
    run(
        bench,
        "kafka-drain-transactions",
        " with Kafka's transactions",
        &required,
    )
}

fn run(bench: &mut Bench, name: &str, how: &str, extra: &[(&str, &str)]) -> Result<Row> {
    let rows = bench.choose(1_000_000, 100_000);
    let database = bench.database()?;
    let broker = Broker::start(bench, name)?;
    let capture = Installation::capture(bench, &database, &broker.address(), extra)?;
    capture.start_streaming(&database)?.stop()?;
    let end_lsn = write_waiting_rows(&database, rows)?;
    let broker_before_s = broker.cpu_seconds()?;
    let (took, cpu_s, peak_bytes) = drain_ours(&capture, &database, &end_lsn)?;
    let broker_s = broker.cpu_seconds()? - broker_before_s;
    database.drop_slots()?;
    drop(broker);
    let rate = rows as f64 / took.as_secs_f64();
    let peers = match bench.peers {
        Peers::All if extra.is_empty() => replaced_stack::drain(bench, rows / 5),
        _ => Vec::new(),
    };
    let figures = vec![
        figure("rows", rate, "/s"),
        figure("took", took.as_secs_f64(), "s"),
        figure("capture", cpu_s, "CPU s"),
        figure("broker", broker_s, "CPU s"),
        figure("peak", peak_bytes as f64 / 1e6, "MB"),
    ];
    Ok(Row {
        name: name.to_owned(),
        what: format!("{rows} waiting rows in transactions of {ROWS_PER_TRANSACTION}, into Kafka{how}"),
        ours: Measured::new("Rowcast", figures),
        checks: checks(rate, &peers, extra.is_empty()),
        peers,
        ..Row::default()
    })
}

/// Against the fastest Debezium of this run, or the one that the target was set with.
fn checks(rate: f64, peers: &[Measured], has_target: bool) -> Vec<Check> {
    if !has_target {
        return Vec::new();
    }
    match replaced_stack::rates(peers).map(|(_, rate)| rate).reduce(f64::max) {
        Some(peer) => vec![Check::at_least("rows/s over Debezium's", rate / peer, 8.0, "x")],
        None => vec![Check::at_least("rows", rate, 8.0 * DEBEZIUM_ROWS_PER_S, "/s")],
    }
}
