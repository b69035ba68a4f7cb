//! Heartbeats: a record now and then that says that the connector lives, also while nothing else is written.
//!
//! They are no part of the source's history: nothing is replayed, and none is looked for after a restart. Each is written
//! between two transactions, or with the end of the one that goes by. A timer of the configured interval, nothing else.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rowcast_event::HeartbeatEncoder;
use rowcast_log::{LogError, NewRecord, TopicPartition, Visibility};
use rowcast_postgres::{ConnectorConfig, Session, SourceError};
use tokio::{sync::watch, task::JoinHandle};

use super::Pipeline;
use crate::{ConnectorError, clock::now_ns};

/// What a connector's heartbeats are made with.
pub(super) struct Heartbeat {
    encoder: HeartbeatEncoder,
    interval: Duration,
    /// Known once there is one to write.
    partition: Option<TopicPartition>,
    /// When the next one is due; `None` while one waits for the end of a transaction.
    due_at: Option<Instant>,
    action: Option<Action>,
}

impl Heartbeat {
    pub(super) fn new(config: &ConnectorConfig) -> Option<Heartbeat> {
        let options = config.heartbeat.as_ref()?;
        let query = options.action_query.as_ref();
        Some(Heartbeat {
            encoder: HeartbeatEncoder::new(&options.topic, &config.event_options("")),
            interval: options.interval,
            partition: None,
            due_at: Some(Instant::now() + options.interval),
            action: query.map(|query| Action::start(config.clone(), query.clone())),
        })
    }

    fn waits(&self) -> bool {
        self.due_at.is_none()
    }
}

impl Pipeline {
    /// When the next heartbeat is due, if there are any.
    pub(super) fn heartbeat_at(&self) -> Option<Instant> {
        self.heartbeat.as_ref().and_then(|heartbeat| heartbeat.due_at)
    }

    /// A heartbeat, if there are any: now, or with the end of the transaction that goes by.
    pub(crate) fn beat(&mut self) -> Result<(), ConnectorError> {
        let Some(heartbeat) = &mut self.heartbeat else {
            return Ok(());
        };
        heartbeat.due_at = None;
        if heartbeat.partition.is_none() {
            let topic: Arc<str> = heartbeat.encoder.topic.clone();
            heartbeat.partition = Some(self.topics.make(&topic)?);
        }
        if !self.has_unfinished && !self.confirmation.is_in_transaction() {
            self.append_heartbeat()?;
            // Whoever finds this one's mark to be the last finds what was whole before it.
            self.appender.commit(&self.ended.to_bytes())?;
            self.flush(Visibility::Now)?;
        }
        Ok(())
    }

    /// Appends the heartbeat that waits, if one does. Part of what ends with the next mark.
    pub(super) fn append_heartbeat(&mut self) -> Result<(), LogError> {
        let Some(heartbeat) = self.heartbeat.as_mut().filter(|heartbeat| heartbeat.waits()) else {
            return Ok(());
        };
        let Some(partition) = &heartbeat.partition else {
            return Ok(());
        };
        let now_ns = now_ns();
        let value = heartbeat.encoder.value(now_ns);
        let record = NewRecord {
            timestamp_ms: now_ns / 1_000_000,
            key: Some(&heartbeat.encoder.key),
            value: Some(&value),
            headers: &[],
        };
        self.appender.append(partition, record)?;
        self.under_way.append_own();
        self.dirty = true;
        heartbeat.due_at = Some(Instant::now() + heartbeat.interval);
        if let Some(action) = &heartbeat.action {
            action.beats.send_modify(|beats| *beats += 1);
        }
        Ok(())
    }
}

/// Runs `heartbeat.action.query` with each heartbeat, in a session of its own. Ends with the pipeline.
struct Action {
    /// How many heartbeats there were. Those that come while the statement runs are one.
    beats: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Action {
    fn start(config: ConnectorConfig, query: String) -> Action {
        let (beats, beat) = watch::channel(0);
        let task = tokio::spawn(act(config, query, beat));
        Action { beats, task }
    }
}

impl Drop for Action {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn act(config: ConnectorConfig, query: String, mut beat: watch::Receiver<u64>) {
    let mut session = None;
    while beat.changed().await.is_ok() {
        let mut done = run(&mut session, &config, &query).await;
        if matches!(done, Err(SourceError::Gone(_))) {
            // The server was restarted since the last one.
            session = None;
            done = run(&mut session, &config, &query).await;
        }
        if let Err(error) = done {
            session = None;
            tracing::error!(
                connector = %config.name,
                "heartbeat.action.query: {error}; it is tried again with the next heartbeat"
            );
        }
    }
}

async fn run(session: &mut Option<Session>, config: &ConnectorConfig, query: &str) -> Result<(), SourceError> {
    let open = match session {
        Some(open) => open,
        none => none.insert(Session::open(config, "Rowcast heartbeat").await?),
    };
    open.execute(query).await
}
