//! A connector's configuration is read as Debezium's users write it, and refused with all its errors at once.

use rowcast_event::{
    BinaryMode, DecimalMode, EventOptions, HstoreMode, IntervalMode, NameAdjustment, OldRow, Operation, TimeMode,
    ValueModes,
};
use rowcast_postgres::{
    ConnectorConfig,
    config::{PublicationMode, SnapshotMode, SslMode, refused_address},
};

const PASSWORD: &str = "s3cret-and-never-shown";

/// The least configuration, with more properties after it: each `"name": value`.
fn json(more: &[&str]) -> String {
    let least = [
        r#""name": "orders""#,
        r#""connector.class": "io.debezium.connector.postgresql.PostgresConnector""#,
        r#""plugin.name": "pgoutput""#,
        r#""topic.prefix": "shop""#,
        r#""database.hostname": "db.internal""#,
        r#""database.user": "capture""#,
        r#""database.password": "s3cret-and-never-shown""#,
        r#""database.dbname": "shop_db""#,
    ];
    // A property that comes later stands for the one of the same name.
    let name = |line: &str| line.split(':').next().expect("a name").to_owned();
    let replaced = |line: &&str| !more.iter().any(|other| name(other) == name(line));
    let lines: Vec<&str> = least.into_iter().filter(replaced).chain(more.iter().copied()).collect();
    format!("{{{}}}", lines.join(",\n"))
}

fn config(more: &[&str]) -> ConnectorConfig {
    ConnectorConfig::from_json(&json(more)).expect("a good configuration")
}

fn errors(more: &[&str]) -> Vec<String> {
    ConnectorConfig::from_json(&json(more))
        .expect_err("a bad configuration")
        .0
}

fn error(line: &str) -> String {
    let mut errors = errors(&[line]);
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.remove(0)
}

#[test]
fn the_demo_s_own_file_needs_no_words() {
    let config = ConnectorConfig::from_json(include_str!("../../../register-orders-connector.json")).expect("good");
    assert_eq!(config.remarks(), [""; 0]);
    assert_eq!(
        (config.name.as_str(), config.topic_prefix.as_str()),
        ("orders-connector", "orders")
    );
    assert_eq!(
        (config.host.as_str(), config.port, config.user.as_str()),
        ("127.0.0.1", 5432, "postgres")
    );
    assert_eq!(
        config.password.as_ref().map(|password| password.expose()),
        Some("password")
    );
    assert_eq!(
        (config.dbname.as_str(), config.tls.mode),
        ("orders_db", SslMode::Prefer)
    );
    assert_eq!(config.slot_name, "debezium");
    assert_eq!(
        (config.publication_name.as_str(), config.publication_mode),
        ("dbz_publication", PublicationMode::AllTables)
    );
    assert_eq!(config.snapshot.mode, SnapshotMode::Initial);
    assert!(config.captures("public", "orders") && !config.captures("public", "customers"));
    assert_eq!(
        *config.event_options("run"),
        EventOptions::new("orders", "orders_db", "run")
    );
}

