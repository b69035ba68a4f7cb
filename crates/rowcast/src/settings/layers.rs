//! Reads the layers that settings come in: the file and the environment.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, bail};

use super::{Properties, SETTINGS, Setting};

/// The key under which Kafka is named, as text or as a table.
const KAFKA: &str = "log.kafka";
/// The property in that table which is the address.
const ADDRESS: &str = "bootstrap.servers";

/// Values by key, from one layer.
#[derive(Clone, Default)]
pub struct Layer {
    values: BTreeMap<&'static str, Vec<String>>,
    properties: Properties,
}

impl Layer {
    /// With one more value of a declared key.
    #[must_use]
    pub fn with(mut self, key: &'static str, values: Vec<String>) -> Layer {
        self.values.insert(key, values);
        self
    }

    /// What it says of a key, if it does.
    pub fn get(&self, key: &str) -> Option<&Vec<String>> {
        self.values.get(key)
    }

    pub(super) fn properties(&self) -> &Properties {
        &self.properties
    }
}

/// The layer of `rowcast.toml`. Unknown keys are errors that name the nearest known one.
pub fn from_file(text: &str) -> Result<Layer> {
    // The parser's own message shows the line, which may hold a password.
    let table: toml::Table = text.parse().map_err(|error| not_toml(text, &error))?;
    let mut layer = Layer::default();
    for (key, value) in table {
        match (key.as_str(), value) {
            ("log", toml::Value::Table(log)) => log
                .into_iter()
                .try_for_each(|(key, value)| layer.take_log(&key, value))?,
            (key, value) => layer.take(key, value)?,
        }
    }
    Ok(layer)
}

/// The layer of `ROWCAST_*` variables.
pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Layer {
    let mut layer = Layer::default();
    for setting in SETTINGS {
        let Some(value) = variable(&setting.environment_name()) else {
            continue;
        };
        let values = match setting.many {
            // A variable that is set to nothing, as a container's may be, names nothing.
            true => value
                .split(',')
                .map(|v| v.trim().to_owned())
                .filter(|v| !v.is_empty())
                .collect(),
            false => vec![value],
        };
        layer.values.insert(setting.key, values);
    }
    layer
}

impl Layer {
    fn take(&mut self, key: &str, value: toml::Value) -> Result<()> {
        let setting = SETTINGS.iter().find(|s| s.key == key).ok_or_else(|| unknown_key(key))?;
        self.values.insert(setting.key, values(setting, value)?);
        Ok(())
    }

    /// A key below `[log]`.
    fn take_log(&mut self, key: &str, value: toml::Value) -> Result<()> {
        let toml::Value::Table(table) = value else {
            return self.take(&format!("log.{key}"), value);
        };
        if key != "kafka" {
            return Err(unknown_key(&format!("log.{key}")));
        }
        let mut properties = BTreeMap::new();
        flatten("", table, &mut properties)?;
        if let Some(address) = properties.remove(ADDRESS) {
            self.values.insert(KAFKA, vec![address]);
        }
        self.properties = Properties(properties);
        Ok(())
    }
}

/// `sasl.username = "x"` is a table in a table to TOML, and one property to Kafka.
fn flatten(prefix: &str, table: toml::Table, properties: &mut BTreeMap<String, String>) -> Result<()> {
    for (key, value) in table {
        let name = format!("{prefix}{key}");
        let text = match value {
            toml::Value::Table(inner) => {
                flatten(&format!("{name}."), inner, properties)?;
                continue;
            }
            toml::Value::String(text) => text,
            toml::Value::Integer(n) => n.to_string(),
            toml::Value::Float(n) => n.to_string(),
            toml::Value::Boolean(yes) => yes.to_string(),
            other => bail!("[log.kafka] {name} takes text or a number, not a {}", other.type_str()),
        };
        properties.insert(name, text);
    }
    Ok(())
}

fn not_toml(text: &str, error: &toml::de::Error) -> anyhow::Error {
    let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
    anyhow!("{}", error.message()).context(format!("not valid TOML, at line {line}"))
}

fn values(setting: &Setting, value: toml::Value) -> Result<Vec<String>> {
    let scalar = |value: toml::Value| match value {
        toml::Value::String(text) => Ok(text),
        toml::Value::Integer(n) => Ok(n.to_string()),
        other => Err(anyhow!(
            "{} takes {}, not a {}",
            setting.key,
            setting.value_name,
            other.type_str()
        )),
    };
    match value {
        toml::Value::Array(items) if setting.many => items.into_iter().map(scalar).collect(),
        other => Ok(vec![scalar(other)?]),
    }
}

fn unknown_key(key: &str) -> anyhow::Error {
    let nearest = SETTINGS
        .iter()
        .min_by_key(|s| edit_distance(s.key, key))
        .expect("there are settings");
    anyhow!(
        "unknown key {key:?}; did you mean {:?}? `rowcast run --help` lists them all",
        nearest.key
    )
}

/// Levenshtein's distance, for suggestions.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
