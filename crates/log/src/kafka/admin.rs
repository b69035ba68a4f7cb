//! Asks a cluster for its topics, makes them and takes them away.
//!
//! Everything here blocks until the cluster has answered. A topic that is made is there for every later question; one that
//! exists is taken as it is. Knows nothing of records.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
};
use rowcast_librdkafka::{Description, describe_topics};

use super::{
    KafkaOptions,
    client::{self, Link, REQUEST_TIMEOUT},
};
use crate::{Epoch, LogError, Offset, TopicCreation, TopicInfo, TopicPartition, topic::check_name};

/// How soon a broker is asked again whether it knows of a change that the controller has made.
///
/// Kafka tells nobody of topics; a broker hears of one within a few milliseconds.
const PROPAGATION_LOOK: Duration = Duration::from_millis(5);

/// How long a broker may take to make a topic by itself, before we say that it does not.
///
/// It takes some ten milliseconds; nothing tells one that does not from one that is slow.
const AUTO_CREATION_PATIENCE: Duration = Duration::from_secs(5);

/// Why a question about a change is answered late.
const UNHEARD: &str = "the change was made, but brokers do not know of it";

/// Kafka's sign for "as the broker's settings say".
const BROKERS_DEFAULT: i32 = -1;

/// How far a partition reaches: its first offset and the one after the last that a `read_committed` reader sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) earliest: Offset,
    pub(crate) end: Offset,
}

/// A cluster to ask.
pub(crate) struct Cluster {
    options: Arc<KafkaOptions>,
    /// Told of every question whether it was answered.
    link: Link,
    /// Its connections answer questions; it reads nothing.
    consumer: BaseConsumer<Link>,
    /// Made when something is to be changed: most processes never do.
    admin: Mutex<Option<Arc<AdminClient<Link>>>>,
}

impl Cluster {
    pub(crate) fn new(options: Arc<KafkaOptions>, link: Link) -> Result<Cluster, LogError> {
        Ok(Cluster {
            consumer: client::consumer(&options, link.clone())?,
            link,
            options,
            admin: Mutex::new(None),
        })
    }

    fn consumer(&self) -> &BaseConsumer<Link> {
        // Nobody else serves what the client says of its connections.
        while self.consumer.poll(Duration::ZERO).is_some() {}
        &self.consumer
    }

    /// The cluster's id, which no other has.
    pub(crate) fn id(&self) -> Result<String, LogError> {
        let id = self.consumer().client().fetch_cluster_id(REQUEST_TIMEOUT);
        self.heard("its id", id.ok_or("no answer"))
    }

    /// Takes an answer, or notes that there is none.
    fn heard<T>(&self, what: &str, answer: Result<T, impl std::fmt::Display>) -> Result<T, LogError> {
        match &answer {
            Ok(_) => self.link.is_up(),
            Err(_) => self.link.is_down(),
        }
        answer.map_err(|e| self.away(what, &e.to_string()))
    }

    /// The name of every topic, internal ones too.
    pub(crate) fn names(&self) -> Result<Vec<String>, LogError> {
        let metadata = self.consumer().fetch_metadata(None, REQUEST_TIMEOUT);
        let metadata = self.heard("its topics", metadata)?;
        Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
    }

    /// What the named topics are; who does not exist is left out.
    pub(crate) fn describe(&self, names: &[&str]) -> Result<Vec<TopicInfo>, LogError> {
        let described = describe_topics(self.consumer().client(), names, REQUEST_TIMEOUT);
        let described = self.heard("topics", described)?;
        let mut found = Vec::with_capacity(described.len());
        for topic in described {
            match topic {
                Ok(topic) => found.push(info(&topic)),
                Err((_, Code::UnknownTopicOrPartition | Code::UnknownTopic)) => {}
                Err((name, code)) => return Err(refused(&format!("describe topic {name}"), code, &self.options)),
            }
        }
        Ok(found)
    }

