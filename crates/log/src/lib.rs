//! WHERE CHANGES ARE KEPT. Topics of records by offset.
//!
//! A [`Log`] promises: an [`Appender`]'s transaction is either whole in every partition it touched or, after a
//! crash, in none that had not been made durable; offsets depend only on what was committed, so a replay after lost,
//! un-synced bytes gives every record the offset it had before; readers are woken, they never poll.
//!
//! The log never looks inside a key or a value, and knows neither LSNs nor Debezium: the source's position is bytes
//! that it keeps for its writer.

use std::{collections::BTreeMap, fmt, sync::Arc};

use bytes::Bytes;
use tokio::sync::watch;

mod appender;
mod batch;
mod checkpoint;
mod chunk;
#[cfg(feature = "contract")]
pub mod contract;
mod copy;
mod directory;
mod embedded;
mod follow;
mod index;
#[cfg(feature = "kafka")]
mod kafka;
mod partition;
mod partitioner;
mod pick;
mod recovery;
mod scan;
mod segment;
mod storage;
mod sync;
mod topic;
mod varint;
mod view_index;
mod writer;

pub use chunk::{Chunk, Record};
pub use copy::Copier;
pub use embedded::{EmbeddedLog, EmbeddedOptions};
pub use follow::ReadOnlyLog;
#[cfg(feature = "kafka")]
pub use kafka::{KafkaCopies, KafkaLog, KafkaOptions, NameOf, Sieve, Start, Tail, TopicChoice};
pub use partitioner::partition_of;
pub use pick::{Picked, read_at};
pub use scan::scan;
#[doc(hidden)]
pub use storage::Storage;
pub use view_index::ViewIndex;

/// A record's number in its partition, as in Kafka: dense, from 0, control batches take one too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

/// Which life of a topic an offset belongs to: Kafka's topic id, made at random when the topic is created and kept in
/// Kafka's `partition.metadata` file. A topic that is deleted and made again has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(pub u128);

/// One partition of one topic. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's name, as Kafka allows it: `[A-Za-z0-9._-]{1,249}`.
    pub topic: Arc<str>,
    /// From 0.
    pub partition: u32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// What a topic is, as told to its readers.
#[derive(Clone, Debug)]
pub struct TopicInfo {
    /// The topic's name.
    pub name: Arc<str>,
    /// How many partitions it has.
    pub partitions: u32,
    /// Which life of the topic this is.
    pub epoch: Epoch,
}

impl TopicInfo {
    /// Its partitions, in order.
    pub fn all(&self) -> Vec<TopicPartition> {
        let place = |partition| TopicPartition {
            topic: self.name.clone(),
            partition,
        };
        (0..self.partitions).map(place).collect()
    }
}

/// What a topic shall be like when it has to be made (Kafka Connect's `topic.creation.*`).
///
/// The embedded log makes one partition unless told otherwise, keeps one replica, and takes no configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicCreation {
    /// How many partitions; the log's own default if `None`.
    pub partitions: Option<u32>,
    /// How many replicas; the log's own default if `None`.
    pub replication_factor: Option<u16>,
    /// Kafka's topic configuration, such as `cleanup.policy`.
    pub config: BTreeMap<String, String>,
    /// Whether a missing topic is left to the broker (`auto.create.topics.enable`), whose settings then hold for it.
    /// The embedded log is its own broker.
    pub by_broker: bool,
}

/// Who appends. The next appender of the same name takes over from the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterId {
    /// The connector's name: stable across restarts and machines.
    pub name: String,
    /// Whether all partitions must show a flush at once or not at all (Kafka's transactions). The embedded log always
    /// does so for what a crash leaves.
    pub transactions: bool,
}

impl WriterId {
    /// A writer that asks for no transactions.
    pub fn new(name: &str) -> WriterId {
        WriterId {
            name: name.to_owned(),
            transactions: false,
        }
    }
}

/// How a log tells, after a restart, what of a source's changes it holds: see [`Appender::memory`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Beside the records, in each partition: [`Log::position`] is what [`Appender::commit`] was given last.
    Position,
    /// Nowhere but in records of the writer's own: what one flush carries is there as a whole or not at all, so the
    /// writer puts a record that says where its source stood into every flush.
    Flush,
    /// Nowhere: each partition holds a beginning of what was appended to it, and only the records tell how long a one.
    /// [`Appender::durable_offsets`] says where to begin to look.
    Records,
}

/// How near a log's copy is to what it copies. A log that copies nothing is always at its own end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// Offsets that were still to be copied when last looked, over all partitions.
    pub missing: u64,
    /// Offsets that there were to copy in all.
    pub total: u64,
    /// Everything that there was when the topic was met has been copied once.
    pub complete: bool,
    /// Since when (milliseconds since 1970) the origin has not been heard of, if it is away.
    pub stale_since_ms: Option<i64>,
}

impl Freshness {
    /// Nothing is missing.
    pub const COMPLETE: Freshness = Freshness {
        missing: 0,
        total: 0,
        complete: true,
        stale_since_ms: None,
    };
}

