//! The stream on a real PostgreSQL: positions, shapes, confirmations, the end.

mod support;

use std::time::Duration;

use rowcast_event::{Lsn, SnapshotMarker};
use rowcast_postgres::{Resume, SourceError, Stream, StreamEvent};
use support::{PATIENCE, Server, Transaction, next_transaction, open_stream};

const NO_DATA: &str = r#","snapshot.mode":"no_data""#;

async fn follow(server: &Server, tables: &str) -> Stream {
    open_stream(&server.config(tables, NO_DATA), &Resume::default()).await
}

fn ops(transaction: &Transaction) -> Vec<(char, String)> {
    transaction
        .changes
        .iter()
        .map(|change| (change.op, change.row.first().cloned().flatten().unwrap_or_default()))
        .collect()
}

#[tokio::test]
async fn every_operation_arrives_with_its_place_in_its_transaction() {
    let server = Server::start();
    server.sql("CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY)");
    let mut stream = follow(&server, "public.a,public.b").await;
    server.sql("BEGIN; INSERT INTO a VALUES (1, 'one'), (2, NULL); INSERT INTO b VALUES (7); UPDATE a SET v = 'x' WHERE id = 2; UPDATE a SET id = 3 WHERE id = 1; DELETE FROM a WHERE id = 2; COMMIT");
    let transaction = next_transaction(&mut stream).await;
    let expected = [('c', "1"), ('c', "2"), ('c', "7"), ('u', "2"), ('u', "3"), ('d', "2")];
    assert_eq!(ops(&transaction), expected.map(|(op, id)| (op, id.to_owned())));
    assert_eq!(
        transaction
            .changes
            .iter()
            .map(|change| change.ordinal)
            .collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5]
    );
    assert!(
        transaction
            .changes
            .iter()
            .all(|change| change.commit_lsn == transaction.mark.commit_lsn)
    );
    assert!(
        transaction
            .changes
            .iter()
            .all(|change| change.marker == SnapshotMarker::Streamed)
    );
    assert_eq!(transaction.changes[1].row, [Some("2".to_owned()), None]);
    assert_eq!(transaction.mark.changes, 6);
    server.sql("INSERT INTO b VALUES (8)");
    assert_eq!(
        next_transaction(&mut stream).await.changes[0].last_commit_lsn,
        Some(transaction.mark.end_lsn)
    );
    stream.close().await;
    assert_eq!(
        server.sql("SELECT active FROM pg_replication_slots"),
        "f",
        "the slot is free when close returns"
    );
}

#[tokio::test]
async fn ordinals_count_what_the_filters_leave_out() {
    let server = Server::start();
    server.sql("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE PUBLICATION rowcast_test FOR ALL TABLES");
    let config = server.config(
        "public.a",
        r#","snapshot.mode":"no_data","publication.autocreate.mode":"disabled","skipped.operations":"d""#,
    );
    let mut stream = open_stream(&config, &Resume::default()).await;
    server.sql("INSERT INTO b VALUES (0)");
    server.sql("BEGIN; INSERT INTO b VALUES (1); INSERT INTO a VALUES (1); DELETE FROM a; TRUNCATE b, a; INSERT INTO a VALUES (2); COMMIT");
    let transaction = next_transaction(&mut stream).await;
    let places: Vec<(char, u64)> = transaction
        .changes
        .iter()
        .map(|change| (change.op, change.ordinal))
        .collect();
    assert_eq!(places.first(), Some(&('c', 1)));
    assert_eq!(places.last(), Some(&('c', 5)));
    assert_eq!(places.iter().filter(|(op, _)| *op == 't').count(), 1);
    assert_eq!(transaction.mark.changes, 6);
    assert!(
        transaction.changes[0].last_commit_lsn.is_some(),
        "what was filtered out whole is the last commit, as in Debezium"
    );
}

