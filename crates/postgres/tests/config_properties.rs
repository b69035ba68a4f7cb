//! The table knows every property of Debezium's documentation, and has something true to say about each.

use std::collections::HashSet;

use rowcast_postgres::{
    ConnectorConfig,
    config::{Importance, Kind, Property, Status, properties, property},
};

/// Mark, name (an example where the name is a family's) and default, as Debezium 3.6.1 has them.
const DOCUMENTED: &str = include_str!("config_properties.txt");

/// What a person would set, and with it the least that a configuration needs.
const LEAST: &str = r#""name": "n", "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
    "plugin.name": "pgoutput", "topic.prefix": "p", "database.hostname": "h", "database.user": "u", "database.dbname": "d""#;

fn all() -> impl Iterator<Item = &'static Property> {
    properties()
}

#[test]
fn every_documented_property_is_in_the_table_with_its_default() {
    for line in DOCUMENTED.lines() {
        let mut words = line.splitn(3, ' ');
        let (mark, name) = (words.next().expect("mark"), words.next().expect("name"));
        let found = property(name).unwrap_or_else(|| panic!("{name} is not in the table"));
        let importance = match mark {
            "★" => Some(Importance::Must),
            "☆" => Some(Importance::Often),
            "-" => Some(Importance::Rare),
            _ => None,
        };
        assert!(
            importance.is_none_or(|importance| importance == found.importance),
            "{name}: importance"
        );
        if let Some(default) = words.next()
            && name != "plugin.name"
        {
            let ours = found.default.unwrap_or_default();
            // Documentation leaves out the package of a class, and says "the same as the table list".
            assert!(
                ours.ends_with(default) || name == "snapshot.include.collection.list",
                "{name}: {ours:?}, not {default:?}"
            );
        }
    }
}

#[test]
fn no_property_is_declared_twice() {
    let mut names = HashSet::new();
    for property in all() {
        assert!(names.insert(property.name), "{}", property.name);
    }
}

#[test]
fn defaults_are_accepted_and_need_no_words() {
    let defaults = all().filter(|property| !property.name.contains('*'));
    let given = defaults.filter_map(|property| Some((property.name, property.default?)));
    let given: Vec<String> = given.map(|(name, value)| format!("{name:?}: {value:?}")).collect();
    let given: Vec<&String> = given
        .iter()
        .filter(|line| !line.starts_with("\"plugin.name\""))
        .collect();
    let json = format!(
        "{{{LEAST}, {}}}",
        given.iter().map(|line| line.as_str()).collect::<Vec<_>>().join(", ")
    );
    let config = ConnectorConfig::from_json(&json).expect("all defaults");
    assert_eq!(config.remarks(), [""; 0]);
}

/// For each property a value that is not its default, and all that is said of it.
#[test]
fn what_is_said_of_each_property_is_as_written_down() {
    let lines: Vec<String> = all()
        .filter(|property| !LEAST.contains(&format!("{:?}:", property.name)))
        .map(said)
        .collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config_sentences.txt");
    if std::env::var_os("ROWCAST_BLESS").is_some() {
        std::fs::write(path, lines.join("\n") + "\n").expect("the golden file is writable");
    }
    let golden = std::fs::read_to_string(path).expect("the golden file");
    for (line, golden) in lines.iter().zip(golden.lines()) {
        assert_eq!(line, golden);
    }
    assert_eq!(lines.len(), golden.lines().count());
}

fn said(property: &'static Property) -> String {
    let name = property.name.replace('*', "x");
    let value = unusual(property);
    let json = format!("{{{LEAST}, {name:?}: {value:?}}}");
    match (ConnectorConfig::from_json(&json), property.status) {
        (Ok(config), Status::Honoured | Status::Differs(_)) if config.remarks().is_empty() => {
            format!("ok     {name}: {value:?}")
        }
        (Ok(config), status) => {
            assert!(
                !config.remarks().is_empty(),
                "{name} is silently ignored, though {status:?}"
            );
            format!("remark {}", config.remarks().join(" + "))
        }
        (Err(errors), _) => format!("error  {}", errors.0.join(" + ")),
    }
}

fn unusual(property: &Property) -> String {
    let default = property.default.unwrap_or_default();
    match property.kind {
        Kind::Switch => (default != "true").to_string(),
        Kind::Whole(least, most) => [least, least + 1, most]
            .map(|n| n.to_string())
            .into_iter()
            .find(|n| n != default)
            .expect("three"),
        Kind::Retries => "3".to_owned(),
        Kind::Words(words) | Kind::WordList(words) => (*words
            .iter()
            .find(|word| !word.eq_ignore_ascii_case(default))
            .unwrap_or(&"another"))
        .to_owned(),
        _ => "another".to_owned(),
    }
}
