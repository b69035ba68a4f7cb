//! One connector's writer on Kafka.
//!
//! Without transactions every record is sent as it is appended, and a flush is durable when all before it is acknowledged
//! by all replicas that are in sync. librdkafka's idempotent producer repeats what was not answered without doubling it and
//! without gaps: each partition holds a beginning of what was appended to it. With transactions see
//! [`super::transactions`].

use std::{collections::HashMap, sync::Arc, time::Duration};

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use tokio::sync::watch;

use super::{
    KafkaOptions,
    admin::Cluster,
    client::{Link, blocking, with_properties},
    ledger::{Failure, Ledger},
    producer::{PLACES_MAX, Producer, outgoing},
    transactions::Transactions,
};
use crate::{
    Appender, FlushSeq, LogError, Memory, NewRecord, Offset, TopicPartition, Visibility, WriterId,
    batch::POSITION_BYTES_MAX,
};

/// How long dropping an appender waits for answers to what it has sent.
///
/// A broker that is there answers in milliseconds. One that is away may still take what lies in its socket: that is told
/// apart by whoever reads the topic's end, after a kill too.
const DROP_PATIENCE: Duration = Duration::from_secs(2);

/// What a producer without transactions is.
const IDEMPOTENT: [(&str, &str); 6] = [
    // Open transactions count, too, where it asks how far a partition reaches.
    ("isolation.level", "read_uncommitted"),
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("enable.gapless.guarantee", "true"),
    // A broker that is away is waited for: the source keeps what is not acknowledged.
    ("message.timeout.ms", "0"),
    ("max.in.flight.requests.per.connection", "5"),
];

/// What any producer is, unless the options say otherwise.
pub(crate) const USUAL: [(&str, &str); 6] = [
    // A lone record leaves at once; under load records gather while requests are on their way.
    ("linger.ms", "0"),
    // How large a record may be is the topic's decision, and that is the largest that librdkafka can say.
    ("message.max.bytes", "1000000000"),
    // Our own account bounds what waits (`Ledger`); theirs would refuse instead of asking to wait.
    ("queue.buffering.max.messages", "0"),
    ("queue.buffering.max.kbytes", "2147483647"),
    ("retry.backoff.ms", "50"),
    ("socket.timeout.ms", "30000"),
];

/// Opens an appender.
pub(crate) fn open(
    options: &Arc<KafkaOptions>,
    cluster: &Arc<Cluster>,
    link: &Link,
    writer: &WriterId,
) -> Result<Box<dyn Appender>, LogError> {
    let ledger = Arc::new(Ledger::new(!writer.transactions));
    let (producer, transactions) = match writer.transactions {
        false => {
            let config = with_properties(options, &IDEMPOTENT, &USUAL);
            (Arc::new(Producer::start(&config, Arc::clone(&ledger), link)?), None)
        }
        true => {
            let opened = Transactions::open(options, &writer.name, Arc::clone(&ledger), link)?;
            (Arc::clone(opened.producer()), Some(opened))
        }
    };
    Ok(Box::new(KafkaAppender {
        transactions,
        producer,
        ledger,
        cluster: Arc::clone(cluster),
        places: HashMap::new(),
        ids: Vec::new(),
        unchecked: Vec::new(),
        recent: 0,
        appended: 0,
        committed: 0,
        flushed: FlushSeq(0),
    }))
}

/// An appender of the log on Kafka.
pub(crate) struct KafkaAppender {
    // Before the producer that it uses.
    transactions: Option<Transactions>,
    producer: Arc<Producer>,
    ledger: Arc<Ledger>,
    cluster: Arc<Cluster>,
    places: HashMap<TopicPartition, u16>,
    ids: Vec<TopicPartition>,
    /// By place, until the first record: where the partition is to end still.
    unchecked: Vec<Option<Offset>>,
    /// The place of the last append: records of one table come in a row.
    recent: u16,
    appended: u64,
    /// How many of the appended are of source transactions that are whole.
    committed: u64,
    flushed: FlushSeq,
}

impl KafkaAppender {
    fn place(&mut self, id: &TopicPartition) -> Result<u16, LogError> {
        if self.ids.get(self.recent as usize).is_some_and(|recent| recent == id) {
            return Ok(self.recent);
        }
        self.recent = match self.places.get(id) {
            Some(place) => *place,
            None => self.add(id)?,
        };
        Ok(self.recent)
    }

    /// Before the first record of a partition: what a writer that is gone now had on its way may have come meanwhile.
    fn check_end(&mut self, place: u16) -> Result<(), LogError> {
        let Some(expected) = self.unchecked[place as usize] else {
            return Ok(());
        };
        let id = &self.ids[place as usize];
        if blocking(|| self.producer.end(id))? != expected {
            return Err(LogError::Overtaken(id.to_string()));
        }
        self.unchecked[place as usize] = None;
        Ok(())
    }

