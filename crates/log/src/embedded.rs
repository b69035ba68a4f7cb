//! The log that one process keeps in a directory of its own.
//!
//! Opens and locks the data directory, holds the topics and hands out appenders and reads. What happens inside a
//! partition is [`crate::partition`]'s; what survives a crash is decided by [`crate::recovery`].

use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::{
    Appender, Chunk, Log, LogError, Offset, TopicInfo, TopicPartition,
    appender::EmbeddedAppender,
    checkpoint::{self, RecoveryPoints},
    partition::Partition,
    recovery,
    segment::Segment,
    storage::{Disk, Storage, failed},
    sync::Syncer,
    topic,
};

/// Kafka's `log.segment.bytes` default.
const SEGMENT_BYTES: u64 = 1 << 30;

/// Positions in an index are 32-bit signed numbers in Kafka.
const SEGMENT_BYTES_MAX: u64 = i32::MAX as u64;

/// The file whose lock says that a process owns the directory, as in Kafka; the owner's pid is in it.
const LOCK_FILE: &str = ".lock";

/// A directory with this suffix is of a topic that was deleted and waits for its files to be unlinked.
const DELETED: &str = ".deleted";

/// A directory with this suffix is of a topic that is being made.
const UNFINISHED: &str = ".unfinished";

/// How the embedded log keeps its files.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// A new segment begins before a batch that would make the last one larger. Kafka's default, 1 GiB.
    pub segment_bytes: u64,
    /// For tests that fail or count writes and syncs.
    #[doc(hidden)]
    pub storage: Arc<dyn Storage>,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        EmbeddedOptions {
            segment_bytes: SEGMENT_BYTES,
            storage: Arc::new(Disk),
        }
    }
}

/// The embedded log: Kafka's files in a directory that this process holds.
///
/// Dropping the last reference (appenders count) syncs what was flushed and gives the directory back.
#[derive(Debug)]
pub struct EmbeddedLog {
    shared: Arc<Shared>,
}

/// What the log and its appenders share.
#[derive(Debug)]
pub(crate) struct Shared {
    data_dir: PathBuf,
    pub(crate) options: EmbeddedOptions,
    pub(crate) storage: Arc<dyn Storage>,
    topics: RwLock<BTreeMap<Arc<str>, Topic>>,
    topics_changed: watch::Sender<u64>,
    pub(crate) syncer: Syncer,
    /// One topic is made or removed at a time; the points are what the checkpoint file says.
    points: Mutex<RecoveryPoints>,
    /// Held until the log is gone.
    _lock: File,
}

#[derive(Debug)]
struct Topic {
    info: TopicInfo,
    partitions: Vec<Arc<Partition>>,
}

impl EmbeddedLog {
    /// Opens the directory, made if it is missing, and recovers what it holds.
    ///
    /// Blocks for as long as the last few KiB of each topic take to read, or longer when an index file was lost.
    pub fn open(data_dir: &Path, options: EmbeddedOptions) -> Result<Arc<EmbeddedLog>, LogError> {
        let options = EmbeddedOptions {
            segment_bytes: options.segment_bytes.clamp(1, SEGMENT_BYTES_MAX),
            ..options
        };
        let storage = Arc::clone(&options.storage);
        std::fs::create_dir_all(data_dir).map_err(|e| failed("create", data_dir, e))?;
        let lock = lock(data_dir)?;
        remove_leftovers(data_dir)?;
        let found = checkpoint::read(data_dir)?;
        let topics = open_topics(&*storage, data_dir, &found)?;
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
        let syncer = Syncer::start(Arc::clone(&storage))?;
        let shared = Shared {
            data_dir: data_dir.to_path_buf(),
            options,
            storage,
            topics: RwLock::new(topics),
            topics_changed: watch::Sender::new(0),
            syncer,
            points: Mutex::new(points),
            _lock: lock,
        };
        Ok(Arc::new(EmbeddedLog {
            shared: Arc::new(shared),
        }))
    }
}

/// Takes the directory's lock, or says who has it.
fn lock(data_dir: &Path) -> Result<File, LogError> {
    let path = data_dir.join(LOCK_FILE);
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let mut file = file.map_err(|e| failed("open", &path, e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            let dir = data_dir.display();
            return Err(LogError::Locked(format!(
                "the data directory {dir} is in use by process {}; stop it, or choose another --data-dir",
                pid.trim()
            )));
        }
        Err(TryLockError::Error(e)) => return Err(failed("lock", &path, e)),
    }
    let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(|e| failed("write", &path, e))?;
    Ok(file)
}

fn remove_leftovers(data_dir: &Path) -> Result<(), LogError> {
    for name in names_in(data_dir)? {
        if name.ends_with(DELETED) || name.ends_with(UNFINISHED) {
            let dir = data_dir.join(name);
            std::fs::remove_dir_all(&dir).map_err(|e| failed("remove", &dir, e))?;
        }
    }
    Ok(())
}

/// The directories in a directory, by name.
pub(crate) fn names_in(data_dir: &Path) -> Result<Vec<String>, LogError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(data_dir).map_err(|e| failed("list", data_dir, e))? {
        let entry = entry.map_err(|e| failed("list", data_dir, e))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}

fn open_topics(
    storage: &dyn Storage,
    data_dir: &Path,
    points: &RecoveryPoints,
) -> Result<BTreeMap<Arc<str>, Topic>, LogError> {
    let mut topics: BTreeMap<Arc<str>, Topic> = BTreeMap::new();
    for name in names_in(data_dir)? {
        let Some((topic, 0)) = topic::parse_dir(&name) else {
            continue;
        };
        let topic: Arc<str> = topic.into();
        let id = TopicPartition {
            topic: Arc::clone(&topic),
            partition: 0,
        };
        let point = points.get(&id).copied().unwrap_or(0);
        topics.insert(topic, open_topic(storage, data_dir.join(name), id, point)?);
    }
    Ok(topics)
}

