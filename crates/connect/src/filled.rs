//! Remembers which topics a connector fills, so that one that was lost is not begun anew in silence.
//!
//! Rows that PostgreSQL was told to forget come from nowhere again. So each topic stands in the internal topic
//! `__rowcast_offsets` under a key of its own, with its epoch, before anything is appended to it; at start, one that is
//! missing or of another life is refused. How many partitions it had stands there too: a key's changes are in order only in
//! the partition that they began in, so a topic that was given more is filled as if it had not been (decision 15).

use std::{collections::BTreeMap, sync::Arc};

use rowcast_log::{Log, LogError, TopicInfo};
use rowcast_postgres::ConnectorConfig;
use serde::{Deserialize, Serialize};

use crate::{metadata::MetadataTopics, state::OFFSETS_TOPIC};

/// What stands under a topic's key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Life {
    /// In hexadecimal: JSON's numbers end at 53 bits.
    epoch: String,
    /// Not there where an older Rowcast wrote it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    partitions: Option<u32>,
}

/// The topics of one connector.
pub(crate) struct FilledTopics {
    metadata: Arc<MetadataTopics>,
    connector: String,
    /// By name. Bounded by the tables of the database.
    lives: BTreeMap<String, Life>,
    /// What other connectors have filled: by topic, who did last. Bounded by their tables.
    others: BTreeMap<String, (String, Life)>,
}

impl FilledTopics {
    /// What was written down before.
    pub(crate) fn load(metadata: Arc<MetadataTopics>, config: &ConnectorConfig) -> Result<FilledTopics, LogError> {
        let (mut lives, mut others) = (BTreeMap::new(), BTreeMap::new());
        metadata.scan(OFFSETS_TOPIC, |key, value| {
            if let Ok((connector, Named { topic })) = serde_json::from_slice::<(String, Named)>(key)
                && let Some(Ok(life)) = value.map(serde_json::from_slice::<Life>)
            {
                match connector == config.name {
                    true => drop(lives.insert(topic, life)),
                    false => drop(others.insert(topic, (connector, life))),
                }
            }
        })?;
        Ok(FilledTopics {
            metadata,
            connector: config.name.clone(),
            lives,
            others,
        })
    }

    /// Another connector that has filled this topic in its present life.
    pub(crate) fn other(&self, topic: &TopicInfo) -> Option<&str> {
        let (connector, life) = self.others.get(&*topic.name)?;
        (life.epoch == text(topic)).then_some(connector)
    }

    /// Refuses to go on without what was in a topic.
    pub(crate) fn check(&self, log: &dyn Log) -> Result<(), LogError> {
        self.lives.iter().try_for_each(|(topic, life)| {
            let what = match log.find_topic(topic)? {
                Some(found) if text(&found) == life.epoch => return Ok(()),
                Some(_) => "is another one than this connector has filled",
                None => "is not there, but this connector has filled it",
            };
            Err(LogError::Invalid(format!(
                "topic {topic} {what}: its rows would not come again by going on. Put it back from a backup, or \
                 start anew: stop, drop the replication slot, remove the data directory (on Kafka: give the connector another \
                 name and topic.prefix), start"
            )))
        })
    }

    /// Writes a topic down, unless it is known, and tells to how many of its partitions it is filled; durable when this
    /// returns.
    pub(crate) async fn remember(&mut self, topic: &TopicInfo) -> Result<u32, LogError> {
        let known = self.lives.get(&*topic.name).filter(|life| life.epoch == text(topic));
        let partitions = known.and_then(|life| life.partitions).unwrap_or(topic.partitions);
        let life = Life {
            epoch: text(topic),
            partitions: Some(partitions),
        };
        if known == Some(&life) {
            return Ok(partitions);
        }
        let named = Named {
            topic: topic.name.to_string(),
        };
        let key = serde_json::to_vec(&(&self.connector, &named)).expect("strings are JSON");
        let value = serde_json::to_vec(&life).expect("a string and a number are JSON");
        self.metadata.put(OFFSETS_TOPIC, &key, &value).await?;
        self.lives.insert(named.topic, life);
        Ok(partitions)
    }
}

/// The second half of a topic's key, as Kafka Connect's keys have the source's partition there.
#[derive(Serialize, Deserialize)]
struct Named {
    topic: String,
}

fn text(topic: &TopicInfo) -> String {
    format!("{:032x}", topic.epoch.0)
}
