//! The logs of a process beside Apache Kafka: connectors write to the brokers, clients are served from copies.

use std::sync::Arc;

use anyhow::Result;
use rowcast_gateway::Repeats;
use rowcast_log::{
    EmbeddedOptions, KafkaCopies, KafkaLog, KafkaOptions, Log, NameOf, Record, Sieve, TopicChoice, TopicPartition,
};
use rowcast_postgres::ConnectorConfig;
use serde::Deserialize;

use super::{Logs, Served};
use crate::{
    ready::{Awaited, Names, is_called},
    settings::{KafkaSettings, Role, Settings},
};

/// Where captures say what the rows of each topic look like: copied always, and the list of their topics.
const SCHEMAS: &str = "__rowcast_schemas";

/// How the log's client is told.
pub(crate) fn options(settings: &KafkaSettings) -> KafkaOptions {
    KafkaOptions {
        bootstrap: settings.address.clone(),
        properties: settings.properties.0.clone(),
    }
}

pub(super) fn open(
    role: Role,
    settings: &Settings,
    kafka: &KafkaSettings,
    connectors: &[ConnectorConfig],
) -> Result<Logs> {
    if !role.serves() {
        let written = KafkaLog::open(options(kafka), None)?;
        return Ok(Logs {
            written: Some(written),
            served: None,
        });
    }
    let (topics, awaited) = choose(&settings.topics, connectors);
    let copies = KafkaCopies {
        data_dir: settings.data_dir.clone(),
        files: EmbeddedOptions::default(),
        topics,
        sieve: Some(Box::new(Once(Repeats::default()))),
    };
    let log = KafkaLog::open(options(kafka), Some(copies))?;
    let written = match role.captures() {
        true => Some(log.writer()? as Arc<dyn Log>),
        false => None,
    };
    Ok(Logs {
        written,
        served: Some(Served { log, awaited }),
    })
}

/// Leaves out of the copies what a topic holds twice: what clients are shown, they are shown once.
struct Once(Repeats);

impl Sieve for Once {
    fn begins(&mut self, partition: &TopicPartition) {
        self.0.begin(partition);
    }

    fn keeps(&mut self, partition: &TopicPartition, record: &Record<'_>) -> bool {
        !self.0.is_repeat(partition, record)
    }
}

/// The topics to copy, and those to wait for: what was named, what the connectors here write, or, when nothing is either,
/// what any capture writes.
fn choose(named: &[String], connectors: &[ConnectorConfig]) -> (TopicChoice, Awaited) {
    let written = connectors.iter().map(|connector| format!("{}*", connector.topic_start));
    let written: Vec<String> = written.collect();
    let names = [named, &written].concat();
    let expected = Names::from(written);
    let required = match names.is_empty() {
        true => vec![SCHEMAS.to_owned()],
        false => named.to_vec(),
    };
    let choice = TopicChoice {
        known: Some(known(names.clone(), expected.clone())),
        names,
        ..TopicChoice::default()
    };
    (choice, Awaited { required, expected })
}

/// Takes out of [`SCHEMAS`] which topics captures write: of these names, or all of them. A topic that is met so is copied
/// at once, and not when Kafka is asked next.
fn known(names: Vec<String>, expected: Names) -> NameOf {
    Arc::new(move |record: &Record<'_>| {
        let topic = topic_of(record.value?)?;
        let is_meant = names.is_empty() || names.iter().any(|name| is_called(&topic, name));
        is_meant.then(|| {
            expected.insert(&topic);
            topic
        })
    })
}

/// The topic that a record of [`SCHEMAS`] is about.
fn topic_of(value: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct About {
        topic: String,
    }
    let about: About = serde_json::from_slice(value).ok()?;
    Some(about.topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_topics_are_required_and_schemas_come_along() {
        let (choice, awaited) = choose(&["shop.public.orders".to_owned()], &[]);
        assert_eq!(choice.names, ["shop.public.orders"]);
        assert!(choice.known.is_some());
        assert_eq!(awaited.required, ["shop.public.orders"]);
    }

    #[test]
    fn without_a_name_every_topic_of_a_capture_is_served() {
        let (choice, awaited) = choose(&[], &[]);
        assert_eq!(awaited.required, [SCHEMAS]);
        assert!(choice.names.is_empty() && choice.known.is_some());
        let value = br#"{"topic":"shop.public.orders","from_offsets":[0],"schema":{}}"#;
        assert_eq!(topic_of(value).as_deref(), Some("shop.public.orders"));
        assert_eq!(topic_of(b"[]"), None);
    }
}
