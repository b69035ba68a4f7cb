//! Reads a log that another process is writing, for `rowcast tail`.
//!
//! Takes no lock and changes nothing. Batches are seen as soon as they are whole in the file, committed or not, durable
//! or not. Growth is noticed through inotify, by `rustix` (which is in the tree anyway, and safe): one thread sleeps in
//! `poll` until a file changes. `notify` would bring eight crates for the same system call. If the owner cuts a tail,
//! the end goes back with it.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    fs::inotify::{self, CreateFlags, WatchFlags},
};
use tokio::sync::watch;

use crate::{
    Appender, Chunk, EmbeddedLog, Log, LogError, Offset, TopicCreation, TopicInfo, TopicPartition, WriterId,
    directory::{Topic, Topics, names_in, partition_counts},
    partition::Partition,
    recovery,
    storage::failed,
    topic,
};

/// Bytes of inotify events taken at a time: they only say that something changed.
const EVENT_BYTES: usize = 4096;

/// A log that another process may be writing. It refuses writers.
#[derive(Debug)]
pub struct ReadOnlyLog {
    shared: Arc<Shared>,
    stop: Arc<OwnedFd>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    data_dir: PathBuf,
    topics: RwLock<Topics>,
    topics_changed: watch::Sender<u64>,
    changes: OwnedFd,
}

impl EmbeddedLog {
    /// Opens a data directory to look at, whether a process holds it or not.
    pub fn open_read_only(data_dir: &Path) -> Result<Arc<ReadOnlyLog>, LogError> {
        let failed_to_watch = |e: rustix::io::Errno| failed("watch", data_dir, e.into());
        let changes = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(failed_to_watch)?;
        let interesting = WatchFlags::CREATE | WatchFlags::MOVE | WatchFlags::DELETE;
        inotify::add_watch(&changes, data_dir, interesting).map_err(failed_to_watch)?;
        let shared = Arc::new(Shared {
            data_dir: data_dir.to_path_buf(),
            topics: RwLock::default(),
            topics_changed: watch::Sender::new(0),
            changes,
        });
        shared.look()?;
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).map_err(failed_to_watch)?);
        let thread = std::thread::Builder::new().name("log-follow".to_owned()).spawn({
            let (shared, stop) = (Arc::clone(&shared), Arc::clone(&stop));
            move || follow(&shared, &stop)
        });
        let thread = thread.map_err(|e| failed("follow", data_dir, e))?;
        Ok(Arc::new(ReadOnlyLog {
            shared,
            stop,
            thread: Mutex::new(Some(thread)),
        }))
    }
}

fn follow(shared: &Shared, stop: &OwnedFd) {
    loop {
        let mut sources = [
            PollFd::new(&shared.changes, PollFlags::IN),
            PollFd::new(stop, PollFlags::IN),
        ];
        let polled = poll(&mut sources, None);
        let stopped = !sources[1].revents().is_empty();
        match polled {
            Ok(_) if stopped => return,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return tracing::error!(error = %e, "cannot follow the log any longer"),
        }
        shared.forget_events();
        if let Err(e) = shared.look() {
            tracing::warn!(error = %e, "cannot read the log as it grows");
        }
    }
}

impl Shared {
    /// Events only say that it is time to look; what to look at is on disk.
    fn forget_events(&self) {
        let mut buffer = [MaybeUninit::uninit(); EVENT_BYTES];
        let mut events = inotify::Reader::new(&self.changes, &mut buffer);
        while events.next().is_ok() {}
    }

    /// Brings topics and ends to what the directory holds now.
    fn look(&self) -> Result<(), LogError> {
        let names = names_in(&self.data_dir)?;
        let before = self.topics.read().len();
        self.topics
            .write()
            .retain(|_, topic| topic.partitions.iter().all(|partition| is_same_life(partition)));
        let mut changed = self.topics.read().len() != before;
        for (topic, count) in partition_counts(&names) {
            let known = self
                .topics
                .read()
                .get(topic)
                .map_or_else(Vec::new, |topic| topic.partitions.clone());
            known.iter().try_for_each(|partition| partition.follow())?;
            for partition in known.len() as u32..count {
                changed |= self.add(topic, partition)?;
            }
        }
        if changed {
            self.topics_changed.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    /// Adds a partition unless its topic went while we looked. The watch comes first: nothing is missed between.
    fn add(&self, topic: &str, partition: u32) -> Result<bool, LogError> {
        let id = TopicPartition {
            topic: topic.into(),
            partition,
        };
        let dir = self.data_dir.join(id.to_string());
        let interesting = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVE;
        match inotify::add_watch(&self.changes, &dir, interesting) {
            Err(rustix::io::Errno::NOENT) => return Ok(false),
            Err(e) => return Err(failed("watch", &dir, e.into())),
            Ok(_) => {}
        }
        let opened = topic::read_metadata(&dir).and_then(|epoch| Ok((epoch, recovery::look(&dir, epoch)?)));
        let (epoch, found) = match opened {
            Err(LogError::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        let mut topics = self.topics.write();
        let topic = topics.entry(Arc::clone(&id.topic)).or_insert_with(|| Topic {
            info: TopicInfo {
                name: Arc::clone(&id.topic),
                partitions: 0,
                epoch,
            },
            partitions: Vec::new(),
        });
        if topic.info.epoch != epoch || topic.info.partitions != partition {
            return Ok(false);
        }
        topic.info.partitions += 1;
        topic.partitions.push(Arc::new(Partition::new(id, epoch, dir, found)));
        Ok(true)
    }

    fn partition(&self, id: &TopicPartition) -> Result<Arc<Partition>, LogError> {
        let topics = self.topics.read();
        let found = topics
            .get(&id.topic)
            .and_then(|topic| topic.partitions.get(id.partition as usize));
        found
            .map(Arc::clone)
            .ok_or_else(|| LogError::UnknownPartition(id.to_string()))
    }
}

fn is_same_life(partition: &Partition) -> bool {
    topic::read_metadata(&partition.dir).is_ok_and(|epoch| epoch == partition.epoch)
}

impl Drop for ReadOnlyLog {
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

/// The refusal to write.
fn read_only<T>() -> Result<T, LogError> {
    Err(LogError::Invalid("the log was opened for reading only".to_owned()))
}

impl ReadOnlyLog {
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

impl Log for ReadOnlyLog {
    fn ensure_topic(&self, topic: &str, _creation: &TopicCreation) -> Result<TopicInfo, LogError> {
        self.topic(topic).map_or_else(read_only, Ok)
    }
    fn delete_topic(&self, _topic: &str) -> Result<(), LogError> {
        read_only()
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
        read_only()
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
            .topics
            .read()
            .values()
            .flat_map(|topic| &topic.partitions)
            .map(|partition| partition.size_bytes())
            .sum()
    }
    fn failure(&self) -> Option<String> {
        None
    }
}
