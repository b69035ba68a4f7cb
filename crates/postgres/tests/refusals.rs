//! Every situation in which going on would lose data or harm the user's database: a sentence that says what to do.

mod support;

use rowcast_event::{Lsn, TransactionMark};
use rowcast_postgres::{Opened, Resume, ServerIdentity, SourceError};
use support::{Server, next_transaction, open, open_stream, refusal};

const TRUST: &str = "host all all 127.0.0.1/32 trust\n";
const NO_DATA: &str = r#","snapshot.mode":"no_data""#;

fn assert_says(sentence: &str, facts: &[&str]) {
    for fact in facts {
        assert!(sentence.contains(fact), "{fact:?} is not in: {sentence}");
    }
}

/// A stream that has delivered one row: the resume of a log that holds it.
async fn one_row_in_the_log(server: &Server) -> Resume {
    server.sql("CREATE TABLE a (id int PRIMARY KEY)");
    let (identity, opened) = open(&server.config("public.a", NO_DATA), &Resume::default())
        .await
        .expect("opens");
    let Opened::Stream(mut stream) = opened else {
        panic!("a snapshot")
    };
    server.sql("INSERT INTO a VALUES (1)");
    let mark = next_transaction(&mut stream).await.mark;
    stream.confirm(mark.end_lsn).await.expect("connected");
    let confirmed = stream.confirmed();
    stream.close().await;
    Resume {
        server: Some(identity),
        snapshot_done: true,
        mark: Some(mark),
        confirmed,
        ..Resume::default()
    }
}

#[tokio::test]
async fn a_server_without_logical_wal() {
    let server = Server::start_with(&["wal_level=replica"], TRUST);
    server.sql("CREATE TABLE a (id int PRIMARY KEY)");
    let sentence = refusal(&server.config("public.a", ""), &Resume::default()).await;
    assert_says(
        &sentence,
        &["wal_level", "replica", "ALTER SYSTEM SET wal_level = logical"],
    );
}

