//! A backlog of a million rows into the durable log, beside PostgreSQL's own reader that keeps nothing.
//!
//! Both slots are made before the rows are written, both programs are timed from their start to the moment at which
//! PostgreSQL has been told that everything is safe (ours) or the end was read (`pg_recvlogical`). Its drain is
//! measured before and after ours, on two slots, and the mean is taken.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{
    bench::{Bench, Database, Peers},
    peers::{recvlogical, replaced_stack},
    process,
    product::Installation,
    results::{Check, Measured, Row, figure},
};

pub(crate) const ROWS_PER_TRANSACTION: u64 = 100;
/// Ten minutes is 1,700 rows/s: slower than anything here.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(600);
/// Between two looks at the slot.
const POLL_PAUSE: Duration = Duration::from_millis(10);

/// Schemas in every key and value, as Connect's converter writes them if it is not told otherwise.
const WITH_SCHEMAS: [(&str, &str); 2] = [
    ("key.converter.schemas.enable", "true"),
    ("value.converter.schemas.enable", "true"),
];

pub(crate) fn run(bench: &mut Bench) -> Result<Row> {
    let rows = bench.choose(1_000_000, 100_000);
    let database = bench.database()?;
    let installation = Installation::new(bench, &database)?;
    installation.start_streaming(&database)?.stop()?;
    recvlogical::create_slot(&database, "peer_before")?;
    recvlogical::create_slot(&database, "peer_after")?;
    let end_lsn = write_waiting_rows(&database, rows)?;
    let before = recvlogical::drain(bench, &database, "peer_before", &end_lsn)?;
    let (ours, cpu_s, peak_bytes) = drain_ours(&installation, &database, &end_lsn)?;
    let after = recvlogical::drain(bench, &database, "peer_after", &end_lsn)?;
    database.drop_slots()?;
    let rate = |took: Duration| rows as f64 / took.as_secs_f64();
    let (peer_rate, our_rate) = (rate((before + after) / 2), rate(ours));
    let schemas_rate = rate(with_schemas(bench, rows)?);
    let stacks = match bench.peers {
        Peers::All => replaced_stack::drain(bench, rows / 5),
        _ => Vec::new(),
    };
    let mut checks = vec![Check::at_least(
        "rows/s over pg_recvlogical's",
        our_rate / peer_rate,
        0.8,
        "x",
    )];
    checks.extend(against_debezium(our_rate, schemas_rate, &stacks));
    let mut peers = vec![
        Measured::new("Rowcast with schemas", vec![figure("rows", schemas_rate, "/s")]),
        Measured::new(
            "pg_recvlogical to /dev/null",
            vec![
                figure("rows", peer_rate, "/s"),
                figure("before", rate(before), "/s"),
                figure("after", rate(after), "/s"),
            ],
        ),
    ];
    peers.extend(stacks);
    Ok(Row {
        name: "drain".into(),
        what: format!("{rows} waiting rows in transactions of {ROWS_PER_TRANSACTION}, into the durable log"),
        ours: Measured::new(
            "Rowcast",
            vec![
                figure("rows", our_rate, "/s"),
                figure("took", ours.as_secs_f64(), "s"),
                figure("server", cpu_s, "CPU s"),
                figure("peak", peak_bytes as f64 / 1e6, "MB"),
            ],
        ),
        checks,
        peers,
        ..Row::default()
    })
}

/// The same rows once more, each record with its schemas.
fn with_schemas(bench: &mut Bench, rows: u64) -> Result<Duration> {
    let database = bench.database()?;
    let installation = Installation::configured(bench, &database, &WITH_SCHEMAS)?;
    installation.start_streaming(&database)?.stop()?;
    let end_lsn = write_waiting_rows(&database, rows)?;
    let (took, _, _) = drain_ours(&installation, &database, &end_lsn)?;
    database.drop_slots()?;
    Ok(took)
}

/// Without schemas against its fastest variant, with them against its defaults, which have them, too.
fn against_debezium(rate: f64, schemas_rate: f64, stacks: &[Measured]) -> Vec<Check> {
    let fastest = replaced_stack::rates(stacks).map(|(_, rate)| rate).reduce(f64::max);
    let defaults = replaced_stack::rates(stacks).find(|(who, _)| *who == replaced_stack::DEFAULTS);
    let times = |what, rate: f64, peer: f64| Check::at_least(what, rate / peer, 10.0, "x");
    let without = fastest.map(|peer| times("rows/s over the fastest Debezium's", rate, peer));
    let with = defaults.map(|(_, peer)| times("with schemas, rows/s over Debezium's defaults", schemas_rate, peer));
    without.into_iter().chain(with).collect()
}

/// Commits `rows` rows in transactions of 100; returns an LSN that lies behind all of them.
///
/// One more row follows in a transaction of its own, so that a reader that waits for the LSN is sure to hear of it.
pub(crate) fn write_waiting_rows(database: &Database, rows: u64) -> Result<String> {
    let mut connection = database.connect()?;
    connection.query("SET synchronous_commit = off")?;
    let transactions = rows / ROWS_PER_TRANSACTION;
    connection.query(&format!(
        "DO $$ BEGIN FOR transaction IN 1..{transactions} LOOP \
           INSERT INTO orders(customer_name, product_name, status) \
             SELECT 'Customer ' || transaction, 'Walnut desk organiser ' || n, 'pending' \
             FROM generate_series(1, {ROWS_PER_TRANSACTION}) n; \
           COMMIT; \
         END LOOP; END $$"
    ))?;
    let end_lsn = connection.scalar("SELECT pg_current_wal_insert_lsn()")?;
    connection.query("SET synchronous_commit = on")?;
    connection.query("INSERT INTO orders(customer_name, product_name, status) VALUES ('last', 'last', 'pending')")?;
    connection.query("CHECKPOINT")?;
    Ok(end_lsn)
}

/// From the program's start until the slot is confirmed up to `end_lsn`, with the CPU it used.
pub(crate) fn drain_ours(
    installation: &Installation,
    database: &Database,
    end_lsn: &str,
) -> Result<(Duration, f64, u64)> {
    let mut connection = database.connect()?;
    let confirmed = format!(
        "SELECT confirmed_flush_lsn >= '{end_lsn}' FROM pg_replication_slots WHERE slot_name = 'slot_{}'",
        database.name
    );
    let started = Instant::now();
    let mut product = installation.spawn()?;
    while connection.scalar(&confirmed)? != "t" {
        product.running().check()?;
        if started.elapsed() > DRAIN_TIME_MAX {
            bail!("not drained after {} s", DRAIN_TIME_MAX.as_secs());
        }
        std::thread::sleep(POLL_PAUSE);
    }
    let took = started.elapsed();
    let (cpu_s, peak) = (
        process::cpu_seconds(product.pid())?,
        process::memory(product.pid())?.peak_bytes,
    );
    product.stop()?;
    Ok((took, cpu_s, peak))
}
