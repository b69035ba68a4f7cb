//! Records that are no table's: each kind has one topic, which is opened at its first record.
//!
//! They come in the order of the source, with the transactions that they are part of, and are found again after a restart as
//! rows are: by the mark of their transaction, or by LSN.

use std::sync::Arc;

use rowcast_event::{LogicalMessage, MessageEncoder};
use rowcast_log::LogError;
use rowcast_postgres::ConnectorConfig;

use super::Pipeline;
use crate::clock::now_ns;

/// What such records are made with.
pub(super) struct Beside {
    messages: MessageEncoder,
}

impl Beside {
    pub(super) fn new(config: &ConnectorConfig) -> Beside {
        Beside {
            messages: MessageEncoder::new(&config.event_options("")),
        }
    }

    fn topics(&self) -> Vec<Arc<str>> {
        vec![self.messages.topic.clone()]
    }
}

impl Pipeline {
    /// Opens those of the topics that are there.
    pub(super) async fn fill_beside(&mut self) -> Result<(), LogError> {
        for topic in self.beside.topics() {
            if self.log.find_topic(&topic)?.is_some() {
                self.fill(&topic).await?;
            }
        }
        Ok(())
    }

    /// Appends a logical message. One that is part of no transaction is whole with it.
    pub(super) async fn append_message(&mut self, message: &LogicalMessage<'_>) -> Result<(), LogError> {
        let commit_lsn = message.position.commit_lsn;
        if commit_lsn > self.committed {
            let topic = self.beside.messages.topic.clone();
            if !self.filled.contains_key(&topic) {
                self.fill(&topic).await?;
            }
            let now_ns = now_ns();
            self.encoded.clear();
            self.beside.messages.encode(message, now_ns, &mut self.encoded);
            if self.append_beside(&topic, (commit_lsn, &message.origin), now_ns)? && message.mark.is_none() {
                self.unflushed_since_us = Some(message.origin.ts_us);
            }
        }
        match message.mark {
            Some(mark) => self.commit(mark),
            None => Ok(()),
        }
    }
}
