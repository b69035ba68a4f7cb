//! The contract of [`Log`], written once as tests for every implementation.
//!
//! An implementation gives a [`Fixture`] and calls [`contract_tests!`](crate::contract_tests) in a test file. Each test
//! is named for its promise. There are two lists: what every log promises, and what only one can that gives out offsets
//! itself, in one process (`docs/decisions/0010-two-contracts.md`). What only files can show (torn writes, lock files) is
//! not here.

#![expect(clippy::unwrap_used, reason = "these are tests: a refusal fails the promise")]

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

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

    /// The times that a record may have.
    const TIMES_MS: RangeInclusive<i64> = i64::MIN..=i64::MAX;
    /// Any records are appended so often, each time in a place of their own.
    const CASES: u32 = 24;

    /// Who appends.
    fn writer() -> WriterId {
        WriterId::new("test")
    }
}

/// Makes a `#[test]` of every promise for a [`Fixture`]: of all, or of those that logs keep which machines `share`.
#[macro_export]
macro_rules! contract_tests {
    ($fixture:ty) => {
        $crate::contract_tests! { shared $fixture }
        $crate::contract_tests! { $fixture:
            a_transaction_takes_one_offset_more_than_its_records
            nothing_is_shown_before_a_flush
            a_follower_goes_on_where_it_stopped
            records_for_after_the_sync_are_shown_up_to_the_last_commit
            a_transaction_larger_than_the_buffer_stays_hidden_until_its_flush
            the_position_is_that_of_the_last_commit_in_each_partition
            a_topic_that_stays_empty_can_be_told_from_one_not_begun
            a_position_of_any_size_allowed_is_kept
            a_replay_gives_every_record_its_offset_again
            an_unfinished_transaction_is_gone_after_an_open
            what_readers_saw_of_an_unfinished_transaction_stays_for_the_next_appender
            what_nobody_saw_of_an_unfinished_transaction_is_gone
            a_partition_has_one_writer
        }
    };
    (shared $fixture:ty) => {
        $crate::contract_tests! { $fixture:
            records_come_back_as_they_were_appended
            what_is_durable_is_there_after_an_open
            offsets_grow_and_the_next_is_known
            a_reader_may_begin_anywhere
            a_chunk_is_bounded_and_at_least_one_batch
            reading_past_the_end_gives_nothing
            readers_are_woken_by_a_flush
            durable_offsets_lie_between_what_is_durable_and_what_is_not
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

/// All records from the start on, once there are so many: readers may see what was flushed a moment later.
pub fn shown(log: &dyn Log, partition: &TopicPartition, count: usize) -> Vec<Held> {
    let mut end = log.end(partition).expect("the partition exists");
    loop {
        let seen = *end.borrow_and_update();
        let held = read_from(log, partition, Offset(0), 1 << 20).expect("the log is readable");
        if held.len() >= count {
            return held;
        }
        wait_for(&mut end, |end| *end != seen);
    }
}

/// The first partition of a topic.
pub fn partition(topic: &str) -> TopicPartition {
    TopicPartition {
        topic: topic.into(),
        partition: 0,
    }
}

/// Appends a record that is nothing but a value.
pub fn add(appender: &mut dyn Appender, partition: &TopicPartition, value: &str) {
    let record = NewRecord {
        timestamp_ms: 1_700_000_000_000,
        key: None,
        value: Some(value.as_bytes()),
        headers: &[],
    };
    appender.append(partition, record).expect("the log takes a record");
}

/// The same, and tells its offset: of a log that gives offsets out itself.
pub fn put(appender: &mut dyn Appender, partition: &TopicPartition, value: &str) -> Offset {
    let offset = appender.next_offset(partition).expect("the log knows where it goes");
    add(appender, partition, value);
    offset
}

/// Offsets and values as text.
pub fn values(log: &dyn Log, partition: &TopicPartition) -> Vec<(u64, String)> {
    let held = read_from(log, partition, Offset(0), 1 << 20).expect("the log is readable");
    let text = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap_or_default()).expect("values are text here");
    held.into_iter().map(|held| (held.offset, text(held.value))).collect()
}

/// The values that are shown, as text, once there are so many.
pub fn texts(log: &dyn Log, partition: &TopicPartition, count: usize) -> Vec<String> {
    let text = |held: Held| String::from_utf8(held.value.unwrap_or_default()).expect("values are text here");
    shown(log, partition, count).into_iter().map(text).collect()
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
