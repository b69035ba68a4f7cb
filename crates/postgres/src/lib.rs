//! WHERE CHANGES COME FROM. Snapshot, then logical replication (pgoutput), to change events.
//!
//! Promises: a snapshot and the stream after it meet exactly; the server is told "flushed" only what the caller
//! confirmed and never beyond what this walsender has sent; every refusal is a [`SourceError`] that says what to do.
//! Knows nothing of logs, topics' offsets, or browsers.
//!
//! The way of a change: [`Source::open`] checks everything and makes what is missing (`source`, with `server`,
//! `publication`, `published`, `slot`, `catalog`); [`SnapshotReader`] reads the tables; [`Stream`] follows the slot, whose messages
//! [`pgoutput`] decodes. Below them all is one `connection`.

mod captured;
mod catalog;
pub mod config;
mod connection;
pub mod copy_text;
mod error;
mod identity;
pub mod pgoutput;
mod publication;
mod published;
mod query;
mod server;
mod session;
mod shared_topic;
mod slot;
mod snapshot;
mod source;
mod stream;
mod turn;

pub use config::{ConfigErrors, ConnectorConfig};
pub use error::SourceError;
pub use published::Published;
pub use session::Session;
pub use snapshot::{SnapshotEvent, SnapshotReader};
pub use source::{Found, Opened, Resume, ServerIdentity, Source};
pub use stream::{Stream, StreamEvent};
