//! A client that was away for longer than the log keeps is told so, and gets the table again.

mod stage;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use rowcast_gateway::{Gateway, GatewayOptions};
use rowcast_log::{Appender, Chunk, Log, LogError, Offset, TopicCreation, TopicInfo, TopicPartition, WriterId};
use rowcast_protocol::{ResetReason, ServerMessage};
use stage::{Client, Stage, TOPIC, Table};
use tokio::sync::watch;

/// A log that has let go of its oldest records, which the embedded one does not do yet.
struct Forgetful {
    log: Arc<dyn Log>,
    earliest: AtomicU64,
}

impl Log for Forgetful {
    fn ensure_topic(&self, topic: &str, creation: &TopicCreation) -> Result<TopicInfo, LogError> {
        self.log.ensure_topic(topic, creation)
    }
    fn delete_topic(&self, topic: &str) -> Result<(), LogError> {
        self.log.delete_topic(topic)
    }
    fn find_topic(&self, topic: &str) -> Result<Option<TopicInfo>, LogError> {
        self.log.find_topic(topic)
    }
    fn find_topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        self.log.find_topics()
    }
    fn topics_changed(&self) -> watch::Receiver<u64> {
        self.log.topics_changed()
    }
    fn appender(&self, writer: &WriterId) -> Result<Box<dyn Appender>, LogError> {
        self.log.appender(writer)
    }
    fn read(&self, partition: &TopicPartition, from: Offset, bytes_max: usize) -> Result<Chunk, LogError> {
        let earliest = self.earliest.load(Ordering::Relaxed);
        if from.0 < earliest {
            return Err(LogError::OutOfRange {
                partition: partition.to_string(),
                asked: from.0,
                earliest,
            });
        }
        self.log.read(partition, from, bytes_max)
    }
    fn earliest(&self, _: &TopicPartition) -> Result<Offset, LogError> {
        Ok(Offset(self.earliest.load(Ordering::Relaxed)))
    }
    fn end(&self, partition: &TopicPartition) -> Result<watch::Receiver<Offset>, LogError> {
        self.log.end(partition)
    }
    fn position(&self, partition: &TopicPartition) -> Result<Option<Bytes>, LogError> {
        self.log.position(partition)
    }
    fn unfinished(&self, partition: &TopicPartition) -> Result<u64, LogError> {
        self.log.unfinished(partition)
    }
    fn size_bytes(&self) -> u64 {
        self.log.size_bytes()
    }
    fn failure(&self) -> Option<String> {
        self.log.failure()
    }
}

#[tokio::test]
async fn a_cursor_below_what_the_log_keeps_resets() {
    let stage = Stage::set().await;
    let mut writer = stage.writer(TOPIC);
    let mut client = stage.client().await;
    client.subscribe(|subscribe| subscribe.snapshot = false).await;
    let ServerMessage::Live(live) = client.next().await else {
        panic!("not live")
    };
    for id in 0..200 {
        writer.change('c', id, 1);
    }
    let earliest = writer.change('c', 1000, 1);
    writer.change('c', 1001, 1);

    let log = Arc::new(Forgetful {
        log: stage.log.clone(),
        earliest: earliest.into(),
    });
    let address = stage.serve(Gateway::start(log, GatewayOptions::default())).await;
    for snapshot in [true, false] {
        let mut client = Client::connect(address, Some("rowcast.v1")).await;
        let cursor = live.cursor.clone();
        client
            .subscribe(|subscribe| {
                subscribe.cursor = Some(cursor);
                subscribe.snapshot = snapshot;
            })
            .await;
        match client.next().await {
            ServerMessage::Reset(reset) => assert_eq!(reset.reason, ResetReason::Expired),
            other => panic!("{}", other.to_json()),
        }
        let mut table = Table::default();
        while table.lives == 0 {
            table.take(client.next().await);
        }
        let kept = if snapshot {
            [(1000, 1), (1001, 1)].into()
        } else {
            Default::default()
        };
        assert_eq!(table.rows, kept);
    }
}

#[tokio::test]
async fn rows_that_retention_takes_are_left_out_for_those_who_come_later() {
    let stage = Stage::set().await;
    let mut writer = stage.writer(TOPIC);
    for id in 0..200 {
        writer.change('c', id, 1);
    }
    let earliest = writer.change('c', 1000, 1);
    let log = Arc::new(Forgetful {
        log: stage.log.clone(),
        earliest: 0.into(),
    });
    let address = stage
        .serve(Gateway::start(log.clone(), GatewayOptions::default()))
        .await;
    let mut rows = Vec::new();
    for kept_from in [0, earliest, earliest + 2] {
        log.earliest.store(kept_from, Ordering::Relaxed);
        // Anything new makes the next snapshot another one.
        writer.change('c', 2000, 1);
        let mut client = Client::connect(address, Some("rowcast.v1")).await;
        client.subscribe(|_| {}).await;
        let mut table = Table::default();
        while table.lives == 0 {
            table.take(client.next().await);
        }
        rows.push(table.rows.len());
    }
    assert_eq!(rows, [202, 2, 1]);
}
