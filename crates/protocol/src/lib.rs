//! WHAT GATEWAY AND CLIENT SAY. Messages, cursors, close codes; the TypeScript types come from here.
//!
//! The protocol is `rowcast.v1`: JSON in WebSocket text messages, or in Server-Sent Events. `docs/protocol.md` is its
//! written reference, and a test holds it to this crate. Rare messages are ordinary serde types ([`ClientMessage`],
//! [`ServerMessage`]); the hot ones have helpers that splice JSON which is already encoded ([`change_frame`],
//! [`RowsFrame`]), because a row is never parsed on its way to a client.
//!
//! Knows nothing of sockets, of topics that exist or of what is in a row.

mod client;
mod close;
mod cursor;
mod declare;
mod frame;
mod reason;
mod schema;
mod server;
pub mod typescript;

pub use client::{ClientMessage, NESTING_MAX, Ping, ProtocolError, Subscribe, Unsubscribe};
pub use close::{CloseCode, CloseRule};
pub use cursor::{Cursor, CursorError, CursorKey, PARTITIONS_MAX, TEXT_BYTES_MAX};
pub use frame::{ChangeParts, RowsFrame, change_frame};
pub use reason::{ErrorCode, ResetReason};
pub use schema::{Column, Items, RawSchema, Schema};
pub use server::{
    Change, Failure, Fresh, Live, Op, Pong, RawJson, Reset, Rows, SchemaChange, ServerMessage, Stale, Subscribed,
    Unsubscribed,
};

/// The WebSocket subprotocol that a client of this protocol names.
pub const SUBPROTOCOL: &str = "rowcast.v1";
