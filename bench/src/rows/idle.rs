//! What it costs to be there: memory for connections that say nothing, CPU while nothing happens.

use std::time::Duration;

use anyhow::Result;

use crate::{
    bench::Bench,
    generator::Generator,
    process,
    product::Installation,
    results::{Check, Measured, Row, figure},
    subscriber::Subscriber,
};

/// After the last handshake, before memory or CPU is read: what connecting itself cost has settled.
pub(crate) const SETTLE_TIME: Duration = Duration::from_secs(3);

pub(crate) fn memory(bench: &mut Bench) -> Result<Row> {
    let database = bench.database()?;
    let product = Installation::new(bench, &database)?.start_streaming(&database)?;
    let resident_mb = || -> Result<f64> {
        std::thread::sleep(SETTLE_TIME);
        Ok(process::memory(product.pid())?.now_bytes as f64 / 1e6)
    };
    let none = resident_mb()?;
    let first = Generator::connect(bench, &product.plain(), 1_000)?;
    let one_thousand = resident_mb()?;
    let second = Generator::connect(bench, &product.plain(), 4_000)?;
    let five_thousand = resident_mb()?;
    first.quit()?;
    second.quit()?;
    product.stop()?;
    database.drop_slots()?;
    Ok(Row {
        name: "idle-memory".into(),
        what: "resident memory with idle connections (slot open, table empty)".into(),
        ours: Measured::new(
            "Rowcast",
            vec![
                figure("0:", none, "MB"),
                figure("1,000:", one_thousand, "MB"),
                figure("5,000:", five_thousand, "MB"),
                figure("a connection", (five_thousand - none) * 1e6 / 5_000.0 / 1024.0, "KiB"),
            ],
        ),
        checks: vec![Check::at_most("at 5,000", five_thousand, 60.0, "MB")],
        ..Row::default()
    })
}

pub(crate) fn cpu(bench: &mut Bench) -> Result<Row> {
    let window = Duration::from_secs(bench.choose(30, 5));
    let database = bench.database()?;
    let product = Installation::new(bench, &database)?.start_streaming(&database)?;
    let page = Subscriber::connect(&product.subscription())?;
    let clients = Generator::connect(bench, &product.plain(), 1_000)?;
    std::thread::sleep(SETTLE_TIME);
    let before_s = process::cpu_seconds(product.pid())?;
    std::thread::sleep(window);
    let percent = 100.0 * (process::cpu_seconds(product.pid())? - before_s) / window.as_secs_f64();
    clients.quit()?;
    drop(page);
    product.stop()?;
    database.drop_slots()?;
    Ok(Row {
        name: "idle-cpu".into(),
        what: format!(
            "CPU over {} s with slot, one page and 1,000 idle clients",
            window.as_secs()
        ),
        ours: Measured::new("Rowcast", vec![figure("CPU", percent, "% of a core")]),
        checks: vec![Check::at_most("CPU", percent, 0.5, "% of a core")],
        ..Row::default()
    })
}
