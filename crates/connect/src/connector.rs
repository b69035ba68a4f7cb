//! Keeps one connector alive: open, snapshot, stream, and again after a pause when the source goes away.
//!
//! States and what leads from one to the next are here; what is done before the stream is in `open.rs`, data goes by in
//! `pipeline.rs`.

mod open;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rowcast_log::{Log, LogError};
use rowcast_postgres::{ConnectorConfig, Source, SourceError};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    ConnectMetrics, ConnectorState, ConnectorStatus, connectors,
    metadata::MetadataTopics,
    pipeline::Pipeline,
    state::{State, StateStore},
    status::StatusSender,
    stop::told_to_stop,
};
use open::Step;

/// First pause before a lost source is looked for again.
const BACKOFF_MIN: Duration = Duration::from_millis(100);

/// Pause between two looks at a slot that another capture has: it takes over within that of the other's end. PostgreSQL
/// tells nobody that a slot is free.
const STANDBY_INTERVAL: Duration = Duration::from_secs(1);

/// Longest pause: a server that comes back is found within 5 s.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// What ends a connector's attempt.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// From the source; [`SourceError::Gone`] is tried again, a refusal is not.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The log does not take or give records. What may come right by itself, or by an operator's hand at the log, is tried
    /// again; other than that nothing can go on.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log does not take one record, named by its place in the source; everything behind it waits. Tried again.
    #[error("{0}")]
    Refused(String),
}

/// The connectors of one process over one log.
pub struct Connectors {
    metadata: Arc<MetadataTopics>,
    metrics: ConnectMetrics,
}

/// A connector at work.
pub struct RunningConnector {
    /// What it is doing.
    pub status: watch::Receiver<ConnectorStatus>,
    task: JoinHandle<()>,
}

impl Connectors {
    /// Connectors that write to `log`.
    pub fn new(log: Arc<dyn Log>, metrics: ConnectMetrics) -> Connectors {
        Connectors {
            metadata: Arc::new(MetadataTopics::new(log)),
            metrics,
        }
    }

    /// Starts a connector on the current runtime. It ends when `stop` turns true.
    pub fn start(&self, config: ConnectorConfig, stop: watch::Receiver<bool>) -> RunningConnector {
        let status = StatusSender::new(&config.name);
        let receiver = status.subscribe();
        let (metadata, metrics) = (self.metadata.clone(), self.metrics.clone());
        let task = tokio::spawn(async move {
            let connector = Connector {
                config,
                metadata,
                metrics,
                status,
                stop,
                told_unmatched: Vec::new(),
                is_first_open: true,
                is_delayed: false,
                busy_tries: 0,
            };
            connector.run().await;
        });
        RunningConnector { status: receiver, task }
    }
}

impl RunningConnector {
    /// Waits for the end of a connector that was told to stop: its rows are durable, its slot is free.
    pub async fn join(self) {
        // A panic was already reported by the panic hook; there is nothing left to wait for.
        let _ = self.task.await;
    }
}

struct Connector {
    config: ConnectorConfig,
    metadata: Arc<MetadataTopics>,
    metrics: ConnectMetrics,
    status: StatusSender,
    stop: watch::Receiver<bool>,
    /// Items of `table.include.list` that an operator was told of.
    told_unmatched: Vec<String>,
    /// Nothing was opened yet: a mode that reads at every start is to read. A reconnection is no start.
    is_first_open: bool,
    /// `snapshot.delay.ms` was waited for.
    is_delayed: bool,
    /// How often in a row the slot was found busy.
    busy_tries: u64,
}

impl Connector {
    async fn run(mut self) {
        for remark in self.config.remarks() {
            tracing::warn!(connector = %self.config.name, "{remark}");
        }
        let mut end = Box::pin(self.keep_running()).await;
        if end.is_ok() && self.config.replication.drop_on_stop && self.config.snapshot.mode.streams() {
            end = Source::drop_slot(&self.config).await.map_err(ConnectorError::from);
        }
        self.metrics.streaming.set(0);
        match end {
            Ok(()) => self.status.set(ConnectorState::Stopped),
            Err(error) => {
                tracing::error!(connector = %self.config.name, "stopped: {error}");
                self.status.set(ConnectorState::Failed {
                    reason: error.to_string(),
                });
            }
        }
    }

    /// Attempts until told to stop (`Ok`) or until going on would be wrong.
    async fn keep_running(&mut self) -> Result<(), ConnectorError> {
        let mut pipeline = None;
        let mut pause = BACKOFF_MIN;
        loop {
            let started = tokio::time::Instant::now();
            let outcome = self.attempt(&mut pipeline).await;
            let since = SystemTime::now();
            let (state, pause_max) = match outcome {
                Err(ConnectorError::Source(SourceError::Gone(reason))) => {
                    (ConnectorState::Reconnecting { reason, since }, BACKOFF_MAX)
                }
                Err(ConnectorError::Source(SourceError::Busy(reason))) => {
                    pause = self.wait_for_busy(&reason)?;
                    (ConnectorState::StandingBy { reason, since }, pause)
                }
                Err(error) => match must_wait_for(&error) {
                    Some(reason) => (ConnectorState::Waiting { reason, since }, BACKOFF_MAX),
                    None => return Err(error),
                },
                Ok(()) => return Ok(()),
            };
            pause = pause.min(pause_max);
            self.metrics.streaming.set(0);
            self.metrics.reconnects.inc();
            // An attempt that lasted was a success: the next loss starts with a short pause again.
            if started.elapsed() > BACKOFF_MAX {
                pause = BACKOFF_MIN;
            }
            self.tell_interrupted(&state, pause);
            self.status.set(state);
            tokio::select! {
                () = told_to_stop(&mut self.stop) => return Ok(()),
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(BACKOFF_MAX),
            }
        }
    }

