//! Every setting of `rowcast`, declared once: the flag, the environment name, the key in `rowcast.toml`, the default and
//! the help all come from this table.
//!
//! Flags override the environment (`ROWCAST_*`), the environment overrides the file, the file overrides the defaults.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, Result, anyhow, bail};

/// One setting.
pub struct Setting {
    /// Dotted key in `rowcast.toml`; the flag is the same with dashes, the environment name `ROWCAST_` and upper case.
    pub key: &'static str,
    /// What the value is, for the help.
    pub value_name: &'static str,
    /// Text of the default; empty for none.
    pub default: &'static str,
    /// May be given many times (a list in the file, separated by commas in the environment).
    pub many: bool,
    /// One or two sentences.
    pub help: &'static str,
}

const fn one(key: &'static str, value_name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting {
        key,
        value_name,
        default,
        many: false,
        help,
    }
}

const fn many(key: &'static str, value_name: &'static str, help: &'static str) -> Setting {
    Setting {
        key,
        value_name,
        default: "",
        many: true,
        help,
    }
}

/// All of them, in the order of the help.
pub const SETTINGS: &[Setting] = &[
    many(
        "connector",
        "FILE",
        "A connector's JSON file, as for Kafka Connect: {\"name\":...,\"config\":{...}}. May be repeated",
    ),
    one("data_dir", "DIR", "./rowcast-data", "Where the log is kept"),
    one(
        "listen",
        "ADDR:PORT",
        "127.0.0.1:3000",
        "The public listener: live page, /ws, /sse, /health",
    ),
    one(
        "metrics_listen",
        "ADDR:PORT",
        "127.0.0.1:9464",
        "The operator listener: /metrics for Prometheus. Keep it off public networks",
    ),
    many(
        "allowed_origin",
        "ORIGIN",
        "A web origin (https://shop.example) whose pages may connect, besides this server's own. May be repeated",
    ),
    many(
        "allowed_host",
        "NAME",
        "A name under which this server answers, besides localhost, 127.0.0.0/8, [::1] and the listen address; other \
         names get 421, so that no web site can reach it by pointing its own name here (DNS rebinding). * allows any. If \
         left out: only those when listening on loopback, where nobody else can be meant; any when listening elsewhere, \
         since only you know its names there. May be repeated",
    ),
    one(
        "connections_max",
        "N",
        "15000",
        "Clients at once; more are answered 503 with Retry-After",
    ),
    one("subscriptions_max", "N", "128", "Subscriptions of one connection"),
    one(
        "message_bytes_max",
        "BYTES",
        "65536",
        "Largest message a client may send",
    ),
    one(
        "handshake_timeout_ms",
        "MS",
        "10000",
        "Time for a client to finish its request",
    ),
    one("ping_after_ms", "MS", "20000", "Silence after which a client is pinged"),
    one(
        "dead_after_ms",
        "MS",
        "45000",
        "Silence after which a client is given up",
    ),
    one(
        "stalled_after_ms",
        "MS",
        "30000",
        "How long a client may accept nothing while data waits for it; then it is closed, and resumes with its cursor",
    ),
    one(
        "ring_bytes_max",
        "BYTES",
        "4194304",
        "Recent frames that each feed keeps in memory; clients further behind read the log",
    ),
    one(
        "log_level",
        "FILTER",
        "info",
        "What is logged: error, warn, info, debug, or a tracing filter",
    ),
    one("log_format", "text|json", "text", "How log lines look"),
];

/// The settings of one process, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Connector files.
    pub connectors: Vec<PathBuf>,
    /// The log's directory.
    pub data_dir: PathBuf,
    /// Public listener.
    pub listen: SocketAddr,
    /// Operator listener.
    pub metrics_listen: SocketAddr,
    /// Origins besides our own.
    pub allowed_origins: Vec<String>,
    /// Names besides the loopback's and the listen address; empty for the default.
    pub allowed_hosts: Vec<String>,
    /// Clients at once.
    pub connections_max: usize,
    /// Subscriptions of one connection.
    pub subscriptions_max: usize,
    /// Bytes of a client's message.
    pub message_bytes_max: usize,
    /// For the HTTP head and the upgrade.
    pub handshake_timeout: Duration,
    /// Silence before a ping.
    pub ping_after: Duration,
    /// Silence before a client is given up.
    pub dead_after: Duration,
    /// A stall that closes a connection.
    pub stalled_after: Duration,
    /// Recent frames of a feed.
    pub ring_bytes_max: usize,
    /// Filter of log lines.
    pub log_level: String,
    /// JSON log lines.
    pub log_json: bool,
}

/// Values by key, from one layer.
pub type Layer = BTreeMap<&'static str, Vec<String>>;

impl Setting {
    /// `--data-dir`.
    pub fn flag(&self) -> String {
        self.key.replace(['_', '.'], "-")
    }
    /// `ROWCAST_DATA_DIR`.
    pub fn environment_name(&self) -> String {
        format!("ROWCAST_{}", self.key.replace('.', "_").to_uppercase())
    }
}

