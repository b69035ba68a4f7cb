//! WHO KEEPS THEM RUNNING. A connector carries one source into the log, exactly once, for as long as the process lives.
//!
//! Promises: for every topic partition the log holds each committed change once, in commit order, whatever is killed;
//! PostgreSQL is told it may forget only what the log has made durable; a source that went away is looked for again with
//! back-off; a refusal is a state that says what to do, never a guess.
//!
//! What is absent: sockets (crate `postgres`), bytes of records (crate `event`), files (crate `log`), readers (crate
//! `gateway`).

mod clock;
mod confirm;
mod connector;
mod connectors;
mod envelope;
mod filled;
mod held;
mod metadata;
mod metrics;
mod own;
mod parts;
mod pipeline;
mod progress;
mod schemas;
mod snapshot;
mod state;
mod status;
mod stop;
mod topics;
mod under_way;
mod vanished;

pub use connector::{ConnectorError, Connectors, RunningConnector};
pub use metrics::ConnectMetrics;
pub use status::{ConnectorState, ConnectorStatus};