    /// How long to wait for a slot that somebody else reads: as long as it takes, unless `slot.max.retries` says otherwise.
    fn wait_for_busy(&mut self, reason: &str) -> Result<Duration, ConnectorError> {
        let options = &self.config.replication;
        self.busy_tries += 1;
        match options.busy_retries {
            Some(retries) if self.busy_tries > retries => Err(ConnectorError::Source(SourceError::Refused(format!(
                "{reason}: given up after {retries} retries (slot.max.retries)"
            )))),
            _ => Ok(options.busy_delay.unwrap_or(STANDBY_INTERVAL)),
        }
    }

    fn tell_interrupted(&self, state: &ConnectorState, pause: Duration) {
        let (connector, pause_ms) = (&*self.config.name, pause.as_millis() as u64);
        match state {
            ConnectorState::Waiting { reason, .. } => tracing::warn!(connector, pause_ms, "waiting: {reason}"),
            ConnectorState::Reconnecting { reason, .. } => tracing::warn!(connector, pause_ms, "source lost: {reason}"),
            // It looks again every second, perhaps for weeks.
            ConnectorState::StandingBy { reason, .. } if self.busy_tries == 1 => {
                tracing::info!(connector, pause_ms, "standing by: {reason}");
            }
            _ => {}
        }
    }

    fn pipeline(&self, state: &State) -> Result<Pipeline, LogError> {
        Pipeline::new(self.metadata.clone(), &self.config, state.clone(), self.metrics.clone())
    }

    /// Gives up a pipeline whose log may have been written by another capture since its connection broke. What it has
    /// handed over must have come to its end first, or the next one would not see it.
    async fn let_go(&mut self, pipeline: &mut Option<Pipeline>) {
        if let Some(mut old) = pipeline.take_if(|pipeline| pipeline.must_begin_anew()) {
            tokio::select! {
                biased;
                () = told_to_stop(&mut self.stop) => {}
                () = old.settle() => {}
            }
        }
    }

    /// One connection's life, from the checks to its end.
    async fn attempt(&mut self, pipeline: &mut Option<Pipeline>) -> Result<(), ConnectorError> {
        self.let_go(pipeline).await;
        if *self.stop.borrow() {
            return Ok(());
        }
        if let Some(reason) = self.metadata.log().away() {
            // The first question below waits until there is an answer.
            let since = SystemTime::now();
            self.status.set(ConnectorState::Waiting { reason, since });
        }
        connectors::register(&self.metadata, &self.config).await?;
        let store = StateStore::new(self.metadata.clone(), &self.config);
        let (mut state, stream) = match Box::pin(self.open(pipeline, &store)).await? {
            Step::Stop => return Ok(()),
            Step::Idle => return self.idle(pipeline).await,
            Step::Stream(state, stream) => (state, *stream),
        };
        self.busy_tries = 0;
        self.status.set(ConnectorState::Streaming);
        self.metrics.streaming.set(1);
        tracing::info!(connector = %self.config.name, "streaming");
        let pipeline = pipeline.as_mut().expect("what is open has its pipeline");
        let ended = pipeline.stream(stream, &store, &mut state, &mut self.stop).await;
        match ended {
            // The next attempt finds the same at its checks, and takes a new snapshot if one can mend it.
            Err(ConnectorError::Source(SourceError::Refused(reason)))
                if self.config.snapshot.mode.reads_after_a_gap() =>
            {
                Err(SourceError::Gone(reason).into())
            }
            Err(ConnectorError::Log(lost @ LogError::UnknownPartition(_)))
                if self.config.snapshot.mode.reads_after_a_gap() =>
            {
                Err(SourceError::Gone(lost.to_string()).into())
            }
            ended => ended.map(|_| ()),
        }
    }

    /// Nothing is to be streamed: gives back what is not needed and waits for the end.
    async fn idle(&mut self, pipeline: &mut Option<Pipeline>) -> Result<(), ConnectorError> {
        *pipeline = None;
        self.status.set(ConnectorState::Idle);
        tracing::info!(connector = %self.config.name, "the snapshot is done, and snapshot.mode asks for no stream");
        told_to_stop(&mut self.stop).await;
        Ok(())
    }
}

/// What the log must get over before an attempt is worth it, if it can: that it is away, that it forbids something, that it
/// does not take a record. PostgreSQL keeps what it has not taken.
fn must_wait_for(error: &ConnectorError) -> Option<String> {
    match error {
        ConnectorError::Log(
            LogError::Away(_)
            | LogError::Overtaken(_)
            | LogError::Fenced(_)
            | LogError::Denied(_)
            | LogError::Refused { .. },
        )
        | ConnectorError::Refused(_) => Some(error.to_string()),
        ConnectorError::Log(_) | ConnectorError::Source(_) => None,
    }
}
