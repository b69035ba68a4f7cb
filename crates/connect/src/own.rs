//! The connector's own record in every flush, on a log where a flush is there as a whole or not at all.
//!
//! Kafka's transactions: the position is committed with the records that it speaks of, as Kafka Connect's exactly-once
//! sources do (KIP-618). Whoever reads it after a restart knows exactly what is there.

use rowcast_event::{Lsn, TransactionMark};
use rowcast_log::{Appender, LogError, NewRecord, TopicPartition};

use crate::{
    clock::now_ns,
    state::{State, StateStore},
};

/// See the module.
pub(crate) struct Own {
    partition: TopicPartition,
    store: StateStore,
    state: State,
    /// The state is news, and no transaction of the source's is under way.
    due: bool,
}

impl Own {
    pub(crate) fn new(partition: TopicPartition, store: StateStore, state: State) -> Own {
        Own {
            partition,
            store,
            state,
            due: false,
        }
    }

    /// A transaction of the source's is whole.
    pub(crate) fn commit(&mut self, mark: TransactionMark) {
        self.state.ended(mark);
        self.confirm(mark.end_lsn);
    }

    /// Everything below is there, or was none of ours.
    pub(crate) fn confirm(&mut self, lsn: Lsn) {
        self.state.confirmed = self.state.confirmed.max(lsn.0);
        self.due = true;
    }

    /// Adds the record to what is flushed next; false when there is nothing to add.
    pub(crate) fn append(&mut self, appender: &mut dyn Appender) -> Result<bool, LogError> {
        if !std::mem::take(&mut self.due) {
            return Ok(false);
        }
        let value = self.store.value(&self.state);
        let record = NewRecord {
            timestamp_ms: now_ns() / 1_000_000,
            key: Some(self.store.key()),
            value: Some(&value),
            headers: &[],
        };
        appender.append(&self.partition, record)?;
        appender.commit(b"")?;
        Ok(true)
    }
}
