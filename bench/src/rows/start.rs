//! From the start of the program to `/health/ready`, with PostgreSQL up and a data directory from before.

use anyhow::Result;

use crate::{
    bench::Bench,
    product::Installation,
    results::{Check, Measured, Row, figure},
};

pub(crate) fn run(bench: &mut Bench) -> Result<Row> {
    let starts = bench.choose(10, 3);
    let database = bench.database()?;
    let installation = Installation::new(bench, &database)?;
    let first = installation.start_streaming(&database)?;
    let first_ms = first.ready_after.as_secs_f64() * 1e3;
    first.stop()?;
    let mut took_ms = Vec::new();
    for _ in 0..starts {
        let product = installation.start()?;
        took_ms.push(product.ready_after.as_secs_f64() * 1e3);
        product.stop()?;
    }
    database.drop_slots()?;
    took_ms.sort_by(f64::total_cmp);
    let (median, max) = (took_ms[starts / 2], took_ms[starts - 1]);
    Ok(Row {
        name: "start".into(),
        what: format!("start to ready, {starts} starts with nothing to snapshot"),
        ours: Measured::new(
            "Rowcast",
            vec![
                figure("median", median, "ms"),
                figure("max", max, "ms"),
                figure("very first", first_ms, "ms"),
            ],
        ),
        checks: vec![Check::at_most("max", max, 300.0, "ms")],
        ..Row::default()
    })
}
