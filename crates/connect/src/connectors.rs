//! Keeps each connector's configuration in the internal topic `__rowcast_connectors`, as Kafka Connect keeps its own in its
//! config topic: so that whoever reads the log knows which connectors fill it.
//!
//! Key is the connector's name, value its JSON without secrets; the last value holds. Written at start, when it is news.

use rowcast_log::LogError;
use rowcast_postgres::ConnectorConfig;

use crate::metadata::MetadataTopics;

/// The internal topic.
const CONNECTORS_TOPIC: &str = "__rowcast_connectors";

/// Writes the configuration down unless the topic holds it already; durable when this returns.
pub(crate) async fn register(metadata: &MetadataTopics, config: &ConnectorConfig) -> Result<(), LogError> {
    let shown = config.shown_json();
    let mut is_known = false;
    metadata.scan(CONNECTORS_TOPIC, |key, value| {
        if key == config.name.as_bytes() {
            is_known = value == Some(shown.as_bytes());
        }
    })?;
    if is_known {
        return Ok(());
    }
    metadata
        .put(CONNECTORS_TOPIC, config.name.as_bytes(), shown.as_bytes())
        .await
}

#[cfg(test)]
pub(crate) mod tests {
    use rowcast_log::{EmbeddedLog, EmbeddedOptions};

    use super::*;

    pub(crate) fn config(extra: &str) -> ConnectorConfig {
        let json = format!(
            r#"{{"name":"orders","config":{{"connector.class":"io.debezium.connector.postgresql.PostgresConnector",
            "database.hostname":"localhost","database.user":"u","database.password":"5ecret",
            "database.dbname":"shop","topic.prefix":"orders"{extra}}}}}"#
        );
        ConnectorConfig::from_json(&json).expect("a good configuration")
    }

    #[tokio::test]
    async fn a_configuration_is_written_when_it_is_news_and_without_its_secrets() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).expect("the log opens");
        let metadata = MetadataTopics::new(log);
        for extra in ["", "", r#","slot.name":"other""#, r#","slot.name":"other""#, ""] {
            register(&metadata, &config(extra)).await.expect("the log takes it");
        }
        let mut values = Vec::new();
        let each = |key: &[u8], value: Option<&[u8]>| {
            assert_eq!(key, b"orders");
            values.push(String::from_utf8(value.unwrap_or_default().to_vec()).expect("JSON"));
        };
        metadata.scan(CONNECTORS_TOPIC, each).expect("the log can be read");
        assert_eq!(values.len(), 3, "{values:?}");
        assert!(values.iter().all(|value| !value.contains("5ecret")), "{values:?}");
        assert!(values[1].contains(r#""slot.name":"other""#), "{values:?}");
        assert_eq!(values[0], values[2]);
    }
}
