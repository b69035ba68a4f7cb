//! The log on Apache Kafka: the same topics, partitions and offsets for every process that names the same brokers.
//!
//! What is appended goes to the brokers ([`appender`]). What is read comes from local copies that are kept near them
//! ([`mirror`]), or, in a process that only writes, from the brokers themselves. Kafka's topic id is the [`Epoch`], so a
//! cursor of one gateway is valid at every other. Knows nothing of what is in a record.
//!
//! [`Epoch`]: crate::Epoch

mod account;
mod admin;
mod appender;
mod client;
mod direct;
mod ledger;
mod message;
mod mirror;
mod producer;
mod tail;
mod tokens;
mod transactions;

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::watch;

use self::{
    admin::Cluster,
    client::{Link, REQUEST_TIMEOUT, blocking},
    direct::Direct,
    mirror::{Mirror, Wanted},
};
pub use self::{
    mirror::{NameOf, Sieve, TopicChoice},
    tail::{Start, Tail},
};
use crate::{
    Appender, Chunk, EmbeddedLog, EmbeddedOptions, Freshness, Log, LogError, Offset, TopicCreation, TopicInfo,
    TopicPartition, WriterId,
};

/// How a cluster is reached.
#[derive(Clone, Default)]
pub struct KafkaOptions {
    /// `host:port`, or several with commas between.
    pub bootstrap: String,
    /// Any property of librdkafka's, such as `security.protocol` or `compression.codec`. Those that our promises rest on
    /// are refused.
    pub properties: BTreeMap<String, String>,
}

impl fmt::Debug for KafkaOptions {
    /// Without the properties' values: passwords are among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("KafkaOptions");
        shown.field("bootstrap", &self.bootstrap);
        shown.field("properties", &self.properties.keys()).finish()
    }
}

/// What is kept of a cluster's topics in this process.
pub struct KafkaCopies {
    /// Where. Held by one process at a time; what is in it is fetched again when it is lost.
    pub data_dir: PathBuf,
    /// How the files are kept.
    pub files: EmbeddedOptions,
    /// Of which topics.
    pub topics: TopicChoice,
    /// Which of their records; all if `None`.
    pub sieve: Option<Box<dyn Sieve>>,
}

/// The log on Apache Kafka.
///
/// Its calls block where they must ask the brokers; they may come from any thread, a multi-thread runtime's too.
pub struct KafkaLog {
    // Before what it uses.
    mirror: Option<Mirror>,
    copies: Option<Arc<EmbeddedLog>>,
    direct: Direct,
    cluster: Arc<Cluster>,
    /// What is known of the brokers by those who ask and write.
    link: Link,
    options: Arc<KafkaOptions>,
    /// Of a log that writes beside one with copies: that one.
    beside: Option<Arc<KafkaLog>>,
    /// Of a log without copies: nobody tells it of topics.
    unchanged: watch::Sender<u64>,
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KafkaLog").field(&self.options).finish()
    }
}

impl KafkaLog {
    /// Connects. Brokers that are away are waited for from then on ([`Log::away`]); a refusal is an error. With `copies`, reading is reading those, and [`Log::find_topics`] finds those; they are complete when
    /// [`Log::freshness`] says so. Without, reading asks the brokers: a few round trips each time.
    pub fn open(options: KafkaOptions, copies: Option<KafkaCopies>) -> Result<Arc<KafkaLog>, LogError> {
        blocking(|| Self::open_now(options, copies))
    }

    fn open_now(options: KafkaOptions, copies: Option<KafkaCopies>) -> Result<Arc<KafkaLog>, LogError> {
        client::check(&options)?;
        let link = Link::default();
        let cluster_id = match client::connect(&options, &link) {
            Ok(id) => Some(id),
            Err(LogError::Away(why)) => {
                tracing::warn!("{why}; waiting for it");
                None
            }
            Err(e) => return Err(e),
        };
        let options = Arc::new(options);
        let cluster = Arc::new(Cluster::new(Arc::clone(&options), link.clone())?);
        let (copies, mirror) = match copies {
            None => (None, None),
            Some(wanted) => {
                let copies = EmbeddedLog::open_copies(&wanted.data_dir, cluster_id.as_deref(), wanted.files)?;
                let (log, cluster) = (Arc::clone(&copies), Arc::clone(&cluster));
                let wanted = Wanted {
                    topics: wanted.topics,
                    sieve: wanted.sieve,
                    is_met: cluster_id.is_some(),
                };
                let mirror = Mirror::start(Arc::clone(&options), cluster, log, wanted)?;
                (Some(copies), Some(mirror))
            }
        };
        Ok(Arc::new(KafkaLog {
            mirror,
            copies,
            direct: Direct::new(&options)?,
            cluster,
            link,
            options,
            beside: None,
            unchanged: watch::Sender::new(0),
        }))
    }

    /// A log without copies on the same cluster, for who writes in this process. A topic that it makes is copied here at
    /// once: Kafka tells nobody of topics that are made, and who starts Rowcast for the first time would look at an empty
    /// page until copies ask next.
    pub fn writer(self: &Arc<Self>) -> Result<Arc<KafkaLog>, LogError> {
        Ok(Arc::new(KafkaLog {
            mirror: None,
            copies: None,
            direct: blocking(|| Direct::new(&self.options))?,
            cluster: Arc::clone(&self.cluster),
            link: self.link.clone(),
            options: Arc::clone(&self.options),
            beside: Some(Arc::clone(self)),
            unchanged: watch::Sender::new(0),
        }))
    }

