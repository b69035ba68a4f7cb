//! The records of every operation, byte for byte as Debezium 3.6.1 writes them.

mod tables;

use rowcast_event::{
    Cell, Change, ColumnDescription, EncodedRecords, EventOptions, Lsn, OldRow, Operation, Origin, Position,
    SkippedRecords, SnapshotMarker, Table,
};
use tables::{column, encode, key_text, options, origin, table, text, value_of};

/// The moment of the golden envelope's own clocks.
const NOW_NS: i64 = 1_785_830_400_200_123_000;

fn customers() -> Table {
    table(
        "customers",
        vec![
            serial("id"),
            column("name", 25, -1),
            column("price", 1700, (5 << 16 | 2) + 4),
        ],
        &[0],
    )
}

fn serial(name: &str) -> ColumnDescription {
    ColumnDescription {
        nullable: false,
        default_expression: Some("nextval('customers_id_seq'::regclass)".into()),
        ..column(name, 23, -1)
    }
}

#[test]
fn an_insert_is_the_golden_envelope() {
    let records = encode(
        &customers(),
        Operation::Insert(&[text("1"), text("Anne"), text("1.10")]),
        NOW_NS,
    );
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].key.as_deref(), Some(r#"{"id":1}"#));
    assert_eq!(
        records[0].value.as_deref(),
        Some(include_str!("golden/insert_customers.json"))
    );
}

