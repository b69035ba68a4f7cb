//! Kafka's transactions for one connector: all that a flush hands over is seen at once in every partition, or never.
//!
//! A transaction begins with the first record after the last commit and is committed when a flush ends where the source's
//! last transaction ends. The commit runs on a thread of its own; what is appended meanwhile waits, in order, for the next
//! transaction, and flushes that come meanwhile share one. A writer of the same name that starts later fences this one.

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use parking_lot::{Condvar, Mutex};
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::Producer as _,
};

use super::{
    KafkaOptions,
    appender::{USUAL, blocking_if_full, not_sent},
    client::{Link, REQUEST_TIMEOUT, blocking, with_properties},
    ledger::{Failure, Ledger},
    producer::{Outgoing, Producer, fenced},
};
use crate::{FlushSeq, LogError, TopicPartition};

/// How long a transaction may stay open. The most that brokers allow unless they are told otherwise
/// (`transaction.max.timeout.ms`): a source's transaction may be long.
const TRANSACTION_TIMEOUT_MS: &str = "900000";

/// How long one try to commit or abort lasts before we look whether the appender goes.
const TRY: Duration = Duration::from_secs(1);

type Waiting = Outgoing<Vec<u8>, Vec<u8>>;

/// The transactions of one appender. Dropping it aborts an open one.
pub(crate) struct Transactions {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    producer: Arc<Producer>,
    ledger: Arc<Ledger>,
    state: Mutex<State>,
    /// There is something to commit, or a commit has ended, or the appender goes.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    phase: Phase,
    ids: Vec<TopicPartition>,
    /// Appended while a commit was running: empty in every other phase.
    waiting: Vec<Waiting>,
    /// How many of those the next commit covers, and up to which flush.
    next: Option<(usize, FlushSeq)>,
    ends: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// No transaction is open.
    #[default]
    Idle,
    /// One is open, and records go into it.
    Open,
    /// It is being committed, with everything up to this flush.
    Committing(FlushSeq),
}

impl Transactions {
    /// Fences whoever wrote under this name before, and aborts what they left.
    pub(crate) fn open(
        options: &KafkaOptions,
        name: &str,
        ledger: Arc<Ledger>,
        link: &Link,
    ) -> Result<Transactions, LogError> {
        let id = format!("rowcast-{name}");
        let timeout_ms = options
            .properties
            .get("transaction.timeout.ms")
            .map_or(TRANSACTION_TIMEOUT_MS, String::as_str);
        let must = [
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("max.in.flight.requests.per.connection", "5"),
            ("transactional.id", &id),
            ("transaction.timeout.ms", timeout_ms),
            // As long as the transaction that a record is in.
            ("message.timeout.ms", timeout_ms),
        ];
        let config = with_properties(options, &must, &USUAL);
        let producer = Arc::new(Producer::start(&config, Arc::clone(&ledger), link)?);
        let begun = producer.base().init_transactions(REQUEST_TIMEOUT);
        begun.map_err(|e| cannot_begin(&e, &producer, &id))?;
        let shared = Arc::new(Shared {
            producer,
            ledger,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let thread = std::thread::Builder::new().name("kafka-commits".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.run()
        });
        let thread = thread.map_err(|cause| LogError::Io {
            what: "start the thread that commits Kafka's transactions".to_owned(),
            cause,
        })?;
        Ok(Transactions {
            shared,
            thread: Some(thread),
        })
    }

    pub(crate) fn producer(&self) -> &Arc<Producer> {
        &self.shared.producer
    }

    /// A partition gets its place.
    pub(crate) fn place(&self, id: &TopicPartition) {
        self.shared.state.lock().ids.push(id.clone());
    }

    /// Puts a record into the open transaction, or into the next one.
    pub(crate) fn append(&self, record: Outgoing<&[u8], &[u8]>) -> Result<(), LogError> {
        let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        blocking_if_full(&self.shared.ledger, record.append, record.place, bytes)?;
        let mut state = self.shared.state.lock();
        match state.phase {
            Phase::Committing(_) => {
                state.waiting.push(record.owned());
                Ok(())
            }
            _ => self.shared.send(&mut state, record),
        }
    }

    /// Commits everything that was appended, and then calls the flush durable.
    pub(crate) fn commit(&self, seq: FlushSeq) -> Result<(), LogError> {
        let mut state = self.shared.state.lock();
        match state.phase {
            Phase::Idle => self.shared.ledger.committed(seq),
            Phase::Committing(_) => state.next = Some((state.waiting.len(), seq)),
            Phase::Open => {
                state.phase = Phase::Committing(seq);
                self.shared.changed.notify_all();
            }
        }
        Ok(())
    }

    /// Waits until nothing waits for a commit to end.
    pub(crate) fn wait_sent(&self) -> Result<(), LogError> {
        let mut state = self.shared.state.lock();
        self.shared.changed.wait_while(&mut state, |state| {
            matches!(state.phase, Phase::Committing(_)) && self.shared.ledger.failure().is_none()
        });
        self.shared.ledger.failure().map_or(Ok(()), Err)
    }
}

impl Shared {
    /// Sends one record, in a transaction.
    fn send<K: AsRef<[u8]>, V: AsRef<[u8]>>(&self, state: &mut State, record: Outgoing<K, V>) -> Result<(), LogError> {
        let bytes = record.key.as_ref().map_or(0, |key| key.as_ref().len())
            + record.value.as_ref().map_or(0, |value| value.as_ref().len());
        let (place, id) = (record.place, &state.ids[record.place as usize]);
        if state.phase == Phase::Idle {
            let begun = self.producer.base().begin_transaction();
            begun.map_err(|e| not_sent(&self.ledger, place, id, bytes, &e))?;
            state.phase = Phase::Open;
        }
        let sent = self.producer.send(id, record);
        sent.map_err(|e| not_sent(&self.ledger, place, id, bytes, &e))
    }

