//! The comparer sees what it must: each seeded difference is found, and none is found where there is none.

use anyhow::Result;
use rowcast_tests::kafka::Record;

use super::compare::{Recorded, compare, without_schemas};

const RUN_ID: &str = "__debezium.context.runId";

/// A snapshot row, an insert, a key change with its tombstone, and a row of another transaction.
fn sample(clock: u64, place: u64, run: &str) -> Recorded {
    let value = |op: &str, row: &str, snapshot: &str, lsn: u64| {
        let sequence = format!("[\\\"{}\\\",\\\"{lsn}\\\"]", lsn - 8);
        let (before, after) = if op == "d" { (row, "null") } else { ("null", row) };
        format!(
            r#"{{"schema":{{"type":"struct","fields":[{{"type":"int32","optional":false,"default":0,"field":"id"}}],"optional":false,"name":"p.s.t.Envelope"}},"payload":{{"before":{before},"after":{after},"source":{{"version":"3.6.1.Final","ts_ms":{ms},"snapshot":"{snapshot}","sequence":"{sequence}","ts_us":{us},"ts_ns":{ns},"txId":{tx},"lsn":{lsn}}},"op":"{op}","ts_ms":{clock},"ts_us":{clock}123,"ts_ns":{clock}123456}}}}"#,
            ms = lsn * 10,
            us = lsn * 10_000,
            ns = lsn * 10_000_000,
            tx = lsn + 1,
        )
    };
    let record = |offset: i64, id: u32, value: Option<String>| Record {
        offset,
        key: Some(format!(r#"{{"schema":{{"type":"struct"}},"payload":{{"id":{id}}}}}"#).into_bytes()),
        value: value.map(String::into_bytes),
        headers: vec![
            ("__debezium.newkey".to_owned(), Some(b"{\"id\":3}".to_vec())),
            (RUN_ID.to_owned(), Some(run.as_bytes().to_vec())),
        ],
        ..Record::default()
    };
    let records = vec![
        record(0, 1, Some(value("r", r#"{"id":1,"v":1.50}"#, "first", place))),
        record(1, 2, Some(value("r", r#"{"id":2,"v":null}"#, "last", place))),
        record(2, 2, Some(value("d", r#"{"id":2,"v":null}"#, "false", 7_000))),
        record(3, 2, None),
        record(4, 3, Some(value("c", r#"{"id":3,"v":2.25}"#, "false", 7_000))),
        record(5, 4, Some(value("c", r#"{"id":4,"v":0.5}"#, "false", 8_000))),
    ];
    [("p.s.t".to_owned(), records)].into()
}

const RUN: &str = "01a20628-5c5b-7786-839f-fdc321293bb9";

fn theirs() -> Recorded {
    sample(1_785_830_400_200, 5_000, RUN)
}

/// The same, at another time and from a snapshot at another place.
fn ours() -> Recorded {
    sample(1_785_830_400_999, 6_000, "01a20628-9999-7786-839f-fdc321293bb9")
}

fn records(recorded: &mut Recorded) -> &mut Vec<Record> {
    recorded.get_mut("p.s.t").expect("the sample has one topic")
}

fn replace(recorded: &mut Recorded, record: usize, from: &str, to: &str) {
    let value = &mut records(recorded)[record].value;
    let text = String::from_utf8(value.take().expect("it has a value")).expect("JSON is text");
    assert!(text.contains(from), "{from} is in {text}");
    *value = Some(text.replacen(from, to, 1).into_bytes());
}

#[test]
fn two_runs_of_the_same_are_equal() -> Result<()> {
    assert_eq!(compare(&theirs(), &ours())?, []);
    assert_eq!(compare(&without_schemas(&theirs())?, &without_schemas(&ours())?)?, []);
    Ok(())
}

/// A seeded difference: what it is called, where it is found, and how it is made.
type Seed = (&'static str, &'static str, fn(&mut Recorded));

const SEEDS: &[Seed] = &[
    ("swapped members", "payload.source.(members)", |r| {
        replace(
            r,
            5,
            r#""version":"3.6.1.Final","ts_ms":80000"#,
            r#""ts_ms":80000,"version":"3.6.1.Final""#,
        );
    }),
    ("another LSN in the stream", "missing", |r| {
        replace(r, 5, r#""lsn":8000"#, r#""lsn":8001"#)
    }),
    ("another transaction in the stream", "payload.source.txId", |r| {
        replace(r, 5, r#""txId":8001"#, r#""txId":8002"#);
    }),
    ("another sequence in the stream", "payload.source.sequence", |r| {
        replace(r, 5, "7992", "7993")
    }),
    ("another commit time in the stream", "payload.source.ts_us", |r| {
        replace(r, 5, r#""ts_us":80000000"#, r#""ts_us":80000001"#);
    }),
    ("a missing tombstone", "missing", |r| drop(records(r).remove(3))),
    ("an empty value instead of a tombstone", "missing", |r| {
        records(r)[3].value = Some(b"{}".to_vec())
    }),
    ("a record twice", "extra", |r| {
        let again = records(r)[4].clone();
        records(r).insert(4, again);
    }),
    ("another header", "header __debezium.newkey", |r| {
        records(r)[2].headers[0].1 = Some(b"{\"id\":4}".to_vec())
    }),
    ("a header less", "headers", |r| drop(records(r)[2].headers.remove(0))),
    ("headers in another order", "headers", |r| {
        records(r)[2].headers.reverse()
    }),
    ("a run id that is none", "header __debezium.context.runId", |r| {
        records(r)[1].headers[1].1 = Some(b"01a20628-9999-4786-839f-fdc321293bb9".to_vec());
    }),
    ("a run id of its own", "header __debezium.context.runId", |r| {
        records(r)[1].headers[1].1 = Some(b"01a20629-9999-7786-839f-fdc321293bb9".to_vec());
    }),
    ("a space in the key", "key", |r| {
        let key = records(r)[4].key.take().expect("it has a key");
        records(r)[4].key = Some([key, b" ".to_vec()].concat());
    }),
    ("a null key", "key", |r| records(r)[4].key = None),
    ("another order", "missing", |r| records(r).swap(4, 5)),
    ("another partition", "partition", |r| records(r)[5].partition = 0),
    ("a digit", "payload.after.v", |r| replace(r, 4, "2.25", "2.26")),
    ("a trailing zero", "payload.after.v", |r| replace(r, 0, "1.50", "1.5")),
    ("a schema's default", "schema.fields.id.default", |r| {
        replace(r, 0, r#""default":0"#, r#""default":1"#)
    }),
    ("no schema's default", "schema.fields.id.(members)", |r| {
        replace(r, 0, r#""default":0,"#, "")
    }),
    ("a space in the value", "value", |r| {
        let value = records(r)[4].value.take().expect("it has a value");
        records(r)[4].value = Some([value, b" ".to_vec()].concat());
    }),
    ("another snapshot LSN than the row before", "payload.source.lsn", |r| {
        replace(r, 1, r#""lsn":6000"#, r#""lsn":6001"#);
    }),
    ("a snapshot's null LSN", "payload.source.lsn", |r| {
        replace(r, 0, r#""lsn":6000"#, r#""lsn":null"#)
    }),
    ("clocks of two instants", "payload.ts_us", |r| {
        replace(r, 4, "1785830400999123,", "1785830400998123,");
    }),
    ("a clock that is text", "payload.ts_ns", |r| {
        replace(r, 4, "1785830400999123456", "\"1785830400999123456\"");
    }),
    ("a snapshot's marker", "payload.source.snapshot", |r| {
        replace(r, 1, r#""last""#, r#""true""#)
    }),
];

#[test]
fn every_seeded_difference_is_found_where_it_is() -> Result<()> {
    for (what, place, seed) in SEEDS {
        let (mut theirs, mut ours) = (theirs(), ours());
        if *what == "another partition" {
            records(&mut theirs)[5].partition = 1;
        }
        seed(&mut ours);
        let found = compare(&theirs, &ours)?;
        let places: Vec<&str> = found.iter().map(|difference| difference.place.as_str()).collect();
        assert!(places.contains(place), "{what}: {place} is not in {places:?}");
    }
    Ok(())
}

#[test]
fn a_topic_that_one_side_lacks_is_found() -> Result<()> {
    let found = compare(&theirs(), &Recorded::new())?;
    assert_eq!(found.len(), 6);
    assert!(found.iter().all(|difference| difference.place == "missing"));
    assert!(
        compare(&Recorded::new(), &ours())?
            .iter()
            .all(|difference| difference.place == "extra")
    );
    Ok(())
}
