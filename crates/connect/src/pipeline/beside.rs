//! Records that are no table's: each kind has one topic, which is opened at its first record.
//!
//! They come in the order of the source, with the transactions that they are part of, and are found again after a restart as
//! rows are: by the mark of their transaction, or by its id and LSN.

use std::sync::Arc;

use rowcast_event::{
    LogicalMessage, Lsn, MessageEncoder, Origin, TransactionCounts, TransactionEncoder, TransactionMark,
};
use rowcast_log::LogError;
use rowcast_postgres::ConnectorConfig;

use super::Pipeline;
use crate::clock::now_ns;

/// What such records are made with.
pub(super) struct Beside {
    messages: MessageEncoder,
    transactions: Option<Transactions>,
}

/// `provide.transaction.metadata`.
struct Transactions {
    encoder: TransactionEncoder,
    counts: TransactionCounts,
    /// The beginning of the transaction that goes by.
    begun: Option<Origin>,
}

impl Beside {
    pub(super) fn new(config: &ConnectorConfig) -> Beside {
        let options = config.event_options("");
        let transactions = || Transactions {
            encoder: TransactionEncoder::new(&options),
            counts: TransactionCounts::default(),
            begun: None,
        };
        Beside {
            messages: MessageEncoder::new(&options),
            transactions: config.transaction_metadata.then(transactions),
        }
    }

    /// Where the records of the transaction that goes by are counted, if they are. Then all of them must be, those that the
    /// log holds too.
    pub(super) fn counts(&mut self) -> Option<&mut TransactionCounts> {
        self.transactions.as_mut().map(|transactions| &mut transactions.counts)
    }

    /// See [`Beside::counts`].
    pub(super) fn is_counting(&self) -> bool {
        self.transactions.is_some()
    }

    fn topics(&self) -> Vec<Arc<str>> {
        let transactions = self.transactions.iter().map(|transactions| &transactions.encoder.topic);
        transactions.chain([&self.messages.topic]).cloned().collect()
    }
}

impl Pipeline {
    /// Opens those of the topics that are there.
    pub(super) async fn fill_beside(&mut self) -> Result<(), LogError> {
        for topic in self.beside.topics() {
            if self.log.find_topic(&topic)?.is_some() {
                self.fill_once(&topic).await?;
            }
        }
        Ok(())
    }

    async fn fill_once(&mut self, topic: &Arc<str>) -> Result<(), LogError> {
        match self.filled.contains_key(topic) {
            true => Ok(()),
            false => self.fill(topic).await,
        }
    }

    /// Appends a logical message. One that is part of no transaction is whole with it.
    pub(super) async fn append_message(&mut self, message: &LogicalMessage<'_>) -> Result<(), LogError> {
        let commit_lsn = message.position.commit_lsn;
        if commit_lsn > self.committed {
            let topic = self.beside.messages.topic.clone();
            self.fill_once(&topic).await?;
            let now_ns = now_ns();
            self.encoded.clear();
            let Beside { messages, transactions } = &mut self.beside;
            let counts = transactions.as_mut().map(|transactions| &mut transactions.counts);
            messages.encode(message, now_ns, counts, &mut self.encoded);
            if self.append_beside(&topic, (commit_lsn, &message.origin), now_ns)? && message.mark.is_none() {
                self.unflushed_since_us = Some(message.origin.ts_us);
            }
        }
        match message.mark {
            Some(mark) => self.commit(mark),
            None => Ok(()),
        }
    }

    /// A transaction begins; where they are told, that is.
    pub(super) async fn begin(&mut self, commit_lsn: Lsn, origin: Origin) -> Result<(), LogError> {
        self.confirmation.begin();
        let Some(transactions) = &mut self.beside.transactions else {
            return Ok(());
        };
        transactions.counts.begin();
        transactions.begun = Some(origin);
        if commit_lsn <= self.committed {
            return Ok(());
        }
        self.encoded.clear();
        transactions.encoder.begin(&origin, &mut self.encoded);
        let topic = transactions.encoder.topic.clone();
        self.fill_once(&topic).await?;
        self.append_beside(&topic, (commit_lsn, &origin), now_ns()).map(drop)
    }

    /// All of a transaction has gone by: what there was in it is told, and its mark follows.
    pub(super) fn end(&mut self, mark: TransactionMark) -> Result<(), LogError> {
        let transactions = self.beside.transactions.as_mut();
        if let Some(transactions) = transactions.filter(|_| mark.commit_lsn > self.committed)
            && let Some(begun) = transactions.begun.take()
        {
            self.encoded.clear();
            let counts = &transactions.counts;
            let origin = transactions
                .encoder
                .end(&begun, mark.end_lsn, counts, &mut self.encoded);
            let topic = transactions.encoder.topic.clone();
            self.append_beside(&topic, (mark.commit_lsn, &origin), now_ns())?;
        }
        self.commit(mark)
    }
}
