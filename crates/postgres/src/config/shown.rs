//! A configuration as it may be shown and kept: everything that was given, but no secret.
//!
//! What is not known by name may be a secret with a misspelt name, so only known properties show their values.

use serde_json::{Map, Value};

use super::{
    kind::Kind,
    property::{SALT, shown_name},
    table::property,
    values::Values,
};

/// Stands for a value that is not shown, as in Kafka Connect.
const HIDDEN: &str = "[hidden]";

/// Parts of names whose values are hidden although their kind does not say so: passed through to other software.
const SECRET_PARTS: [&str; 5] = ["password", "secret", "token", "jaas", "credential"];

/// `{"name":…,"config":{…}}`, properties by name.
pub(super) fn json(values: &Values) -> String {
    let config: Map<String, Value> = values
        .iter()
        .map(|(name, value)| (shown_name(name), shown(name, value).into()))
        .collect();
    serde_json::json!({ "name": values.text("name"), "config": config }).to_string()
}

pub(super) fn shown<'a>(name: &str, value: &'a str) -> &'a str {
    let lower = name.to_ascii_lowercase();
    let is_open = property(name).is_some_and(|property| !matches!(property.kind, Kind::Secret));
    match is_open && !lower.contains(SALT) && !SECRET_PARTS.iter().any(|part| lower.contains(part)) {
        true => value,
        false => HIDDEN,
    }
}

#[cfg(test)]
mod tests {
    use crate::ConnectorConfig;

    #[test]
    fn secrets_and_what_may_be_one_are_hidden() {
        let json = r#"{"name":"c","config":{"connector.class":"io.debezium.connector.postgresql.PostgresConnector",
            "database.hostname":"h","database.user":"u","database.password":"canary",
            "database.dbname":"d","topic.prefix":"t","database.passwrd":"canary","database.sslpassword":"canary",
            "table.include.list":"public.a"}}"#;
        let config = ConnectorConfig::from_json(json).expect("a good configuration");
        let shown = config.shown_json();
        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.contains(r#""database.password":"[hidden]""#), "{shown}");
        assert!(shown.contains(r#""table.include.list":"public.a""#), "{shown}");
    }
}
