//! Makes flushes durable, many at once, behind the writers' backs.
//!
//! One thread syncs every partition that was written since it last looked, then tells each appender how far it is
//! durable. Flushes that come while a sync runs share the next one. A while after a sync it writes the recovery points,
//! when all who waited were told. When a sync fails nothing is retried (the kernel
//! has dropped the pages and would say "fine" the second time): the log fails for good.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Weak, atomic::Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::{FlushSeq, LogError, checkpoint::Checkpoint, partition::Partition, storage::Storage};

/// The sync thread's door.
#[derive(Debug)]
pub(crate) struct Syncer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    storage: Arc<dyn Storage>,
    checkpoint: Arc<Checkpoint>,
    checkpoint_after: Duration,
    queue: Mutex<Queue>,
    wake: Condvar,
    failure: Mutex<Option<String>>,
    /// All that live, so that a failure can close them.
    durables: Mutex<Vec<Weak<Durable>>>,
}

/// What waits for the next sync: bounded by the number of partitions and appenders.
#[derive(Default)]
struct Queue {
    partitions: Vec<Arc<Partition>>,
    flushes: Vec<(Arc<Durable>, FlushSeq)>,
    /// Directories of deleted topics.
    remove: Vec<PathBuf>,
    stop: bool,
}

/// How far one appender is durable.
#[derive(Debug)]
pub(crate) struct Durable {
    sender: Mutex<Option<watch::Sender<FlushSeq>>>,
    receiver: watch::Receiver<FlushSeq>,
}

impl Durable {
    pub(crate) fn receiver(&self) -> watch::Receiver<FlushSeq> {
        self.receiver.clone()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Syncer {
    /// Starts the thread. The recovery points are written so long after the first sync that they do not know of.
    pub(crate) fn start(checkpoint: Arc<Checkpoint>, checkpoint_after: Duration) -> Result<Syncer, LogError> {
        let shared = Arc::new(Shared {
            storage: Arc::clone(&checkpoint.storage),
            checkpoint,
            checkpoint_after,
            queue: Mutex::default(),
            wake: Condvar::new(),
            failure: Mutex::default(),
            durables: Mutex::default(),
        });
        let thread = std::thread::Builder::new().name("log-sync".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || run(&shared)
        });
        let thread = thread.map_err(|cause| LogError::Io {
            what: "cannot start the sync thread".to_owned(),
            cause,
        })?;
        Ok(Syncer {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// A place for an appender to learn what is durable.
    pub(crate) fn durable(&self) -> Arc<Durable> {
        let (sender, receiver) = watch::channel(FlushSeq(0));
        let failed = self.shared.failure.lock();
        let durable = Arc::new(Durable {
            sender: Mutex::new(failed.is_none().then_some(sender)),
            receiver,
        });
        let mut durables = self.shared.durables.lock();
        durables.retain(|durable| durable.strong_count() > 0);
        durables.push(Arc::downgrade(&durable));
        durable
    }

    /// Notes that the partition has unsynced bytes.
    pub(crate) fn dirty(&self, partition: &Arc<Partition>) {
        if !partition.sync_queued.swap(true, Ordering::AcqRel) {
            self.shared.queue.lock().partitions.push(Arc::clone(partition));
        }
    }

    /// Asks for a sync of all dirty partitions, and to be told.
    pub(crate) fn flushed(&self, durable: &Arc<Durable>, seq: FlushSeq) {
        let mut queue = self.shared.queue.lock();
        match queue.flushes.iter_mut().find(|(other, _)| Arc::ptr_eq(other, durable)) {
            Some((_, latest)) => *latest = seq,
            None => queue.flushes.push((Arc::clone(durable), seq)),
        }
        self.shared.wake.notify_one();
    }

    /// Unlinks a directory when there is time.
    pub(crate) fn remove(&self, dir: PathBuf) {
        self.shared.queue.lock().remove.push(dir);
        self.shared.wake.notify_one();
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.shared.failure.lock().clone()
    }

    /// Stops the log from taking writes, for good.
    pub(crate) fn fail(&self, error: &LogError) {
        self.shared.fail(error);
    }

    /// Syncs what is queued and ends the thread.
    pub(crate) fn stop(&self) {
        self.shared.queue.lock().stop = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// The first failure is the one that is told; nobody waits for what will not come.
    fn fail(&self, error: &LogError) {
        let mut failure = self.failure.lock();
        if failure.is_none() {
            *failure = Some(describe(error));
            tracing::error!(error = describe(error), "the log has stopped taking writes");
        }
        for durable in self.durables.lock().iter().filter_map(Weak::upgrade) {
            durable.sender.lock().take();
        }
    }

    /// Syncs what was written, and tells those who wait.
    fn sync(&self, work: &Queue) {
        if self.failure.lock().is_none()
            && let Err(e) = work
                .partitions
                .iter()
                .try_for_each(|partition| partition.sync(&*self.storage))
        {
            self.fail(&e);
        }
        for (durable, seq) in &work.flushes {
            if let Some(sender) = &*durable.sender.lock() {
                sender.send_replace(*seq);
            }
        }
    }

    /// Waits for work, but not beyond `until`; `None` when the log is closing and nothing is left.
    fn next(&self, until: Option<Instant>) -> Option<Queue> {
        let mut queue = self.queue.lock();
        while queue.flushes.is_empty() && queue.remove.is_empty() && !queue.stop {
            match until {
                None => self.wake.wait(&mut queue),
                Some(until) if self.wake.wait_until(&mut queue, until).timed_out() => break,
                Some(_) => {}
            }
        }
        let stop = queue.stop;
        let work = Queue {
            stop,
            ..std::mem::take(&mut *queue)
        };
        queue.stop = stop;
        let nothing_left = work.partitions.is_empty() && work.flushes.is_empty() && work.remove.is_empty();
        (!(stop && nothing_left)).then_some(work)
    }
}

fn run(shared: &Shared) {
    // None while the file says all that there is to say: then nothing wakes the thread but work.
    let mut checkpoint_at: Option<Instant> = None;
    while let Some(work) = shared.next(checkpoint_at) {
        shared.sync(&work);
        if !work.partitions.is_empty() {
            checkpoint_at.get_or_insert_with(|| Instant::now() + shared.checkpoint_after);
        }
        for dir in &work.remove {
            if let Err(e) = std::fs::remove_dir_all(dir) {
                tracing::warn!(dir = %dir.display(), error = %e, "a deleted topic's files stay until the next start");
            }
        }
        if checkpoint_at.is_some_and(|at| at <= Instant::now()) {
            checkpoint_at = None;
            if let Err(e) = shared.checkpoint.renew() {
                tracing::warn!(error = %e, "the recovery points were not written; a start after a crash would check less");
            }
        }
    }
}

/// The sentence with its cause.
fn describe(error: &LogError) -> String {
    error.to_string()
}