    fn run(&self) {
        let mut state = self.state.lock();
        loop {
            match state.phase {
                _ if state.ends => break,
                Phase::Committing(seq) => {
                    let committed = parking_lot::MutexGuard::unlocked(&mut state, || self.commit(seq));
                    if let Err(failure) = committed {
                        self.ledger.fail(failure);
                        break;
                    }
                    self.ledger.committed(seq);
                    self.go_on(&mut state);
                    self.changed.notify_all();
                }
                _ => self.changed.wait(&mut state),
            }
        }
        let is_open = state.phase != Phase::Idle;
        drop(state);
        self.changed.notify_all();
        if is_open {
            self.abort();
        }
    }

    /// Sends what waited for the commit, and says what is to be committed next.
    fn go_on(&self, state: &mut State) {
        state.phase = Phase::Idle;
        let waiting = std::mem::take(&mut state.waiting);
        let covered = state.next.take();
        let mut rest = waiting.into_iter();
        if let Some((count, seq)) = covered {
            for record in rest.by_ref().take(count) {
                // A failure is in the ledger; the next commit finds it.
                let _ = self.send(state, record);
            }
            match state.phase {
                Phase::Open => {
                    state.phase = Phase::Committing(seq);
                    state.waiting = rest.collect();
                    return;
                }
                _ => self.ledger.committed(seq),
            }
        }
        for record in rest {
            let _ = self.send(state, record);
        }
    }

    fn commit(&self, seq: FlushSeq) -> Result<(), Failure> {
        // rdkafka flushes before it commits, in steps of 100 ms while anything is on its way: so nothing must be.
        self.ledger.wait_flushed(seq).map_err(|e| kept(&self.ledger, &e))?;
        while self.producer.base().in_flight_count() > 0 && !self.ledger.is_closing() {
            // The last report is counted just before librdkafka forgets its record: microseconds.
            std::thread::yield_now();
        }
        loop {
            match self.producer.base().commit_transaction(TRY) {
                Ok(()) => return Ok(()),
                Err(e) if is_worth_another_try(&e) && !self.ledger.is_closing() => {}
                Err(e) => return Err(failure(&e)),
            }
        }
    }

    fn abort(&self) {
        if let Err(error) = self.producer.base().abort_transaction(TRY) {
            tracing::debug!(%error, "Kafka's transaction was not aborted; the next writer of this name aborts it");
        }
    }
}

impl Drop for Transactions {
    fn drop(&mut self) {
        self.shared.ledger.close();
        self.shared.state.lock().ends = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            blocking(|| drop(thread.join()));
        }
    }
}

impl Outgoing<&[u8], &[u8]> {
    fn owned(self) -> Waiting {
        Outgoing {
            place: self.place,
            append: self.append,
            timestamp_ms: self.timestamp_ms,
            key: self.key.map(<[u8]>::to_vec),
            value: self.value.map(<[u8]>::to_vec),
            headers: self.headers,
        }
    }
}

fn is_worth_another_try(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(e) => e.is_retriable() && !e.txn_requires_abort(),
        KafkaError::Flush(code) => *code == Code::OperationTimedOut,
        _ => false,
    }
}

/// What the ledger holds, or that the appender goes.
fn kept(ledger: &Ledger, error: &LogError) -> Failure {
    match ledger.failure() {
        Some(LogError::Fenced(why)) => Failure::Fenced(why),
        _ => Failure::Away(error.to_string()),
    }
}

fn failure(error: &KafkaError) -> Failure {
    match is_fenced(error) {
        true => Failure::Fenced(fenced()),
        false => Failure::Away(format!("Kafka's transaction was not committed ({error})")),
    }
}

fn is_fenced(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(
        code,
        Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
    )
}

fn cannot_begin(error: &KafkaError, producer: &Producer, id: &str) -> LogError {
    match error.rdkafka_error_code() {
        Some(Code::TransactionalIdAuthorizationFailed) => LogError::Denied(format!(
            "Kafka does not allow the transactional id {id}; allow it to the user of sasl.username, or set \
             exactly.once.support to requested"
        )),
        _ => LogError::Away(format!(
            "Kafka did not begin transactions for {id} ({error}; {}); look whether its brokers run",
            producer.said()
        )),
    }
}
