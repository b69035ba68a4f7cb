//! The contract of [`Log`], written once as tests for every implementation.
//!
//! An implementation gives a [`Fixture`] and calls [`contract_tests!`](crate::contract_tests) in a test file. Each test
//! is named for its promise. What only files can show (torn writes, lock files) is not here.

#![expect(clippy::unwrap_used, reason = "these are tests: a refusal fails the promise")]

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{
    Appender, FlushSeq, Log, LogError, NewRecord, Offset, TopicCreation, TopicPartition, Visibility, WriterId,
};

mod reading;
mod writing;

pub use reading::*;
pub use writing::*;

/// A place where a log lives: opening again finds what was there.
pub trait Fixture {
    /// An empty place.
    fn new() -> Self;
    /// Opens the log; the one opened before is gone by then.
    fn open(&self) -> Arc<dyn Log>;
}

/// Makes a `#[test]` of every promise for a [`Fixture`].
#[macro_export]
macro_rules! contract_tests {
    ($fixture:ty) => {
        $crate::contract_tests! { $fixture:
            records_come_back_as_they_were_appended
            a_transaction_takes_one_offset_more_than_its_records
            a_reader_may_begin_anywhere
            a_chunk_is_bounded_and_at_least_one_batch
            reading_past_the_end_gives_nothing
            readers_are_woken_by_a_flush
            records_for_after_the_sync_are_shown_up_to_the_last_commit
            a_transaction_larger_than_the_buffer_stays_hidden_until_its_flush
            the_position_is_that_of_the_last_commit_in_each_partition
            a_topic_that_stays_empty_can_be_told_from_one_not_begun
            a_replay_gives_every_record_its_offset_again
            an_unfinished_transaction_is_gone_after_an_open
            what_readers_saw_of_an_unfinished_transaction_stays_for_the_next_appender
            what_nobody_saw_of_an_unfinished_transaction_is_gone
            a_partition_has_one_writer
            topics_come_and_go_with_their_epochs
            a_topic_that_goes_closes_its_end
            names_and_positions_that_cannot_be_held_are_refused
            picked_records_are_those_asked_for
        }
    };
    ($fixture:ty: $($promise:ident)*) => {
        $(#[test] fn $promise() {
            $crate::contract::$promise::<$fixture>();
        })*
    };
}

/// Longer than anything here takes; only a hang gets this far.
const HANG: Duration = Duration::from_secs(60);

/// Waits until a watched value is as wanted, and fails the test if that takes for ever.
pub fn wait_for<T: Copy>(watched: &mut watch::Receiver<T>, wanted: impl FnMut(&T) -> bool) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let waited = runtime.expect("a runtime").block_on(async {
        tokio::time::timeout(HANG, watched.wait_for(wanted))
            .await
            .map(|seen| seen.map(|seen| *seen))
    });
    waited.expect("it came to pass in time").expect("the sender lives")
}

/// A record with everything, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The record's number.
    pub offset: u64,
    /// Its time.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// Reads all records from an offset on, in reads of `bytes_max`.
pub fn read_from(
    log: &dyn Log,
    partition: &TopicPartition,
    from: Offset,
    bytes_max: usize,
) -> Result<Vec<Held>, LogError> {
    let (mut from, mut held) = (from, Vec::new());
    loop {
        let chunk = log.read(partition, from, bytes_max)?;
        if chunk.is_empty() {
            return Ok(held);
        }
        assert!(chunk.next_offset() > from, "a read makes progress");
        held.extend(chunk.records().map(|record| {
            Held {
                offset: record.offset.0,
                timestamp_ms: record.timestamp_ms,
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                headers: record
                    .headers()
                    .map(|(key, value)| (key.to_owned(), value.to_vec()))
                    .collect(),
            }
        }));
        from = chunk.next_offset();
    }
}

/// The first partition of a topic.
pub fn partition(topic: &str) -> TopicPartition {
    TopicPartition {
        topic: topic.into(),
        partition: 0,
    }
}

/// Appends a record that is nothing but a value, and tells its offset.
pub fn put(appender: &mut dyn Appender, partition: &TopicPartition, value: &str) -> Offset {
    let record = NewRecord {
        timestamp_ms: 1_700_000_000_000,
        key: None,
        value: Some(value.as_bytes()),
        headers: &[],
    };
    let offset = appender.next_offset(partition).expect("the log knows where it goes");
    appender.append(partition, record).expect("the log takes a record");
    offset
}

/// Offsets and values as text.
pub fn values(log: &dyn Log, partition: &TopicPartition) -> Vec<(u64, String)> {
    let held = read_from(log, partition, Offset(0), 1 << 20).expect("the log is readable");
    let text = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap_or_default()).expect("values are text here");
    held.into_iter().map(|held| (held.offset, text(held.value))).collect()
}

fn owned(pairs: &[(u64, &str)]) -> Vec<(u64, String)> {
    pairs
        .iter()
        .map(|(offset, value)| (*offset, (*value).to_owned()))
        .collect()
}

fn open_with_topic<F: Fixture>(topic: &str) -> (F, Arc<dyn Log>, TopicPartition) {
    let fixture = F::new();
    let log = fixture.open();
    log.ensure_topic(topic, &TopicCreation::default())
        .expect("a topic can be made");
    (fixture, log, partition(topic))
}

fn flush(appender: &mut dyn Appender, visibility: Visibility) -> FlushSeq {
    appender.flush(visibility).expect("the log takes a flush")
}

fn commit(appender: &mut dyn Appender, position: &str) {
    appender.commit(position.as_bytes()).expect("the log takes a commit");
}

fn wait_durable(appender: &dyn Appender, seq: FlushSeq) {
    wait_for(&mut appender.durable(), |durable| *durable >= seq);
}
