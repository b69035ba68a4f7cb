//! Keeps local copies of Kafka's topics near what Kafka holds, so that readers here need nothing of it.
//!
//! One thread, two consumers without a group's coordination: each partition's records are taken where the copy ends and
//! written at the offsets that they have. A lone record is shown at once, a backlog in large writes. A partition that is
//! behind is read by the one consumer until it has met its end, and by the other from then on: a broker answers one
//! question of a client at a time, and a question about ends only, where it waits for news, would hold up who is behind. Kafka away: the
//! copies stay, [`Freshness`] says since when, and copying goes on where it ended. Kafka tells nobody of topics that come,
//! go or grow, so the cluster is looked at now and then, and whenever something is odd. Knows nothing of who reads.

mod choice;
mod follow;
mod topics;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    rc::Rc,
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use parking_lot::Mutex;
use rdkafka::{
    consumer::StreamConsumer,
    error::{KafkaError, RDKafkaErrorCode as Code},
};
use tokio::{
    sync::{Notify, watch},
    task::LocalSet,
};

pub use self::choice::{NameOf, Sieve, TopicChoice};
use self::{choice::Names, topics::Followed};
use super::{
    KafkaOptions,
    admin::Cluster,
    client::{self, Link},
};
use crate::{Copier, EmbeddedLog, Freshness, Log, LogError};

/// How often the cluster is looked at when nothing is odd.
///
/// A topic that is made shall have a copy while its maker still looks at the screen; three small requests in so long a
/// time cost nothing.
const METADATA_INTERVAL: Duration = Duration::from_secs(15);

/// How often it is looked at while it is away, or when a look failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// What the consumer of partitions at their ends is beside [`USUAL`]: an idle broker is asked twice a second, a record that
/// comes is answered with at once.
const TAIL: (&str, &str) = ("fetch.wait.max.ms", "500");

/// What the consumer of partitions that are behind is: its broker has an answer at once, but for a partition that has just
/// met its end.
const CATCH_UP: (&str, &str) = ("fetch.wait.max.ms", "5");

/// Properties of the consumers that copy.
const USUAL: [(&str, &str); 5] = [
    // A partition whose queue is full is asked for again after so long; the default, a second, would halve a catch-up.
    ("fetch.queue.backoff.ms", "2"),
    // In so long a broker is given up that answers nothing although its connection stands.
    ("socket.timeout.ms", "10000"),
    // Kilobytes that wait to be copied, for each partition: two answers of a broker, so that the next one is on its way
    // while one is written.
    ("queued.max.messages.kbytes", "2048"),
    ("fetch.message.max.bytes", "1048576"),
    ("topic.metadata.refresh.interval.ms", "15000"),
];