    fn add(&mut self, id: &TopicPartition) -> Result<u16, LogError> {
        if self.ids.len() == PLACES_MAX {
            let why = format!("one connector writes to at most {PLACES_MAX} partitions; make topics of fewer");
            return Err(LogError::Invalid(why));
        }
        let place = self.ids.len() as u16;
        self.ledger.place(id);
        if let Some(transactions) = &self.transactions {
            transactions.place(id);
        }
        self.ids.push(id.clone());
        self.unchecked.push(None);
        self.places.insert(id.clone(), place);
        Ok(place)
    }
}

impl Appender for KafkaAppender {
    /// Kafka knows by itself whether a topic is empty.
    fn include(&mut self, partition: &TopicPartition) -> Result<(), LogError> {
        self.place(partition).map(drop)
    }

    /// On Kafka nobody owns a partition, and nothing unfinished is found again.
    fn claim(&mut self, partition: &TopicPartition) -> Result<u64, LogError> {
        self.place(partition).map(|_| 0)
    }

    fn next_offset(&mut self, partition: &TopicPartition) -> Result<Offset, LogError> {
        let place = self.place(partition)?;
        blocking(|| {
            if let Some(transactions) = &self.transactions {
                transactions.wait_sent()?;
            }
            if let Some(end) = self.ledger.quiet_end(place)? {
                return Ok(end);
            }
            let end = self.cluster.reach(std::slice::from_ref(partition))?[0].end;
            self.ledger.floor(place, end);
            Ok(end)
        })
    }

    fn append(&mut self, partition: &TopicPartition, record: NewRecord<'_>) -> Result<(), LogError> {
        let place = self.place(partition)?;
        let record = outgoing(place, self.appended, &record);
        match &self.transactions {
            Some(transactions) => transactions.append(record)?,
            None => {
                self.check_end(place)?;
                let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
                blocking_if_full(&self.ledger, self.appended, place, bytes)?;
                let sent = self.producer.send(&self.ids[place as usize], record);
                sent.map_err(|e| not_sent(&self.ledger, place, partition, bytes, &e))?;
            }
        }
        self.appended += 1;
        Ok(())
    }

    fn commit(&mut self, position: &[u8]) -> Result<(), LogError> {
        if position.len() > POSITION_BYTES_MAX {
            let bytes = position.len();
            let why = format!("a source position of {bytes} bytes is longer than {POSITION_BYTES_MAX}");
            return Err(LogError::Invalid(why));
        }
        self.committed = self.appended;
        self.ledger.transaction_ends(self.appended);
        Ok(())
    }

    fn flush(&mut self, _visibility: Visibility) -> Result<FlushSeq, LogError> {
        if let Some(failure) = self.ledger.failure() {
            return Err(failure);
        }
        self.flushed.0 += 1;
        self.ledger.flushed(self.flushed, self.appended);
        if let Some(transactions) = self.transactions.as_ref().filter(|_| self.committed == self.appended) {
            transactions.commit(self.flushed)?;
        }
        Ok(self.flushed)
    }

    fn durable(&self) -> watch::Receiver<FlushSeq> {
        self.ledger.durable()
    }

    fn memory(&self) -> Memory {
        match self.transactions {
            Some(_) => Memory::Flush,
            None => Memory::Records,
        }
    }

    fn expect_end(&mut self, partition: &TopicPartition, end: Offset) -> Result<(), LogError> {
        let place = self.place(partition)?;
        self.ledger.expect(place, end);
        self.unchecked[place as usize] = Some(end);
        Ok(())
    }

    fn durable_offsets(&self) -> Vec<(TopicPartition, Offset)> {
        self.ledger.floors()
    }

    fn has_room(&self) -> watch::Receiver<bool> {
        self.ledger.has_room()
    }

    fn failure(&self) -> Option<LogError> {
        self.ledger.failure()
    }
}

impl Drop for KafkaAppender {
    fn drop(&mut self) {
        if self.transactions.is_none() {
            blocking(|| self.producer.settle(DROP_PATIENCE));
        }
        self.ledger.close();
    }
}

/// Counts a record as sent, and lets a runtime know if that waits.
pub(crate) fn blocking_if_full(ledger: &Ledger, append: u64, place: u16, bytes: usize) -> Result<(), LogError> {
    match ledger.must_wait(place) {
        true => blocking(|| ledger.sent(append, place, bytes)),
        false => ledger.sent(append, place, bytes),
    }
}

/// What it means that librdkafka did not take a record.
pub(crate) fn not_sent(ledger: &Ledger, place: u16, id: &TopicPartition, bytes: usize, error: &KafkaError) -> LogError {
    ledger.unsent(place, bytes);
    match error.rdkafka_error_code() {
        Some(Code::MessageSizeTooLarge) => LogError::Invalid(format!(
            "a record of {bytes} bytes is larger than Kafka's client can send; leave its large column out with \
             column.exclude.list"
        )),
        _ => {
            let consequence = Failure::Away(format!("Kafka's client does not take a record for {id} ({error})"));
            blocking(|| ledger.stopped(consequence))
        }
    }
}
