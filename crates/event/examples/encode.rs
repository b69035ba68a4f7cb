//! How long `Table::encode` takes for one change of the shop's `orders` table, without and with its schema.
//!
//! `cargo run --release -p rowcast-event --example encode`: prints nanoseconds per change (best and median of the
//! rounds) and the record's size. The goal is 300 ns.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use rowcast_event::{
    Cell, Change, ColumnDescription, EncodedRecords, EventOptions, Lsn, Operation, Origin, Position, SnapshotMarker,
    Table, TableDescription, TypeCatalog,
};

const ROUNDS: usize = 30;
const CHANGES_PER_ROUND: u32 = 100_000;
/// How many changes share a buffer before it is emptied, as a busy transaction would.
const CHANGES_PER_GROUP: u32 = 100;

fn main() {
    let row = [
        "4711",
        "Ada Lovelace",
        "Mechanical keyboard, US layout",
        "shipped",
        "2026-08-04 08:00:00.123456",
    ];
    let row = row.map(|text| Cell::Text(text.as_bytes()));
    for (label, schemas) in [("without schema", false), ("with schema", true)] {
        measure(label, &orders(schemas), &row);
    }
}

fn measure(label: &str, table: &Table, row: &[Cell<'_>]) {
    let mut out = EncodedRecords::default();
    let mut rounds: Vec<Duration> = (0..ROUNDS).map(|_| round(table, row, &mut out)).collect();
    rounds.sort();
    let nanoseconds = |round: Duration| round.as_nanos() as f64 / f64::from(CHANGES_PER_ROUND);
    println!(
        "orders change: {label} best {:.0} ns, {label} median {:.0} ns, {label} {} bytes",
        nanoseconds(rounds[0]),
        nanoseconds(rounds[ROUNDS / 2]),
        out.bytes() / out.len().max(1),
    );
}

fn round(table: &Table, row: &[Cell<'_>], out: &mut EncodedRecords) -> Duration {
    let start = Instant::now();
    for number in 0..CHANGES_PER_ROUND {
        if number % CHANGES_PER_GROUP == 0 {
            out.clear();
        }
        let moment = i64::from(number);
        let change = Change {
            position: Position {
                commit_lsn: Lsn(0x16_b374_d848),
                ordinal: u64::from(number),
            },
            operation: Operation::Update {
                old: None,
                new: black_box(row),
            },
            origin: Origin {
                ts_us: 1_785_830_400_123_456 + moment,
                xid: Some(742 + number),
                last_commit_lsn: Some(Lsn(0x16_b374_d000)),
                lsn: Lsn(0x16_b374_d848 + u64::from(number)),
                snapshot: SnapshotMarker::Streamed,
            },
        };
        table.encode(black_box(&change), 1_785_830_400_200_123_456 + moment, out);
    }
    black_box(&*out);
    start.elapsed()
}

fn orders(schemas: bool) -> Table {
    let column = |name: &str, type_oid, default: Option<&str>| ColumnDescription {
        name: name.into(),
        type_oid,
        type_modifier: -1,
        nullable: false,
        default_expression: default.map(str::to_owned),
    };
    let description = TableDescription {
        oid: 16_384,
        schema: "public".into(),
        table: "orders".into(),
        columns: vec![
            column("id", 23, Some("nextval('orders_id_seq'::regclass)")),
            column("customer_name", 25, None),
            column("product_name", 25, None),
            column("status", 25, None),
            column("updated_at", 1114, Some("now()")),
        ],
        key: vec![0],
        key_only: Vec::new(),
    };
    let mut options = EventOptions::new("orders", "orders_db", "01a20628-5c5b-7786-839f-fdc321293bb9");
    options.key_converter.schemas = schemas;
    options.value_converter.schemas = schemas;
    Table::compile(description, &TypeCatalog::default(), &options)
}
