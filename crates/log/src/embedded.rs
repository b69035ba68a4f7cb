//! The log that one process keeps in a directory of its own.
//!
//! Opens and locks the data directory, holds the topics and hands out appenders and reads. What happens inside a
//! partition is [`crate::partition`]'s; what survives a crash is decided by [`crate::recovery`].

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::{
    Appender, Chunk, Epoch, Log, LogError, Offset, TopicCreation, TopicInfo, TopicPartition, WriterId,
    appender::EmbeddedAppender,
    checkpoint::{self, Checkpoint, RecoveryPoints},
    directory::{self, Origin, Topic, Topics},
    partition::Partition,
    recovery::Kind,
    storage::{Disk, Storage},
    sync::Syncer,
    topic,
};

/// Kafka's `log.segment.bytes` default.
const SEGMENT_BYTES: u64 = 1 << 30;

/// Positions in an index are 32-bit signed numbers in Kafka.
const SEGMENT_BYTES_MAX: u64 = i32::MAX as u64;

/// How long a sync may be missing from the recovery points: what was durable longer than that before a crash is refused
/// when it is damaged, instead of cut as a torn write.
///
/// Kafka waits 60 s. Writing them takes two syncs of a small file, and nothing while nothing is written: every 5 s that is
/// a thousandth of a slow disk's time.
const CHECKPOINT_AFTER: Duration = Duration::from_secs(5);

/// Partitions of a topic that is made here: more are of use only where more than one machine reads.
const PARTITIONS_DEFAULT: u32 = 1;

/// A cursor names the next offset of each partition, in every change.
const PARTITIONS_MAX: u32 = 256;

/// How the embedded log keeps its files.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// A new segment begins before a batch that would make the last one larger. Kafka's default, 1 GiB.
    pub segment_bytes: u64,
    /// For tests that want the recovery points at once, or never.
    #[doc(hidden)]
    pub checkpoint_after: Duration,
    /// For tests that fail or count writes and syncs.
    #[doc(hidden)]
    pub storage: Arc<dyn Storage>,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        EmbeddedOptions {
            segment_bytes: SEGMENT_BYTES,
            checkpoint_after: CHECKPOINT_AFTER,
            storage: Arc::new(Disk),
        }
    }
}

/// The embedded log: Kafka's files in a directory that this process holds.
///
/// Dropping the last reference (appenders count) syncs what was flushed and gives the directory back.
#[derive(Debug)]
pub struct EmbeddedLog {
    pub(crate) shared: Arc<Shared>,
}

/// What the log and its appenders share.
#[derive(Debug)]
pub(crate) struct Shared {
    data_dir: PathBuf,
    kind: Kind,
    pub(crate) options: EmbeddedOptions,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) topics: Arc<RwLock<Topics>>,
    topics_changed: watch::Sender<u64>,
    pub(crate) syncer: Syncer,
    checkpoint: Arc<Checkpoint>,
    /// One topic is made or removed at a time; the points are what the checkpoint file says.
    pub(crate) points: Arc<Mutex<RecoveryPoints>>,
    /// Held until the log is gone.
    _lock: File,
}

impl EmbeddedLog {
    /// Opens the directory, made if it is missing, and recovers what it holds.
    ///
    /// Blocks for as long as the last few KiB of each topic take to read, or longer when an index file was lost.
    pub fn open(data_dir: &Path, options: EmbeddedOptions) -> Result<Arc<EmbeddedLog>, LogError> {
        let shared = Shared::open(data_dir, Origin::Own, options)?;
        Ok(Arc::new(EmbeddedLog { shared }))
    }

    /// The topic, if it exists: known here, so there is always an answer.
    pub fn topic(&self, topic: &str) -> Option<TopicInfo> {
        self.shared.topics.read().get(topic).map(|topic| topic.info.clone())
    }

    /// Every topic, likewise.
    pub fn topics(&self) -> Vec<TopicInfo> {
        self.shared
            .topics
            .read()
            .values()
            .map(|topic| topic.info.clone())
            .collect()
    }
}

