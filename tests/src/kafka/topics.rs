//! What is in a broker's topics, read and written by librdkafka.
//!
//! Promises: reading sees what a `read_committed` consumer sees, from the first offset on; it waits for records, never for
//! a clock. Knows nothing of who runs the broker.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, bail};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    error::KafkaError,
    message::{Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, Producer},
};

use crate::{PATIENCE, until};

/// A record as a consumer sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// The partition that holds it.
    pub partition: i32,
    /// Its place there.
    pub offset: i64,
    /// `None` is Kafka's null, which is not the empty key.
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// In the order in which they were sent.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// As the producer set it.
    pub timestamp_ms: i64,
}

/// A record to be written.
#[derive(Clone, Debug, Default)]
pub struct NewRecord {
    /// `None` leaves the choice to the key's murmur2, as the Java producer does.
    pub partition: Option<i32>,
    /// See [`Record::key`].
    pub key: Option<Vec<u8>>,
    /// See [`Record::value`].
    pub value: Option<Vec<u8>>,
    /// See [`Record::headers`].
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// `None` is now.
    pub timestamp_ms: Option<i64>,
}

/// How far a partition reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// Which one.
    pub partition: i32,
    /// The first offset that is still there.
    pub earliest: i64,
    /// The offset after the last one, markers of transactions included.
    pub end: i64,
}

/// A client for the topics of one broker.
#[derive(Clone, Debug)]
pub struct Topics {
    address: String,
}

impl Topics {
    /// Of the broker at `host:port`.
    pub fn at(address: &str) -> Topics {
        Topics {
            address: address.to_owned(),
        }
    }

    /// Makes a topic, with properties such as `cleanup.policy`.
    pub async fn create(&self, topic: &str, partitions: i32, properties: &[(&str, &str)]) -> anyhow::Result<()> {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for (name, value) in properties {
            new = new.set(name, value);
        }
        done(self.admin()?.create_topics([&new], &patiently()).await?)?;
        self.has_partitions(topic, partitions as usize).await
    }

    /// Adds partitions, up to `partitions` in all.
    pub async fn add_partitions(&self, topic: &str, partitions: usize) -> anyhow::Result<()> {
        let new = NewPartitions::new(topic, partitions);
        done(self.admin()?.create_partitions([&new], &patiently()).await?)?;
        self.has_partitions(topic, partitions).await
    }

    /// Deletes a topic; returns when it is gone.
    pub async fn delete(&self, topic: &str) -> anyhow::Result<()> {
        done(self.admin()?.delete_topics(&[topic], &patiently()).await?)?;
        self.has_partitions(topic, 0).await
    }

    /// Writes records in this order, idempotently; returns partition and offset of each once the broker has acknowledged
    /// all of them.
    pub async fn produce(&self, topic: &str, records: &[NewRecord]) -> anyhow::Result<Vec<(i32, i64)>> {
        let mut config = self.config();
        config.set("enable.idempotence", "true");
        config.set("partitioner", "murmur2_random");
        let producer: FutureProducer = config.create()?;
        let mut sent = Vec::with_capacity(records.len());
        for record in records {
            let new = future_record(topic, record);
            sent.push(
                producer
                    .send_result(new)
                    .map_err(|(error, _)| error)
                    .context("queueing a record")?,
            );
        }
        let mut places = Vec::with_capacity(sent.len());
        for delivery in sent {
            let delivery = delivery.await?.map_err(|(error, _)| error)?;
            places.push((delivery.partition, delivery.offset));
        }
        Ok(places)
    }