/// A record header, as in Kafka: a key and raw bytes.
pub type Header<'a> = (&'a str, &'a [u8]);

/// A record to append. A `None` value is a tombstone.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// Milliseconds since 1970, Kafka's record timestamp (the producer's clock).
    pub timestamp_ms: i64,
    /// Kafka's key bytes.
    pub key: Option<&'a [u8]>,
    /// Kafka's value bytes.
    pub value: Option<&'a [u8]>,
    /// In order; names may repeat.
    pub headers: &'a [Header<'a>],
}

/// When readers may see what [`Appender::flush`] hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// At once, before it is durable: for a source whose replay yields the same records at the same offsets.
    Now,
    /// Nothing beyond the last [`Appender::commit`], and that only once it is durable: for records that a replay
    /// would not repeat (snapshot rows).
    AfterSync,
}

/// Counts flushes of one appender; [`Appender::durable`] tells which of them are on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlushSeq(pub u64);

/// Topics of records. Implementations are shared (`Arc<dyn Log>`) by one process's capture and gateway.
pub trait Log: Send + Sync + 'static {
    /// The topic, created as `creation` says if it is missing. Creation is durable when this returns.
    fn ensure_topic(&self, topic: &str, creation: &TopicCreation) -> Result<TopicInfo, LogError>;
    /// Removes the topic and all it holds, durably. Its next life has another [`Epoch`].
    fn delete_topic(&self, topic: &str) -> Result<(), LogError>;
    /// Removes the records of a topic that a snapshot was cut off in, as thoroughly as the log can: the topic itself,
    /// or what it holds so far.
    fn empty_topic(&self, topic: &str) -> Result<(), LogError> {
        self.delete_topic(topic)
    }
    /// The topic, if it exists. An error is no answer: whoever takes it for "there is none" begins anew what is there.
    fn find_topic(&self, topic: &str) -> Result<Option<TopicInfo>, LogError>;
    /// Every topic, internal ones (`__…`) too, by name.
    fn find_topics(&self) -> Result<Vec<TopicInfo>, LogError>;
    /// Changes whenever a topic comes or goes.
    fn topics_changed(&self) -> watch::Receiver<u64>;

    /// A writer. Each partition takes one at a time: a second appender that touches it gets [`LogError::Busy`], or,
    /// where the log is shared by machines, fences the one before.
    fn appender(&self, writer: &WriterId) -> Result<Box<dyn Appender>, LogError>;

    /// Whole batches from the one that holds `from`, at least one and then up to `bytes_max` bytes; an empty chunk at
    /// the end. Reads the page cache or the disk on the caller's thread. `from` below [`Log::earliest`] is
    /// [`LogError::OutOfRange`]; beyond the end is an empty chunk (the end may come back after a replay).
    fn read(&self, partition: &TopicPartition, from: Offset, bytes_max: usize) -> Result<Chunk, LogError>;
    /// The first offset that is kept.
    fn earliest(&self, partition: &TopicPartition) -> Result<Offset, LogError>;
    /// The offset after the last one that readers may see; changes wake whoever waits. Closed when the topic goes.
    fn end(&self, partition: &TopicPartition) -> Result<watch::Receiver<Offset>, LogError>;
    /// The source position in the partition's last control batch.
    fn position(&self, partition: &TopicPartition) -> Result<Option<Bytes>, LogError>;
    /// How many records follow the partition's last control batch: the beginning of a transaction whose appender went
    /// away before its commit, as far as readers saw it. Whoever replays that transaction in this process leaves out
    /// as many of its records, after [`Appender::claim`]. Zero after an open.
    fn unfinished(&self, partition: &TopicPartition) -> Result<u64, LogError>;
    /// How near the copy of a topic is to its origin; changes wake whoever waits.
    fn freshness(&self, _topic: &str) -> watch::Receiver<Freshness> {
        watch::Sender::new(Freshness::COMPLETE).subscribe()
    }
    /// Why this log's origin cannot be reached at this moment, as far as is known: a sentence for operators. What is asked
    /// of it, or appended to it, waits.
    fn away(&self) -> Option<String> {
        None
    }
    /// Bytes on disk, for metrics.
    fn size_bytes(&self) -> u64;
    /// Why the log has stopped taking writes (full disk, failed fsync), if it has.
    fn failure(&self) -> Option<String>;
}