impl Shared {
    pub(crate) fn open(data_dir: &Path, origin: Origin<'_>, options: EmbeddedOptions) -> Result<Arc<Shared>, LogError> {
        let kind = match origin {
            Origin::Own => Kind::Own,
            Origin::Cluster(_) | Origin::SomeCluster => Kind::Copy,
        };
        let options = EmbeddedOptions {
            segment_bytes: options.segment_bytes.clamp(1, SEGMENT_BYTES_MAX),
            ..options
        };
        let storage = Arc::clone(&options.storage);
        directory::create(data_dir)?;
        let lock = directory::lock(data_dir)?;
        directory::check_origin(&*storage, data_dir, origin)?;
        directory::remove_leftovers(data_dir)?;
        let found = checkpoint::read(data_dir)?;
        let topics = directory::open_topics(&*storage, data_dir, kind, &found)?;
        let exists = |id: &TopicPartition| topics.contains_key(&id.topic);
        let points: RecoveryPoints = found
            .iter()
            .filter(|(id, _)| exists(id))
            .map(|(id, p)| (id.clone(), *p))
            .collect();
        if points != found {
            // A topic that is made anew must not be measured by what the old one held.
            checkpoint::write(&*storage, data_dir, &points)?;
        }
        let (topics, points) = (Arc::new(RwLock::new(topics)), Arc::new(Mutex::new(points)));
        let checkpoint = Arc::new(Checkpoint {
            storage: Arc::clone(&storage),
            data_dir: data_dir.to_path_buf(),
            topics: Arc::clone(&topics),
            points: Arc::clone(&points),
        });
        let syncer = Syncer::start(Arc::clone(&checkpoint), options.checkpoint_after)?;
        Ok(Arc::new(Shared {
            data_dir: data_dir.to_path_buf(),
            kind,
            options,
            storage,
            topics,
            topics_changed: watch::Sender::new(0),
            syncer,
            checkpoint,
            points,
            _lock: lock,
        }))
    }

    pub(crate) fn partition(&self, id: &TopicPartition) -> Result<Arc<Partition>, LogError> {
        let topics = self.topics.read();
        let partition = topics
            .get(&id.topic)
            .and_then(|topic| topic.partitions.get(id.partition as usize));
        partition
            .cloned()
            .ok_or_else(|| LogError::UnknownPartition(id.to_string()))
    }

    /// The cluster is known now.
    pub(crate) fn confirm_origin(&self, cluster: &str) -> Result<(), LogError> {
        directory::check_origin(&*self.storage, &self.data_dir, Origin::Cluster(cluster))
    }

    pub(crate) fn check_writable(&self) -> Result<(), LogError> {
        self.syncer.failure().map_or(Ok(()), |why| Err(LogError::Failed(why)))
    }

    fn partitions(&self) -> Vec<Arc<Partition>> {
        self.topics
            .read()
            .values()
            .flat_map(|topic| topic.partitions.iter().cloned())
            .collect()
    }

    /// Makes a topic of so many partitions, each beginning at its offset.
    pub(crate) fn create_topic(&self, name: &str, epoch: Epoch, starts: &[u64]) -> Result<TopicInfo, LogError> {
        let name: Arc<str> = name.into();
        let partitions = self.create_partitions(&name, epoch, 0, starts)?;
        let info = TopicInfo {
            name: Arc::clone(&name),
            partitions: starts.len() as u32,
            epoch,
        };
        let topic = Topic {
            info: info.clone(),
            partitions,
        };
        self.topics.write().insert(name, topic);
        self.announce();
        Ok(info)
    }

    /// Adds partitions to a topic, each beginning at its offset.
    pub(crate) fn add_partitions(&self, topic: &TopicInfo, starts: &[u64]) -> Result<TopicInfo, LogError> {
        if starts.is_empty() {
            return Ok(topic.clone());
        }
        let added = self.create_partitions(&topic.name, topic.epoch, topic.partitions, starts)?;
        let info = TopicInfo {
            partitions: topic.partitions + starts.len() as u32,
            ..topic.clone()
        };
        if let Some(found) = self.topics.write().get_mut(&topic.name) {
            found.info = info.clone();
            found.partitions.extend(added);
        }
        self.announce();
        Ok(info)
    }

    fn create_partitions(
        &self,
        topic: &Arc<str>,
        epoch: Epoch,
        first: u32,
        starts: &[u64],
    ) -> Result<Vec<Arc<Partition>>, LogError> {
        let place = |(partition, start): (u32, &u64)| {
            let id = TopicPartition {
                topic: Arc::clone(topic),
                partition,
            };
            (id, *start)
        };
        let wanted: Vec<_> = (first..).zip(starts).map(place).collect();
        directory::create_partitions(&*self.storage, &self.data_dir, self.kind, epoch, &wanted)
    }

