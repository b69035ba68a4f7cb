//! Sends records to the brokers and tells the [`Ledger`] which they have acknowledged.
//!
//! [`Producer`] is librdkafka's client and the thread that takes its delivery reports; that thread is woken by them. Knows
//! nothing of transactions.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{
    client::{self, Link, REQUEST_TIMEOUT},
    ledger::{Failure, Ledger},
};
use crate::{LogError, NewRecord, Offset, TopicPartition};
use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, ClientContext, Message,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext},
};
use rowcast_librdkafka::Alarm;

/// How long a new producer is waited for until it is connected: its first record then leaves at once.
///
/// A broker that is there takes 5 ms; left to itself, librdkafka begins to connect a producer after 500.
const CONNECT_PATIENCE: Duration = Duration::from_millis(100);

/// How long one wait for a broker lasts before we look whether the producer ends.
const BACK_TRY: Duration = Duration::from_secs(1);

/// How a number of an append and its partition's place travel through librdkafka as one number: 2^48 appends are 44 years
/// at 200,000 a second.
const APPEND_BITS: u32 = 48;

/// Partitions that one appender can write to.
pub(crate) const PLACES_MAX: usize = 1 << (usize::BITS - APPEND_BITS);

/// A record that owns its bytes, on its way.
pub(crate) struct Outgoing<K, V> {
    pub(crate) place: u16,
    pub(crate) append: u64,
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Option<K>,
    pub(crate) value: Option<V>,
    pub(crate) headers: Option<OwnedHeaders>,
}

/// The record, borrowed.
pub(crate) fn outgoing<'a>(place: u16, append: u64, record: &NewRecord<'a>) -> Outgoing<&'a [u8], &'a [u8]> {
    Outgoing {
        place,
        append,
        timestamp_ms: record.timestamp_ms,
        key: record.key,
        value: record.value,
        headers: headers(record),
    }
}

fn headers(record: &NewRecord<'_>) -> Option<OwnedHeaders> {
    let none = (!record.headers.is_empty()).then(|| OwnedHeaders::new_with_capacity(record.headers.len()))?;
    let add = |all: OwnedHeaders, (key, value): &crate::Header<'_>| {
        all.insert(Header {
            key,
            value: Some(*value),
        })
    };
    Some(record.headers.iter().fold(none, add))
}

/// librdkafka's producer, and the thread that takes its reports.
pub(crate) struct Producer {
    base: Arc<BaseProducer<Reports>>,
    pub(crate) ledger: Arc<Ledger>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Producer {
    /// `link` is told whether brokers are there.
    pub(crate) fn start(config: &ClientConfig, ledger: Arc<Ledger>, link: &Link) -> Result<Producer, LogError> {
        let reports = Reports {
            link: link.clone(),
            ledger: Arc::clone(&ledger),
            aborted: Mutex::default(),
        };
        let base: Arc<BaseProducer<Reports>> = Arc::new(client::create(config, reports)?);
        // Whoever is not there now is connected to later, by the client itself.
        let _ = rowcast_librdkafka::connect(base.client(), CONNECT_PATIENCE);
        let ends = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("kafka-reports".to_owned()).spawn({
            let (base, ends) = (Arc::clone(&base), Arc::clone(&ends));
            move || serve(&base, &ends)
        });
        let thread = thread.map_err(|cause| LogError::Io {
            what: "start the thread that hears Kafka's acknowledgements".to_owned(),
            cause,
        })?;
        Ok(Producer {
            base,
            ledger,
            ends,
            thread: Some(thread),
        })
    }

    /// librdkafka's own producer.
    pub(crate) fn base(&self) -> &BaseProducer<Reports> {
        &self.base
    }

    /// What the client said last of its connection.
    pub(crate) fn said(&self) -> String {
        self.base.client().context().link.said()
    }

    /// The offset that the next record of a partition would have now, whoever writes it.
    pub(crate) fn end(&self, id: &TopicPartition) -> Result<Offset, LogError> {
        let marks = self
            .base
            .client()
            .fetch_watermarks(&id.topic, id.partition as i32, REQUEST_TIMEOUT);
        let (_, high) = marks.map_err(|e| {
            LogError::Away(format!(
                "Kafka did not say how far {id} reaches ({e}); look whether its brokers run"
            ))
        })?;
        Ok(Offset(high.cast_unsigned()))
    }

    /// Sends a record that the ledger has counted.
    pub(crate) fn send<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        id: &TopicPartition,
        record: Outgoing<K, V>,
    ) -> Result<(), KafkaError> {
        let sent = self.base.send(BaseRecord {
            topic: &id.topic,
            partition: Some(id.partition as i32),
            payload: record.value.as_ref().map(AsRef::as_ref),
            key: record.key.as_ref().map(AsRef::as_ref),
            timestamp: Some(record.timestamp_ms),
            headers: record.headers,
            delivery_opaque: record.append as usize | (record.place as usize) << APPEND_BITS,
        });
        sent.map_err(|(e, _)| e)
    }

