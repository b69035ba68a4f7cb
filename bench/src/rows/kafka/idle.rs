//! What it costs to be there while nothing happens: capture and gateway together, and the broker between them.

use std::time::Duration;

use anyhow::Result;

use crate::{
    bench::{Bench, Peers},
    broker::Broker,
    feed::insert_row,
    generator::Generator,
    peers::replaced_stack,
    process,
    product::Installation,
    results::{Check, Measured, Row, figure},
    rows::idle::SETTLE_TIME,
    subscriber::Subscriber,
};

pub(crate) fn run(bench: &mut Bench) -> Result<Row> {
    let window = Duration::from_secs(bench.choose(30, 5));
    let database = bench.database()?;
    let broker = Broker::start(bench, "idle")?;
    let capture = Installation::capture(bench, &database, &broker.address(), &[])?.start_streaming(&database)?;
    insert_row(&mut database.connect()?, 0)?;
    let gateway = Installation::gateway(bench, &broker.address(), &bench.folder().join("idle-copies")).start()?;
    let page = Subscriber::connect(&gateway.subscription())?;
    let clients = Generator::connect(bench, &gateway.plain(), 1_000)?;
    std::thread::sleep(SETTLE_TIME);
    let used_s = || -> Result<[f64; 3]> {
        Ok([
            process::cpu_seconds(capture.pid())?,
            process::cpu_seconds(gateway.pid())?,
            broker.cpu_seconds()?,
        ])
    };
    let before = used_s()?;
    std::thread::sleep(window);
    let after = used_s()?;
    let percent = |part: usize| 100.0 * (after[part] - before[part]) / window.as_secs_f64();
    let (capture_mb, gateway_mb) = (resident_mb(capture.pid())?, resident_mb(gateway.pid())?);
    clients.quit()?;
    drop(page);
    gateway.stop()?;
    capture.stop()?;
    database.drop_slots()?;
    drop(broker);
    let together = percent(0) + percent(1);
    let peers = match bench.peers {
        Peers::All => replaced_stack::idle(bench),
        _ => Vec::new(),
    };
    Ok(Row {
        name: "kafka-idle-cpu".into(),
        what: format!(
            "CPU over {} s of capture and gateway, with one page and 1,000 idle clients, Kafka between them",
            window.as_secs()
        ),
        ours: Measured::new(
            "Rowcast",
            vec![
                figure("CPU", together, "% of a core"),
                figure("capture", percent(0), "%"),
                figure("gateway", percent(1), "%"),
                figure("the broker besides", percent(2), "%"),
                figure("capture", capture_mb, "MB"),
                figure("gateway", gateway_mb, "MB"),
            ],
        ),
        checks: vec![Check::at_most("CPU", together, 1.0, "% of a core")],
        peers,
        ..Row::default()
    })
}

fn resident_mb(pid: u32) -> Result<f64> {
    Ok(process::memory(pid)?.now_bytes as f64 / 1e6)
}
