//! The log's internal topics: small facts that must survive, kept as records like everything else.
//!
//! One mechanism for connector states and schemas, the same on every log. Writes are rare and each waits for its sync;
//! they take turns, because a partition has one writer.

use std::sync::Arc;

use rowcast_log::{
    Appender, Log, LogError, Memory, NewRecord, Offset, TopicCreation, TopicPartition, Visibility, WriterId, scan,
};
use tokio::sync::Mutex;

use crate::clock::now_ns;

/// The internal topics of one log.
pub(crate) struct MetadataTopics {
    log: Arc<dyn Log>,
    /// Kept from one write to the next where a new one must connect first; on our own files it would keep the partitions.
    writing: Mutex<Option<Box<dyn Appender>>>,
}

impl MetadataTopics {
    pub(crate) fn new(log: Arc<dyn Log>) -> MetadataTopics {
        MetadataTopics {
            log,
            writing: Mutex::new(None),
        }
    }

    pub(crate) fn log(&self) -> &dyn Log {
        &*self.log
    }

    pub(crate) fn shared_log(&self) -> Arc<dyn Log> {
        self.log.clone()
    }

    /// The one partition of an internal topic, which is made if it is missing.
    pub(crate) fn partition(&self, topic: &str) -> Result<TopicPartition, LogError> {
        Ok(TopicPartition {
            topic: self.log.ensure_topic(topic, &internal_topic())?.name,
            partition: 0,
        })
    }

    /// Calls `each` with key and value of every record, from the beginning. Nothing if the topic does not exist.
    pub(crate) fn scan(&self, topic: &str, mut each: impl FnMut(&[u8], Option<&[u8]>)) -> Result<(), LogError> {
        let Some(topic) = self.log.find_topic(topic)? else {
            return Ok(());
        };
        let partition = TopicPartition {
            topic: topic.name,
            partition: 0,
        };
        scan(&*self.log, &partition, Offset(0), |record| {
            each(record.key.unwrap_or_default(), record.value);
            Ok(())
        })
        .map(drop)
    }

    /// Appends one record; it is durable when this returns.
    pub(crate) async fn put(&self, topic: &str, key: &[u8], value: &[u8]) -> Result<(), LogError> {
        self.write(topic, key, Some(value)).await
    }

    /// Says that there is nothing under this key any more; durable when this returns.
    pub(crate) async fn remove(&self, topic: &str, key: &[u8]) -> Result<(), LogError> {
        self.write(topic, key, None).await
    }

    async fn write(&self, topic: &str, key: &[u8], value: Option<&[u8]>) -> Result<(), LogError> {
        let mut kept = self.writing.lock().await;
        let partition = self.partition(topic)?;
        // One that fails, or whose writer gives up waiting, is not used again: it drops what has not left.
        let mut appender = match kept.take() {
            Some(appender) => appender,
            None => self.log.appender(&WriterId::new("metadata"))?,
        };
        let record = NewRecord {
            timestamp_ms: now_ns() / 1_000_000,
            key: Some(key),
            value,
            headers: &[],
        };
        appender.append(&partition, record)?;
        appender.commit(b"")?;
        let flush = appender.flush(Visibility::AfterSync)?;
        let mut durable = appender.durable();
        let reached = durable.wait_for(|&done| done >= flush).await.is_ok();
        if !reached {
            return Err(stopped(&*self.log, &*appender));
        }
        *kept = Some(appender).filter(|appender| appender.memory() != Memory::Position);
        Ok(())
    }
}

/// What an internal topic is like: the last record of each key is all that is ever read, as in Kafka Connect's.
fn internal_topic() -> TopicCreation {
    TopicCreation {
        partitions: Some(1),
        config: [("cleanup.policy".to_owned(), "compact".to_owned())].into(),
        ..TopicCreation::default()
    }
}

/// The error for an appender through which nothing becomes durable any more.
pub(crate) fn stopped(log: &dyn Log, appender: &dyn Appender) -> LogError {
    if let Some(failure) = appender.failure() {
        return failure;
    }
    LogError::Invalid(
        log.failure()
            .unwrap_or_else(|| "the log has stopped taking writes".into()),
    )
}
