//! Keeps one connector alive: open, snapshot, stream, and again after a pause when the source goes away.
//!
//! States and what leads from one to the next are here; data goes by in `pipeline.rs`.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rowcast_log::{Log, LogError};
use rowcast_postgres::{ConnectorConfig, Opened, Source, SourceError, Stream};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    ConnectMetrics, ConnectorState, ConnectorStatus, connectors,
    filled::FilledTopics,
    metadata::MetadataTopics,
    pipeline::Pipeline,
    snapshot,
    state::{State, StateStore},
    status::StatusSender,
    stop::told_to_stop,
};

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
}

impl Connector {
    async fn run(mut self) {
        for remark in self.config.remarks() {
            tracing::warn!(connector = %self.config.name, "{remark}");
        }
        let end = self.keep_running().await;
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
                    (ConnectorState::Reconnecting { reason, since }, STANDBY_INTERVAL)
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

    fn tell_interrupted(&self, state: &ConnectorState, pause: Duration) {
        let (connector, pause_ms) = (&*self.config.name, pause.as_millis() as u64);
        match state {
            ConnectorState::Waiting { reason, .. } => tracing::warn!(connector, pause_ms, "waiting: {reason}"),
            ConnectorState::Reconnecting { reason, .. } => tracing::warn!(connector, pause_ms, "source lost: {reason}"),
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
        let Some((mut state, stream)) = self.open(pipeline, &store).await? else {
            return Ok(());
        };
        self.status.set(ConnectorState::Streaming);
        self.metrics.streaming.set(1);
        tracing::info!(connector = %self.config.name, "streaming");
        let pipeline = pipeline.as_mut().expect("what is open has its pipeline");
        pipeline.stream(stream, &store, &mut state, &mut self.stop).await
    }

    /// What the log knows of this connector. On its first start that is written down before a slot is made, so that
    /// whoever starts after a crash knows a slot without a snapshot for ours. `None`: told to stop.
    async fn remember_beginning(&mut self, store: &StateStore) -> Result<Option<State>, ConnectorError> {
        if let Some(state) = store.load()? {
            return Ok(Some(state));
        }
        let resume = store.resume(None)?;
        let server = tokio::select! {
            biased;
            () = told_to_stop(&mut self.stop) => return Ok(None),
            server = Source::would_create(&self.config, &resume) => server?,
        };
        let server = server.expect("without a state, a slot that exists is refused and any other is created");
        let state = State {
            system_identifier: server.system_identifier,
            timeline: server.timeline,
            slot: self.config.slot_name.clone(),
            snapshot_done: false,
            confirmed: 0,
            generation: 0,
            offsets: BTreeMap::new(),
            mark: None,
        };
        store.save(&state).await?;
        Ok(Some(state))
    }

    /// Names the items of the list that nothing answers to: once, and again when they are others after a reconnect.
    fn tell_unmatched(&mut self, unmatched: Vec<String>) {
        for item in unmatched.iter().filter(|item| !self.told_unmatched.contains(item)) {
            tracing::warn!(
                connector = %self.config.name,
                "table.include.list: {item:?} matches no table that is captured; is it misspelt, or not created yet?"
            );
        }
        self.told_unmatched = unmatched;
    }

    /// Checks, the pipeline, and the snapshot if there is one to take. `None`: told to stop.
    async fn open(
        &mut self,
        pipeline: &mut Option<Pipeline>,
        store: &StateStore,
    ) -> Result<Option<(State, Stream)>, ConnectorError> {
        let Some(mut before) = self.remember_beginning(store).await? else {
            return Ok(None);
        };
        if before.snapshot_done {
            FilledTopics::load(self.metadata.clone(), &self.config)?.check(self.metadata.log())?;
        }
        let resume = store.resume(Some(&before))?;
        let run_id = crate::clock::run_id();
        let opened = tokio::select! {
            biased;
            () = told_to_stop(&mut self.stop) => return Ok(None),
            opened = Source::open(&self.config, &resume, &run_id) => opened,
        };
        let (found, opened) = match opened {
            // The capture that this one stands by for went on after we had looked.
            Err(SourceError::Refused(_)) if store.load()?.as_ref() != Some(&before) => {
                return Err(SourceError::Busy("another capture of this connector has just written".to_owned()).into());
            }
            opened => opened?,
        };
        self.tell_unmatched(found.unmatched);
        if found.published != resume.published {
            store.save_published(&found.published).await?;
        }
        let mut state = State {
            system_identifier: found.server.system_identifier,
            timeline: found.server.timeline,
            slot: self.config.slot_name.clone(),
            snapshot_done: true,
            confirmed: resume.confirmed.0,
            generation: before.generation,
            offsets: before.offsets.clone(),
            mark: before.mark,
        };
        let mut reader = match opened {
            Opened::Stream(stream) => {
                state.confirmed = state.confirmed.max(stream.confirmed_flush().0);
                let pipeline = match pipeline {
                    Some(pipeline) => pipeline,
                    none => none.insert(self.pipeline(&state)?),
                };
                if pipeline.must_begin_anew() {
                    // Only now, with the slot ours and other writers fenced, does nobody else go on with it.
                    before = store.load()?.unwrap_or(before);
                    pipeline.begin_after(&before, &mut state);
                }
                if before != state {
                    store.save(&state).await?;
                }
                return Ok(Some((state, stream)));
            }
            Opened::Snapshot(reader) => reader,
        };
        // Whoever still has the topics' partitions gives them back first.
        *pipeline = None;
        let pipeline = pipeline.insert(self.pipeline(&before)?);
        snapshot::discard(self.metadata.log(), store)?;
        self.status.set(ConnectorState::Snapshot { rows: 0 });
        let carried = snapshot::carry(&mut reader, pipeline, &self.status, &mut self.stop).await;
        if !carried.map_err(|error| pipeline.under_way.explain(error))? {
            return Ok(None);
        }
        state.snapshot_done = true;
        state.confirmed = reader.consistent_point().0;
        pipeline.note_ends(&mut state)?;
        store.save(&state).await?;
        Ok(Some((state, reader.into_stream().await?)))
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