/// The one writer of its partitions. Dropping it gives them back; what was not flushed is gone, and an unfinished
/// transaction stays invisible to the next open.
///
/// In the same process, the part of an unfinished transaction that readers saw ([`Visibility::Now`]) stays, since they
/// cannot forget it: the next appender of the partition goes on behind it ([`Log::unfinished`]). The part that
/// nobody saw is cut, so a snapshot that begins anew finds nothing of its last attempt.
pub trait Appender: Send {
    /// Takes the partition now instead of at its first record, and tells how many records of an unfinished transaction
    /// it ends with. The next [`Appender::commit`] ends that transaction, even if nothing is appended before it: so
    /// claim the partitions of a transaction that is replayed.
    fn claim(&mut self, partition: &TopicPartition) -> Result<u64, LogError>;
    /// The offset at or above which the next record of the partition will lie. Exact where this process gives offsets
    /// out itself; on a shared log it waits until all that was appended is acknowledged, so ask rarely.
    fn next_offset(&mut self, partition: &TopicPartition) -> Result<Offset, LogError>;
    /// Buffers a record in the current transaction. No I/O on the caller's thread, unless the buffer bound is reached
    /// (then like a flush that shows nothing new).
    fn append(&mut self, partition: &TopicPartition, record: NewRecord<'_>) -> Result<(), LogError>;
    /// Makes the partition part of the current transaction, records or not: so that readers can tell a topic that is
    /// empty, whose first transaction has ended, from one whose first transaction is still on its way. A log without
    /// control batches has nothing to write for it.
    fn include(&mut self, partition: &TopicPartition) -> Result<(), LogError>;
    /// Ends the transaction: in each partition it touched, a control batch with `position` (at most
    /// 256 bytes) follows its records. A transaction that touched nothing leaves nothing.
    fn commit(&mut self, position: &[u8]) -> Result<(), LogError>;
    /// Hands everything buffered to the operating system and queues its group sync. Does not wait for the sync.
    fn flush(&mut self, visibility: Visibility) -> Result<FlushSeq, LogError>;
    /// The last flush that is durable in all partitions. Closed, after [`Log::failure`] or [`Appender::failure`] is
    /// set, when what was flushed cannot become durable.
    fn durable(&self) -> watch::Receiver<FlushSeq>;
    /// How what was appended is found again after a restart.
    fn memory(&self) -> Memory {
        Memory::Position
    }
    /// For [`Memory::Records`]: what the writer knows of the partition ends at this offset. If the first record that it
    /// appends there would lie, or comes to lie, behind it, this appender fails with [`LogError::Overtaken`]: nothing of it
    /// becomes durable before somebody has looked again.
    fn expect_end(&mut self, _partition: &TopicPartition, _end: Offset) -> Result<(), LogError> {
        Ok(())
    }
    /// For [`Memory::Records`]: for each partition written to, an offset below which there is nothing of the transactions that
    /// did not end in [`Appender::durable`]'s flush or before it, and behind which all of them lie.
    fn durable_offsets(&self) -> Vec<(TopicPartition, Offset)> {
        Vec::new()
    }
    /// False while so many bytes are under way that the writer shall append no more; changes wake whoever waits. It turns
    /// true again by itself, in the middle of a transaction too, or [`Appender::durable`] is closed.
    fn has_room(&self) -> watch::Receiver<bool> {
        watch::Sender::new(true).subscribe()
    }
    /// Why nothing more becomes durable through this appender, if so.
    fn failure(&self) -> Option<LogError> {
        None
    }
}

/// What can go wrong, one kind per thing a caller does about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// No such topic or partition.
    #[error("topic partition {0} does not exist")]
    UnknownPartition(String),
    /// The offset is below what is kept.
    #[error("offset {asked} of {partition} is below the earliest kept, {earliest}")]
    OutOfRange {
        /// Which partition.
        partition: String,
        /// What was asked for.
        asked: u64,
        /// What is there.
        earliest: u64,
    },
    /// Another appender writes to this partition.
    #[error("{0} already has a writer")]
    Busy(String),
    /// Damage before the last control batch: refused, never repaired by guessing.
    #[error(
        "{file} is damaged at byte {at} (offset {offset}): {why}; restore the topic's folder from a backup, or start anew: stop, drop the replication slot, remove the data directory, start"
    )]
    Corrupt {
        /// Path of the segment.
        file: String,
        /// Byte position in the file.
        at: u64,
        /// The log offset expected there.
        offset: u64,
        /// What was wrong.
        why: String,
    },
    /// The log takes no more writes in this process, because one failed: see [`Log::failure`]. Reading goes on.
    #[error("the log has stopped taking writes ({0}); free disk space or repair the disk, then start again")]
    Failed(String),
    /// Another process holds the data directory.
    #[error("{0}")]
    Locked(String),
    /// The operating system refused. The sentence holds the cause: as its source it would be told twice.
    #[error("{what}: {cause}")]
    Io {
        /// What was tried, with the path.
        what: String,
        /// The cause.
        cause: std::io::Error,
    },
    /// The name, key, position or record is not one the log can hold.
    #[error("{0}")]
    Invalid(String),
    /// The log would not take one record, and everything behind it waits. `append` counts this appender's appends from
    /// 0, so that the writer knows which record it was.
    #[error("{partition} does not take the record: {why}")]
    Refused {
        /// Which partition.
        partition: String,
        /// Which call of [`Appender::append`], from 0.
        append: u64,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// Whoever keeps the log does not allow something: try again when it does. The sentence names what.
    #[error("{0}")]
    Denied(String),
    /// Another appender of the same name has taken over.
    #[error("{0}")]
    Fenced(String),
    /// Another writer's records came into a partition after the writer had looked: look again, with a new appender.
    #[error("records of another writer came into {0} after it was looked at; it is looked at again")]
    Overtaken(String),
    /// The log is away and may come back: try again with a new appender.
    #[error("{0}")]
    Away(String),
}
