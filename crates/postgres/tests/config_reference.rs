//! `docs/connector-properties.md` and the answer of `validate` are what the table of properties says.
//! `ROWCAST_BLESS=1` rewrites both.

use std::{env, fs, path::Path};

use rowcast_postgres::config::{properties, reference, validate};
use serde_json::{Map, Value, json};

fn golden(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if env::var_os("ROWCAST_BLESS").is_some() {
        fs::write(&path, text).expect("the golden file is writable");
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    let differ = text.lines().zip(golden.lines()).find(|(ours, golden)| ours != golden);
    assert_eq!(differ, None, "{}", path.display());
    assert_eq!(text, golden, "{}: ROWCAST_BLESS=1 accepts it", path.display());
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

fn least() -> Map<String, Value> {
    object(json!({
        "name": "n", "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "plugin.name": "pgoutput",
        "topic.prefix": "p", "database.hostname": "h", "database.user": "u", "database.dbname": "d",
        "database.password": "canary",
    }))
}

fn errors_of(answer: &Value, name: &str) -> Vec<String> {
    let configs = answer["configs"].as_array().expect("configs");
    let config = configs.iter().find(|config| config["value"]["name"] == name);
    let errors = config.expect("every property is there")["value"]["errors"].as_array();
    let errors = errors.expect("a list").iter();
    errors.map(|error| error.as_str().expect("a text").to_owned()).collect()
}

/// The answer with one property of each kind, and those with errors.
fn some_of(answer: &Value) -> Value {
    const KINDS: [&str; 7] = [
        "name",
        "database.password",
        "database.port",
        "database.sslmode",
        "slot.drop.on.stop",
        "skipped.operations",
        "transforms.unwrap.type",
    ];
    let mut some = answer.clone();
    let configs = some["configs"].as_array_mut().expect("configs");
    configs.retain(|config| {
        let name = config["value"]["name"].as_str().expect("a name");
        KINDS.contains(&name) || config["value"]["errors"] != json!([])
    });
    some
}

#[test]
fn the_page_is_what_the_table_says() {
    golden("../../docs/connector-properties.md", &reference());
}

#[test]
fn every_documented_property_is_on_the_page() {
    let page = reference();
    for line in include_str!("config_properties.txt").lines() {
        let name = line.split(' ').nth(1).expect("a name");
        let found = rowcast_postgres::config::property(name).expect("in the table");
        assert!(page.contains(&format!("| `{}` |", found.name)), "{name}");
    }
}

/// One of each kind of error, and what a person sees of a good value.
#[test]
fn validate_answers_in_connects_shape() {
    let mut config = least();
    for (name, value) in [
        ("slot.name", "Not A Slot"),
        ("topic.prefix", ""),
        ("snapshot.mode", "custom"),
        ("table.include.list", "public.a"),
        ("table.exclude.list", "public.b"),
        ("column.include.list", "(?!a).*"),
        ("transforms.unwrap.type", "x"),
        ("snapshot.select.statement.overrides", "public.a"),
        ("database.hostnam", "h"),
    ] {
        config.insert(name.to_owned(), value.into());
    }
    let answer = serde_json::to_value(validate(&config)).expect("JSON");
    golden(
        "tests/config_validation.json",
        &format!("{}\n", serde_json::to_string_pretty(&some_of(&answer)).expect("JSON")),
    );
    assert!(!answer.to_string().contains("canary"));
    assert_eq!(
        errors_of(&answer, "slot.name"),
        ["The 'slot.name' value is invalid: takes 1 to 63 lower-case letters, digits and '_', got \"Not A Slot\""]
    );
    assert!(errors_of(&answer, "snapshot.mode")[0].contains("custom names a Java implementation"));
    assert!(errors_of(&answer, "column.include.list")[0].contains("look-around"));
    assert_eq!(errors_of(&answer, "database.hostname"), [""; 0]);
    assert!(errors_of(&answer, "snapshot.select.statement.overrides")[0].contains("overrides.public.a"));
    let configs = answer["configs"].as_array().expect("configs").len();
    let plain = properties().filter(|property| !property.name.contains('*')).count();
    assert_eq!(
        configs,
        plain + 1,
        "every property, and the one of a family that was given"
    );
}

#[test]
fn a_good_configuration_has_no_errors_and_nothing_at_all_has_some() {
    let answer = serde_json::to_value(validate(&least())).expect("JSON");
    assert_eq!(answer["error_count"], 0);
    let mut failed = validate(&least());
    failed.add_error("database.hostname", "connection refused");
    assert_eq!(failed.error_count, 1);
    let empty = serde_json::to_value(validate(&Map::new())).expect("JSON");
    assert_eq!(empty["error_count"], 6, "what is required");
    assert_eq!(errors_of(&empty, "topic.prefix").len(), 1);
}
