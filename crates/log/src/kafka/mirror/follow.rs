//! Copies one partition, record by record, in Kafka's order.
//!
//! Everything that is there without waiting goes into one write; then readers are shown it.

use std::{rc::Rc, sync::Arc};

use futures_util::{FutureExt, StreamExt};
use rdkafka::{
    consumer::stream_consumer::StreamPartitionQueue,
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::BorrowedMessage,
};

use super::{Local, topics::Part};
use crate::{
    Log, LogError, NewRecord, Offset, TopicPartition,
    kafka::{
        client::Link,
        message::{Encoded, with_record},
    },
    scan,
};

/// Bytes that are copied before readers are shown them although more is there.
///
/// A write of 1 MiB costs 0.3 ms; larger ones gain nothing, and other partitions wait meanwhile.
const WRITE_BYTES_MAX: usize = 1 << 20;

/// Offsets at a copy's end that a sieve is shown after a start.
///
/// A writer that wakes up late can repeat no more than it had on its way: that is far less.
const SIEVE_OFFSETS: u64 = 10_000;

/// Copies until the task is ended, the broker does not know our place, or a partition that was behind has met its end.
pub(super) async fn follow(local: Rc<Local>, part: Rc<Part>, queue: StreamPartitionQueue<Link>) {
    let mut encoded = Encoded::default();
    if let Err(e) = warm_up(&local, &part.id) {
        return local.fail(&e);
    }
    let mut stream = queue.stream();
    while let Some(first) = stream.next().await {
        let mut taken = Some(first);
        let mut bytes = 0;
        while let Some(next) = taken {
            match take(&local, &part, next, &mut encoded) {
                Ok(copied) => bytes += copied,
                Err(e) => return local.fail(&e),
            }
            if part.lost.get() || bytes > WRITE_BYTES_MAX {
                break;
            }
            taken = stream.next().now_or_never().flatten();
        }
        if let Err(e) = local.copier.borrow_mut().flush() {
            return local.fail(&e);
        }
        local.tell(&part.id.topic);
        if part.lost.get() {
            return local.shared.look();
        }
        if part.catches_up.get() && part.at_end.get() {
            return local.hand_over(&part);
        }
        if bytes > WRITE_BYTES_MAX {
            tokio::task::yield_now().await;
        }
    }
}

/// Copies a record, or hears what there is instead of one. Gives the record's bytes.
fn take(
    local: &Local,
    part: &Part,
    next: Result<BorrowedMessage<'_>, KafkaError>,
    encoded: &mut Encoded,
) -> Result<usize, LogError> {
    match next {
        Ok(message) => {
            local.link.is_up();
            part.at_end.set(false);
            with_record(&message, |offset, record| copy(local, part, offset, record, encoded))
        }
        Err(KafkaError::PartitionEOF(_)) => {
            local.link.is_up();
            part.at_end.set(true);
            local.is_complete(part)?;
            Ok(0)
        }
        Err(e) => {
            hear(local, part, &e);
            Ok(0)
        }
    }
}

fn copy(
    local: &Local,
    part: &Part,
    offset: Offset,
    record: &NewRecord<'_>,
    encoded: &mut Encoded,
) -> Result<usize, LogError> {
    if offset.0 < part.next.get() {
        // Of a batch that began below the place we asked for.
        return Ok(0);
    }
    if part.names_topics {
        let seen = encoded.record(offset, record);
        if local.shared.names.lock().learn(&part.id.topic, &seen) {
            local.shared.look();
        }
    }
    let mut sieve = local.sieve.borrow_mut();
    let kept = sieve
        .as_mut()
        .is_none_or(|sieve| sieve.keeps(&part.id, &encoded.record(offset, record)));
    if kept {
        local.copier.borrow_mut().append(&part.id, offset, record)?;
    }
    part.next.set(offset.0 + 1);
    Ok(record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len))
}

/// What the broker says of the partition instead of giving records.
fn hear(local: &Local, part: &Part, error: &KafkaError) {
    match error.rdkafka_error_code() {
        // The place is gone: by retention, or with the topic's life.
        Some(Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation) => part.lost.set(true),
        Some(Code::AllBrokersDown | Code::BrokerTransportFailure) => {}
        Some(code) => {
            tracing::warn!(partition = %part.id, %code, "Kafka does not give the partition's records");
            local.shared.look();
        }
        None => tracing::warn!(partition = %part.id, %error, "Kafka does not give the partition's records"),
    }
}

/// Shows the sieve the end of what an earlier process copied.
fn warm_up(local: &Local, id: &TopicPartition) -> Result<(), LogError> {
    let mut sieve = local.sieve.borrow_mut();
    let Some(sieve) = sieve.as_mut() else {
        return Ok(());
    };
    sieve.begins(id);
    let copies = Arc::clone(&local.shared.copies);
    let end = copies.end(id)?.borrow().0;
    scan(&*copies, id, Offset(end.saturating_sub(SIEVE_OFFSETS)), |record| {
        sieve.keeps(id, record);
        Ok(())
    })
    .map(drop)
}
