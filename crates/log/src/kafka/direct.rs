//! Reads from the brokers what this process keeps no copy of: internal topics and the tails of those that it writes.
//!
//! One read at a time, each a few round trips: it is for starts, not for readers in numbers.

use std::collections::HashMap;

use parking_lot::Mutex;
use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
};
use tokio::sync::watch;

use super::{
    KafkaOptions,
    admin::{Cluster, is_denied},
    client::{self, Link, REQUEST_TIMEOUT},
    message::ChunkOf,
};
use crate::{Chunk, LogError, Offset, TopicPartition};

/// How long an answer of the broker may be held back when there is nothing to read.
///
/// A read ends when the broker says so, which is at the end of its wait.
const WAIT_MS: &str = "10";

/// A reader of the brokers.
pub(crate) struct Direct {
    consumer: Mutex<BaseConsumer<Link>>,
    /// Kept so that whoever waits for an end waits on, rather than hearing that the topic is gone.
    ends: Mutex<HashMap<TopicPartition, watch::Sender<Offset>>>,
}

impl Direct {
    pub(crate) fn new(options: &KafkaOptions) -> Result<Direct, LogError> {
        let config = client::consumer_properties(options, &[("fetch.wait.max.ms", WAIT_MS)]);
        Ok(Direct {
            consumer: Mutex::new(client::create(&config, Link::default())?),
            ends: Mutex::default(),
        })
    }

    pub(crate) fn earliest(&self, cluster: &Cluster, id: &TopicPartition) -> Result<Offset, LogError> {
        Ok(cluster.reach(std::slice::from_ref(id))?[0].earliest)
    }

    /// The end as it is now; asking again moves what was given before.
    pub(crate) fn end(&self, cluster: &Cluster, id: &TopicPartition) -> Result<watch::Receiver<Offset>, LogError> {
        let reach = cluster.reach(std::slice::from_ref(id));
        let mut ends = self.ends.lock();
        match reach {
            Ok(reach) => {
                let end = ends.entry(id.clone()).or_insert_with(|| watch::Sender::new(Offset(0)));
                end.send_if_modified(|known| std::mem::replace(known, reach[0].end) != reach[0].end);
                Ok(end.subscribe())
            }
            Err(e) => {
                if matches!(e, LogError::UnknownPartition(_)) {
                    ends.remove(id);
                }
                Err(e)
            }
        }
    }

    /// Records from an offset on, at least one and then up to about `bytes_max` bytes.
    pub(crate) fn read(
        &self,
        cluster: &Cluster,
        id: &TopicPartition,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Chunk, LogError> {
        let reach = cluster.reach(std::slice::from_ref(id))?[0];
        if from < reach.earliest {
            return Err(LogError::OutOfRange {
                partition: id.to_string(),
                asked: from.0,
                earliest: reach.earliest.0,
            });
        }
        if from >= reach.end {
            return Ok(Chunk::end(from));
        }
        let consumer = self.consumer.lock();
        // A client that has to find out by itself where a partition is looks once a second.
        let found = consumer.fetch_metadata(Some(&id.topic), REQUEST_TIMEOUT);
        found.map_err(|e| away(id, &e))?;
        let mut assigned = TopicPartitionList::with_capacity(1);
        let offset = rdkafka::Offset::Offset(from.0.cast_signed());
        let added = assigned.add_partition_offset(&id.topic, id.partition as i32, offset);
        added
            .and_then(|()| consumer.assign(&assigned))
            .map_err(|e| away(id, &e))?;
        let read = gather(&consumer, id, from, reach.end, bytes_max);
        consumer.unassign().map_err(|e| away(id, &e))?;
        read
    }
}

fn gather(
    consumer: &BaseConsumer<Link>,
    id: &TopicPartition,
    from: Offset,
    end: Offset,
    bytes_max: usize,
) -> Result<Chunk, LogError> {
    let mut chunk = ChunkOf::new(from);
    loop {
        match consumer.poll(REQUEST_TIMEOUT) {
            Some(Ok(message)) => {
                chunk.push(&message);
                if chunk.len_bytes() >= bytes_max {
                    return Ok(chunk.finish(from));
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(chunk.finish(end)),
            // Another broker may answer; the client goes on by itself.
            Some(Err(KafkaError::MessageConsumption(Code::BrokerTransportFailure | Code::AllBrokersDown))) => {}
            Some(Err(e)) => return Err(failed(id, &e)),
            None => return Err(away(id, &"nothing came")),
        }
    }
}

fn failed(id: &TopicPartition, error: &KafkaError) -> LogError {
    match is_denied(error) {
        true => LogError::Denied(format!(
            "Kafka does not allow {id} to be read ({error}); allow it to the user of sasl.username"
        )),
        false => away(id, error),
    }
}

fn away(id: &TopicPartition, why: &dyn std::fmt::Display) -> LogError {
    LogError::Away(format!(
        "Kafka did not give records of {id} ({why}); look whether its brokers run"
    ))
}
