//! A broker and a directory of copies for one test.

use std::{path::PathBuf, sync::Arc};

use anyhow::Result;
use rowcast_log::{
    Appender, EmbeddedOptions, FlushSeq, KafkaCopies, KafkaLog, KafkaOptions, Log, NewRecord, Sieve, TopicChoice,
    TopicPartition, Visibility, WriterId, contract,
};
use rowcast_tests::kafka::Kafka;
use tempfile::TempDir;

/// A broker of its own.
pub(crate) struct Place {
    pub(crate) broker: Kafka,
    pub(crate) dir: TempDir,
    /// Drives the broker; dropped last.
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl Place {
    pub(crate) fn new() -> Place {
        Self::with(&[])
    }

    pub(crate) fn with(properties: &[(&str, &str)]) -> Place {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let broker = runtime
            .block_on(Kafka::start_with(properties))
            .unwrap_or_else(|e| panic!("{e:#}"));
        Place {
            broker,
            dir: tempfile::tempdir().expect("a directory"),
            runtime,
        }
    }

    pub(crate) fn options(&self) -> KafkaOptions {
        KafkaOptions {
            bootstrap: self.broker.address(),
            properties: [].into(),
        }
    }

    /// A log with copies of every topic.
    pub(crate) fn open(&self) -> Arc<KafkaLog> {
        self.open_as(all(), None)
    }

    pub(crate) fn open_as(&self, topics: TopicChoice, sieve: Option<Box<dyn Sieve>>) -> Arc<KafkaLog> {
        self.open_in(self.dir.path().join("copies"), topics, sieve)
    }

    pub(crate) fn open_in(
        &self,
        data_dir: PathBuf,
        topics: TopicChoice,
        sieve: Option<Box<dyn Sieve>>,
    ) -> Arc<KafkaLog> {
        let copies = KafkaCopies {
            data_dir,
            files: EmbeddedOptions::default(),
            topics,
            sieve,
        };
        KafkaLog::open(self.options(), Some(copies)).expect("the broker is there")
    }

    /// A log that only writes.
    pub(crate) fn open_without_copies(&self) -> Arc<KafkaLog> {
        KafkaLog::open(self.options(), None).expect("the broker is there")
    }

    /// Runs something of the kit.
    pub(crate) fn run<T>(&self, something: impl Future<Output = Result<T>>) -> T {
        self.runtime.block_on(something).unwrap_or_else(|e| panic!("{e:#}"))
    }
}

/// Every topic, those of ours too.
pub(crate) fn all() -> TopicChoice {
    TopicChoice {
        names: vec!["*".to_owned(), "__internal".to_owned()],
        internal: true,
        known: None,
    }
}

pub(crate) fn transactional() -> WriterId {
    WriterId {
        transactions: true,
        ..WriterId::new("test")
    }
}

/// Appends values, one source transaction for each, and flushes.
pub(crate) fn write(appender: &mut dyn Appender, id: &TopicPartition, values: &[&str]) -> FlushSeq {
    for value in values {
        contract::add(appender, id, value);
        appender.commit(b"p").expect("a commit");
    }
    appender.flush(Visibility::Now).expect("a flush")
}

/// The same, and waits until the broker has it.
pub(crate) fn write_durably(appender: &mut dyn Appender, id: &TopicPartition, values: &[&str]) {
    let seq = write(appender, id, values);
    contract::wait_for(&mut appender.durable(), |durable| *durable >= seq);
}

/// A record of nothing but a value.
pub(crate) fn record(value: &[u8]) -> NewRecord<'_> {
    NewRecord {
        timestamp_ms: 1_700_000_000_000,
        key: None,
        value: Some(value),
        headers: &[],
    }
}

/// Values that a log shows, once there are so many.
pub(crate) fn texts(log: &dyn Log, id: &TopicPartition, count: usize) -> Vec<String> {
    contract::texts(log, id, count)
}

/// Makes a type that holds a [`Place`] a fixture of the log's contract.
macro_rules! fixture {
    ($name:ident, $writer:expr) => {
        impl rowcast_log::contract::Fixture for $name {
            // Kafka knows no negative times, and by default none beyond an hour from now.
            const TIMES_MS: std::ops::RangeInclusive<i64> = 1..=1_700_000_000_000;
            // Each with a broker of its own.
            const CASES: u32 = 2;

            fn new() -> Self {
                $name(crate::place::Place::new())
            }

            fn open(&self) -> std::sync::Arc<dyn rowcast_log::Log> {
                self.0.open()
            }

            fn writer() -> rowcast_log::WriterId {
                $writer
            }
        }
    };
}
pub(crate) use fixture;
