//! Follows one topic on the brokers for a person who looks on: no copies, no group, nothing is written.

use std::sync::Arc;

use futures_util::StreamExt;
use rdkafka::{
    Message, TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
};

use super::{
    KafkaOptions,
    admin::{Cluster, Reach},
    client::{self, Link, blocking},
    message::ChunkOf,
};
use crate::{Chunk, LogError, Offset, TopicInfo, TopicPartition};

/// Where a tail begins, in each partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the first record that is kept.
    Beginning,
    /// Behind the last record that there is now.
    End,
    /// At this offset, or at the nearest that there is.
    At(Offset),
}

/// The records of one topic as they come, in the order of each partition.
pub struct Tail {
    consumer: StreamConsumer<Link>,
    topic: TopicInfo,
    /// Partitions whose end has not been met yet, if the tail ends there.
    to_end: Option<Vec<bool>>,
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

impl Tail {
    /// Begins to follow a topic; with `to_end`, until the end that each partition has when it is met. Must be called
    /// inside a runtime.
    pub fn open(options: KafkaOptions, topic: &str, start: Start, to_end: bool) -> Result<Tail, LogError> {
        blocking(|| {
            client::check(&options)?;
            let link = Link::default();
            client::connect(&options, &link)?;
            let cluster = Cluster::new(Arc::new(options.clone()), link)?;
            let found = cluster.topic(topic)?;
            let topic = found.ok_or_else(|| LogError::UnknownPartition(topic.to_owned()))?;
            let all = topic.all();
            let reach = cluster.reach(&all)?;
            let config = client::consumer_properties(&options, &[]);
            let consumer: StreamConsumer<Link> = client::create(&config, Link::default())?;
            let mut places = TopicPartitionList::with_capacity(all.len());
            for (id, reach) in all.iter().zip(&reach) {
                let place = rdkafka::Offset::Offset(begin(start, *reach).0.cast_signed());
                let added = places.add_partition_offset(&id.topic, id.partition as i32, place);
                added.expect("a number is an offset");
            }
            consumer.assign(&places).map_err(|e| LogError::Away(e.to_string()))?;
            Ok(Tail {
                consumer,
                to_end: to_end.then(|| vec![false; all.len()]),
                topic,
            })
        })
    }

    /// The topic as it was found.
    pub fn topic(&self) -> &TopicInfo {
        &self.topic
    }

    /// The next records of a partition; `None` at the end, if the tail ends there. Kafka away is waited for. Safe to
    /// cancel.
    pub async fn next(&mut self) -> Result<Option<(TopicPartition, Chunk)>, LogError> {
        let mut stream = self.consumer.stream();
        loop {
            if self.to_end.as_ref().is_some_and(|met| met.iter().all(|met| *met)) {
                return Ok(None);
            }
            match stream.next().await {
                Some(Ok(message)) => {
                    let id = TopicPartition {
                        topic: Arc::clone(&self.topic.name),
                        partition: message.partition().cast_unsigned(),
                    };
                    let offset = Offset(message.offset().cast_unsigned());
                    let mut chunk = ChunkOf::new(offset);
                    chunk.push(&message);
                    return Ok(Some((id, chunk.finish(offset))));
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    let met = self.to_end.as_mut().and_then(|met| met.get_mut(partition as usize));
                    if let Some(met) = met {
                        *met = true;
                    }
                }
                Some(Err(e)) => match e.rdkafka_error_code() {
                    Some(Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve) => {
                        tracing::warn!("Kafka is away; waiting for it");
                    }
                    _ => {
                        return Err(LogError::Away(format!(
                            "topic {} cannot be read ({e})",
                            self.topic.name
                        )));
                    }
                },
                None => return Ok(None),
            }
        }
    }
}

fn begin(start: Start, reach: Reach) -> Offset {
    match start {
        Start::Beginning => reach.earliest,
        Start::End => reach.end,
        Start::At(offset) => offset.clamp(reach.earliest, reach.end),
    }
}