    pub(crate) fn delete_topic(&self, topic: &str) -> Result<(), LogError> {
        let mut points = self.points.lock();
        let removed = {
            let mut topics = self.topics.write();
            let (name, found) = topics
                .remove_entry(topic)
                .ok_or_else(|| LogError::UnknownPartition(topic.to_owned()))?;
            // Taken for good: an appender that still knows the partition finds it busy.
            if let Err(e) = take_all(&found.partitions) {
                topics.insert(name, found);
                return Err(e);
            }
            found
        };
        self.remove_topic(&removed, &mut points)?;
        self.announce();
        Ok(())
    }

    /// Takes the topic away from everybody; its files go later.
    fn remove_topic(&self, topic: &Topic, points: &mut RecoveryPoints) -> Result<(), LogError> {
        let before = points.len();
        points.retain(|id, _| id.topic != topic.info.name);
        if points.len() < before {
            checkpoint::write(&*self.storage, &self.data_dir, points)?;
        }
        for deleted in directory::retire(&*self.storage, &self.data_dir, &topic.partitions)? {
            self.syncer.remove(deleted);
        }
        Ok(())
    }

    pub(crate) fn announce(&self) {
        self.topics_changed.send_modify(|count| *count += 1);
    }
}

/// All of them or none.
fn take_all(partitions: &[Arc<Partition>]) -> Result<(), LogError> {
    for (taken, partition) in partitions.iter().enumerate() {
        if let Err(busy) = partition.take() {
            partitions[..taken]
                .iter()
                .try_for_each(|partition| partition.give_back())?;
            return Err(busy);
        }
    }
    Ok(())
}

impl Log for EmbeddedLog {
    fn ensure_topic(&self, topic: &str, creation: &TopicCreation) -> Result<TopicInfo, LogError> {
        topic::check_name(topic)?;
        let _one_at_a_time = self.shared.points.lock();
        if let Some(info) = self.topic(topic) {
            return Ok(info);
        }
        self.shared.check_writable()?;
        let partitions = creation.partitions.unwrap_or(PARTITIONS_DEFAULT);
        if !(1..=PARTITIONS_MAX).contains(&partitions) {
            return Err(LogError::Invalid(format!(
                "topic {topic} cannot have {partitions} partitions; give it between 1 and {PARTITIONS_MAX}"
            )));
        }
        self.shared
            .create_topic(topic, topic::new_epoch()?, &vec![0; partitions as usize])
    }

    fn delete_topic(&self, topic: &str) -> Result<(), LogError> {
        self.shared.delete_topic(topic)
    }

    fn find_topic(&self, topic: &str) -> Result<Option<TopicInfo>, LogError> {
        Ok(self.topic(topic))
    }

    fn find_topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        Ok(self.topics())
    }

    fn topics_changed(&self) -> watch::Receiver<u64> {
        self.shared.topics_changed.subscribe()
    }

    fn appender(&self, _writer: &WriterId) -> Result<Box<dyn Appender>, LogError> {
        Ok(Box::new(EmbeddedAppender::new(Arc::clone(&self.shared))))
    }

    fn read(&self, partition: &TopicPartition, from: Offset, bytes_max: usize) -> Result<Chunk, LogError> {
        self.shared.partition(partition)?.read(from.0, bytes_max)
    }

    fn earliest(&self, partition: &TopicPartition) -> Result<Offset, LogError> {
        Ok(Offset(self.shared.partition(partition)?.earliest()))
    }

    fn end(&self, partition: &TopicPartition) -> Result<watch::Receiver<Offset>, LogError> {
        Ok(self.shared.partition(partition)?.end())
    }

    fn position(&self, partition: &TopicPartition) -> Result<Option<Bytes>, LogError> {
        Ok(self.shared.partition(partition)?.position())
    }

    fn unfinished(&self, partition: &TopicPartition) -> Result<u64, LogError> {
        Ok(self.shared.partition(partition)?.unfinished())
    }

    fn size_bytes(&self) -> u64 {
        self.shared
            .partitions()
            .iter()
            .map(|partition| partition.size_bytes())
            .sum()
    }

    fn failure(&self) -> Option<String> {
        self.shared.syncer.failure()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.syncer.stop();
        if let Err(e) = self.checkpoint.renew() {
            tracing::warn!(error = %e, "the log was closed without a recovery point; the next start checks more");
        }
    }
}
