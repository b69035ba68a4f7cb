//! The settings of one process: what the table in `declared` says, filled from flags, environment and file.
//!
//! Flags override the environment (`ROWCAST_*`), the environment overrides the file, the file overrides the defaults.

mod checks;
mod declared;
mod layers;

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Result, anyhow, bail};

pub use self::{
    declared::{Role, SETTINGS, Setting, settings_of},
    layers::{Layer, from_environment, from_file},
};

/// Where copies of Kafka's topics are kept unless told otherwise. Not the log's own default: a directory is the one or the
/// other, and a log must not be taken for what can be fetched again.
const COPIES_DIR: &str = "./rowcast-copies";

/// Properties of librdkafka's, by name. Passwords are among them, so values are never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(pub BTreeMap<String, String>);

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// How Kafka is reached.
#[derive(Clone, Debug)]
pub struct KafkaSettings {
    /// `host:port`, or several with commas between.
    pub address: String,
    /// What else the client is told.
    pub properties: Properties,
}

/// The settings of one process, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Connector files.
    pub connectors: Vec<PathBuf>,
    /// The log's directory, or that of Kafka's copies.
    pub data_dir: PathBuf,
    /// The cluster that the log is on, if it is.
    pub kafka: Option<KafkaSettings>,
    /// Kafka's topics to serve.
    pub topics: Vec<String>,
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
    let kafka = kafka(last("log.kafka"), layers)?;
    let is_given = |key| layers.iter().any(|layer| layer.get(key).is_some());
    let data_dir = match kafka.is_some() && !is_given("data_dir") {
        true => COPIES_DIR.to_owned(),
        false => last("data_dir"),
    };
    let (topics, allowed_origins) = (text("topic"), text("allowed_origin"));
    topics.iter().try_for_each(|name| checks::topic(name))?;
    allowed_origins.iter().try_for_each(|origin| checks::origin(origin))?;
    Ok(Settings {
        connectors: text("connector").into_iter().map(PathBuf::from).collect(),
        data_dir: data_dir.into(),
        kafka,
        topics,
        listen: address("listen", &last("listen"))?,
        metrics_listen: address("metrics_listen", &last("metrics_listen"))?,
        allowed_origins,
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

/// Properties alone do not choose Kafka.
fn kafka(address: String, layers: &[Layer]) -> Result<Option<KafkaSettings>> {
    let properties = layers.iter().rev().map(Layer::properties).find(|p| !p.0.is_empty());
    match (address.is_empty(), properties) {
        (true, None) => Ok(None),
        (true, Some(_)) => bail!("[log.kafka] names no brokers; add bootstrap.servers = \"HOST:PORT\" to it"),
        (false, properties) => {
            checks::kafka(&address)?;
            Ok(Some(KafkaSettings {
                address,
                properties: properties.cloned().unwrap_or_default(),
            }))
        }
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
        let flags = Layer::default().with("data_dir", vec!["/flag".to_owned()]);
        let settings = resolve(&[file, environment, flags]).unwrap();
        assert_eq!(settings.data_dir, PathBuf::from("/flag"));
        assert_eq!(settings.listen.port(), 2);
        assert_eq!(settings.connections_max, 7);
        assert_eq!(settings.subscriptions_max, 128);
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        let error = from_file("data_dri = \"x\"").err().unwrap().to_string();
        assert!(error.contains("did you mean \"data_dir\""), "{error}");
    }

    #[test]
    fn a_wrong_value_says_what_the_key_takes() {
        let layer = from_file("listen = \"3000\"").unwrap();
        let error = resolve(&[layer]).unwrap_err().to_string();
        assert!(error.contains("listen takes an address and a port"), "{error}");
        let error = from_file("listen = true").err().unwrap().to_string();
        assert!(error.contains("listen takes ADDR:PORT, not a boolean"), "{error}");
    }

    #[test]
    fn every_default_is_valid() {
        resolve(&[]).unwrap();
    }

    #[test]
    fn kafka_is_one_line_or_a_table_or_a_variable() {
        let settings = resolve(&[from_file("[log]\nkafka = \"k:1\"").unwrap()]).unwrap();
        let kafka = settings.kafka.unwrap();
        assert_eq!((kafka.address.as_str(), kafka.properties.0.len()), ("k:1", 0));
        assert_eq!(settings.data_dir, PathBuf::from("./rowcast-copies"));

        let table = "[log.kafka]\nbootstrap.servers = \"k:2\"\nsasl.username = \"me\"\n\"linger.ms\" = 5\n";
        let environment = from_environment(|name| (name == "ROWCAST_KAFKA").then(|| "k:3".into()));
        let kafka = resolve(&[from_file(table).unwrap(), environment])
            .unwrap()
            .kafka
            .unwrap();
        assert_eq!(kafka.address, "k:3");
        let properties: Vec<_> = kafka
            .properties
            .0
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(properties, [("linger.ms", "5"), ("sasl.username", "me")]);
    }

    #[test]
    fn what_cannot_be_is_refused_at_the_start() {
        for (key, value, said) in [
            ("topic", "a*b", "ASCII letters"),
            ("log.kafka", "http://k:9092", "HOST:PORT"),
            ("allowed_origin", "shop.example", "https://shop.example"),
        ] {
            let layer = Layer::default().with(key, vec![value.to_owned()]);
            let error = resolve(&[layer]).unwrap_err().to_string();
            assert!(error.contains(value) && error.contains(said), "{error}");
        }
        // As a container's variable that was left empty.
        let environment = from_environment(|name| (name == "ROWCAST_TOPIC").then(|| "a, ,".into()));
        assert_eq!(resolve(&[environment]).unwrap().topics, ["a"]);
    }

    #[test]
    fn kafka_without_an_address_says_what_is_missing() {
        let file = from_file("[log.kafka]\nclient.id = \"me\"").unwrap();
        let error = resolve(&[file]).unwrap_err().to_string();
        assert!(error.contains("bootstrap.servers"), "{error}");
        let error = from_file("[log]\nkafak = \"k:1\"").err().unwrap().to_string();
        assert!(error.contains("did you mean \"log.kafka\""), "{error}");
    }

    #[test]
    fn no_value_of_a_kafka_property_is_ever_shown() {
        let file =
            "[log.kafka]\nbootstrap.servers = \"k:1\"\nsasl.password = \"hunter2\"\nssl.key.password = \"hunter2\"";
        let settings = resolve(&[from_file(file).unwrap()]).unwrap();
        let shown = format!("{settings:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
        let broken = from_file(&format!("{file}\nssl.ca.location = hunter2 \""))
            .err()
            .unwrap();
        let shown = format!("{broken:#}");
        assert!(shown.contains("line 5") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn each_subcommand_takes_what_it_uses() {
        let takes = |role, key| settings_of(role).any(|setting| setting.key == key);
        for role in [Role::Run, Role::Capture, Role::Gateway, Role::Tail] {
            assert!(takes(role, "log.kafka"), "{role:?}");
            assert_eq!(takes(role, "connector"), role.captures());
            assert_eq!(takes(role, "listen"), role.serves());
            assert_eq!(takes(role, "topic"), role.serves());
        }
        assert!(!takes(Role::Capture, "data_dir"));
    }

    #[test]
    fn names_of_flags_and_variables_come_from_the_key() {
        let kafka = SETTINGS.iter().find(|s| s.key == "log.kafka").unwrap();
        assert_eq!(
            (kafka.flag().as_str(), kafka.environment_name().as_str()),
            ("kafka", "ROWCAST_KAFKA")
        );
        let mut flags: Vec<String> = SETTINGS.iter().map(Setting::flag).collect();
        flags.sort();
        flags.dedup();
        assert_eq!(flags.len(), SETTINGS.len());
    }
}