#[test]
fn every_record_carries_the_context_headers_in_order() {
    let records = encode(
        &customers(),
        Operation::Insert(&[text("1"), Cell::Null, Cell::Null]),
        NOW_NS,
    );
    let expected = [
        ("__debezium.context.connectorLogicalName", "tp"),
        ("__debezium.context.taskId", "0"),
        ("__debezium.context.connectorName", "postgresql"),
        ("__debezium.context.runId", "01a20628-5c5b-7786-839f-fdc321293bb9"),
    ];
    assert_eq!(
        records[0].headers,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

#[test]
fn a_delete_is_its_fillers_and_a_tombstone() {
    let old = [text("7"), Cell::Null, Cell::Null];
    let records = encode(&customers(), Operation::Delete(OldRow::Key(&old)), NOW_NS);
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].key.as_deref(), Some(r#"{"id":7}"#));
    assert_eq!(
        value_of(&records[0])["before"],
        serde_json::json!({"id":7,"name":null,"price":null})
    );
    assert_eq!(value_of(&records[0])["op"], "d");
    assert_eq!(
        (records[1].key.as_deref(), &records[1].value),
        (Some(r#"{"id":7}"#), &None)
    );
    assert_eq!(records[1].headers, records[0].headers);
}

#[test]
fn tombstones_can_be_switched_off() {
    let options = EventOptions {
        tombstones_on_delete: false,
        ..options()
    };
    let quiet = Table::compile(customers().description, &tables::catalog(), &options);
    let old = [text("7"), Cell::Null, Cell::Null];
    assert_eq!(encode(&quiet, Operation::Delete(OldRow::Key(&old)), NOW_NS).len(), 1);
}

#[test]
fn each_half_of_a_key_change_can_be_skipped() {
    let (old, new) = ([text("1"), Cell::Null, Cell::Null], [text("2"), Cell::Null, Cell::Null]);
    let skipping = |skipped| {
        let options = EventOptions { skipped, ..options() };
        let table = Table::compile(customers().description, &tables::catalog(), &options);
        let ops = |operation| -> Vec<String> {
            encode(&table, operation, NOW_NS)
                .iter()
                .map(|record| match record.value {
                    Some(_) => value_of(record)["op"].as_str().expect("an op").to_owned(),
                    None => "tombstone".to_owned(),
                })
                .collect()
        };
        let key_change = Operation::Update {
            old: Some(OldRow::Key(&old)),
            new: &new,
        };
        let update = Operation::Update { old: None, new: &new };
        [ops(key_change), ops(update), ops(Operation::Delete(OldRow::Key(&old)))]
    };
    let none = SkippedRecords::default();
    let deletes = skipping(SkippedRecords { deletes: true, ..none });
    assert_eq!(deletes, [vec!["c"], vec!["u"], vec![]]);
    let creates = skipping(SkippedRecords { creates: true, ..none });
    assert_eq!(creates, [vec!["d", "tombstone"], vec!["u"], vec!["d", "tombstone"]]);
    // As in Debezium, a key change is no update.
    let updates = skipping(SkippedRecords { updates: true, ..none });
    assert_eq!(updates, [vec!["d", "tombstone", "c"], vec![], vec!["d", "tombstone"]]);
}

#[test]
fn an_update_of_the_key_is_delete_tombstone_create() {
    let old = [text("1"), Cell::Null, Cell::Null];
    let new = [text("2"), text("Anne"), Cell::Null];
    let records = encode(
        &customers(),
        Operation::Update {
            old: Some(OldRow::Key(&old)),
            new: &new,
        },
        NOW_NS,
    );
    let ops: Vec<_> = records
        .iter()
        .map(|record| record.value.is_some().then(|| value_of(record)["op"].clone()))
        .collect();
    assert_eq!(ops, [Some("d".into()), None, Some("c".into())]);
    assert_eq!(
        records.iter().map(key_text).collect::<Vec<_>>(),
        [r#"{"id":1}"#, r#"{"id":1}"#, r#"{"id":2}"#]
    );
    let first = |place: usize| records[place].headers[0].clone();
    assert_eq!(first(0), ("__debezium.newkey".to_owned(), r#"{"id":2}"#.to_owned()));
    assert_eq!(first(1), first(0));
    assert_eq!(first(2), ("__debezium.oldkey".to_owned(), r#"{"id":1}"#.to_owned()));
    assert!(records.iter().all(|record| record.headers.len() == 5));
    assert_eq!(value_of(&records[2])["before"], serde_json::Value::Null);
    assert_eq!(value_of(&records[0])["after"], serde_json::Value::Null);
}

#[test]
fn the_key_in_a_header_is_connects_own_text_not_json() {
    let keyed = |oid, modifier| {
        table(
            "t",
            vec![ColumnDescription {
                nullable: false,
                ..column("k\"", oid, modifier)
            }],
            &[0],
        )
    };
    let header = |table: &Table, old: &str| {
        let (old, new) = ([text(old)], [text("1")]);
        encode(
            table,
            Operation::Update {
                old: Some(OldRow::Key(&old)),
                new: &new,
            },
            NOW_NS,
        )[2]
        .headers[0]
            .1
            .clone()
    };
    assert_eq!(header(&keyed(25, -1), "ü😀\"\\x\n"), "{\"k\\\"\":\"ü😀\\\"\\\\x\n\"}");
    assert_eq!(header(&keyed(1700, (10 << 16 | 3) + 4), "3"), r#"{"k\"":3.000}"#);
    assert_eq!(header(&keyed(701, -1), "-1e-07"), r#"{"k\"":-1.0E-7}"#);
    assert_eq!(header(&keyed(701, -1), "NaN"), r#"{"k\"":NaN}"#);
    assert_eq!(header(&keyed(1007, -1), "{3}"), r#"{"k\"":[3]}"#);
}

#[test]
fn a_key_stored_out_of_line_comes_from_the_old_key() {
    let old = [text("1"), Cell::Null];
    let new = [Cell::Unchanged, text("new")];
    let documents = table(
        "documents",
        vec![
            ColumnDescription {
                nullable: false,
                ..column("id", 25, -1)
            },
            column("body", 25, -1),
        ],
        &[0],
    );
    let records = encode(
        &documents,
        Operation::Update {
            old: Some(OldRow::Key(&old)),
            new: &new,
        },
        NOW_NS,
    );
    assert_eq!(records.len(), 1);
    assert_eq!(key_text(&records[0]), r#"{"id":"1"}"#);
    let value = value_of(&records[0]);
    assert_eq!(value["op"], "u");
    assert_eq!(value["before"], serde_json::json!({"id":"1","body":null}));
    assert_eq!(value["after"], serde_json::json!({"id":"1","body":"new"}));
}

#[test]
fn a_full_old_row_fills_what_was_not_sent_again() {
    let old = [text("1"), text("long"), Cell::Null];
    let new = [text("1"), Cell::Unchanged, text("2.00")];
    let records = encode(
        &customers(),
        Operation::Update {
            old: Some(OldRow::Full(&old)),
            new: &new,
        },
        NOW_NS,
    );
    assert_eq!(
        value_of(&records[0])["after"],
        serde_json::json!({"id":1,"name":"long","price":"AMg="})
    );
    let unknown = encode(&customers(), Operation::Update { old: None, new: &new }, NOW_NS);
    assert_eq!(value_of(&unknown[0])["after"]["name"], "__debezium_unavailable_value");
    assert_eq!(value_of(&unknown[0])["before"], serde_json::Value::Null);
}

#[test]
fn a_truncate_has_neither_key_nor_rows() {
    let records = encode(&customers(), Operation::Truncate, NOW_NS);
    assert_eq!((records.len(), &records[0].key), (1, &None));
    let value = value_of(&records[0]);
    assert_eq!(
        (&value["before"], &value["after"], &value["op"]),
        (&serde_json::Value::Null, &serde_json::Value::Null, &"t".into())
    );
}

#[test]
fn a_table_without_key_has_null_keys_and_still_tombstones() {
    let keyless = table("log", vec![column("line", 25, -1)], &[]);
    let old = [text("x")];
    let records = encode(&keyless, Operation::Delete(OldRow::Full(&old)), NOW_NS);
    assert_eq!(
        records
            .iter()
            .map(|record| (record.key.is_some(), record.value.is_some()))
            .collect::<Vec<_>>(),
        [(false, true), (false, false)]
    );
}

#[test]
fn key_fields_follow_the_key_not_the_table() {
    let columns = ["a", "b", "c"].map(|name| ColumnDescription {
        nullable: false,
        ..column(name, 23, -1)
    });
    let reversed = table("t", columns.to_vec(), &[2, 0]);
    let records = encode(&reversed, Operation::Insert(&[text("1"), text("2"), text("3")]), NOW_NS);
    assert_eq!(key_text(&records[0]), r#"{"c":3,"a":1}"#);
}

#[test]
fn snapshot_rows_say_where_they_stand_and_what_they_do_not_know() {
    let row = [text("1"), Cell::Null, Cell::Null];
    let markers = [
        (SnapshotMarker::First, "first"),
        (SnapshotMarker::FirstInDataCollection, "first_in_data_collection"),
        (SnapshotMarker::Row, "true"),
        (SnapshotMarker::LastInDataCollection, "last_in_data_collection"),
        (SnapshotMarker::Last, "last"),
    ];
    for (snapshot, word) in markers {
        let origin = Origin {
            xid: None,
            last_commit_lsn: None,
            snapshot,
            ..origin()
        };
        let change = Change {
            position: Position::default(),
            operation: Operation::Read(&row),
            origin,
        };
        let mut out = EncodedRecords::default();
        customers().encode(&change, NOW_NS, &mut out);
        let value = value_of(&tables::owned(&out)[0]);
        assert_eq!(value["op"], "r");
        assert_eq!(value["source"]["snapshot"], word);
        assert_eq!(value["source"]["sequence"], r#"[null,"23476264"]"#);
        assert_eq!(value["source"]["txId"], serde_json::Value::Null);
    }
}

#[test]
fn a_second_change_does_not_disturb_the_first() {
    let mut out = EncodedRecords::default();
    let (one, two) = ([text("1"), Cell::Null, Cell::Null], [text("2"), Cell::Null, Cell::Null]);
    for row in [&one, &two] {
        let change = Change {
            position: Position::default(),
            operation: Operation::Insert(row),
            origin: origin(),
        };
        customers().encode(&change, NOW_NS, &mut out);
    }
    assert_eq!(
        tables::owned(&out).iter().map(key_text).collect::<Vec<_>>(),
        [r#"{"id":1}"#, r#"{"id":2}"#]
    );
    out.clear();
    assert!(out.is_empty());
}

#[test]
fn the_clock_before_1970_and_lsns_of_64_bits_are_numbers_as_well() {
    let mut out = EncodedRecords::default();
    let origin = Origin {
        ts_us: -1,
        lsn: Lsn(u64::MAX),
        ..origin()
    };
    let change = Change {
        position: Position::default(),
        operation: Operation::Truncate,
        origin,
    };
    customers().encode(&change, -1, &mut out);
    let source = &value_of(&tables::owned(&out)[0])["source"];
    assert_eq!(
        (&source["ts_ms"], &source["ts_ns"], &source["lsn"]),
        (&(-1).into(), &(-1000).into(), &(-1).into())
    );
}