    /// Writes records in one transaction, all of which are acknowledged before it is committed, or aborted.
    pub async fn produce_in_transaction(
        &self,
        topic: &str,
        records: &[NewRecord],
        commits: bool,
    ) -> anyhow::Result<()> {
        let mut config = self.config();
        config.set("transactional.id", "rowcast-tests");
        config.set("partitioner", "murmur2_random");
        let producer: FutureProducer = config.create()?;
        producer.init_transactions(PATIENCE)?;
        producer.begin_transaction()?;
        for record in records {
            let sent = producer.send_result(future_record(topic, record));
            let sent = sent.map_err(|(error, _)| error).context("queueing a record")?;
            sent.await?.map_err(|(error, _)| error)?;
        }
        match commits {
            true => producer.commit_transaction(PATIENCE)?,
            false => producer.abort_transaction(PATIENCE)?,
        }
        Ok(())
    }

    /// Everything that is committed in the topic now, by partition and offset.
    pub async fn read(&self, topic: &str) -> anyhow::Result<Vec<Record>> {
        let mut reader = self.reader(topic, "read_committed")?;
        let mut records = Vec::new();
        while reader.open_partitions > 0 {
            records.extend(reader.next().await?);
        }
        records.sort();
        Ok(records)
    }

    /// The same of all topics that `is_wanted` knows by name.
    pub async fn read_all(&self, is_wanted: impl Fn(&str) -> bool) -> anyhow::Result<BTreeMap<String, Vec<Record>>> {
        let consumer: StreamConsumer = self.config().create()?;
        let metadata = consumer.fetch_metadata(None, PATIENCE)?;
        let wanted = metadata.topics().iter().filter(|topic| is_wanted(topic.name()));
        let places: Vec<(&str, i32)> = wanted
            .flat_map(|topic| {
                topic
                    .partitions()
                    .iter()
                    .map(|partition| (topic.name(), partition.id()))
            })
            .collect();
        let mut reader = self.reader_of(&places, "read_committed")?;
        let mut records: BTreeMap<String, Vec<Record>> = BTreeMap::new();
        while reader.open_partitions > 0 {
            if let Some((topic, record)) = reader.next_of().await? {
                records.entry(topic).or_default().push(record);
            }
        }
        records.values_mut().for_each(|of_topic| of_topic.sort());
        Ok(records)
    }

    /// Everything in the topic, what open and aborted transactions wrote included.
    pub async fn read_uncommitted(&self, topic: &str) -> anyhow::Result<Vec<Record>> {
        let mut reader = self.reader(topic, "read_uncommitted")?;
        let mut records = Vec::new();
        while reader.open_partitions > 0 {
            records.extend(reader.next().await?);
        }
        records.sort();
        Ok(records)
    }

    /// Waits for the topic and reads committed records, old and new, until they are enough; in the order of arrival.
    pub async fn read_until(&self, topic: &str, enough: impl Fn(&[Record]) -> bool) -> anyhow::Result<Vec<Record>> {
        until(&format!("topic {topic}"), async || {
            Ok((!self.partitions(topic)?.is_empty()).then_some(()))
        })
        .await?;
        let mut reader = self.reader(topic, "read_committed")?;
        let mut records = Vec::new();
        while !enough(&records) {
            let next = reader.next().await;
            records.extend(next.with_context(|| format!("topic {topic} gave only {} records", records.len()))?);
        }
        Ok(records)
    }

    /// How far each partition reaches.
    pub async fn offsets(&self, topic: &str) -> anyhow::Result<Vec<Offsets>> {
        let consumer: StreamConsumer = self.config().create()?;
        let of = |partition| {
            let (earliest, end) = consumer.fetch_watermarks(topic, partition, PATIENCE)?;
            Ok(Offsets {
                partition,
                earliest,
                end,
            })
        };
        self.partitions(topic)?.into_iter().map(of).collect()
    }

    /// The partitions of a topic that have a leader; none of a topic that does not exist.
    pub fn partitions(&self, topic: &str) -> anyhow::Result<Vec<i32>> {
        let consumer: StreamConsumer = self.config().create()?;
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
        let topics = metadata.topics().iter().filter(|found| found.error().is_none());
        let partitions = topics.flat_map(|topic| topic.partitions());
        let mut led: Vec<i32> = partitions
            .filter(|partition| partition.leader() >= 0)
            .map(|partition| partition.id())
            .collect();
        led.sort_unstable();
        Ok(led)
    }

