//! The snapshot on a real PostgreSQL: its markers, its values, and where it meets the stream.

mod support;

use std::collections::BTreeMap;

use rowcast_event::SnapshotMarker::{First, FirstInDataCollection, Last, LastInDataCollection, Row};
use rowcast_postgres::{Opened, Resume, SnapshotEvent, SourceError};
use support::{Seen, Server, next_transaction, open, open_snapshot, open_stream, read_snapshot};

#[tokio::test]
async fn markers_are_debeziums_across_tables_and_empty_tables() {
    let server = Server::start();
    server.sql("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (LIKE a INCLUDING ALL); CREATE TABLE c (LIKE a INCLUDING ALL); CREATE TABLE d (LIKE a INCLUDING ALL)");
    server.sql("INSERT INTO a VALUES (1), (2), (3); INSERT INTO c VALUES (4), (5), (6)");
    let config = server.config("public.b,public.a,public.c,public.d", "");
    let (_, mut reader) = open_snapshot(&config).await;
    let (tables, rows, mark) = read_snapshot(&mut reader).await;
    assert_eq!(
        tables,
        ["public.b", "public.a", "public.c", "public.d"],
        "in the list's order, empty ones too"
    );
    let markers: Vec<_> = rows.iter().map(|row| row.marker).collect();
    // The first table has no row, so no row is "first"; the last rows are of a table before the last.
    assert_eq!(
        markers,
        [
            FirstInDataCollection,
            Row,
            LastInDataCollection,
            FirstInDataCollection,
            Row,
            Last
        ]
    );
    assert_eq!(
        rows.iter().map(|row| row.ordinal).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5]
    );
    assert!(
        rows.iter()
            .all(|row| row.commit_lsn == mark.commit_lsn && row.last_commit_lsn.is_none())
    );
    assert_eq!((mark.end_lsn, mark.changes), (reader.consistent_point(), 6));
    assert!(mark.commit_lsn < mark.end_lsn);
}

#[tokio::test]
async fn single_rows_and_nothing_at_all_have_their_markers_too() {
    let server = Server::start();
    server.sql("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (LIKE a INCLUDING ALL); CREATE TABLE c (LIKE a INCLUDING ALL)");
    for (fill, expected) in [
        ("SELECT 1", vec![]),
        ("INSERT INTO a VALUES (1)", vec![Last]),
        (
            "INSERT INTO b VALUES (1); INSERT INTO c VALUES (1)",
            vec![First, LastInDataCollection, Last],
        ),
    ] {
        server.sql(fill);
        let (_, mut reader) = open_snapshot(&server.config("public.a,public.b,public.c", "")).await;
        let (tables, rows, _) = read_snapshot(&mut reader).await;
        assert_eq!(tables.len(), 3);
        assert_eq!(rows.iter().map(|row| row.marker).collect::<Vec<_>>(), expected);
        drop(reader);
        server
            .wait_for("SELECT count(*) FROM pg_replication_slots WHERE active", "0")
            .await;
        server.sql("SELECT pg_drop_replication_slot('rowcast_test')");
    }
}

#[tokio::test]
async fn snapshot_and_stream_give_the_same_text_whatever_the_role_prefers() {
    let server = Server::start();
    server.sql("CREATE TABLE a (id int PRIMARY KEY, t text, b bytea, f float8, ts timestamptz, d date, i interval, m money, n text[])");
    for setting in [
        "DateStyle = 'SQL, DMY'",
        "IntervalStyle = iso_8601",
        "bytea_output = escape",
        "extra_float_digits = 0",
        "TimeZone = 'Asia/Tokyo'",
        "search_path = 'pg_temp'",
        "statement_timeout = '1s'",
        "lock_timeout = '1s'",
        "idle_in_transaction_session_timeout = '1s'",
        "standard_conforming_strings = off",
    ] {
        server.sql(&format!(
            "ALTER ROLE postgres SET {setting}; ALTER DATABASE shop SET {setting}"
        ));
    }
    let row = "E'a\\tb\\nc\\\\d\\re\\u0001 \\\\N', E'\\\\x00ff'::bytea, 0.1::float8 + 0.2, timestamptz '2026-02-03 04:05:06.789+00', date '2026-02-03', interval '1 mon 2 days -3 h', 12.5::numeric::money, ARRAY[NULL, 'x,y', '\"']";
    server.sql(&format!("INSERT INTO public.a VALUES (1, {row}), (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), (4, '', '', 'NaN', 'infinity', '-infinity', '0', '0', '{{}}')"));
    let config = server.config("public.a", "");
    let (_, mut reader) = open_snapshot(&config).await;
    let (_, snapshot, _) = read_snapshot(&mut reader).await;
    let mut stream = reader.into_stream().await.expect("no refusal").expect("a stream");
    server.sql("UPDATE public.a SET id = id + 10");
    let streamed = next_transaction(&mut stream).await.changes;
    let values = |rows: &[Seen]| rows.iter().map(|row| row.row[1..].to_vec()).collect::<Vec<_>>();
    assert_eq!(values(&snapshot), values(&streamed));
    assert_eq!(snapshot[0].row[1].as_deref(), Some("a\tb\nc\\d\re\u{1} \\N"));
    assert_eq!(snapshot[0].row[2].as_deref(), Some("\\x00ff"));
    assert_eq!(snapshot[0].row[3].as_deref(), Some("0.30000000000000004"));
    assert_eq!(snapshot[1].row[1], None);
    assert_eq!(snapshot[2].row[1].as_deref(), Some(""));
}