fn open_topic(storage: &dyn Storage, dir: PathBuf, id: TopicPartition, point: u64) -> Result<Topic, LogError> {
    let epoch = topic::read_metadata(&dir)?;
    let recovered = recovery::recover(storage, &dir, epoch, point)?;
    let info = TopicInfo {
        name: Arc::clone(&id.topic),
        partitions: 1,
        epoch,
    };
    Ok(Topic {
        info,
        partitions: vec![Arc::new(Partition::new(id, epoch, dir, recovered))],
    })
}

impl Shared {
    pub(crate) fn partition(&self, id: &TopicPartition) -> Result<Arc<Partition>, LogError> {
        let topics = self.topics.read();
        let partition = topics
            .get(&id.topic)
            .and_then(|topic| topic.partitions.get(id.partition as usize));
        partition
            .cloned()
            .ok_or_else(|| LogError::UnknownPartition(id.to_string()))
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

    /// Makes the topic's directory whole under another name first: a crash leaves all of it or nothing.
    fn create_topic(&self, topic: &str) -> Result<Topic, LogError> {
        let epoch = topic::new_epoch()?;
        let id = TopicPartition {
            topic: topic.into(),
            partition: 0,
        };
        let dir = self.data_dir.join(id.to_string());
        let unfinished = self.data_dir.join(format!("{id}{UNFINISHED}"));
        std::fs::create_dir(&unfinished).map_err(|e| failed("create", &unfinished, e))?;
        let metadata = topic::metadata_text(epoch);
        crate::storage::replace_file(&*self.storage, &unfinished.join(topic::METADATA), metadata.as_bytes())?;
        Segment::create(&unfinished, 0)?;
        self.storage
            .sync_dir(&unfinished)
            .map_err(|e| failed("sync", &unfinished, e))?;
        std::fs::rename(&unfinished, &dir).map_err(|e| failed("create", &dir, e))?;
        self.storage
            .sync_dir(&self.data_dir)
            .map_err(|e| failed("sync", &self.data_dir, e))?;
        open_topic(&*self.storage, dir, id, 0)
    }

    /// Takes the topic away from everybody; its files go later.
    fn remove_topic(&self, topic: &Topic, points: &mut RecoveryPoints) -> Result<(), LogError> {
        let before = points.len();
        points.retain(|id, _| id.topic != topic.info.name);
        if points.len() < before {
            checkpoint::write(&*self.storage, &self.data_dir, points)?;
        }
        for partition in &topic.partitions {
            let deleted = self
                .data_dir
                .join(format!("{}.{:032x}{DELETED}", partition.id, partition.epoch.0));
            std::fs::rename(&partition.dir, &deleted).map_err(|e| failed("remove", &partition.dir, e))?;
            self.storage
                .sync_dir(&self.data_dir)
                .map_err(|e| failed("sync", &self.data_dir, e))?;
            self.syncer.remove(deleted);
        }
        Ok(())
    }

    fn announce(&self) {
        self.topics_changed.send_modify(|count| *count += 1);
    }
}

impl Log for EmbeddedLog {
    fn ensure_topic(&self, topic: &str) -> Result<TopicInfo, LogError> {
        topic::check_name(topic)?;
        let _one_at_a_time = self.shared.points.lock();
        if let Some(info) = self.topic(topic) {
            return Ok(info);
        }
        self.shared.check_writable()?;
        let made = self.shared.create_topic(topic)?;
        let info = made.info.clone();
        self.shared.topics.write().insert(Arc::clone(&info.name), made);
        self.shared.announce();
        Ok(info)
    }

    fn delete_topic(&self, topic: &str) -> Result<(), LogError> {
        let mut points = self.shared.points.lock();
        let removed = {
            let mut topics = self.shared.topics.write();
            let (name, found) = topics
                .remove_entry(topic)
                .ok_or_else(|| LogError::UnknownPartition(topic.to_owned()))?;
            // Taken for good: an appender that still knows the partition finds it busy.
            let taken = found
                .partitions
                .iter()
                .try_for_each(|partition| partition.take().map(drop));
            if let Err(e) = taken {
                topics.insert(name, found);
                return Err(e);
            }
            found
        };
        self.shared.remove_topic(&removed, &mut points)?;
        self.shared.announce();
        Ok(())
    }

    fn topic(&self, topic: &str) -> Option<TopicInfo> {
        self.shared.topics.read().get(topic).map(|topic| topic.info.clone())
    }

    fn topics(&self) -> Vec<TopicInfo> {
        self.shared
            .topics
            .read()
            .values()
            .map(|topic| topic.info.clone())
            .collect()
    }

    fn topics_changed(&self) -> watch::Receiver<u64> {
        self.shared.topics_changed.subscribe()
    }

    fn appender(&self) -> Box<dyn Appender> {
        Box::new(EmbeddedAppender::new(Arc::clone(&self.shared)))
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
        let partitions = self.partitions();
        let points = partitions
            .iter()
            .map(|partition| (partition.id.clone(), partition.durable_end()))
            .collect();
        if let Err(e) = checkpoint::write(&*self.storage, &self.data_dir, &points) {
            tracing::warn!(error = %e, "the log was closed without a recovery point; the next start checks more");
        }
    }
}
