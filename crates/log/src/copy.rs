//! Keeps copies of another log's topics: the same records at the same offsets, in segments of our own.
//!
//! What is copied can be copied again, so a copy is shown at once, synced rarely, and cut rather than refused where it is
//! torn or damaged. Readers of a copy are readers of an [`EmbeddedLog`]. Knows nothing of where the records come from.

use std::{collections::HashMap, path::Path, sync::Arc};

use crate::{
    EmbeddedLog, EmbeddedOptions, Epoch, FlushSeq, Log, LogError, NewRecord, Offset, TopicInfo, TopicPartition,
    Visibility, directory::Origin, embedded::Shared, storage::replace_file, sync::Durable, writer::Writer,
};

/// Bytes that are copied between two syncs.
///
/// A crash of the machine costs fetching as much again; 16 MiB is a quarter of a second.
const UNSYNCED_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// In a copy's partition: the offset up to which it had to be copied to be complete for the first time.
const COMPLETE: &str = "complete";

/// In the first partition's copy of a topic that was copied because records named it.
const NAMED: &str = "named";

impl EmbeddedLog {
    /// Opens a directory, made if it is missing, of copies of the topics of the cluster that `origin` names. One that
    /// holds anything else is refused. `None`: that cluster cannot be asked yet who it is; see
    /// [`EmbeddedLog::confirm_origin`].
    pub fn open_copies(
        data_dir: &Path,
        origin: Option<&str>,
        options: EmbeddedOptions,
    ) -> Result<Arc<EmbeddedLog>, LogError> {
        let origin = origin.map_or(Origin::SomeCluster, Origin::Cluster);
        let shared = Shared::open(data_dir, origin, options)?;
        Ok(Arc::new(EmbeddedLog { shared }))
    }

    /// Refuses copies of another cluster's topics than this one's. Before it, nothing is copied.
    pub fn confirm_origin(&self, origin: &str) -> Result<(), LogError> {
        self.shared.confirm_origin(origin)
    }

    /// Remembers that the copy of a partition, up to `end`, is all that its origin held at one moment: so that it can be
    /// served after a restart while the origin is away.
    pub fn note_complete(&self, partition: &TopicPartition, end: Offset) -> Result<(), LogError> {
        let file = self.shared.partition(partition)?.dir.join(COMPLETE);
        replace_file(&*self.shared.storage, &file, end.0.to_string().as_bytes())
    }

    /// Whether the copy of a topic has once been complete, and holds that still.
    pub fn was_complete(&self, topic: &TopicInfo) -> bool {
        let was_complete = |id: &TopicPartition| {
            let partition = self.shared.partition(id).ok()?;
            let noted: u64 = std::fs::read_to_string(partition.dir.join(COMPLETE))
                .ok()?
                .parse()
                .ok()?;
            Some(partition.end().borrow().0 >= noted)
        };
        topic.all().iter().all(|id| was_complete(id) == Some(true))
    }

    /// Remembers that a topic is copied because records named it, for as long as its copy is there: those records may go.
    pub fn note_named(&self, topic: &TopicInfo) -> Result<(), LogError> {
        match topic.all().first() {
            Some(first) => replace_file(
                &*self.shared.storage,
                &self.shared.partition(first)?.dir.join(NAMED),
                b"",
            ),
            None => Ok(()),
        }
    }

    /// Whether it was.
    pub fn was_named(&self, topic: &TopicInfo) -> bool {
        let first = topic.all().first().and_then(|first| self.shared.partition(first).ok());
        first.is_some_and(|first| first.dir.join(NAMED).exists())
    }

    /// Makes the copy of a topic: one partition for each of `starts`, which are the offsets at which those that are not
    /// there yet begin. The copy of another life of the topic is removed first.
    pub fn copy_topic(&self, topic: &str, epoch: Epoch, starts: &[Offset]) -> Result<TopicInfo, LogError> {
        if self.topic(topic).is_some_and(|found| found.epoch != epoch) {
            self.delete_topic(topic)?;
        }
        let _one_at_a_time = self.shared.points.lock();
        self.shared.check_writable()?;
        let starts: Vec<u64> = starts.iter().map(|start| start.0).collect();
        match self.topic(topic) {
            None => self.shared.create_topic(topic, epoch, &starts),
            Some(found) => {
                let added = starts.get(found.partitions as usize..).unwrap_or_default();
                self.shared.add_partitions(&found, added)
            }
        }
    }

    /// The one writer of all copies.
    pub fn copier(&self) -> Copier {
        Copier {
            durable: self.shared.syncer.durable(),
            log: Arc::clone(&self.shared),
            flushed: FlushSeq(0),
            writers: HashMap::new(),
            unsynced_bytes: 0,
        }
    }

    /// Lets go of what the origin no longer keeps: offsets below `offset` are out of range from now on, and segments
    /// that hold nothing else are removed.
    pub fn forget_below(&self, partition: &TopicPartition, offset: Offset) -> Result<(), LogError> {
        self.shared.partition(partition)?.forget_below(offset.0)
    }
}

/// Writes copies. Dropping it gives all partitions back.
#[derive(Debug)]
pub struct Copier {
    log: Arc<Shared>,
    durable: Arc<Durable>,
    flushed: FlushSeq,
    writers: HashMap<TopicPartition, Writer>,
    unsynced_bytes: u64,
}

impl Copier {
    /// Takes the partition and tells the offset from which on it wants records.
    pub fn next_offset(&mut self, partition: &TopicPartition) -> Result<Offset, LogError> {
        Ok(Offset(self.writer(partition)?.next_offset()))
    }

    /// Buffers a record at its offset, which may leave offsets out but never goes back.
    pub fn append(
        &mut self,
        partition: &TopicPartition,
        offset: Offset,
        record: &NewRecord<'_>,
    ) -> Result<(), LogError> {
        self.writer(partition)?.copy(offset.0, record)
    }

    /// Shows readers everything that was appended.
    pub fn flush(&mut self) -> Result<(), LogError> {
        self.log.check_writable()?;
        for writer in self.writers.values_mut() {
            let bytes = writer.buffered_bytes() as u64;
            match writer.write(
                &*self.log.storage,
                self.log.options.segment_bytes,
                Some(Visibility::Now),
            ) {
                Ok(true) => self.log.syncer.dirty(writer.partition()),
                Ok(false) => {}
                Err(e) => {
                    self.log.syncer.fail(&e);
                    return Err(e);
                }
            }
            self.unsynced_bytes += bytes;
        }
        if self.unsynced_bytes > UNSYNCED_BYTES_MAX {
            self.unsynced_bytes = 0;
            self.flushed.0 += 1;
            self.log.syncer.flushed(&self.durable, self.flushed);
        }
        Ok(())
    }

    /// Gives a partition back: its topic is going.
    pub fn release(&mut self, partition: &TopicPartition) -> Result<(), LogError> {
        match self.writers.remove(partition) {
            Some(writer) => writer.partition().give_back(),
            None => Ok(()),
        }
    }

    fn writer(&mut self, partition: &TopicPartition) -> Result<&mut Writer, LogError> {
        if !self.writers.contains_key(partition) {
            let writer = Writer::take(&self.log.partition(partition)?)?;
            self.writers.insert(partition.clone(), writer);
        }
        Ok(self.writers.get_mut(partition).expect("taken above"))
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        for writer in self.writers.values() {
            if let Err(e) = writer.partition().give_back() {
                self.log.syncer.fail(&e);
            }
        }
    }
}
