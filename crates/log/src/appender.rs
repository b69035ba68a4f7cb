//! One connector's writer: transactions over any of the log's partitions.
//!
//! The hot path is [`Appender::append`]: find the partition's [`Writer`], encode. Everything that costs (a write, a new
//! segment) happens in flush, once per partition.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::watch;

use crate::{
    Appender, FlushSeq, LogError, NewRecord, Offset, TopicPartition, Visibility, batch::POSITION_BYTES_MAX,
    embedded::Shared, sync::Durable, writer::Writer,
};

/// Bytes that an appender buffers, over all its partitions, before it writes them unasked.
///
/// 4 MiB is 16 ms of our fastest append (260 MB/s): a larger transaction gains nothing from waiting, and its
/// size must not be our memory.
const BUFFERED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// An appender of the embedded log.
#[derive(Debug)]
pub(crate) struct EmbeddedAppender {
    log: Arc<Shared>,
    durable: Arc<Durable>,
    flushed: FlushSeq,
    writers: Vec<Writer>,
    places: HashMap<TopicPartition, usize>,
    /// The writer of the last append: records of one table come in a row.
    recent: usize,
    buffered_bytes: usize,
}

impl EmbeddedAppender {
    pub(crate) fn new(log: Arc<Shared>) -> Self {
        let durable = log.syncer.durable();
        EmbeddedAppender {
            log,
            durable,
            flushed: FlushSeq(0),
            writers: Vec::new(),
            places: HashMap::new(),
            recent: 0,
            buffered_bytes: 0,
        }
    }

    /// The writer of a partition, taken at the first touch.
    fn writer(&mut self, partition: &TopicPartition) -> Result<&mut Writer, LogError> {
        let is_recent = self
            .writers
            .get(self.recent)
            .is_some_and(|writer| writer.partition().id == *partition);
        if !is_recent {
            self.recent = match self.places.get(partition) {
                Some(place) => *place,
                None => self.take(partition)?,
            };
        }
        Ok(&mut self.writers[self.recent])
    }

    fn take(&mut self, partition: &TopicPartition) -> Result<usize, LogError> {
        let writer = Writer::take(&self.log.partition(partition)?)?;
        let place = self.writers.len();
        self.writers.push(writer);
        self.places.insert(partition.clone(), place);
        Ok(place)
    }

    /// Hands everything buffered to the operating system. A failure stops the whole log.
    fn write(&mut self, visibility: Option<Visibility>) -> Result<(), LogError> {
        self.log.check_writable()?;
        for writer in &mut self.writers {
            match writer.write(&*self.log.storage, self.log.options.segment_bytes, visibility) {
                Ok(true) => self.log.syncer.dirty(writer.partition()),
                Ok(false) => {}
                Err(e) => {
                    self.log.syncer.fail(&e);
                    return Err(e);
                }
            }
        }
        self.buffered_bytes = 0;
        Ok(())
    }
}

impl Appender for EmbeddedAppender {
    fn claim(&mut self, partition: &TopicPartition) -> Result<u64, LogError> {
        self.log.check_writable()?;
        Ok(self.writer(partition)?.unfinished())
    }

    fn next_offset(&mut self, partition: &TopicPartition) -> Result<Offset, LogError> {
        Ok(Offset(self.writer(partition)?.next_offset()))
    }

    fn include(&mut self, partition: &TopicPartition) -> Result<(), LogError> {
        self.log.check_writable()?;
        self.writer(partition)?.include();
        Ok(())
    }

    fn append(&mut self, partition: &TopicPartition, record: NewRecord<'_>) -> Result<(), LogError> {
        let writer = self.writer(partition)?;
        let before = writer.buffered_bytes();
        writer.append(&record)?;
        self.buffered_bytes += self.writers[self.recent].buffered_bytes() - before;
        if self.buffered_bytes >= BUFFERED_BYTES_MAX {
            self.write(None)?;
        }
        Ok(())
    }

    fn commit(&mut self, position: &[u8]) -> Result<(), LogError> {
        if position.len() > POSITION_BYTES_MAX {
            let why = format!(
                "a source position of {} bytes is longer than {POSITION_BYTES_MAX}",
                position.len()
            );
            return Err(LogError::Invalid(why));
        }
        self.log.check_writable()?;
        for writer in &mut self.writers {
            let before = writer.buffered_bytes();
            writer.commit(position);
            self.buffered_bytes += writer.buffered_bytes() - before;
        }
        Ok(())
    }

    fn flush(&mut self, visibility: Visibility) -> Result<FlushSeq, LogError> {
        self.write(Some(visibility))?;
        self.flushed.0 += 1;
        self.log.syncer.flushed(&self.durable, self.flushed);
        Ok(self.flushed)
    }

    fn durable(&self) -> watch::Receiver<FlushSeq> {
        self.durable.receiver()
    }
}

impl Drop for EmbeddedAppender {
    fn drop(&mut self) {
        for writer in &self.writers {
            if let Err(e) = writer.partition().give_back() {
                self.log.syncer.fail(&e);
            }
        }
    }
}
