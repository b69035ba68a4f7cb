//! Tells operators, in one value, what a connector is doing and why it is not doing more.

use std::time::SystemTime;

use tokio::sync::watch;

/// What a connector does at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectorState {
    /// Checking server, publication, slot and log against each other.
    Starting,
    /// Reading the tables under the slot's snapshot. Readers see the rows when all of them are durable.
    Snapshot {
        /// Rows read so far.
        rows: u64,
    },
    /// Following the WAL.
    Streaming,
    /// The snapshot is in the log, and nothing is to be streamed (`snapshot.mode=initial_only`).
    Idle,
    /// The server is away; looked for again with back-off.
    Reconnecting {
        /// What ended the last attempt.
        reason: String,
        /// Since when.
        since: SystemTime,
    },
    /// Another capture has the slot, of this connector as it seems; this one goes on when it is free.
    StandingBy {
        /// Who has it.
        reason: String,
        /// Since when.
        since: SystemTime,
    },
    /// The log is away, or does not take what it is given; tried again with back-off. Nothing is lost meanwhile: PostgreSQL
    /// keeps what the log has not taken.
    Waiting {
        /// What is waited for.
        reason: String,
        /// Since when.
        since: SystemTime,
    },
    /// Stopped until a person acts; the reason says how.
    Failed {
        /// The error, with its next step.
        reason: String,
    },
    /// Stopped in order.
    Stopped,
}

/// A connector and its state.
#[derive(Clone, Debug)]
pub struct ConnectorStatus {
    /// The connector's name.
    pub name: String,
    /// Its state.
    pub state: ConnectorState,
}

impl ConnectorStatus {
    /// `None` when the connector delivers, otherwise a sentence for `/health/ready`.
    pub fn not_ready(&self) -> Option<String> {
        let name = &self.name;
        match &self.state {
            ConnectorState::Snapshot { .. } | ConnectorState::Streaming | ConnectorState::Idle => None,
            ConnectorState::Starting => Some(format!("connector {name} is starting")),
            ConnectorState::Reconnecting { reason, .. } => Some(format!("connector {name} is reconnecting: {reason}")),
            ConnectorState::StandingBy { reason, .. } => Some(format!("connector {name} is standing by: {reason}")),
            ConnectorState::Waiting { reason, .. } => Some(format!("connector {name} is waiting: {reason}")),
            ConnectorState::Failed { reason } => Some(format!("connector {name} has failed: {reason}")),
            ConnectorState::Stopped => Some(format!("connector {name} has stopped")),
        }
    }
}

/// The one place that changes a connector's state.
pub(crate) struct StatusSender(watch::Sender<ConnectorStatus>);

impl StatusSender {
    pub(crate) fn new(name: &str) -> StatusSender {
        StatusSender(watch::Sender::new(ConnectorStatus {
            name: name.to_owned(),
            state: ConnectorState::Starting,
        }))
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<ConnectorStatus> {
        self.0.subscribe()
    }

    pub(crate) fn set(&self, state: ConnectorState) {
        self.0.send_modify(|status| status.state = state);
    }
}
