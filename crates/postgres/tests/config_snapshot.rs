//! What is read, and how slot and stream are set up: properties that stand in more than one word.

use rowcast_postgres::{
    ConfigErrors, ConnectorConfig,
    config::{ReplicaIdentity, SnapshotMode},
};

fn config(given: &[(&str, &str)]) -> Result<ConnectorConfig, ConfigErrors> {
    let mut config = serde_json::json!({
        "name": "n", "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "plugin.name": "pgoutput",
        "topic.prefix": "p", "database.hostname": "h", "database.user": "u", "database.dbname": "d",
    });
    for (name, value) in given {
        config[*name] = (*value).into();
    }
    ConnectorConfig::from_json(&config.to_string())
}

fn good(given: &[(&str, &str)]) -> ConnectorConfig {
    config(given).expect("a good configuration")
}

fn error(given: &[(&str, &str)]) -> String {
    config(given).expect_err("a bad configuration").to_string()
}

#[test]
fn each_mode_says_when_it_reads_and_whether_it_streams() {
    let facts = |mode: SnapshotMode| {
        [
            mode.reads(),
            mode.reads_at_every_start(),
            mode.reads_after_a_gap(),
            mode.streams(),
        ]
    };
    for (mode, expected) in [
        ("initial", [true, false, false, true]),
        ("ALWAYS", [true, true, true, true]),
        ("initial_only", [true, false, false, false]),
        ("no_data", [false, false, false, true]),
        ("when_needed", [true, false, true, true]),
    ] {
        assert_eq!(
            facts(good(&[("snapshot.mode", mode)]).snapshot.mode),
            expected,
            "{mode}"
        );
    }
    let based = |data, stream, on_error| {
        let config = good(&[
            ("snapshot.mode", "configuration_based"),
            ("snapshot.mode.configuration.based.snapshot.data", data),
            ("snapshot.mode.configuration.based.start.stream", stream),
            ("snapshot.mode.configuration.based.snapshot.on.data.error", on_error),
        ]);
        facts(config.snapshot.mode)
    };
    assert_eq!(based("true", "true", "false"), [true, true, true, true]);
    assert_eq!(based("true", "false", "false"), [true, true, true, false]);
    assert_eq!(based("false", "true", "false"), [false, false, false, true]);
    assert_eq!(based("false", "true", "true"), [false, false, true, true]);
    assert!(error(&[("snapshot.mode", "configuration_based")]).contains("neither read tables nor stream"));
    assert!(error(&[("snapshot.mode", "custom")]).contains("custom names a Java implementation"));
    assert!(error(&[("snapshot.locking.mode", "custom")]).contains("custom names a Java implementation"));
}

#[test]
fn statements_belong_to_the_tables_that_are_named() {
    const OVERRIDES: &str = "snapshot.select.statement.overrides";
    let of_a = "snapshot.select.statement.overrides.public.a";
    let config = good(&[
        (OVERRIDES, "public.a, \"public\".\"b\""),
        (of_a, "SELECT 1; "),
        ("snapshot.select.statement.overrides.\"public\".\"b\"", "SELECT 2"),
    ]);
    assert_eq!(config.snapshot.statement("public", "a"), Some("SELECT 1"));
    assert_eq!(config.snapshot.statement("public", "b"), Some("SELECT 2"));
    assert_eq!(config.snapshot.statement("public", "A"), None);
    assert!(error(&[(OVERRIDES, "public.a")]).starts_with("snapshot.select.statement.overrides.public.a: is missing"));
    assert!(error(&[(OVERRIDES, "a")]).contains("schema.table"));
    let unused = good(&[(of_a, "SELECT 1")]);
    assert!(
        unused.remarks()[0].contains("its table is not in"),
        "{:?}",
        unused.remarks()
    );
}

#[test]
fn a_snapshot_may_have_fewer_tables_than_the_stream() {
    let config = good(&[("snapshot.include.collection.list", r#"public\.a.*,"s"\."b""#)]);
    assert!(config.snapshot.includes("public", "AA"));
    assert!(config.snapshot.includes("s", "b"));
    assert!(!config.snapshot.includes("public", "b"));
    assert!(good(&[]).snapshot.includes("public", "b"));
    assert!(error(&[("snapshot.include.collection.list", "(?!a)")]).starts_with("snapshot.include.collection.list:"));
}

#[test]
fn replica_identities_are_found_by_pattern() {
    const VALUES: &str = "replica.identity.autoset.values";
    let config = good(&[(
        VALUES,
        r"public\.a.*:FULL, public.b:index b_key,s.*:Default,s.n:NOTHING",
    )]);
    let of = |schema, table| config.replication.identities.of(schema, table);
    assert_eq!(of("public", "ab"), Ok(Some(&ReplicaIdentity::Full)));
    assert_eq!(of("public", "B"), Ok(Some(&ReplicaIdentity::Index("b_key".to_owned()))));
    assert_eq!(of("s", "m"), Ok(Some(&ReplicaIdentity::Default)));
    assert_eq!(of("public", "c"), Ok(None));
    assert!(of("s", "n").expect_err("two match").contains("more than one"));
    for bad in [
        "public.a",
        "public.a:HALF",
        "public.a:INDEX",
        "public.a:FULL x",
        "(:FULL",
    ] {
        assert!(
            error(&[(VALUES, bad)]).starts_with("replica.identity.autoset.values: "),
            "{bad}"
        );
    }
}

#[test]
fn what_the_stream_is_asked_for_beyond_its_name() {
    let config = good(&[
        ("slot.stream.params", "origin=none; messages = true;"),
        ("slot.max.retries", "2"),
        ("slot.drop.on.stop", "true"),
    ]);
    let params = [("origin", "none"), ("messages", "true")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(config.replication.params, params);
    assert_eq!(
        (config.replication.busy_retries, config.replication.busy_delay),
        (Some(2), None)
    );
    assert!(config.remarks()[0].contains("when_needed"), "{:?}", config.remarks());
    assert_eq!(good(&[]).replication.busy_retries, None);
    assert!(error(&[("slot.stream.params", "binary=true")]).contains("binary says how changes are written"));
    assert!(error(&[("slot.stream.params", "binary")]).contains("name=value"));
}
