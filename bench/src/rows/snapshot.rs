//! The snapshot of a big table into the durable log, and whether memory grows with the table.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{
    bench::{Bench, Peers},
    peers::replaced_stack,
    process,
    product::Installation,
    results::{Check, Measured, Row, figure},
    rows::drain::write_waiting_rows,
};

/// A snapshot of one size.
struct Snapshot {
    took: Duration,
    peak_bytes: u64,
}

pub(crate) fn run(bench: &mut Bench) -> Result<Row> {
    let rows = bench.choose(2_000_000, 100_000);
    let small = ours(bench, rows / 10)?;
    let large = ours(bench, rows)?;
    let rate = rows as f64 / large.took.as_secs_f64();
    let peers = match bench.peers {
        Peers::All => vec![replaced_stack::snapshot(bench, rows)],
        _ => Vec::new(),
    };
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    Ok(Row {
        name: "snapshot".into(),
        what: format!("of a table of {rows} rows, into the durable log"),
        ours: Measured::new(
            "Rowcast",
            vec![
                figure("rows", rate, "/s"),
                figure("took", large.took.as_secs_f64(), "s"),
                figure("peak", megabytes(large.peak_bytes), "MB"),
                figure("peak with a tenth of the rows", megabytes(small.peak_bytes), "MB"),
            ],
        ),
        checks: replaced_stack::rates(&peers)
            .map(|(_, peer)| Check::at_least("rows/s over Debezium's", rate / peer, 10.0, "x"))
            .collect(),
        peers,
        ..Row::default()
    })
}

/// From the program's start until its slot streams, which it does when the whole table is in the log.
fn ours(bench: &mut Bench, rows: u64) -> Result<Snapshot> {
    let database = bench.database()?;
    write_waiting_rows(&database, rows)?;
    let installation = Installation::new(bench, &database)?;
    let started = Instant::now();
    let product = installation.start_streaming(&database)?;
    let took = started.elapsed();
    let peak_bytes = process::memory(product.pid())?.peak_bytes;
    product.stop()?;
    database.drop_slots()?;
    Ok(Snapshot { took, peak_bytes })
}