/// Copies that are kept by a thread of their own, until this is dropped.
pub(crate) struct Mirror {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What readers and the thread share.
pub(crate) struct Shared {
    pub(crate) copies: Arc<EmbeddedLog>,
    freshness: Mutex<HashMap<Arc<str>, watch::Sender<Freshness>>>,
    /// Somebody knows that a look is worth it.
    nudge: Notify,
    /// How many looks have been answered.
    looks: watch::Sender<u64>,
    failure: Mutex<Option<String>>,
    /// What Kafka does not allow, as the last look found.
    denied: Mutex<Option<String>>,
    names: Arc<Mutex<Names>>,
    /// What `Local::tail` says of its connections. The other consumer has none while nobody is behind.
    pub(crate) link: Link,
}

/// What is to be copied.
pub(crate) struct Wanted {
    pub(crate) topics: TopicChoice,
    pub(crate) sieve: Option<Box<dyn Sieve>>,
    /// The cluster is known to be the one whose topics were copied before.
    pub(crate) is_met: bool,
}

/// What the thread's tasks share.
struct Local {
    shared: Arc<Shared>,
    cluster: Arc<Cluster>,
    /// Reads partitions that have met their ends.
    tail: Arc<StreamConsumer<Link>>,
    /// See [`Shared::link`].
    link: Link,
    /// Reads those that have not.
    catch_up: Arc<StreamConsumer<Link>>,
    copier: RefCell<Copier>,
    sieve: RefCell<Option<Box<dyn Sieve>>>,
    topics: RefCell<BTreeMap<Arc<str>, Followed>>,
    /// The cluster has been met, and is the one whose topics were copied before.
    is_met: Cell<bool>,
    /// Something went wrong in the last look.
    retry: Cell<bool>,
}

impl Mirror {
    /// Starts to copy.
    pub(crate) fn start(
        options: Arc<KafkaOptions>,
        cluster: Arc<Cluster>,
        copies: Arc<EmbeddedLog>,
        wanted: Wanted,
    ) -> Result<Mirror, LogError> {
        let names = Names::new(wanted.topics, &copies)?;
        // What was copied for another choice is not served, not even until Kafka can be asked.
        for copy in copies.topics().iter().filter(|copy| !names.chooses(&copy.name)) {
            copies.delete_topic(&copy.name)?;
        }
        let shared = Arc::new(Shared {
            names: Arc::new(Mutex::new(names)),
            link: Link::default(),
            copies,
            freshness: Mutex::default(),
            nudge: Notify::new(),
            looks: watch::Sender::new(0),
            failure: Mutex::new(None),
            denied: Mutex::new(None),
        });
        if !wanted.is_met {
            shared.link.is_down();
        }
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::Builder::new().name("kafka-mirror".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            let wanted = (wanted.sieve, wanted.is_met);
            move || run(&options, cluster, &shared, wanted, stopped)
        });
        let thread = thread.map_err(|cause| LogError::Io {
            what: "start the thread that copies from Kafka".to_owned(),
            cause,
        })?;
        Ok(Mirror {
            shared,
            stop,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Shared {
    /// How near a topic's copy is to Kafka.
    pub(crate) fn freshness(&self, topic: &str) -> watch::Receiver<Freshness> {
        self.freshness_of(&Arc::from(topic)).subscribe()
    }

    fn freshness_of(&self, topic: &Arc<str>) -> watch::Sender<Freshness> {
        let mut all = self.freshness.lock();
        let unknown = || watch::Sender::new(Freshness::default());
        all.entry(Arc::clone(topic)).or_insert_with(unknown).clone()
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.lock().clone()
    }

    /// Why nothing new comes from Kafka, if nothing does.
    pub(crate) fn away(&self, options: &KafkaOptions) -> Option<String> {
        self.link.away(options).or_else(|| self.denied.lock().clone())
    }

    /// True when a topic of this name is to be copied.
    pub(crate) fn chooses(&self, topic: &str) -> bool {
        self.names.lock().chooses(topic)
    }

    /// Has the cluster looked at now.
    pub(crate) fn look(&self) {
        self.nudge.notify_one();
    }

    /// Changes with each look.
    pub(crate) fn looks(&self) -> watch::Receiver<u64> {
        self.looks.subscribe()
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

fn run(
    options: &KafkaOptions,
    cluster: Arc<Cluster>,
    shared: &Arc<Shared>,
    (sieve, is_met): (Option<Box<dyn Sieve>>, bool),
    stopped: watch::Receiver<bool>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let ran = runtime.map_err(|e| e.to_string()).and_then(|runtime| {
        let _entered = runtime.enter();
        let link = shared.link.clone();
        let consumer = |own: (&'static str, &'static str), link: Link| {
            let config = client::consumer_properties(options, &[&USUAL[..], &[own]].concat());
            client::create(&config, link).map(Arc::new).map_err(|e| e.to_string())
        };
        let local = Rc::new(Local {
            copier: RefCell::new(shared.copies.copier()),
            shared: Arc::clone(shared),
            cluster,
            tail: consumer(TAIL, link.clone())?,
            link,
            catch_up: consumer(CATCH_UP, Link::default())?,
            sieve: RefCell::new(sieve),
            topics: RefCell::default(),
            is_met: Cell::new(is_met),
            retry: Cell::new(false),
        });
        LocalSet::new().block_on(&runtime, copy(&local, stopped));
        local.stop_all();
        // A question that nobody answers is not waited for.
        runtime.shutdown_background();
        Ok(())
    });
    if let Err(why) = ran {
        *shared.failure.lock() = Some(why);
    }
}

/// Order: to stop; what the client says, so that a broker's death is told at once; then looks, which can wait.
async fn copy(local: &Rc<Local>, mut stopped: watch::Receiver<bool>) {
    let mut down = local.link.down_since_ms();
    // What an earlier process copied is served at once, if Kafka is away.
    local.tell_all();
    let mut look = Box::pin(local.clone().look_once());
    let mut looking = true;
    loop {
        let pause = match local.retry.get() || down.borrow().is_some() {
            true => RETRY_INTERVAL,
            false => METADATA_INTERVAL,
        };
        tokio::select! {
            biased;
            _ = stopped.changed() => return,
            said = local.tail.recv() => local.hear(said.err()),
            said = local.catch_up.recv() => local.hear(said.err()),
            _ = down.changed() => local.tell_all(),
            () = &mut look, if looking => looking = false,
            () = local.shared.nudge.notified(), if !looking => {
                look = Box::pin(local.clone().look_once());
                looking = true;
            }
            () = tokio::time::sleep(pause), if !looking => {
                look = Box::pin(local.clone().look_once());
                looking = true;
            }
        }
    }
}

impl Local {
    /// What the client says that is about no partition.
    fn hear(&self, said: Option<KafkaError>) {
        match said.and_then(|e| e.rdkafka_error_code()) {
            None | Some(Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve) => {}
            Some(code) => {
                tracing::debug!(%code, "Kafka's client reports an error");
                self.shared.look();
            }
        }
    }

    /// Nothing can be written any more: the copies stay as they are.
    fn fail(&self, error: &LogError) {
        let why = error.to_string();
        if self.shared.failure.lock().replace(why.clone()) != Some(why) {
            tracing::error!(%error, "copying from Kafka has stopped");
        }
    }
}