#[test]
fn values_may_be_strings_numbers_or_booleans() {
    let text = config(&[
        r#""database.port": "6543""#,
        r#""tombstones.on.delete": "FALSE""#,
        r#""tasks.max": " 1 ""#,
    ]);
    let plain = config(&[
        r#""database.port": 6543"#,
        r#""tombstones.on.delete": false"#,
        r#""tasks.max": 1"#,
    ]);
    let tombstones = |config: &ConnectorConfig| config.event_options("").tombstones_on_delete;
    assert_eq!((text.port, tombstones(&text)), (plain.port, tombstones(&plain)));
    assert_eq!((plain.port, tombstones(&plain)), (6543, false));
    assert_eq!(config(&[r#""database.port": null"#, r#""slot.name": """#]).port, 5432);
    assert_eq!(
        error(r#""database.port": [5432]"#),
        "database.port: takes a string, number or boolean, got an object or array"
    );
}

#[test]
fn both_shapes_of_the_document_are_read() {
    let bare = json(&[]);
    let inside = bare.replace("\"name\": \"orders\",\n", "");
    let wrapped = |outer: &str| ConnectorConfig::from_json(&format!("{{{outer}, \"config\": {inside}}}"));
    assert_eq!(wrapped(r#""name": "orders""#).expect("good").name, "orders");
    let twice = ConnectorConfig::from_json(&format!(r#"{{"name": "orders", "config": {bare}}}"#));
    assert_eq!(twice.expect("the same name twice").name, "orders");
    let got = wrapped(r#""name": "orders", "tasks": [{"connector": "orders", "task": 0}], "type": "source""#);
    assert_eq!(got.expect("what Connect gives back").remarks(), [""; 0]);
    assert_eq!(
        wrapped(r#""name": "orders", "confg": 1"#).expect("good").remarks(),
        ["unknown key \"confg\" beside \"config\" is ignored"]
    );
    assert_eq!(
        wrapped(r#""name": "orders", "initial_state": "STOPPED""#)
            .expect_err("would start")
            .0,
        ["initial_state: takes RUNNING; a connector that starts stopped or paused is not supported yet"]
    );
    let differs = ConnectorConfig::from_json(&format!(r#"{{"name": "other", "config": {bare}}}"#));
    assert_eq!(
        differs.expect_err("two names").0,
        ["name: is given twice, and differs; the name in \"config\" must be the one beside it"]
    );
}

#[test]
fn what_is_no_configuration_is_refused_without_quoting_it() {
    let form = "the connector configuration is not a JSON object of the form {\"name\": …, \"config\": {…}}";
    for (document, place) in [
        ("", "line 1, column 0"),
        ("[]", "line 1, column 0"),
        ("\"s3cret-and-never-shown\"", "line 1, column 24"),
        ("{\"database.password\": s3cret-and-never-shown}", "line 1, column 23"),
        ("{} {}", "line 1, column 4"),
    ] {
        let error = ConnectorConfig::from_json(document).expect_err(document).to_string();
        assert_eq!(error, format!("{form}: {place}"));
    }
    let deep = format!("{{\"a\": {}", "[".repeat(100_000));
    assert!(ConnectorConfig::from_json(&deep).is_err());
    let long = format!("{{\"a\": \"{}\"}}", "x".repeat(1024 * 1024));
    assert_eq!(
        ConnectorConfig::from_json(&long).expect_err("too long").to_string(),
        "a connector configuration has at most 1048576 bytes, this one 1048585"
    );
    assert_eq!(
        ConnectorConfig::from_json(r#"{"config": []}"#).expect_err("list").0,
        ["config: takes an object of properties"]
    );
}

#[test]
fn all_errors_come_at_once_each_with_its_property() {
    let errors = ConnectorConfig::from_json(r#"{"config": {"database.port": "54x2", "snapshot.mode": "never"}}"#);
    assert_eq!(
        errors.expect_err("nearly nothing is given").0,
        [
            "database.port: takes a whole number from 1 to 65535, got \"54x2\"",
            "snapshot.mode: takes initial, always, initial_only, no_data, when_needed or configuration_based (custom \
             names a Java implementation, and there is no Java here; never is called no_data now), got \"never\"",
            "name: is required: what to call this connector",
            "connector.class: is required: set it to io.debezium.connector.postgresql.PostgresConnector",
            "topic.prefix: is required: the first part of every topic's name, such as shop",
            "database.hostname: is required: the host name or address of the PostgreSQL server",
            "database.user: is required: a role with the REPLICATION attribute",
            "database.dbname: is required: the database whose tables to capture",
        ]
    );
}

#[test]
fn every_wrong_value_is_told_what_would_be_right() {
    let prefix =
        "takes 1 to 200 letters, digits, '_', '.' or '-', not beginning with \"__\" (such topics are internal)";
    let slot = "takes 1 to 63 lower-case letters, digits and '_'";
    let long = "x".repeat(64);
    for (line, sentence) in [
        (r#""connector.class": "MySqlConnector""#, "connector.class: takes io.debezium.connector.postgresql.PostgresConnector, PostgresConnector or Postgres, got \"MySqlConnector\"".to_owned()),
        (r#""tasks.max": 0"#, "tasks.max: takes a whole number from 1 to 2147483647, got \"0\"".to_owned()),
        (r#""topic.prefix": "my shop""#, format!("topic.prefix: {prefix}, got \"my shop\"")),
        (r#""topic.prefix": "__shop""#, format!("topic.prefix: {prefix}, got \"__shop\"")),
        (r#""database.port": 70000"#, "database.port: takes a whole number from 1 to 65535, got \"70000\"".to_owned()),
        (r#""database.port": 54.5"#, "database.port: takes a whole number from 1 to 65535, got \"54.5\"".to_owned()),
        (r#""database.sslmode": "allow""#, "database.sslmode: takes disable, prefer, require, verify-ca or verify-full, got \"allow\"".to_owned()),
        (r#""database.sslmode": "verify-full""#, "database.sslmode: verify-full needs database.sslrootcert, the PEM file with the certificate of the authority that signed the server's".to_owned()),
        (r#""database.user": "a\u0000b""#, "database.user: takes text without control characters, got \"a\\0b\"".to_owned()),
        (r#""plugin.name": "decoderbufs""#, "plugin.name: takes pgoutput, which every PostgreSQL has, and no plug-in that must be installed first; set plugin.name=pgoutput, got \"decoderbufs\"".to_owned()),
        (r#""slot.name": "My-Slot""#, format!("slot.name: {slot}, got \"My-Slot\"")),
        (&format!(r#""slot.name": "{long}""#), format!("slot.name: {slot}, got \"{}\"…", "x".repeat(60))),
        (&format!(r#""publication.name": "{long}""#), format!("publication.name: takes an identifier of 1 to 63 bytes, got \"{}\"…", "x".repeat(60))),
        (r#""publication.autocreate.mode": "some""#, "publication.autocreate.mode: takes all_tables, disabled, filtered or no_tables, got \"some\"".to_owned()),
        (r#""tombstones.on.delete": "yes""#, "tombstones.on.delete: takes true or false, got \"yes\"".to_owned()),
        (r#""skipped.operations": "c,x""#, "skipped.operations: takes c, u, d, t or none, or several of them separated by commas, got \"c,x\"".to_owned()),
        (r#""skipped.operations": "none,t""#, "skipped.operations: takes none alone, or some of c, u, d and t".to_owned()),
        (r#""status.update.interval.ms": -1"#, "status.update.interval.ms: takes a whole number from 1 to 3600000, got \"-1\"".to_owned()),
        (r#""errors.max.retries": -2"#, "errors.max.retries: takes a whole number, or -1 for no limit, got \"-2\"".to_owned()),
        (r#""heartbeat.interval.ms": "often""#, "heartbeat.interval.ms: takes a whole number from 0 on, got \"often\"".to_owned()),
        (r#""unavailable.value.placeholder": "hex:f""#, "unavailable.value.placeholder: takes text, or hex: and hexadecimal digits, two for a byte".to_owned()),
        (r#""unavailable.value.placeholder": "hex:fg""#, "unavailable.value.placeholder: takes text, or hex: and hexadecimal digits, two for a byte".to_owned()),
        (r#""decimal.handling.mode": "exact""#, "decimal.handling.mode: takes precise, double or string, got \"exact\"".to_owned()),
        (r#""database.user": "${env:PGUSER}""#, "database.user: refers to a configuration provider (${…}), which is not supported yet; give the value itself".to_owned()),
    ] {
        assert_eq!(error(line), sentence);
    }
    assert_eq!(
        errors(&[r#""slot.name": "a""#, r#""slot.name": "b""#]),
        ["slot.name: is given twice; keep one"]
    );
}

#[test]
fn words_are_read_as_debezium_means_them() {
    assert_eq!(
        config(&[r#""snapshot.mode": "NO_DATA""#]).snapshot.mode,
        SnapshotMode::NoData
    );
    for (word, mode) in [
        ("all_tables", PublicationMode::AllTables),
        ("disabled", PublicationMode::Disabled),
        ("filtered", PublicationMode::Filtered),
        ("no_tables", PublicationMode::NoTables),
    ] {
        assert_eq!(
            config(&[&format!(r#""publication.autocreate.mode": "{word}""#)]).publication_mode,
            mode
        );
    }
    for (word, mode) in [
        ("disable", SslMode::Disable),
        ("prefer", SslMode::Prefer),
        ("require", SslMode::Require),
        ("verify-ca", SslMode::VerifyCa),
        ("verify-full", SslMode::VerifyFull),
    ] {
        let mode_line = format!(r#""database.sslmode": "{word}""#);
        assert_eq!(
            config(&[&mode_line, r#""database.sslrootcert": "/ca.pem""#]).tls.mode,
            mode
        );
    }
    let placeholder = config(&[r#""unavailable.value.placeholder": "hex:6e6F""#]).unavailable_value_placeholder;
    assert_eq!(placeholder, "no");
}

#[test]
fn the_modes_and_the_converters_settings_shape_records() {
    let options = config(&[
        r#""decimal.handling.mode": "STRING""#,
        r#""time.precision.mode": "isostring""#,
        r#""interval.handling.mode": "string""#,
        r#""binary.handling.mode": "base64-url-safe""#,
        r#""hstore.handling.mode": "map""#,
        r#""include.unknown.datatypes": "true""#,
        r#""money.fraction.digits": "4""#,
        r#""unavailable.value.placeholder": "hex:ff""#,
        r#""schema.name.adjustment.mode": "avro""#,
        r#""field.name.adjustment.mode": "avro_unicode""#,
        r#""key.converter.schemas.enable": "true""#,
        r#""value.converter.decimal.format": "numeric""#,
        r#""value.converter.replace.null.with.default": "false""#,
        r#""column.propagate.source.type": "public\\.orders\\..*, other\\.t\\.c""#,
    ])
    .event_options("run");
    assert_eq!(
        options.modes,
        ValueModes {
            decimal: DecimalMode::String,
            time: TimeMode::IsoString,
            interval: IntervalMode::String,
            binary: BinaryMode::Base64UrlSafe,
            hstore: HstoreMode::Map,
            include_unknown: true,
            money_fraction_digits: 4,
        }
    );
    assert_eq!(
        (options.schema_names, options.field_names),
        (NameAdjustment::Avro, NameAdjustment::AvroUnicode)
    );
    let (key, value) = (options.key_converter, options.value_converter);
    assert!(key.schemas && !value.schemas && !key.decimal_is_number && value.decimal_is_number);
    assert!(key.null_is_default && !value.null_is_default);
    assert_eq!(options.unavailable_value_placeholder, "hex:ff");
    let propagated = |name| options.propagated_columns.matches(name);
    assert!(propagated("public.orders.id") && propagated("OTHER.T.C") && !propagated("public.other.id"));
    assert!(!options.propagated_types.matches("public.orders.int4"));
    assert_eq!(*config(&[]).event_options(""), EventOptions::new("shop", "shop_db", ""));
    assert_eq!(
        error(r#""unavailable.value.placeholder": "hex:f""#),
        "unavailable.value.placeholder: takes text, or hex: and hexadecimal digits, two for a byte"
    );
    assert!(
        error(r#""datatype.propagate.source.type": "(""#).starts_with("datatype.propagate.source.type: \"(\" is not")
    );
}

#[test]
fn truncates_are_skipped_unless_said_otherwise() {
    let truncate = |more: &[&str]| config(more).skipped_operations.skips(&Operation::Truncate);
    assert!(truncate(&[]));
    assert!(!truncate(&[r#""skipped.operations": "none""#]));
    let skipped = config(&[r#""skipped.operations": "C, d""#]).skipped_operations;
    assert!(skipped.skips(&Operation::Insert(&[])) && skipped.skips(&Operation::Delete(OldRow::Key(&[]))));
    assert!(!skipped.skips(&Operation::Truncate) && !skipped.skips(&Operation::Update { old: None, new: &[] }));
    assert!(!skipped.skips(&Operation::Read(&[])));
}

#[test]
fn a_slip_of_the_hand_is_told_the_name_that_was_meant() {
    for (line, remark) in [
        (
            r#""snapshot.mod": "initial""#,
            "\"snapshot.mod\": unknown, did you mean \"snapshot.mode\"? It is ignored",
        ),
        (
            r#""slotname": "a""#,
            "\"slotname\": unknown, did you mean \"slot.name\"? It is ignored",
        ),
        (
            r#""something.else.entirely": 1"#,
            "\"something.else.entirely\": unknown, and ignored",
        ),
        (r#""evil\nname": 1"#, "\"evil\\nname\": unknown, and ignored"),
    ] {
        assert_eq!(config(&[line]).remarks(), [remark]);
    }
    assert_eq!(
        error(r#""table.inlcude.list": "a""#),
        "\"table.inlcude.list\": unknown, did you mean \"table.include.list\"? Without that list everything would be captured, \
         so nothing is"
    );
}

#[test]
fn an_unset_plugin_is_pgoutput_and_says_so() {
    let config = ConnectorConfig::from_json(&json(&[]).replace("\"plugin.name\": \"pgoutput\",\n", "")).expect("good");
    assert_eq!(
        config.remarks(),
        ["plugin.name: not given: Debezium would use decoderbufs, an extension of the server; pgoutput is used"]
    );
}

#[test]
fn no_secret_is_ever_printed() {
    let shown = format!("{:?}", config(&[]));
    assert!(shown.contains("[secret]") && !shown.contains(PASSWORD), "{shown}");
    for more in [
        [
            r#""database.port": "x""#,
            r#""database.password": "s3cret-and-never-shown\u0007""#,
        ],
        [
            r#""database.port": "x""#,
            r#""database.sslpassword": "s3cret-and-never-shown\u0007""#,
        ],
        [
            r#""database.port": "x""#,
            r#""column.mask.hash.SHA-256.with.salt.s3cret-and-never-shown": "a.b.c""#,
        ],
        [
            r#""database.port": "x""#,
            r#""database.password": {"a": "s3cret-and-never-shown"}"#,
        ],
        [
            r#""database.port": "x""#,
            r#""database.passwort": "s3cret-and-never-shown""#,
        ],
    ] {
        let errors = ConnectorConfig::from_json(&json(&more)).expect_err("the port at least");
        let said = format!("{errors:?} {errors}");
        assert!(!said.contains(PASSWORD), "{said}");
    }
    let spaced = config(&[r#""database.password": " a b ""#]);
    assert_eq!(spaced.password.expect("given").expose(), " a b ");
}

#[test]
fn a_host_is_one_name_or_one_address() {
    for (host, refused) in [
        ("db1,db2", "one host, not a list"),
        ("/var/run/postgresql", "a host, not the path of a socket"),
        ("@abstract", "a host, not the path of a socket"),
        (
            "db sslmode=disable",
            "a name of letters, digits, '-', '.' and '_' (an international name in its xn-- form)",
        ),
        (
            "service=prod",
            "a name of letters, digits, '-', '.' and '_' (an international name in its xn-- form)",
        ),
        (
            "user@db",
            "a name of letters, digits, '-', '.' and '_' (an international name in its xn-- form)",
        ),
        (
            "dб",
            "a name of letters, digits, '-', '.' and '_' (an international name in its xn-- form)",
        ),
        (
            "169.254.169.254",
            "an address that is not link-local: cloud metadata services answer there",
        ),
        (
            "::ffff:169.254.169.254",
            "an IPv4 address in its usual form, not inside an IPv6 one",
        ),
        ("[fe80::1]", "an address that is not link-local"),
        ("0.0.0.0", "the address of a server; 0.0.0.0 is none"),
        ("::", "the address of a server; :: is none"),
        (
            "255.255.255.255",
            "the address of one server, not multicast or broadcast",
        ),
        ("ff02::1", "the address of one server, not multicast"),
        ("2130706433", "an address in its usual form, such as 127.0.0.1"),
        ("127.1", "an address in its usual form, such as 127.0.0.1"),
        ("0x7f000001", "an address in its usual form, such as 127.0.0.1"),
        ("0251.0376.0251.0376", "an address in its usual form, such as 127.0.0.1"),
    ] {
        assert_eq!(
            error(&format!("\"database.hostname\": {host:?}")),
            format!("database.hostname: takes {refused}, got {host:?}")
        );
    }
    let line_feed = error("\"database.hostname\": \"db\\nevil\"");
    assert_eq!(
        line_feed,
        "database.hostname: takes text without control characters, got \"db\\nevil\""
    );
    for host in [
        "localhost",
        "db_1.internal.",
        "127.0.0.1",
        "10.0.0.7",
        "::1",
        "xn--bcher-kva.example",
        "0xdb.example",
    ] {
        assert_eq!(config(&[&format!("\"database.hostname\": {host:?}")]).host, host);
    }
    assert_eq!(config(&[r#""database.hostname": "[::1]""#]).host, "::1");
    assert!(refused_address("169.254.0.1".parse().expect("address")).is_some());
    assert!(refused_address("192.168.0.1".parse().expect("address")).is_none());
}
