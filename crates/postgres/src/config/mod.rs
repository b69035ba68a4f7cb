//! WHAT THE USER ASKED FOR. Debezium's connector properties, checked all at once.

/// A connector's configuration, parsed and checked (Debezium's flat JSON).
#[derive(Clone, Debug)]
pub struct ConnectorConfig {
    /// The connector's name.
    pub name: String,
    /// `topic.prefix`.
    pub topic_prefix: String,
}

impl ConnectorConfig {
    /// Parses `{"name":…,"config":{…}}`. Errors name the property and what it takes; all of them, not the first.
    pub fn from_json(json: &str) -> Result<ConnectorConfig, ConfigErrors> {
        let _ = json;
        Err(ConfigErrors(vec![]))
    }
    /// One line per property that we do not know, or do not support yet, to be reported once at start.
    pub fn remarks(&self) -> &[String] {
        &[]
    }
}

/// Everything wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigErrors(pub Vec<String>);
