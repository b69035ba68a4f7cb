//! WHAT POSTGRESQL SAID. Bytes of the `pgoutput` plug-in to messages, without copying and without trust.
//!
//! Promises: pure functions over bytes; every length is checked against the bytes that are there before anything is
//! allocated; bytes too few or too many are an error; nothing panics. Errors name the message, the byte and what was
//! expected there, and never carry a row's value.
//! Knows nothing of sockets, catalogs or types: a relation is an oid and names, a value is text.
//!
//! Layouts: PostgreSQL documentation, "Logical Replication Message Formats" and "Streaming Replication Protocol".

mod decode;
mod error;
mod message;
mod reader;
pub mod replication;
mod tuple;

pub use decode::decode;
pub use error::{DecodeError, Expected};
pub use message::{Message, Old, RelationColumn, ReplicaIdentity};
pub use tuple::{Cells, Tuple};
