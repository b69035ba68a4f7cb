//! A log whose new topics are copied at once for the gateway in the same process.
//!
//! Kafka tells nobody of topics that are made, so copies learn of them when they ask next: 15 s that whoever starts
//! Rowcast for the first time would look at an empty page. Everything else is the log's own.

use std::sync::Arc;

use bytes::Bytes;
use rowcast_log::{
    Appender, Chunk, Freshness, Log, LogError, Offset, TopicCreation, TopicInfo, TopicPartition, WriterId,
};
use tokio::sync::watch;

/// See the module.
pub(super) struct Announcing {
    /// What is written to.
    pub(super) log: Arc<dyn Log>,
    /// The copies that hear of new topics.
    pub(super) copies: Arc<dyn Log>,
}

impl Log for Announcing {
    fn ensure_topic(&self, topic: &str, creation: &TopicCreation) -> Result<TopicInfo, LogError> {
        let is_new = self.copies.topic(topic).is_none();
        let info = self.log.ensure_topic(topic, creation)?;
        if is_new && let Err(error) = self.copies.ensure_topic(topic, creation) {
            // The copy comes later; nothing that is written depends on it.
            tracing::debug!(topic, %error, "a new topic is not copied yet");
        }
        Ok(info)
    }

    fn delete_topic(&self, topic: &str) -> Result<(), LogError> {
        self.log.delete_topic(topic)
    }

    fn empty_topic(&self, topic: &str) -> Result<(), LogError> {
        self.log.empty_topic(topic)
    }

    fn topic(&self, topic: &str) -> Option<TopicInfo> {
        self.log.topic(topic)
    }

    fn topics(&self) -> Vec<TopicInfo> {
        self.log.topics()
    }

    fn topics_changed(&self) -> watch::Receiver<u64> {
        self.log.topics_changed()
    }

    fn appender(&self, writer: &WriterId) -> Result<Box<dyn Appender>, LogError> {
        self.log.appender(writer)
    }

    fn read(&self, partition: &TopicPartition, from: Offset, bytes_max: usize) -> Result<Chunk, LogError> {
        self.log.read(partition, from, bytes_max)
    }

    fn earliest(&self, partition: &TopicPartition) -> Result<Offset, LogError> {
        self.log.earliest(partition)
    }

    fn end(&self, partition: &TopicPartition) -> Result<watch::Receiver<Offset>, LogError> {
        self.log.end(partition)
    }

    fn position(&self, partition: &TopicPartition) -> Result<Option<Bytes>, LogError> {
        self.log.position(partition)
    }

    fn unfinished(&self, partition: &TopicPartition) -> Result<u64, LogError> {
        self.log.unfinished(partition)
    }

    fn freshness(&self, topic: &str) -> watch::Receiver<Freshness> {
        self.log.freshness(topic)
    }

    fn size_bytes(&self) -> u64 {
        self.log.size_bytes()
    }

    fn failure(&self) -> Option<String> {
        self.log.failure()
    }
}