#[tokio::test]
async fn a_new_shape_is_announced_before_its_rows_and_only_then() {
    let server = Server::start();
    server.sql("CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE a (v text, id int, PRIMARY KEY (id)); ALTER TABLE a ADD k int GENERATED ALWAYS AS (id * 2) STORED");
    let mut stream = follow(&server, "public.a").await;
    server.sql("INSERT INTO a VALUES ('x', 1)");
    server.sql("ALTER TABLE a ADD m mood NOT NULL DEFAULT 'sad'; INSERT INTO a (v, id) VALUES ('y', 2)");
    server.sql("ALTER TABLE a SET (fillfactor = 50); INSERT INTO a (v, id) VALUES ('z', 3)");
    server.sql("INSERT INTO a (v, id) VALUES ('z', 4); DROP TABLE a");
    let mut seen = Vec::new();
    while !seen.contains(&"4".to_owned()) {
        match tokio::time::timeout(PATIENCE, stream.next())
            .await
            .expect("no hang")
            .expect("an event")
        {
            StreamEvent::Table(table) => {
                let columns: Vec<&str> = table.description.columns.iter().map(|column| &*column.name).collect();
                seen.push(format!("{} key {:?}", columns.join(","), table.description.key));
            }
            StreamEvent::Change(table, change) => {
                let row = support::Seen::of(table, &change).row;
                assert_eq!(row.len(), table.description.columns.len());
                seen.push(row[1].clone().expect("an id"));
            }
            _ => {}
        }
    }
    assert_eq!(seen[..4], ["v,id key [1]", "1", "v,id,m key [1]", "2"]);
    assert_eq!(
        seen.iter().filter(|line| line.starts_with("v,id,m")).count(),
        1,
        "{seen:?}"
    );
}

#[tokio::test]
async fn idle_is_said_once_and_a_dropped_wait_loses_nothing() {
    let server = Server::start();
    server.sql("CREATE TABLE a (id int PRIMARY KEY)");
    let mut stream = follow(&server, "public.a").await;
    server.sql("INSERT INTO a SELECT generate_series(1, 1000)");
    let (mut rows, mut idle_in_a_row) = (0, 0);
    let start = std::time::Instant::now();
    while rows < 1000 || idle_in_a_row == 0 {
        assert!(start.elapsed() < PATIENCE);
        // Cancelled all the time, at whatever it awaits.
        let next = tokio::time::timeout(Duration::from_micros(50), stream.next()).await;
        match next {
            Ok(Ok(StreamEvent::Change(_, change))) => {
                assert_eq!(change.position.ordinal, rows);
                rows += 1;
                idle_in_a_row = 0;
            }
            Ok(Ok(StreamEvent::Idle)) => {
                idle_in_a_row += 1;
                assert_eq!(idle_in_a_row, 1);
            }
            Ok(Ok(_)) => idle_in_a_row = 0,
            Ok(Err(error)) => panic!("{error}"),
            Err(_) => {}
        }
    }
}

#[tokio::test]
async fn nothing_is_confirmed_beyond_what_was_sent() {
    let server = Server::start();
    server.sql("CREATE TABLE a (id int PRIMARY KEY)");
    let mut stream = follow(&server, "public.a").await;
    server.sql("INSERT INTO a VALUES (1)");
    let first = next_transaction(&mut stream).await;
    stream.confirm(Lsn(u64::MAX)).await.expect("connected");
    assert!(stream.confirmed() >= first.mark.end_lsn);
    assert!(stream.confirmed() <= support::lsn(&server.sql("SELECT pg_current_wal_flush_lsn()")));
    server.sql("INSERT INTO a VALUES (2)");
    assert_eq!(next_transaction(&mut stream).await.changes[0].first(), "2");
}

