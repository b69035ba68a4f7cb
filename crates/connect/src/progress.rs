//! Decides what is written down of a connector's progress, and when.
//!
//! What was made durable is confirmed to PostgreSQL only once whoever starts next can know of it. A log that keeps positions
//! beside its records tells by itself; one of whole flushes has a record of our own in every flush; one whose memory is
//! its records is told now and then from where on to look. Knows nothing of records and tables.

use std::time::{Duration, Instant};

use rowcast_event::{Lsn, TransactionMark};
use rowcast_log::{Appender, LogError, Memory};
use rowcast_postgres::Stream;

use crate::{
    ConnectorError,
    own::Own,
    state::{State, StateStore},
};

/// How often a confirmed position is written down on a log that does not keep it beside the records.
///
/// Kafka Connect does it once a minute. A second of WAL is little to keep, and little to read again after a crash.
const WRITE_DOWN_INTERVAL: Duration = Duration::from_secs(1);

/// What is durable, and how much of that was written down.
pub(crate) struct Progress {
    memory: Memory,
    /// For [`Memory::Flush`].
    own: Option<Own>,
    /// For [`Memory::Records`]: what is durable and was not written down yet, and when that may be.
    unwritten: Option<TransactionMark>,
    write_down_at: Instant,
}

impl Progress {
    /// On a log with this memory.
    pub(crate) fn new(memory: Memory) -> Progress {
        Progress {
            memory,
            own: None,
            unwritten: None,
            write_down_at: Instant::now(),
        }
    }

    /// When there is something to write down.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        self.unwritten.map(|_| self.write_down_at)
    }

    /// From here on this record goes with every flush.
    pub(crate) fn begin_own(&mut self, own: Own) {
        self.own = Some(own);
    }

    /// A transaction of the source's is whole.
    pub(crate) fn commit(&mut self, mark: TransactionMark) {
        if let Some(own) = &mut self.own {
            own.commit(mark);
        }
    }

    /// Adds our own record to what is flushed next; false when there is none to add.
    pub(crate) fn append_own(&mut self, appender: &mut dyn Appender) -> Result<bool, LogError> {
        self.own.as_mut().map_or(Ok(false), |own| own.append(appender))
    }

    /// Has our own record say that everything below is there, or none of ours, and what was whole last; false where that is
    /// written down otherwise.
    pub(crate) fn confirm_own(&mut self, lsn: Lsn, last: Option<TransactionMark>) -> bool {
        self.unwritten = None;
        match &mut self.own {
            Some(own) => {
                last.into_iter().for_each(|last| own.commit(last));
                own.confirm(lsn);
                true
            }
            None => false,
        }
    }

    /// Takes over how far each partition is durable.
    pub(crate) fn note_offsets(&self, appender: &dyn Appender, state: &mut State) {
        if self.memory != Memory::Records {
            return;
        }
        for (partition, offset) in appender.durable_offsets() {
            let offsets = state.offsets.entry(partition.topic.to_string()).or_default();
            let number = partition.partition as usize;
            if offsets.len() <= number {
                offsets.resize(number + 1, 0);
            }
            offsets[number] = offsets[number].max(offset.0);
        }
    }

    /// Tells the server what has become durable, at once or when it is written down.
    pub(crate) async fn confirm(
        &mut self,
        news: Option<TransactionMark>,
        stream: &mut Stream,
        store: &StateStore,
        state: &mut State,
    ) -> Result<(), ConnectorError> {
        if let Some(mark) = news {
            match self.memory {
                Memory::Position | Memory::Flush => {
                    state.confirmed = state.confirmed.max(mark.end_lsn.0);
                    stream.confirm(mark.end_lsn).await?;
                }
                Memory::Records => self.unwritten = Some(mark),
            }
        }
        if self.unwritten.is_some() && Instant::now() >= self.write_down_at {
            self.write_down(stream, store, state).await?;
        }
        Ok(())
    }

    /// Writes down what is durable, so that the next start knows from where on to look, and tells the server.
    pub(crate) async fn write_down(
        &mut self,
        stream: &mut Stream,
        store: &StateStore,
        state: &mut State,
    ) -> Result<(), ConnectorError> {
        let Some(mark) = self.unwritten.take() else {
            return Ok(());
        };
        state.confirm(mark.end_lsn, Some(mark));
        store.save(state).await?;
        self.write_down_at = Instant::now() + WRITE_DOWN_INTERVAL;
        Ok(stream.confirm(mark.end_lsn).await?)
    }
}

/// Waits for a moment, or for ever if there is none.
pub(crate) async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}
