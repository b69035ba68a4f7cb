//! A gateway that starts on a topic of a million keys: with nothing on its disk, and with the copies of before.

use std::fs;

use anyhow::Result;

use crate::{
    bench::Bench,
    broker::Broker,
    process,
    product::Installation,
    results::{Check, Measured, Row, figure},
    rows::drain::{drain_ours, write_waiting_rows},
};

pub(crate) fn run(bench: &mut Bench) -> Result<Row> {
    let keys = bench.choose(1_000_000, 100_000);
    let starts = bench.choose(5, 2);
    let database = bench.database()?;
    let broker = Broker::start(bench, "gateway-start")?;
    let capture = Installation::capture(bench, &database, &broker.address(), &[])?;
    capture.start_streaming(&database)?.stop()?;
    let end_lsn = write_waiting_rows(&database, keys)?;
    drain_ours(&capture, &database, &end_lsn)?;
    database.drop_slots()?;
    let copies = bench.folder().join("start-copies");
    let gateway = Installation::gateway(bench, &broker.address(), &copies);
    let (mut cold_s, mut warm_s, mut peak_mb, mut now_mb) = (Vec::new(), Vec::new(), 0.0_f64, 0.0);
    for _ in 0..starts {
        let serving = gateway.start()?;
        cold_s.push(serving.ready_after.as_secs_f64());
        let memory = process::memory(serving.pid())?;
        peak_mb = peak_mb.max(memory.peak_bytes as f64 / 1e6);
        serving.stop()?;
        let serving = gateway.start()?;
        warm_s.push(serving.ready_after.as_secs_f64());
        now_mb = process::memory(serving.pid())?.now_bytes as f64 / 1e6;
        serving.stop()?;
        fs::remove_dir_all(&copies)?;
    }
    drop(broker);
    cold_s.sort_by(f64::total_cmp);
    warm_s.sort_by(f64::total_cmp);
    let (cold_max, warm_max) = (cold_s[starts - 1], warm_s[starts - 1]);
    Ok(Row {
        name: "kafka-gateway-start".into(),
        what: format!("gateway's start to ready, a topic of {keys} keys, {starts} times"),
        ours: Measured::new(
            "Rowcast",
            vec![
                figure("cold: median", cold_s[starts / 2], "s"),
                figure("max", cold_max, "s"),
                figure("warm: median", warm_s[starts / 2], "s"),
                figure("max", warm_max, "s"),
                figure("cold peak", peak_mb, "MB"),
                figure("warm resident", now_mb, "MB"),
            ],
        ),
        checks: vec![
            Check::at_most("cold, max", cold_max, 10.0, "s"),
            Check::at_most("warm, max", warm_max, 2.0, "s"),
        ],
        ..Row::default()
    })
}