/// The layer of `rowcast.toml`. Unknown keys are errors that name the nearest known one.
pub fn from_file(text: &str) -> Result<Layer> {
    let table: toml::Table = text.parse().context("not valid TOML")?;
    let mut layer = Layer::new();
    for (key, value) in table {
        let setting = SETTINGS
            .iter()
            .find(|s| s.key == key)
            .ok_or_else(|| unknown_key(&key))?;
        layer.insert(setting.key, values(setting, value)?);
    }
    Ok(layer)
}

/// The layer of `ROWCAST_*` variables.
pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Layer {
    let given = |s: &'static Setting| {
        let value = variable(&s.environment_name())?;
        let values = if s.many {
            value.split(',').map(|v| v.trim().to_owned()).collect()
        } else {
            vec![value]
        };
        Some((s.key, values))
    };
    SETTINGS.iter().filter_map(given).collect()
}

/// Lays `layers` over the defaults, later ones on top, and checks the result.
pub fn resolve(layers: &[Layer]) -> Result<Settings> {
    let text = |key: &'static str| -> Vec<String> {
        let found = layers.iter().rev().find_map(|layer| layer.get(key)).cloned();
        found.unwrap_or_else(|| {
            let setting = SETTINGS
                .iter()
                .find(|s| s.key == key)
                .expect("only declared keys are asked for");
            if setting.default.is_empty() {
                vec![]
            } else {
                vec![setting.default.to_owned()]
            }
        })
    };
    let last = |key| text(key).pop().unwrap_or_default();
    let millis = |key| number(key, &last(key)).map(Duration::from_millis);
    let count = |key| number(key, &last(key)).map(|n| n as usize);
    Ok(Settings {
        connectors: text("connector").into_iter().map(PathBuf::from).collect(),
        data_dir: last("data_dir").into(),
        listen: address("listen", &last("listen"))?,
        metrics_listen: address("metrics_listen", &last("metrics_listen"))?,
        allowed_origins: text("allowed_origin"),
        allowed_hosts: text("allowed_host"),
        connections_max: count("connections_max")?,
        subscriptions_max: count("subscriptions_max")?,
        message_bytes_max: count("message_bytes_max")?,
        handshake_timeout: millis("handshake_timeout_ms")?,
        ping_after: millis("ping_after_ms")?,
        dead_after: millis("dead_after_ms")?,
        stalled_after: millis("stalled_after_ms")?,
        ring_bytes_max: count("ring_bytes_max")?,
        log_level: last("log_level"),
        log_json: match last("log_format").as_str() {
            "text" => false,
            "json" => true,
            other => bail!("log_format takes text or json, not {other:?}"),
        },
    })
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

fn number(key: &str, text: &str) -> Result<u64> {
    match text.parse() {
        Ok(0) | Err(_) => bail!("{key} takes a whole number above 0, not {text:?}"),
        Ok(n) => Ok(n),
    }
}

fn address(key: &str, text: &str) -> Result<SocketAddr> {
    // "localhost:3000" is what people type.
    let text = text.replacen("localhost:", "127.0.0.1:", 1);
    text.parse()
        .map_err(|_| anyhow!("{key} takes an address and a port, as 127.0.0.1:3000 or [::]:3000, not {text:?}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_override_environment_override_file_override_defaults() {
        let file = from_file("data_dir = \"/file\"\nlisten = \"127.0.0.1:1\"\nconnections_max = 7").unwrap();
        let environment = from_environment(|name| match name {
            "ROWCAST_LISTEN" => Some("127.0.0.1:2".into()),
            "ROWCAST_DATA_DIR" => Some("/environment".into()),
            _ => None,
        });
        let flags = Layer::from([("data_dir", vec!["/flag".to_owned()])]);
        let settings = resolve(&[file, environment, flags]).unwrap();
        assert_eq!(settings.data_dir, PathBuf::from("/flag"));
        assert_eq!(settings.listen.port(), 2);
        assert_eq!(settings.connections_max, 7);
        assert_eq!(settings.subscriptions_max, 128);
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        let error = from_file("data_dri = \"x\"").unwrap_err().to_string();
        assert!(error.contains("did you mean \"data_dir\""), "{error}");
    }

    #[test]
    fn a_wrong_value_says_what_the_key_takes() {
        let layer = from_file("listen = \"3000\"").unwrap();
        let error = resolve(&[layer]).unwrap_err().to_string();
        assert!(error.contains("listen takes an address and a port"), "{error}");
        let error = from_file("listen = true").unwrap_err().to_string();
        assert!(error.contains("listen takes ADDR:PORT, not a boolean"), "{error}");
    }

    #[test]
    fn every_default_is_valid() {
        resolve(&[]).unwrap();
    }
}
