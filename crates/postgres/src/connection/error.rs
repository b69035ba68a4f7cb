//! What can go wrong on a connection, before anyone decides what it means for the source.
//!
//! Keeps the server's SQLSTATE, so that the callers can branch on it and put their own facts into the sentence.
//! Never carries the statement, its values, or a password: the server's DETAIL and CONTEXT fields may quote rows, so
//! they are dropped.

use std::{fmt, io};

use crate::SourceError;

/// An error of one connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    /// The socket failed, or the server closed it.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Nothing came in time.
    #[error("no answer within {0} seconds")]
    TimedOut(u64),
    /// The server said no.
    #[error("{0}")]
    Server(ServerError),
    /// The server sent something that is not the protocol.
    #[error("the server does not speak the PostgreSQL protocol as expected: {0}")]
    Protocol(String),
    /// Encryption could not be agreed on, or the server is not who it should be; a person must act.
    #[error("{0}")]
    Tls(String),
    /// What was asked for cannot be done with this server or these settings; a person must act.
    #[error("{0}")]
    Setup(String),
}

/// An ErrorResponse, without the fields that may quote data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerError {
    /// The SQLSTATE.
    pub(crate) code: String,
    /// The primary message, shortened to [`MESSAGE_BYTES_MAX`].
    pub(crate) message: String,
    /// FATAL or PANIC: the server closes the connection after it.
    pub(crate) fatal: bool,
}

/// Bytes of a server's message that we keep. Messages are short; a hostile server's need not be.
const MESSAGE_BYTES_MAX: usize = 1000;

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgreSQL says: {} (SQLSTATE {})", self.message, self.code)
    }
}

impl ServerError {
    /// Reads the body of an ErrorResponse. Unknown and missing fields are fine.
    pub(crate) fn parse(mut body: &[u8]) -> ServerError {
        let mut error = ServerError {
            code: "XX000".to_owned(),
            ..ServerError::default()
        };
        while let Some((&field, rest)) = body.split_first() {
            let Some(end) = memchr::memchr(0, rest) else { break };
            let value = &rest[..end];
            match field {
                b'C' => error.code = printable(value),
                b'M' => error.message = printable(value),
                b'V' => error.fatal = matches!(value, b"FATAL" | b"PANIC"),
                _ => {}
            }
            body = &rest[end + 1..];
        }
        error
    }
}

/// The text without control characters (it goes to terminals and logs), and not endless.
fn printable(value: &[u8]) -> String {
    String::from_utf8_lossy(&value[..value.len().min(MESSAGE_BYTES_MAX)])
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

impl ConnectionError {
    /// The SQLSTATE, if the server gave one.
    pub(crate) fn sqlstate(&self) -> Option<&str> {
        match self {
            ConnectionError::Server(error) => Some(&error.code),
            _ => None,
        }
    }

    /// A protocol violation.
    pub(crate) fn protocol(what: impl Into<String>) -> ConnectionError {
        ConnectionError::Protocol(what.into())
    }

    /// Turns this into the source's error: `doing` says in the middle of what it happened.
    pub(crate) fn during(self, doing: &str) -> SourceError {
        let sentence = format!("{doing}: {self}");
        match self {
            ConnectionError::Io(_) | ConnectionError::TimedOut(_) => SourceError::Gone(sentence),
            ConnectionError::Server(error) if error.code == OBJECT_IN_USE => SourceError::Busy(sentence),
            ConnectionError::Server(error) if passes_by_itself(&error.code) => SourceError::Gone(sentence),
            _ => SourceError::Refused(sentence),
        }
    }
}

/// The slot has another reader.
const OBJECT_IN_USE: &str = "55006";

/// SQLSTATEs after which the same request may succeed later without a person: connection trouble (08), no resources
/// (53, save the configured limits), lock not available (55P03), shutdown and restart (57),
/// system errors (58), serialization (40), internal errors (XX), which a failover or restart may cure.
fn passes_by_itself(sqlstate: &str) -> bool {
    match sqlstate {
        "53400" => false,
        "55P03" => true,
        _ => matches!(sqlstate.get(..2), Some("08" | "53" | "57" | "58" | "40" | "XX")),
    }
}