    /// The broker's answer to "what is there" may lag behind what it has just acknowledged.
    async fn has_partitions(&self, topic: &str, count: usize) -> anyhow::Result<()> {
        until(&format!("topic {topic} to have {count} partitions"), async || {
            Ok((self.partitions(topic)?.len() == count).then_some(()))
        })
        .await
    }

    fn reader(&self, topic: &str, isolation: &str) -> anyhow::Result<Reader> {
        let partitions = self.partitions(topic)?;
        if partitions.is_empty() {
            bail!("there is no topic {topic}");
        }
        let places: Vec<(&str, i32)> = partitions.into_iter().map(|partition| (topic, partition)).collect();
        self.reader_of(&places, isolation)
    }

    fn reader_of(&self, places: &[(&str, i32)], isolation: &str) -> anyhow::Result<Reader> {
        let mut config = self.config();
        config.set("group.id", "rowcast-tests");
        config.set("enable.auto.commit", "false");
        config.set("enable.partition.eof", "true");
        config.set("isolation.level", isolation);
        // An end is told by an empty answer, for which the broker waits 500 ms by default.
        config.set("fetch.wait.max.ms", "20");
        let consumer: StreamConsumer = config.create()?;
        let mut assignment = TopicPartitionList::new();
        for (topic, partition) in places {
            assignment.add_partition_offset(topic, *partition, Offset::Beginning)?;
        }
        consumer.assign(&assignment)?;
        Ok(Reader {
            consumer,
            open_partitions: places.len(),
        })
    }

    fn admin(&self) -> anyhow::Result<AdminClient<DefaultClientContext>> {
        Ok(self.config().create()?)
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        // A broker that comes back is found at once; the default waits up to 10 s between two tries.
        config.set("reconnect.backoff.max.ms", "200");
        // Nobody listens to it: what matters comes back as an error.
        config.set("log_level", "2");
        config
    }
}

/// Reads topics from their beginning.
struct Reader {
    consumer: StreamConsumer,
    /// Partitions whose end has not been reached yet.
    open_partitions: usize,
}

impl Reader {
    /// The next record, or `None` when a partition has come to its end for now.
    async fn next(&mut self) -> anyhow::Result<Option<Record>> {
        Ok(self.next_of().await?.map(|(_, record)| record))
    }

    /// The same, with its topic.
    async fn next_of(&mut self) -> anyhow::Result<Option<(String, Record)>> {
        let next = tokio::time::timeout(PATIENCE, self.consumer.recv()).await;
        match next.context("nothing more came")? {
            Ok(message) => Ok(Some((message.topic().to_owned(), as_record(&message)))),
            Err(KafkaError::PartitionEOF(_)) => {
                self.open_partitions = self.open_partitions.saturating_sub(1);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn future_record<'a>(topic: &'a str, record: &'a NewRecord) -> FutureRecord<'a, [u8], [u8]> {
    let mut new: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(topic);
    new.partition = record.partition;
    new.key = record.key.as_deref();
    new.payload = record.value.as_deref();
    new.timestamp = record.timestamp_ms;
    if !record.headers.is_empty() {
        let headers = record.headers.iter().map(|(key, value)| Header {
            key,
            value: value.as_deref(),
        });
        new.headers = Some(headers.fold(OwnedHeaders::new(), OwnedHeaders::insert));
    }
    new
}

fn as_record(message: &impl Message) -> Record {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    Record {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers
            .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
            .collect(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
    }
}

fn patiently() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(PATIENCE))
        .operation_timeout(Some(Duration::from_secs(30)))
}

fn done(results: Vec<TopicResult>) -> anyhow::Result<()> {
    for result in results {
        result.map_err(|(topic, code)| anyhow::anyhow!("topic {topic}: {code}"))?;
    }
    Ok(())
}