#[tokio::test]
async fn a_restart_goes_on_exactly_after_what_was_confirmed() {
    let server = Server::start();
    server.sql("CREATE TABLE a (id int PRIMARY KEY)");
    let config = server.config("public.a", NO_DATA);
    let (identity, opened) = support::open(&config, &Resume::default()).await.expect("opens");
    let rowcast_postgres::Opened::Stream(mut stream) = opened else {
        panic!("no stream")
    };
    for id in 1..=3 {
        server.sql(&format!("INSERT INTO a VALUES ({id})"));
    }
    let marks = [
        next_transaction(&mut stream).await.mark,
        next_transaction(&mut stream).await.mark,
        next_transaction(&mut stream).await.mark,
    ];
    // At the commit's own LSN the transaction comes again; one further, or at its end, it does not. The log ends with the one
    // that comes again: nothing is confirmed before that was seen.
    for (confirm, first_again, held) in [
        (marks[0].commit_lsn, "1", marks[0]),
        (Lsn(marks[0].commit_lsn.0 + 1), "2", marks[1]),
        (marks[1].end_lsn, "3", marks[2]),
    ] {
        stream.confirm(confirm).await.expect("connected");
        let confirmed = stream.confirmed();
        assert_eq!(confirmed, confirm);
        stream.close().await;
        assert_eq!(server.confirmed_flush(), confirm);
        let resume = Resume {
            server: Some(identity.clone()),
            snapshot_done: true,
            mark: Some(held),
            confirmed,
            ..Resume::default()
        };
        stream = open_stream(&config, &resume).await;
        assert_eq!(next_transaction(&mut stream).await.changes[0].first(), first_again);
    }
}

#[tokio::test]
async fn other_databases_writes_do_not_hold_wal_back() {
    let server = Server::start();
    server.sql("CREATE TABLE a (id int PRIMARY KEY)");
    let mut stream = follow(&server, "public.a").await;
    server.sql_in(
        "postgres",
        "CREATE TABLE other (v text); INSERT INTO other SELECT repeat('x', 1000) FROM generate_series(1, 50000)",
    );
    let written = support::lsn(&server.sql("SELECT pg_current_wal_flush_lsn()"));
    let confirming = async {
        while stream.confirmed() < written {
            if let StreamEvent::Keepalive { wal_end, .. } = stream.next().await.expect("connected") {
                stream.confirm(wal_end).await.expect("connected");
            }
        }
    };
    tokio::time::timeout(PATIENCE, confirming)
        .await
        .expect("keepalives tell how far the server is");
    stream.close().await;
    assert!(server.confirmed_flush() >= written);
}

#[tokio::test]
async fn a_caller_that_waits_for_its_disk_is_not_taken_for_dead() {
    let server = Server::start_with(
        &["wal_level=logical", "wal_sender_timeout=1500ms"],
        "host all all 127.0.0.1/32 trust\n",
    );
    server.sql("CREATE TABLE a (id int PRIMARY KEY, v text)");
    let mut stream = follow(&server, "public.a").await;
    // More than all socket buffers hold, so that the walsender is blocked while it sends.
    server.sql("INSERT INTO a SELECT i, repeat('x', 1000) FROM generate_series(1, 40000) i");
    // The stall itself is what is tested: three times the timeout without a call of next.
    tokio::time::sleep(Duration::from_millis(4500)).await;
    let transaction = next_transaction(&mut stream).await;
    assert_eq!(transaction.changes.len(), 40_000);
    assert!(!server.log().contains("terminating walsender"), "{}", server.log());
}

#[tokio::test]
async fn a_server_that_goes_away_is_gone_not_refused() {
    let mut server = Server::start();
    server.sql("CREATE TABLE a (id int PRIMARY KEY)");
    let mut stream = follow(&server, "public.a").await;
    server.stop("-QUIT");
    let ending = async {
        loop {
            if let Err(error) = stream.next().await {
                return error;
            }
        }
    };
    let error = tokio::time::timeout(PATIENCE, ending)
        .await
        .expect("the end is noticed");
    assert!(matches!(error, SourceError::Gone(_)), "{error}");
    let opened = support::open(&server.config("public.a", NO_DATA), &Resume::default()).await;
    assert!(matches!(opened, Err(SourceError::Gone(_))), "{opened:?}");
    server.restart();
}