/// Four writers run through the snapshot's beginning and end; what snapshot and stream give together is the table.
#[tokio::test]
async fn a_column_is_required_where_its_domain_is() {
    let server = Server::start();
    server.sql(
        "CREATE DOMAIN code AS varchar(5) NOT NULL DEFAULT 'none'; CREATE DOMAIN inner_code AS code; CREATE DOMAIN loose AS text;
         CREATE TABLE a (id int PRIMARY KEY, c code, i inner_code, l loose, t text)",
    );
    let (_, mut reader) = open_snapshot(&server.config("public.a", "")).await;
    let Ok(SnapshotEvent::Table(table)) = reader.next().await else {
        panic!("a table comes first");
    };
    let nullable: Vec<_> = table.description.columns.iter().map(|column| column.nullable).collect();
    // As JDBC's metadata have it, which Debezium reads: the column's own domain counts, not what that is over.
    assert_eq!(nullable, [false, false, true, true, true]);
}

#[tokio::test]
async fn a_snapshot_meets_the_stream_exactly_while_others_write() {
    let server = Server::start();
    server.sql("CREATE TABLE a (id serial PRIMARY KEY, n int NOT NULL DEFAULT 0); INSERT INTO a (n) SELECT 0 FROM generate_series(1, 20000)");
    let script = "\\set id random(1, 20000)\nBEGIN;\nUPDATE a SET n = n + 1 WHERE id = :id;\nDELETE FROM a WHERE id = :id + 7 AND :id % 5 = 0;\nINSERT INTO a (n) VALUES (1);\nEND;\n";
    let mut writers = server.pgbench(script, 4, 1500);
    server
        .wait_for(
            "SELECT n_tup_ins > 20100 FROM pg_stat_user_tables WHERE relname = 'a'",
            "t",
        )
        .await;
    let config = server.config("public.a", "");
    let (identity, mut reader) = open_snapshot(&config).await;
    let mut rows: BTreeMap<i64, i64> = BTreeMap::new();
    let number = |row: &Seen, column: usize| {
        row.row[column]
            .as_deref()
            .expect("NOT NULL")
            .parse::<i64>()
            .expect("a number")
    };
    let (_, snapshot, mark) = read_snapshot(&mut reader).await;
    for row in &snapshot {
        assert_eq!(rows.insert(number(row, 0), number(row, 1)), None, "a row came twice");
    }
    let mut stream = reader.into_stream().await.expect("no refusal").expect("a stream");
    assert!(writers.wait().expect("pgbench").success());
    server.sql("INSERT INTO a VALUES (0, -1)");
    let mut before = mark.commit_lsn;
    while !rows.contains_key(&0) {
        let transaction = next_transaction(&mut stream).await;
        assert!(transaction.mark.commit_lsn > before, "commit order");
        before = transaction.mark.commit_lsn;
        for change in &transaction.changes {
            let id = number(change, 0);
            match change.op {
                'c' => assert_eq!(
                    rows.insert(id, number(change, 1)),
                    None,
                    "row {id} was in the snapshot too"
                ),
                'u' => assert_eq!(
                    rows.insert(id, number(change, 1)),
                    Some(number(change, 1) - 1),
                    "row {id}: an update is missing or double"
                ),
                'd' => assert!(rows.remove(&id).is_some(), "row {id} was not there to delete"),
                op => panic!("{op}"),
            }
        }
    }
    let table = server.sql("SELECT id || ' ' || n FROM a ORDER BY id");
    assert_eq!(
        rows.iter()
            .map(|(id, n)| format!("{id} {n}"))
            .collect::<Vec<_>>()
            .join("\n"),
        table
    );
    assert_eq!(identity.timeline, 1);
}

