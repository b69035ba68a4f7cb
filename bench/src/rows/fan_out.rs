//! One table, many clients: every row to every one of them.

use std::time::Duration;

use anyhow::Result;

use crate::{
    bench::{Bench, Peers},
    feed::{Pace, TableFeed},
    generator::{FanOut, fan_out},
    peers::{centrifuge, node_ws, replaced_stack},
    product::{Installation, Product},
    results::{Check, Measured, Row},
    websocket::Endpoint,
};

/// One fan-out's clients and rows.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) clients: usize,
    transactions_per_s: u32,
    rows_per_transaction: u32,
    seconds: u64,
}

/// The first row, and the one that peers are asked, too.
const ONE_THOUSAND: Shape = Shape {
    clients: 1_000,
    transactions_per_s: 100,
    rows_per_transaction: 1,
    seconds: 20,
};
const FIVE_THOUSAND: Shape = Shape {
    clients: 5_000,
    ..ONE_THOUSAND
};

impl Shape {
    pub(crate) fn pace(&self, bench: &Bench) -> Pace {
        Pace {
            transactions_per_s: self.transactions_per_s,
            rows_per_transaction: self.rows_per_transaction,
            duration: Duration::from_secs(bench.choose(self.seconds, 3)),
        }
    }

    fn text(&self) -> String {
        format!(
            "{} clients x {} rows/s",
            self.clients,
            self.transactions_per_s * self.rows_per_transaction
        )
    }
}

pub(crate) fn one_thousand(bench: &mut Bench) -> Result<Row> {
    let found = ours(bench, ONE_THOUSAND, Product::plain)?;
    let mut row = row("fan-out-1000", ONE_THOUSAND, &found);
    row.checks.extend(latency_checks(&found, 13.0, 40.0));
    row.peers = light_peers(bench, ONE_THOUSAND);
    if bench.peers >= Peers::All {
        row.peers.extend(replaced_stack::fan_out(bench, ONE_THOUSAND));
    }
    Ok(row)
}

/// The same through `rowcast.v1`, as the live page has it: the frame also carries the cursor.
pub(crate) fn one_thousand_subscriptions(bench: &mut Bench) -> Result<Row> {
    let found = ours(bench, ONE_THOUSAND, Product::subscription)?;
    let mut row = row("fan-out-1000-v1", ONE_THOUSAND, &found);
    row.what.push_str(", each subscribed by rowcast.v1");
    row.checks.extend(latency_checks(&found, 13.0, 40.0));
    Ok(row)
}

pub(crate) fn five_thousand(bench: &mut Bench) -> Result<Row> {
    let found = ours(bench, FIVE_THOUSAND, Product::plain)?;
    let mut row = row("fan-out-5000", FIVE_THOUSAND, &found);
    row.checks.extend(latency_checks(&found, 80.0, 250.0));
    row.peers = light_peers(bench, FIVE_THOUSAND);
    Ok(row)
}

pub(crate) fn five_thousand_saturated(bench: &mut Bench) -> Result<Row> {
    let shape = Shape {
        clients: 5_000,
        transactions_per_s: 100,
        rows_per_transaction: 4,
        seconds: 15,
    };
    let found = ours(bench, shape, Product::plain)?;
    let mut row = row("saturated-5000", shape, &found);
    row.what.push_str(" (100 transactions of 4)");
    row.checks
        .push(Check::at_least("deliveries", found.deliveries_per_s(), 800_000.0, "/s"));
    Ok(row)
}

pub(crate) fn ten_thousand(bench: &mut Bench) -> Result<Row> {
    let shape = Shape {
        clients: 10_000,
        transactions_per_s: 100,
        rows_per_transaction: 1,
        seconds: 20,
    };
    let found = ours(bench, shape, Product::plain)?;
    let mut row = row("fan-out-10000", shape, &found);
    row.checks
        .push(Check::at_least("deliveries", found.deliveries_per_s(), 700_000.0, "/s"));
    Ok(row)
}

fn ours(bench: &mut Bench, shape: Shape, door: fn(&Product) -> Endpoint) -> Result<FanOut> {
    let database = bench.database()?;
    let product = Installation::new(bench, &database)?.start_streaming(&database)?;
    let mut feed = TableFeed::new(database.connect()?)?;
    let found = fan_out(
        bench,
        &door(&product),
        shape.clients,
        &shape.pace(bench),
        &mut feed,
        product.pid(),
    );
    product.stop()?;
    database.drop_slots()?;
    found
}

fn light_peers(bench: &mut Bench, shape: Shape) -> Vec<Measured> {
    if bench.peers < Peers::Light {
        return Vec::new();
    }
    vec![
        Measured::from_result("Go: pglogrepl into centrifuge", centrifuge::fan_out_of(bench, shape)),
        Measured::from_result("Node: ws, fed by a pipe", node_ws::fan_out_of(bench, shape)),
    ]
}

fn row(name: &str, shape: Shape, found: &FanOut) -> Row {
    Row {
        name: name.to_owned(),
        what: shape.text(),
        ours: Measured::new("Rowcast", found.figures()),
        checks: vec![Check::at_most("lost, repeated or dropped", found.failures(), 0.0, "")],
        ..Row::default()
    }
}

fn latency_checks(found: &FanOut, p50_ms: f64, p99_ms: f64) -> [Check; 2] {
    [
        Check::at_most("p50", found.load.p50_us as f64 / 1e3, p50_ms, "ms"),
        Check::at_most("p99", found.load.p99_us as f64 / 1e3, p99_ms, "ms"),
    ]
}