    /// Has a topic copied that was made, where copies are.
    fn has_made(&self, topic: &TopicInfo) -> Result<(), LogError> {
        self.copied(&topic.name, |copy| copy.is_some_and(|copy| copy.epoch == topic.epoch))?;
        if let Some(beside) = &self.beside
            && !beside.has_copy(&topic.name)
            && let Err(error) = beside.has_made(topic)
        {
            // The copy comes later; nothing that is written depends on it.
            tracing::debug!(topic = &*topic.name, %error, "a new topic is not copied yet");
        }
        Ok(())
    }

    fn has_copy(&self, topic: &str) -> bool {
        self.copies.as_ref().is_some_and(|copies| copies.topic(topic).is_some())
    }

    /// Waits until the copies are as wanted, after a change that this process made.
    fn copied(&self, topic: &str, is_there: impl Fn(Option<TopicInfo>) -> bool) -> Result<(), LogError> {
        let (Some(mirror), Some(copies)) = (&self.mirror, &self.copies) else {
            return Ok(());
        };
        if !mirror.shared().chooses(topic) {
            return Ok(());
        }
        let began = Instant::now();
        let mut looks = mirror.shared().looks();
        while !is_there(copies.topic(topic)) {
            if let Some(why) = mirror.shared().failure() {
                return Err(LogError::Failed(why));
            }
            let left = REQUEST_TIMEOUT.saturating_sub(began.elapsed());
            mirror.shared().look();
            if !wait_changed(&mut looks, left) {
                return Err(LogError::Away(format!(
                    "topic {topic} was changed, but its copy was not"
                )));
            }
        }
        Ok(())
    }
}

/// Waits for a watched value to change, on a thread of no runtime or one that may block.
fn wait_changed(watched: &mut watch::Receiver<u64>, patience: Duration) -> bool {
    admin::wait_at_most(watched.changed(), patience).is_some_and(|changed| changed.is_ok())
}

impl Log for KafkaLog {
    fn ensure_topic(&self, topic: &str, creation: &TopicCreation) -> Result<TopicInfo, LogError> {
        blocking(|| {
            let info = self.cluster.ensure(topic, creation)?;
            self.has_made(&info)?;
            Ok(info)
        })
    }

    fn delete_topic(&self, topic: &str) -> Result<(), LogError> {
        blocking(|| {
            self.cluster.delete(topic)?;
            self.copied(topic, |copy| copy.is_none())
        })
    }

    fn empty_topic(&self, topic: &str) -> Result<(), LogError> {
        blocking(|| self.cluster.empty(topic))
    }

    fn find_topic(&self, topic: &str) -> Result<Option<TopicInfo>, LogError> {
        match &self.copies {
            Some(copies) => Ok(copies.topic(topic)),
            None => blocking(|| self.cluster.topic(topic)),
        }
    }

    fn find_topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        match &self.copies {
            Some(copies) => Ok(copies.topics()),
            None => blocking(|| self.cluster.all()),
        }
    }

    fn topics_changed(&self) -> watch::Receiver<u64> {
        match &self.copies {
            Some(copies) => copies.topics_changed(),
            None => self.unchanged.subscribe(),
        }
    }

    fn appender(&self, writer: &WriterId) -> Result<Box<dyn Appender>, LogError> {
        blocking(|| appender::open(&self.options, &self.cluster, &self.link, writer))
    }

    fn read(&self, partition: &TopicPartition, from: Offset, bytes_max: usize) -> Result<Chunk, LogError> {
        match &self.copies {
            Some(copies) => copies.read(partition, from, bytes_max),
            None => blocking(|| self.direct.read(&self.cluster, partition, from, bytes_max)),
        }
    }

    fn earliest(&self, partition: &TopicPartition) -> Result<Offset, LogError> {
        match &self.copies {
            Some(copies) => copies.earliest(partition),
            None => blocking(|| self.direct.earliest(&self.cluster, partition)),
        }
    }

    fn end(&self, partition: &TopicPartition) -> Result<watch::Receiver<Offset>, LogError> {
        match &self.copies {
            Some(copies) => copies.end(partition),
            None => blocking(|| self.direct.end(&self.cluster, partition)),
        }
    }

    /// Kafka keeps no position beside the records: [`Appender::memory`] is never [`crate::Memory::Position`].
    fn position(&self, _partition: &TopicPartition) -> Result<Option<Bytes>, LogError> {
        Ok(None)
    }

    /// A transaction that was cut off is aborted by the brokers, or lies among the records for ever.
    fn unfinished(&self, _partition: &TopicPartition) -> Result<u64, LogError> {
        Ok(0)
    }

    fn freshness(&self, topic: &str) -> watch::Receiver<Freshness> {
        match &self.mirror {
            Some(mirror) => mirror.shared().freshness(topic),
            None => watch::Sender::new(Freshness::COMPLETE).subscribe(),
        }
    }

    fn away(&self) -> Option<String> {
        match &self.mirror {
            Some(mirror) => mirror.shared().away(&self.options),
            None => self.link.away(&self.options),
        }
    }

    fn size_bytes(&self) -> u64 {
        self.copies.as_ref().map_or(0, |copies| copies.size_bytes())
    }

    fn failure(&self) -> Option<String> {
        let copying = self.mirror.as_ref().and_then(|mirror| mirror.shared().failure());
        copying.or_else(|| self.copies.as_ref().and_then(|copies| copies.failure()))
    }
}
