//! Remembers which topics a connector fills, so that one that was lost is not begun anew in silence.
//!
//! Rows that PostgreSQL was told to forget come from nowhere again. So each topic stands in the internal topic
//! `__rowcast_offsets` under a key of its own, with its epoch, before anything is appended to it; at start, one that is
//! missing or of another life is refused, or its tables are read again (decision 18). How many partitions it had stands there too: a key's changes are in order only in
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
            if let Ok((connector, Named { topic })) = serde_json::from_slice::<(String, Named)>(key) {
                let life = value.and_then(|value| serde_json::from_slice::<Life>(value).ok());
                match (connector == config.name, life) {
                    (true, Some(life)) => drop(lives.insert(topic, life)),
                    (true, None) => drop(lives.remove(&topic)),
                    (false, Some(life)) => drop(others.insert(topic, (connector, life))),
                    (false, None) => drop(others.remove(&topic)),
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

    /// The topics that are not what this connector has filled, and why.
    pub(crate) fn lost(&self, log: &dyn Log) -> Result<Vec<Lost>, LogError> {
        let mut lost = Vec::new();
        for (topic, life) in &self.lives {
            let why = match log.find_topic(topic)? {
                Some(found) if text(&found) == life.epoch => continue,
                Some(_) => "is another one than this connector has filled",
                None => "is not there, but this connector has filled it",
            };
            let topic = topic.clone();
            lost.push(Lost { topic, why });
        }
        Ok(lost)
    }

    /// What is written down of such topics holds no more; durable when this returns. What they held must be owed by then.
    pub(crate) async fn forget(&self, lost: &[Lost]) -> Result<(), LogError> {
        for Lost { topic, .. } in lost {
            self.metadata.remove(OFFSETS_TOPIC, &self.key(topic)).await?;
        }
        Ok(())
    }

    fn key(&self, topic: &str) -> Vec<u8> {
        let topic = topic.to_owned();
        serde_json::to_vec(&(&self.connector, Named { topic })).expect("strings are JSON")
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
        let value = serde_json::to_vec(&life).expect("a string and a number are JSON");
        self.metadata.put(OFFSETS_TOPIC, &self.key(&topic.name), &value).await?;
        self.lives.insert(topic.name.to_string(), life);
        Ok(partitions)
    }
}

/// A topic that was filled and is not there any more, or is another one now.
pub(crate) struct Lost {
    pub(crate) topic: String,
    why: &'static str,
}

impl Lost {
    /// Where nothing may read the tables again.
    pub(crate) fn refusal(&self) -> LogError {
        let Lost { topic, why } = self;
        LogError::Invalid(format!(
            "topic {topic} {why}: its rows would not come again by going on. Set snapshot.mode=when_needed to have the tables \
             read again, or put it back from a backup of the data directory, or start anew: stop, drop the replication slot, \
             remove the data directory (on Kafka: give the connector another name), start"
        ))
    }

    /// Where it is mended.
    pub(crate) fn tell(&self) {
        let Lost { topic, why } = self;
        tracing::warn!(
            topic,
            "the topic {why}: the tables are read again, as snapshot.mode asks"
        );
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
