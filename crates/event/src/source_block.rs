//! The envelope around the rows: the `source` block and the clocks, constant text prepared, numbers written between.
//!
//! Member order and every rule are Debezium 3.6.1's (`PostgresSourceInfoStructMaker`, `Envelope`).

use crate::{
    EventOptions, Origin, SnapshotMarker, TableDescription,
    json::string,
    transaction::{self, Order},
};

/// What `source.version` says: the version whose records these are.
const DEBEZIUM_VERSION: &str = "3.6.1.Final";

/// The end of a `source` block.
macro_rules! after_lsn {
    () => {
        r#","xmin":null,"origin":null,"origin_lsn":null}"#
    };
}
pub(crate) use after_lsn;

/// What stands for the block of a record whose transaction is not counted.
macro_rules! no_transaction {
    () => {
        r#","transaction":null"#
    };
}
pub(crate) use no_transaction;

const AFTER_LSN: &[u8] = after_lsn!().as_bytes();
const NO_TRANSACTION: &[u8] = no_transaction!().as_bytes();

/// The constant pieces between the numbers of one table's envelopes.
#[derive(Debug)]
pub(crate) struct Envelope {
    until_ts_ms: String,
    until_sequence: String,
    until_tx_id: String,
    /// Debezium leaves `snapshot` null for streamed changes, and JsonConverter writes the field's default.
    streamed: &'static [u8],
}

/// Debezium's letter for what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letter {
    Read,
    Create,
    Update,
    Delete,
    Truncate,
}

impl Envelope {
    pub(crate) fn new(description: &TableDescription, options: &EventOptions) -> Envelope {
        Envelope::of(&description.schema, &description.table, options)
    }

    /// Of what belongs to no table, both names are empty.
    pub(crate) fn of(schema: &str, table: &str, options: &EventOptions) -> Envelope {
        Envelope {
            until_ts_ms: format!(
                r#","source":{{"version":"{DEBEZIUM_VERSION}","connector":"postgresql","name":{},"ts_ms":"#,
                string(&options.topic_prefix)
            ),
            until_sequence: format!(r#","db":{},"sequence":"["#, string(&options.database)),
            until_tx_id: format!(r#","schema":{},"table":{},"txId":"#, string(schema), string(table)),
            streamed: if options.value_converter.null_is_default {
                b",\"snapshot\":\"false\""
            } else {
                b",\"snapshot\":null"
            },
        }
    }

    /// Writes everything after the two rows: `,"source":{…},"transaction":null,"op":…,"ts_ms":…}`.
    pub(crate) fn write_tail(
        &self,
        letter: Letter,
        origin: &Origin,
        order: Option<Order>,
        now_ns: i64,
        out: &mut Vec<u8>,
    ) {
        self.write_source(origin, out);
        let after_source = op(letter);
        match order {
            None => out.extend_from_slice(after_source),
            Some(order) => {
                out.extend_from_slice(AFTER_LSN);
                transaction::write_block(origin, order, out);
                out.extend_from_slice(&after_source[AFTER_LSN.len() + NO_TRANSACTION.len()..]);
            }
        }
        write_clock(now_ns, out);
    }

    /// Writes `,"source":{…` up to its `lsn`: what follows is the same for all.
    pub(crate) fn write_source(&self, origin: &Origin, out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        // As a Java long: the upper half of the range would be negative.
        let lsn = digits.format(origin.lsn.0.cast_signed());

        out.extend_from_slice(self.until_ts_ms.as_bytes());
        write_number(origin.ts_us.div_euclid(1000), out);
        out.extend_from_slice(match origin.snapshot {
            SnapshotMarker::Streamed => self.streamed,
            read => marker(read),
        });
        out.extend_from_slice(self.until_sequence.as_bytes());
        match origin.last_commit_lsn {
            None => out.extend_from_slice(b"null"),
            Some(last_commit) => {
                out.extend_from_slice(b"\\\"");
                write_number(last_commit.0.cast_signed(), out);
                out.extend_from_slice(b"\\\"");
            }
        }
        out.extend_from_slice(b",\\\"");
        out.extend_from_slice(lsn.as_bytes());
        out.extend_from_slice(b"\\\"]\",\"ts_us\":");
        write_microseconds_twice(origin.ts_us, out);
        out.extend_from_slice(self.until_tx_id.as_bytes());
        match origin.xid {
            None => out.extend_from_slice(b"null"),
            Some(xid) => write_number(i64::from(xid), out),
        }
        out.extend_from_slice(b",\"lsn\":");
        out.extend_from_slice(lsn.as_bytes());
    }
}

/// `123,"ts_ns":123000`: nanoseconds are the microseconds with zeros behind, whatever fits into 64 bits.
fn write_microseconds_twice(ts_us: i64, out: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    let text = digits.format(ts_us).as_bytes();
    out.extend_from_slice(text);
    out.extend_from_slice(b",\"ts_ns\":");
    out.extend_from_slice(text);
    if ts_us != 0 {
        out.extend_from_slice(b"000");
    }
}

/// The envelope's own three clocks, one instant cut down, and the end of the object.
fn write_clock(now_ns: i64, out: &mut Vec<u8>) {
    write_number(now_ns.div_euclid(1_000_000), out);
    out.extend_from_slice(b",\"ts_us\":");
    write_number(now_ns.div_euclid(1000), out);
    out.extend_from_slice(b",\"ts_ns\":");
    write_number(now_ns, out);
    out.push(b'}');
}

pub(crate) fn write_number(number: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn marker(snapshot: SnapshotMarker) -> &'static [u8] {
    match snapshot {
        SnapshotMarker::Streamed => b",\"snapshot\":\"false\"",
        SnapshotMarker::First => b",\"snapshot\":\"first\"",
        SnapshotMarker::FirstInDataCollection => b",\"snapshot\":\"first_in_data_collection\"",
        SnapshotMarker::Row => b",\"snapshot\":\"true\"",
        SnapshotMarker::LastInDataCollection => b",\"snapshot\":\"last_in_data_collection\"",
        SnapshotMarker::Last => b",\"snapshot\":\"last\"",
    }
}

fn op(letter: Letter) -> &'static [u8] {
    macro_rules! between_lsn_and_clock {
        ($letter:literal) => {
            concat!(
                after_lsn!(),
                no_transaction!(),
                r#","op":""#,
                $letter,
                r#"","ts_ms":"#
            )
            .as_bytes()
        };
    }
    match letter {
        Letter::Read => between_lsn_and_clock!("r"),
        Letter::Create => between_lsn_and_clock!("c"),
        Letter::Update => between_lsn_and_clock!("u"),
        Letter::Delete => between_lsn_and_clock!("d"),
        Letter::Truncate => between_lsn_and_clock!("t"),
    }
}