    /// Every topic, by name.
    pub(crate) fn all(&self) -> Result<Vec<TopicInfo>, LogError> {
        let names = self.names()?;
        let mut topics = self.describe(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// The topic, if it exists.
    pub(crate) fn topic(&self, name: &str) -> Result<Option<TopicInfo>, LogError> {
        Ok(self.describe(&[name])?.pop())
    }

    /// How far these partitions reach, in their order.
    pub(crate) fn reach(&self, partitions: &[TopicPartition]) -> Result<Vec<Reach>, LogError> {
        let earliest = self.offsets(partitions, rdkafka::Offset::Beginning)?;
        let ends = self.offsets(partitions, rdkafka::Offset::End)?;
        let reach = |(earliest, end)| Reach { earliest, end };
        Ok(earliest.into_iter().zip(ends).map(reach).collect())
    }

    /// Kafka's ListOffsets; who is about to lead a partition is asked again.
    fn offsets(&self, partitions: &[TopicPartition], which: rdkafka::Offset) -> Result<Vec<Offset>, LogError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let late = "a partition has no leader";
        self.until("offsets", late, || self.offsets_of_leaders(partitions, which))
    }

    /// One request to each broker: it takes these two special offsets as times. `None` if a partition has no leader.
    fn offsets_of_leaders(
        &self,
        partitions: &[TopicPartition],
        which: rdkafka::Offset,
    ) -> Result<Option<Vec<Offset>>, LogError> {
        let mut asked = TopicPartitionList::with_capacity(partitions.len());
        for id in partitions {
            let added = asked.add_partition_offset(&id.topic, id.partition as i32, which);
            added.expect("an offset of Kafka's own");
        }
        let answered = match self.consumer().offsets_for_times(asked, REQUEST_TIMEOUT) {
            Ok(answered) => answered,
            Err(e) if is_leaderless(&e) => return Ok(None),
            // Of one of them: librdkafka does not say which.
            Err(e) if is_unknown(&e) => return Err(LogError::UnknownPartition(partitions[0].to_string())),
            Err(e) => return Err(self.away("offsets", &e.to_string())),
        };
        self.link.is_up();
        if answered
            .elements()
            .iter()
            .any(|found| found.error().is_err_and(|e| is_leaderless(&e)))
        {
            return Ok(None);
        }
        let of = |id: &TopicPartition| {
            let found = answered.find_partition(&id.topic, id.partition as i32);
            let found = found.ok_or_else(|| LogError::UnknownPartition(id.to_string()))?;
            match (found.error(), found.offset()) {
                (Ok(()), rdkafka::Offset::Offset(offset)) => Ok(Offset(offset.cast_unsigned())),
                // A partition without a record has an end, 0, but librdkafka says so only in this way.
                (Ok(()), rdkafka::Offset::End) => Ok(Offset(0)),
                (Err(e), _) if is_denied(&e) => {
                    let code = Code::TopicAuthorizationFailed;
                    Err(refused(&format!("tell the offsets of {id}"), code, &self.options))
                }
                (Err(e), _) if is_unknown(&e) => Err(LogError::UnknownPartition(id.to_string())),
                (error, offset) => Err(self.away(&format!("offsets of {id}"), &format!("{error:?} {offset:?}"))),
            }
        };
        partitions.iter().map(of).collect::<Result<_, _>>().map(Some)
    }

    /// The topic, made as wanted if it does not exist.
    pub(crate) fn ensure(&self, name: &str, creation: &TopicCreation) -> Result<TopicInfo, LogError> {
        check_name(name)?;
        if let Some(info) = self.topic(name)? {
            return Ok(info);
        }
        if creation.by_broker {
            return self.have_made(name);
        }
        let partitions = creation.partitions.map_or(BROKERS_DEFAULT, |count| count as i32);
        let replicas = creation.replication_factor.map_or(BROKERS_DEFAULT, i32::from);
        let mut new = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
        for (property, value) in &creation.config {
            new = new.set(property, value);
        }
        let what = format!("create topic {name}");
        match self.change(&what, |admin, options| admin.create_topics([&new], options))? {
            Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(refused(&what, code, &self.options)),
        }
        self.until(&what, UNHEARD, || self.led(name))
    }

    /// The topic, if each of its partitions has a leader that knows of it: the controller names it a moment before.
    fn led(&self, name: &str) -> Result<Option<TopicInfo>, LogError> {
        let Some(info) = self.topic(name)? else {
            return Ok(None);
        };
        match self.offsets(&info.all(), rdkafka::Offset::End) {
            Ok(_) => Ok(Some(info)),
            Err(LogError::UnknownPartition(_)) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Has the broker make a topic, as a producer's question for it does, if the broker does so at all.
    fn have_made(&self, name: &str) -> Result<TopicInfo, LogError> {
        let config = client::consumer_properties(&self.options, &[("allow.auto.create.topics", "true")]);
        let asking: BaseConsumer<Link> = client::create(&config, Link::default())?;
        let asked = asking.fetch_metadata(Some(name), REQUEST_TIMEOUT);
        asked.map_err(|e| self.away(&format!("topic {name}"), &e.to_string()))?;
        let began = Instant::now();
        // The answer says "unknown" of a topic that is being made, too.
        while began.elapsed() < AUTO_CREATION_PATIENCE {
            if let Some(info) = self.led(name)? {
                return Ok(info);
            }
            thread::sleep(PROPAGATION_LOOK);
        }
        Err(LogError::Invalid(format!(
            "topic {name} does not exist and topic.creation.enable is false; make it (kafka-topics --create), let the \
             broker make topics (auto.create.topics.enable), or remove topic.creation.enable"
        )))
    }

    /// Removes the topic; when this returns, it is gone for every question.
    pub(crate) fn delete(&self, name: &str) -> Result<(), LogError> {
        let unknown = || LogError::UnknownPartition(name.to_owned());
        let found = self.topic(name)?.ok_or_else(unknown)?;
        let what = format!("delete topic {name}");
        match self.change(&what, |admin, options| admin.delete_topics(&[name], options))? {
            Ok(_) => {}
            Err((_, Code::UnknownTopicOrPartition | Code::UnknownTopic)) => return Err(unknown()),
            Err((_, code)) => return Err(refused(&what, code, &self.options)),
        }
        self.until(&what, UNHEARD, || {
            let is_same = |now: TopicInfo| now.epoch == found.epoch;
            Ok((!self.topic(name)?.is_some_and(is_same)).then_some(()))
        })
    }

    /// Removes the records that the topic holds now, where the cluster allows it.
    pub(crate) fn empty(&self, name: &str) -> Result<(), LogError> {
        let info = self.topic(name)?;
        let partitions = info.ok_or_else(|| LogError::UnknownPartition(name.to_owned()))?.all();
        let ends = self.offsets(&partitions, rdkafka::Offset::End)?;
        let mut until = TopicPartitionList::with_capacity(partitions.len());
        for (id, end) in partitions.iter().zip(ends) {
            let end = rdkafka::Offset::Offset(end.0.cast_signed());
            let added = until.add_partition_offset(&id.topic, id.partition as i32, end);
            added.expect("an offset of Kafka's own");
        }
        let admin = self.admin()?;
        let emptied = wait(admin.delete_records(&until, &patiently()));
        let emptied = emptied.map_err(|e| self.away(&format!("topic {name}"), &e.to_string()))?;
        for partition in emptied.elements() {
            if let Err(e) = partition.error() {
                tracing::warn!(
                    topic = name, partition = partition.partition(), error = %e,
                    "the broker does not let records be removed; those of a snapshot that was cut off stay in the topic"
                );
            }
        }
        Ok(())
    }

    fn admin(&self) -> Result<Arc<AdminClient<Link>>, LogError> {
        let mut kept = self.admin.lock();
        if let Some(admin) = &*kept {
            return Ok(Arc::clone(admin));
        }
        let mut config = client::with_properties(&self.options, &[], &[]);
        // Nobody takes what this client says of its connections: answers say it too.
        config.set_log_level(RDKafkaLogLevel::Emerg);
        let made: Arc<AdminClient<Link>> = Arc::new(client::create(&config, Link::default())?);
        *kept = Some(Arc::clone(&made));
        Ok(made)
    }

    /// One change to one topic.
    fn change<F>(
        &self,
        what: &str,
        ask: impl FnOnce(&AdminClient<Link>, &AdminOptions) -> F,
    ) -> Result<TopicResult, LogError>
    where
        F: Future<Output = Result<Vec<TopicResult>, KafkaError>>,
    {
        let admin = self.admin()?;
        let answered = wait(ask(&admin, &patiently())).map_err(|e| self.away(what, &e.to_string()))?;
        let first = answered.into_iter().next();
        first.ok_or_else(|| self.away(what, "an answer about nothing"))
    }

    /// Asks again until there is an answer, or says why it is late.
    fn until<T>(
        &self,
        what: &str,
        late: &str,
        mut look: impl FnMut() -> Result<Option<T>, LogError>,
    ) -> Result<T, LogError> {
        let began = Instant::now();
        loop {
            if let Some(seen) = look()? {
                return Ok(seen);
            }
            if began.elapsed() > REQUEST_TIMEOUT {
                return Err(self.away(what, late));
            }
            thread::sleep(PROPAGATION_LOOK);
        }
    }

    fn away(&self, what: &str, why: &str) -> LogError {
        LogError::Away(format!(
            "Kafka at {} did not answer for {what} ({why}); look whether its brokers run",
            self.options.bootstrap
        ))
    }
}

fn info(topic: &Description) -> TopicInfo {
    TopicInfo {
        name: topic.name.as_str().into(),
        partitions: topic.partitions,
        epoch: Epoch(topic.id),
    }
}

fn is_unknown(error: &KafkaError) -> bool {
    let unknown = [
        Code::UnknownTopicOrPartition,
        Code::UnknownTopic,
        Code::UnknownPartition,
    ];
    error.rdkafka_error_code().is_some_and(|code| unknown.contains(&code))
}

/// The partition's leader is being chosen, or does not know of it yet, or of how often it was chosen: of a topic just made, or
/// when a broker went away.
fn is_leaderless(error: &KafkaError) -> bool {
    let leaderless = [
        Code::LeaderNotAvailable,
        Code::NotLeaderForPartition,
        Code::UnknownLeaderEpoch,
        Code::FencedLeaderEpoch,
    ];
    error
        .rdkafka_error_code()
        .is_some_and(|code| leaderless.contains(&code))
}

/// What is not allowed now may be at any time.
pub(crate) fn is_denied(error: &KafkaError) -> bool {
    let denied = [Code::TopicAuthorizationFailed, Code::ClusterAuthorizationFailed];
    error.rdkafka_error_code().is_some_and(|code| denied.contains(&code))
}

/// What the cluster refuses, and what to do.
fn refused(what: &str, code: Code, options: &KafkaOptions) -> LogError {
    let next = match code {
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => {
            "allow it to the user of sasl.username, or have somebody who may do it beforehand"
        }
        Code::InvalidReplicationFactor => {
            "set topic.creation.<group>.replication.factor to at most as many brokers as there are"
        }
        Code::InvalidPartitions => "set topic.creation.<group>.partitions",
        Code::InvalidConfig => "correct the topic properties in topic.creation.<group>.*",
        _ => "see the broker's log",
    };
    let sentence = format!("Kafka at {} refused to {what} ({code}); {next}", options.bootstrap);
    match code {
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => LogError::Denied(sentence),
        _ => LogError::Invalid(sentence),
    }
}

fn patiently() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(REQUEST_TIMEOUT))
        .operation_timeout(Some(REQUEST_TIMEOUT))
}

/// Runs a future to its end on this thread, from a runtime's thread too.
fn wait<T>(future: impl Future<Output = T>) -> T {
    wait_at_most(future, Duration::MAX).expect("time has no end")
}

/// The same, for so long.
pub(crate) fn wait_at_most<T>(future: impl Future<Output = T>, patience: Duration) -> Option<T> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let (began, waker) = (Instant::now(), Waker::from(Arc::new(Unpark(thread::current()))));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return Some(done),
            Poll::Pending if began.elapsed() >= patience => return None,
            Poll::Pending => thread::park_timeout(patience.saturating_sub(began.elapsed())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen of topics that were made a moment ago: a first snapshot was begun anew for it, and had its rows twice.
    #[test]
    fn a_leader_that_does_not_know_of_itself_yet_is_asked_again() {
        for code in [Code::NotLeaderForPartition, Code::UnknownLeaderEpoch] {
            assert!(is_leaderless(&KafkaError::OffsetFetch(code)), "{code}");
        }
        assert!(!is_leaderless(&KafkaError::OffsetFetch(Code::TopicAuthorizationFailed)));
    }
}