#[tokio::test]
async fn an_interrupted_snapshot_begins_anew_with_a_new_slot() {
    let server = Server::start();
    server.sql("CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a SELECT i, repeat('x', 500) FROM generate_series(1, 20000) i");
    let config = server.config("public.a", "");
    let (identity, mut reader) = open_snapshot(&config).await;
    for _ in 0..100 {
        reader.next().await.expect("a row");
    }
    drop(reader);
    server.sql("DELETE FROM a WHERE id <= 10");
    let recorded = Resume {
        server: Some(identity),
        ..Resume::default()
    };
    let mut reader = loop {
        match open(&config, &recorded).await {
            Ok((_, Opened::Snapshot(reader))) => break reader,
            Err(SourceError::Gone(_)) => tokio::task::yield_now().await,
            other => panic!("{other:?}"),
        }
    };
    let (_, rows, _) = read_snapshot(&mut reader).await;
    assert_eq!(rows.len(), 19_990);
    assert_eq!(server.sql("SELECT count(*) FROM pg_replication_slots"), "1");
}

#[tokio::test]
async fn without_data_the_stream_begins_at_once_and_goes_on_after_a_restart() {
    let server = Server::start();
    server.sql("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)");
    let config = server.config("public.a", r#","snapshot.mode":"no_data""#);
    let (identity, opened) = open(&config, &Resume::default()).await.expect("opens");
    let Opened::Stream(stream) = opened else {
        panic!("a snapshot")
    };
    let confirmed = stream.confirmed_flush();
    stream.close().await;
    server.sql("INSERT INTO a VALUES (2)");
    let resume = Resume {
        server: Some(identity),
        snapshot_done: true,
        confirmed,
        ..Resume::default()
    };
    let mut stream = open_stream(&config, &resume).await;
    assert_eq!(next_transaction(&mut stream).await.changes[0].first(), "2");
}

#[tokio::test]
async fn a_table_that_is_dropped_under_the_snapshot_is_no_reason_to_stop_for_good() {
    let server = Server::start();
    server.sql("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)");
    let (_, mut reader) = open_snapshot(&server.config("public.a", "")).await;
    // Blocked by the reader's lock until the snapshot ends: writers of the table's shape wait, its rows do not.
    let mut dropping = server
        .psql("shop")
        .args(["-c", "DROP TABLE a"])
        .spawn()
        .expect("psql runs");
    let (_, rows, _) = read_snapshot(&mut reader).await;
    assert_eq!(rows.len(), 1);
    assert!(dropping.wait().expect("psql ends").success());
}

#[tokio::test]
async fn a_waiting_slot_creation_is_cancelled_and_leaves_nothing_behind() {
    let server = Server::start();
    server.sql("CREATE TABLE a (id int PRIMARY KEY)");
    let mut old = server
        .psql("shop")
        .args(["-c", "BEGIN; SELECT pg_current_xact_id(); SELECT pg_sleep(3600)"])
        .spawn()
        .expect("psql runs");
    server
        .wait_for(
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_xid IS NOT NULL",
            "t",
        )
        .await;
    let config = server.config("public.a", "");
    {
        let resume = Resume::default();
        let opening = rowcast_postgres::Source::open(&config, &resume, "run");
        tokio::pin!(opening);
        let waiting = server.wait_for("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE_REPLICATION_SLOT%' AND wait_event_type = 'Lock'", "1");
        tokio::select! {
            opened = &mut opening => panic!("did not wait: {opened:?}"),
            () = waiting => {}
        }
    }
    server.wait_for("SELECT count(*) FROM pg_replication_slots", "0").await;
    old.kill().expect("psql ends");
    let _ = old.wait();
}

#[tokio::test]
async fn memory_does_not_grow_with_the_table() {
    let server = Server::start();
    server.sql("CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a SELECT i, repeat('x', 1000) FROM generate_series(1, 100000) i");
    let (_, mut reader) = open_snapshot(&server.config("public.a", "")).await;
    let before = resident_bytes();
    let mut rows = 0;
    while !matches!(reader.next().await.expect("an event"), SnapshotEvent::End(_)) {
        rows += 1;
    }
    assert_eq!(rows, 100_001);
    // The table has 100 MB. Other tests of this process run beside, hence the room.
    assert!(
        resident_bytes() < before + 50_000_000,
        "{before} -> {}",
        resident_bytes()
    );
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok())
        .expect("pages")
        * 4096
}