#[tokio::test]
async fn roles_that_may_not() {
    let server = Server::start();
    server.sql("CREATE TABLE a (id int PRIMARY KEY); CREATE ROLE clerk LOGIN; CREATE ROLE reader LOGIN REPLICATION; CREATE ROLE hidden LOGIN REPLICATION");
    let as_role = |role: &str, extra: &str| server.config("public.a", &format!(r#","database.user":"{role}"{extra}"#));
    let none = Resume::default();
    assert_says(&refusal(&as_role("clerk", ""), &none).await, &["clerk", "REPLICATION"]);
    assert_says(
        &refusal(&as_role("reader", ""), &none).await,
        &["may not read table public.a", "GRANT"],
    );
    server.sql("GRANT SELECT ON a TO reader, hidden");
    assert_says(
        &refusal(&as_role("reader", ""), &none).await,
        &["publication", "disabled", "CREATE"],
    );
    assert_says(&refusal(&as_role("nobody", ""), &none).await, &["nobody"]);
    server.sql("CREATE PUBLICATION rowcast_test FOR TABLE a; ALTER TABLE a ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON a USING (id > 1)");
    let disabled = r#","publication.autocreate.mode":"disabled""#;
    assert_says(
        &refusal(&as_role("hidden", disabled), &none).await,
        &["row-level security", "public.a", "BYPASSRLS"],
    );
    assert_eq!(
        server.sql("SELECT count(*) FROM pg_replication_slots"),
        "0",
        "a refusal leaves nothing behind"
    );
}

#[tokio::test]
async fn publications_that_are_not_there_or_would_harm() {
    let server = Server::start();
    server.sql("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE keyless (v int); INSERT INTO keyless VALUES (1)");
    let none = Resume::default();
    let mode = |tables: &str, mode: &str| server.config(tables, &format!(r#","publication.autocreate.mode":"{mode}""#));
    assert_says(
        &refusal(&mode("public.a", "disabled"), &none).await,
        &["rowcast_test", "does not exist", "CREATE PUBLICATION"],
    );
    for refused in [
        mode("public.keyless,public.a", "filtered"),
        mode("public.a", "all_tables"),
    ] {
        assert_says(
            &refusal(&refused, &none).await,
            &["public.keyless", "REPLICA IDENTITY FULL"],
        );
    }
    server.sql("UPDATE keyless SET v = 2");
    assert_eq!(server.sql("SELECT count(*) FROM pg_publication"), "0");
    assert_says(
        &refusal(&mode("public.nosuch", "filtered"), &none).await,
        &["no table", "shop", "table.include.list"],
    );
    server.sql("CREATE PUBLICATION rowcast_test FOR ALL TABLES");
    assert_says(
        &refusal(&mode("public.a", "filtered"), &none).await,
        &["FOR ALL TABLES", "all_tables"],
    );
}

#[tokio::test]
async fn publications_are_made_and_changed_as_the_mode_says() {
    let server = Server::start();
    server.sql("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)");
    let tables = "SELECT string_agg(tablename, ',' ORDER BY tablename) FROM pg_publication_tables";
    for (list, mode, expected) in [
        ("public.a", "filtered", "a"),
        ("public.a,public.b", "filtered", "a,b"),
        ("public.b", "filtered", "b"),
        ("public.a", "disabled", "b"),
    ] {
        let config = server.config(
            list,
            &format!(r#","snapshot.mode":"no_data","publication.autocreate.mode":"{mode}""#),
        );
        let (_, opened) = open(
            &config,
            &Resume {
                restart_snapshot: true,
                ..Resume::default()
            },
        )
        .await
        .expect("opens");
        assert_eq!(server.sql(tables), expected);
        let Opened::Stream(stream) = opened else {
            panic!("a snapshot")
        };
        stream.close().await;
    }
    server.sql("DROP PUBLICATION rowcast_test");
    let config = server.config(
        "public.a",
        r#","snapshot.mode":"no_data","publication.autocreate.mode":"no_tables""#,
    );
    open(
        &config,
        &Resume {
            restart_snapshot: true,
            ..Resume::default()
        },
    )
    .await
    .expect("opens");
    assert_eq!(server.sql("SELECT count(*) FROM pg_publication"), "1");
    assert_eq!(server.sql(tables), "");
}

#[tokio::test]
async fn a_publication_dropped_while_changes_were_written() {
    let server = Server::start();
    let resume = one_row_in_the_log(&server).await;
    server.sql("DROP PUBLICATION rowcast_test");
    let disabled = server.config(
        "public.a",
        r#","snapshot.mode":"no_data","publication.autocreate.mode":"disabled""#,
    );
    assert_says(&refusal(&disabled, &resume).await, &["does not exist"]);
    server.sql("INSERT INTO a VALUES (2); CREATE PUBLICATION rowcast_test FOR TABLE a");
    let mut stream = open_stream(&disabled, &resume).await;
    let error = loop {
        if let Err(error) = stream.next().await {
            break error;
        }
    };
    assert!(matches!(&error, SourceError::Refused(_)), "{error}");
    assert_says(&error.to_string(), &["publication", "new snapshot"]);
}

#[tokio::test]
async fn slots_that_do_not_fit_the_log() {
    let server = Server::start();
    let resume = one_row_in_the_log(&server).await;
    let config = server.config("public.a", NO_DATA);
    assert_says(
        &refusal(&config, &Resume::default()).await,
        &["exists already", "pg_drop_replication_slot('rowcast_test')"],
    );
    // The log lost its end: it knows less than PostgreSQL was told.
    let cut = Resume {
        mark: None,
        confirmed: Lsn(1),
        ..resume.clone()
    };
    assert_says(
        &refusal(&config, &cut).await,
        &["is confirmed up to", "0/1", "new snapshot"],
    );
    // Somebody else read from it.
    server.sql("INSERT INTO a VALUES (2)");
    server.sql("SELECT pg_replication_slot_advance('rowcast_test', pg_current_wal_lsn())");
    assert_says(&refusal(&config, &resume).await, &["somebody else read"]);
    server.sql("SELECT pg_drop_replication_slot('rowcast_test')");
    assert_says(
        &refusal(&config, &resume).await,
        &["does not exist", "new data directory"],
    );
    // Recreated behind our back.
    server.sql("INSERT INTO a VALUES (3)");
    server.sql("SELECT pg_create_logical_replication_slot('rowcast_test', 'pgoutput')");
    assert_says(&refusal(&config, &resume).await, &["recreated"]);
    server.sql("SELECT pg_drop_replication_slot('rowcast_test'); SELECT pg_create_logical_replication_slot('rowcast_test', 'test_decoding')");
    assert_says(&refusal(&config, &resume).await, &["test_decoding"]);
    server.sql("SELECT pg_drop_replication_slot('rowcast_test')");
    server.sql_in(
        "postgres",
        "SELECT pg_create_logical_replication_slot('rowcast_test', 'pgoutput')",
    );
    assert_says(&refusal(&config, &resume).await, &["database \"postgres\""]);
}

#[tokio::test]
async fn a_slot_that_postgresql_has_given_up() {
    let server = Server::start_with(
        &[
            "wal_level=logical",
            "max_slot_wal_keep_size=1MB",
            "max_wal_size=32MB",
            "min_wal_size=32MB",
        ],
        TRUST,
    );
    let resume = one_row_in_the_log(&server).await;
    server.sql("CREATE TABLE filler (v text)");
    for round in 0.. {
        assert!(round < 20, "the slot is not given up");
        server
            .sql("INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, 20000); SELECT pg_switch_wal()");
        server.sql("CHECKPOINT");
        if server.sql("SELECT wal_status FROM pg_replication_slots") == "lost" {
            break;
        }
    }
    let sentence = refusal(&server.config("public.a", NO_DATA), &resume).await;
    assert_says(
        &sentence,
        &[
            "invalidated by PostgreSQL",
            "wal_status=lost",
            "pg_drop_replication_slot",
        ],
    );
}

#[tokio::test]
async fn servers_whose_history_is_not_the_logs() {
    let server = Server::start();
    let resume = one_row_in_the_log(&server).await;
    let config = server.config("public.a", NO_DATA);
    let known = resume.server.clone().expect("a server");
    let other = ServerIdentity {
        system_identifier: "7".to_owned(),
        ..known.clone()
    };
    assert_says(
        &refusal(
            &config,
            &Resume {
                server: Some(other),
                ..resume.clone()
            },
        )
        .await,
        &["another PostgreSQL cluster", &known.system_identifier],
    );
    let later = ServerIdentity { timeline: 3, ..known };
    assert_says(
        &refusal(
            &config,
            &Resume {
                server: Some(later),
                ..resume.clone()
            },
        )
        .await,
        &["timeline 1", "timeline 3", "restored"],
    );
    // As after a restore from an old backup: the log is ahead of the server's WAL (T04).
    let far = TransactionMark {
        commit_lsn: Lsn(1 << 40),
        end_lsn: Lsn((1 << 40) + 64),
        changes: 1,
        ts_us: 0,
    };
    assert_says(
        &refusal(
            &config,
            &Resume {
                mark: Some(far),
                ..resume
            },
        )
        .await,
        &["behind the log", "100/40"],
    );
}

#[tokio::test]
async fn a_failover_is_followed_if_it_lost_nothing_and_refused_if_it_did() {
    let mut server = Server::start();
    let resume = one_row_in_the_log(&server).await;
    // A promotion in place: crash recovery as a standby, then promoted to timeline 2. The slot stays with the files.
    server.stop("-INT");
    let data = server.directory().join("data");
    std::fs::write(data.join("standby.signal"), "").expect("writable");
    server.restart();
    server.sql_in("postgres", "SELECT pg_promote()");
    server.wait_for("SELECT pg_is_in_recovery()", "f").await;
    server.sql("INSERT INTO a VALUES (2)");
    let config = server.config("public.a", NO_DATA);
    let (identity, opened) = open(&config, &resume)
        .await
        .expect("history contains the log's position");
    assert_eq!(identity.timeline, 2);
    let Opened::Stream(mut stream) = opened else {
        panic!("a snapshot")
    };
    // After a crash or promotion PostgreSQL may have forgotten our last confirmation, and send row 1 once more.
    while next_transaction(&mut stream).await.changes[0].first() != "2" {}
    stream.close().await;
    let end = support::lsn(&server.sql("SELECT pg_current_wal_flush_lsn()"));
    let diverged = TransactionMark {
        commit_lsn: Lsn(end.0 - 8),
        end_lsn: end,
        changes: 1,
        ts_us: 0,
    };
    let sentence = refusal(
        &config,
        &Resume {
            mark: Some(diverged),
            ..resume
        },
    )
    .await;
    assert_says(&sentence, &["left timeline 1", "failed over to a standby that lagged"]);
}

#[tokio::test]
async fn exhausted_slots_are_refused_and_busy_ones_waited_for() {
    let server = Server::start_with(
        &["wal_level=logical", "max_replication_slots=1", "max_wal_senders=1"],
        TRUST,
    );
    server.sql("CREATE TABLE a (id int PRIMARY KEY)");
    server.sql("SELECT pg_create_physical_replication_slot('other')");
    let config = server.config("public.a", NO_DATA);
    assert_says(&refusal(&config, &Resume::default()).await, &["max_replication_slots"]);
    server.sql("SELECT pg_drop_replication_slot('other')");
    server.wait_for("SELECT count(*) FROM pg_stat_replication", "0").await;
    let (identity, opened) = open(&config, &Resume::default()).await.expect("opens");
    let Opened::Stream(stream) = opened else {
        panic!("a snapshot")
    };
    let resume = Resume {
        server: Some(identity),
        snapshot_done: true,
        confirmed: stream.confirmed_flush(),
        ..Resume::default()
    };
    match open(&config, &resume).await {
        Err(SourceError::Gone(sentence)) => assert_says(&sentence, &["max_wal_senders"]),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_slot_in_use_is_busy() {
    let server = Server::start();
    let resume = one_row_in_the_log(&server).await;
    let config = server.config("public.a", NO_DATA);
    let first = open_stream(&config, &resume).await;
    match open(&config, &resume).await {
        Err(SourceError::Busy(sentence)) => assert_says(&sentence, &["rowcast_test", "in use"]),
        other => panic!("{other:?}"),
    }
    first.close().await;
    open_stream(&config, &resume).await;
}