    /// Forgets what has not left yet, and waits for the answers to what has, so that nothing of it comes after the next
    /// writer has looked.
    pub(crate) fn settle(&self, patience: Duration) {
        use rdkafka::producer::PurgeConfig;
        self.base.purge(PurgeConfig::default().queue());
        self.ledger.wait_answers(patience);
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// Takes what the client reports until it ends. Costs nothing while there is nothing.
fn serve(base: &Arc<BaseProducer<Reports>>, ends: &Arc<AtomicBool>) {
    let alarm = Alarm::set(base.client(), std::thread::current());
    let alarm = alarm.expect("a client has a main queue");
    let waits = Arc::new(AtomicBool::new(false));
    while !ends.load(Ordering::Acquire) {
        while alarm.rings() {
            base.poll(Duration::ZERO);
        }
        if base.context().link.is_known_down() && !waits.swap(true, Ordering::AcqRel) {
            let (base, ends, waits) = (Arc::clone(base), Arc::clone(ends), Arc::clone(&waits));
            let thread = std::thread::Builder::new().name("kafka-waits".to_owned());
            // Without it, what is delivered next tells.
            let _ = thread.spawn(move || wait_back(&base, &ends, &waits));
        }
        std::thread::park();
    }
}

/// Notes when a broker answers again: librdkafka tells that all are gone, and not that one has come back.
fn wait_back(base: &BaseProducer<Reports>, ends: &AtomicBool, waits: &AtomicBool) {
    while !ends.load(Ordering::Acquire) {
        // Sleeps in librdkafka, which connects again by itself, until a broker has answered.
        if rowcast_librdkafka::connect(base.client(), BACK_TRY).is_ok() {
            base.context().link.is_up();
            break;
        }
    }
    waits.store(false, Ordering::Release);
}

/// Where librdkafka's reports go.
pub(crate) struct Reports {
    link: Link,
    ledger: Arc<Ledger>,
    /// Why the transaction failed: librdkafka says so in its log, and then takes back what was not sent without a reason.
    aborted: Mutex<Option<String>>,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, kind: &str, line: &str) {
        if kind == "TXNERR" {
            *self.aborted.lock() = Some(line.to_owned());
        }
        self.link.log(level, kind, line);
    }

    fn error(&self, error: KafkaError, why: &str) {
        match error.rdkafka_error_code() {
            Some(Code::Fenced) => self.ledger.fail(Failure::Fenced(fenced())),
            // What it is about comes with the record's own report, if it is about one.
            Some(Code::Fatal) => tracing::warn!(why, "Kafka's producer has stopped"),
            _ => {}
        }
        self.link.error(error, why);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let (append, place) = (
            (number & ((1 << APPEND_BITS) - 1)) as u64,
            (number >> APPEND_BITS) as u16,
        );
        let message = match result {
            Ok(message) | Err((_, message)) => message,
        };
        let bytes = message.payload_len() + message.key_len();
        match result {
            Ok(_) => {
                self.link.is_up();
                let offset = Offset(message.offset().cast_unsigned());
                self.ledger.acknowledged(append, place, offset, bytes);
            }
            Err((error, _)) => {
                let partition = format!("{}-{}", message.topic(), message.partition());
                let aborted = self.aborted.lock().clone();
                let code = error.rdkafka_error_code();
                let is_purged = matches!(code, Some(Code::PurgeQueue | Code::PurgeInflight));
                let failure = match aborted.filter(|_| is_purged) {
                    Some(why) => aborted_with(&why, partition, append),
                    None => failure(error, partition, append),
                };
                match is_purged {
                    true => self.ledger.lost_with_others(append, place, bytes, failure),
                    false => self.ledger.lost(append, place, bytes, failure),
                }
            }
        }
    }
}

/// What a writer does about a record that was not taken.
fn failure(error: &KafkaError, partition: String, append: u64) -> Failure {
    let refused = |why: &str| Failure::Refused {
        partition: partition.clone(),
        append,
        why: why.to_owned(),
    };
    match error.rdkafka_error_code() {
        Some(Code::MessageSizeTooLarge) => refused(
            "it is larger than the topic takes; raise the topic's max.message.bytes, or leave its large column out with \
             column.exclude.list",
        ),
        Some(Code::TopicAuthorizationFailed) => {
            refused("writing to the topic is not allowed; allow it to the user of sasl.username")
        }
        Some(Code::InvalidRecord) => {
            refused("the broker finds it invalid; a compacted topic takes only records with keys")
        }
        Some(Code::InvalidMessage) => refused("the broker finds it damaged; look for a faulty network or memory"),
        Some(Code::InvalidTimestamp) => {
            refused("its time is too far from now; set the topic's message.timestamp.after.max.ms and .before.max.ms")
        }
        Some(Code::PolicyViolation) => refused("a policy of the broker forbids it; ask who set that policy"),
        Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition) => {
            Failure::Unknown(partition)
        }
        Some(Code::Fenced | Code::InvalidProducerEpoch | Code::ProducerFenced) => Failure::Fenced(fenced()),
        _ => Failure::Away(format!("Kafka did not take a record of {partition} ({error})")),
    }
}

/// The same about a record whose transaction failed, for librdkafka's reason.
fn aborted_with(why: &str, partition: String, append: u64) -> Failure {
    match why.contains("TOPIC_AUTHORIZATION_FAILED") || why.contains("Topic authorization failed") {
        true => Failure::Refused {
            partition,
            append,
            why: format!(
                "writing to a topic of its transaction is not allowed; allow it to the user of sasl.username ({why})"
            ),
        },
        false => Failure::Away(format!("Kafka did not take a record of {partition} ({why})")),
    }
}

pub(crate) fn fenced() -> String {
    "another process writes under the same connector name since; stop one of them".to_owned()
}
