//! A thousand clients that come back with cursors, and what their gateway reads from Kafka for them: nothing.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::{
    bench::Bench,
    broker::Broker,
    byte_counter::ByteCounter,
    feed::insert_row,
    generator::Generator,
    product::{Installation, TOPIC},
    results::{Check, Measured, Row, figure},
    subscriber::Subscriber,
    websocket::Endpoint,
};

const CLIENTS: usize = 1_000;
/// What the clients have missed.
const MISSED_ROWS: u64 = 1_000;
/// Two answers to the gateway's question which topics there are, of which one window may hold one more than the other; less
/// than two of the missed records.
const CHATTER_BYTES_MAX: f64 = 1_000.0;

pub(crate) fn run(bench: &mut Bench) -> Result<Row> {
    let window = Duration::from_secs(bench.choose(30, 15));
    let database = bench.database()?;
    let counter = ByteCounter::bind()?;
    let broker = Broker::start_behind(bench, "reconnect", counter.port())?;
    counter.lead_to(broker.port())?;
    let capture = Installation::capture(bench, &database, &broker.address(), &[])?.start_streaming(&database)?;
    insert_row(&mut database.connect()?, 0)?;
    let gateway = Installation::gateway(bench, &broker.address(), &bench.folder().join("reconnect-copies")).start()?;
    let cursor = Subscriber::connect(&gateway.subscription())?.cursor()?;
    // Missed by all: row 0 again, which tells the load generator that a client is attached, and then those that it counts.
    let mut present = Subscriber::connect(&gateway.plain())?;
    let mut connection = database.connect()?;
    for sequence in 0..=MISSED_ROWS {
        insert_row(&mut connection, sequence)?;
    }
    present.receive(MISSED_ROWS)?;
    drop(present);
    // From now on whatever comes from Kafka comes to the gateway.
    capture.stop()?;
    let before = counter.sent();
    std::thread::sleep(window);
    let idle_bytes = counter.sent() - before;
    let (before, began) = (counter.sent(), Instant::now());
    let mut clients = Generator::connect(bench, &back(&gateway.subscription(), &cursor), CLIENTS)?;
    let found = clients.replay(MISSED_ROWS)?;
    let back_after = began.elapsed();
    ensure!(
        back_after < window,
        "the clients were not back within {} s",
        window.as_secs()
    );
    std::thread::sleep(window.saturating_sub(began.elapsed()));
    let read_bytes = counter.sent() - before;
    clients.quit()?;
    gateway.stop()?;
    database.drop_slots()?;
    let delivered_mb = found.deliveries as f64 * found.row_bytes / 1e6;
    let failures = (found.lost + found.out_of_order + found.dropped) as f64;
    Ok(Row {
        name: "kafka-reconnect".into(),
        what: format!("{CLIENTS} clients of rowcast.v1 come back with a cursor of {MISSED_ROWS} rows ago"),
        ours: Measured::new(
            "Rowcast",
            vec![
                figure("delivered", delivered_mb, "MB"),
                figure("all back after", back_after.as_secs_f64(), "s"),
                figure("bytes from Kafka meanwhile", read_bytes as f64, ""),
                figure("in an idle time as long", idle_bytes as f64, ""),
                figure("lost", found.lost as f64, "rows"),
                figure("out of order", found.out_of_order as f64, "rows"),
            ],
        ),
        checks: vec![
            Check::at_most("lost, repeated or dropped", failures, 0.0, ""),
            Check::at_most(
                "bytes from Kafka for them",
                read_bytes as f64 - idle_bytes as f64,
                CHATTER_BYTES_MAX,
                "",
            ),
        ],
        ..Row::default()
    })
}

/// The door for a client that has been here.
fn back(first: &Endpoint, cursor: &str) -> Endpoint {
    Endpoint {
        hello: Some(format!(
            r#"{{"type":"subscribe","topic":"{TOPIC}","cursor":"{cursor}"}}"#
        )),
        ..first.clone()
    }
}
