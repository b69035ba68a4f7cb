//! Makes the topics of one connector, as its `topic.creation.*` says, and takes those that are there as they are.
//!
//! Each is written down before anything is appended to it: see [`crate::filled`].

use std::sync::Arc;

use rowcast_log::{Log, LogError, Memory, TopicCreation, TopicInfo, TopicPartition};
use rowcast_postgres::{
    ConnectorConfig,
    config::{TopicGroups, TopicSettings},
};

use crate::{filled::FilledTopics, metadata::MetadataTopics};

/// See the module.
pub(crate) struct Topics {
    log: Arc<dyn Log>,
    groups: TopicGroups,
    filled: FilledTopics,
    /// TRUNCATEs are written, too.
    truncates: bool,
}

impl Topics {
    pub(crate) fn load(
        metadata: Arc<MetadataTopics>,
        config: &ConnectorConfig,
        memory: Memory,
    ) -> Result<Topics, LogError> {
        // Our own files, which are what keeps a position in each partition.
        let is_embedded = memory == Memory::Position;
        if is_embedded && config.topic_groups.asks_for_anything() {
            tracing::warn!(
                connector = %config.name,
                "topic.creation.* is ignored: the embedded log's topics have one partition, one replica and no \
                 configuration of their own; it is for Kafka (--kafka)"
            );
        }
        let groups = match is_embedded {
            true => TopicGroups::default(),
            false => config.topic_groups.clone(),
        };
        Ok(Topics {
            log: metadata.shared_log(),
            groups,
            truncates: !config.skipped_operations.truncate,
            filled: FilledTopics::load(metadata, config)?,
        })
    }

    /// The topic, made if it is missing, and written down; with the partitions that it is filled to, which stay as many as
    /// they were at the beginning.
    pub(crate) async fn open(&mut self, name: &str) -> Result<TopicInfo, LogError> {
        let creation = creation(self.groups.settings(name));
        let mut topic = self.log.ensure_topic(name, &creation)?;
        if let Some(other) = self.filled.other(&topic) {
            tracing::warn!(
                topic = name,
                other,
                "connector {other:?} has filled this topic too: if it still does, every change is there twice, and nobody can \
                 tell. Give one of them another topic.prefix"
            );
        }
        let filled = self.filled.remember(&topic).await?;
        if topic.partitions > filled {
            tracing::warn!(
                topic = name,
                partitions = topic.partitions,
                filled,
                "the topic was given more partitions while it is filled; rows go on to the first {filled}, or changes of one \
                 key would lie in two partitions and lose their order. To use all: stop, delete the topic and make it with as \
                 many partitions as it shall have, set snapshot.mode=when_needed, start"
            );
            topic.partitions = filled;
        }
        if self.truncates && topic.partitions > 1 {
            tracing::warn!(
                topic = name,
                partitions = topic.partitions,
                "a TRUNCATE is one record in one partition, as Debezium writes it. Rowcast's gateways go by where in the source it \
                 was made; other readers may meet rows of other partitions that were written after it first, and lose them by it. \
                 If there are such readers, have one partition, or leave skipped.operations at t"
            );
        }
        Ok(topic)
    }

    /// The first partition of a topic of which nothing is ever found again; made if it is missing, and not written down:
    /// whoever deletes it has lost nothing.
    pub(crate) fn make(&self, name: &str) -> Result<TopicPartition, LogError> {
        let topic = self.log.ensure_topic(name, &creation(self.groups.settings(name)))?;
        Ok(TopicPartition {
            topic: topic.name,
            partition: 0,
        })
    }
}

fn creation(settings: TopicSettings) -> TopicCreation {
    TopicCreation {
        partitions: settings.partitions,
        replication_factor: settings.replication_factor,
        config: settings.config,
        by_broker: settings.by_broker,
    }
}
