//! The frames that carry `pgoutput` in a replication connection's CopyData, and the answer that lets WAL go.

use rowcast_event::Lsn;

use super::{
    error::{DecodeError, Expected},
    reader::{POSTGRES_EPOCH_US, Reader},
};

/// What a walsender puts in one CopyData.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// `w`: one message of the output plug-in.
    XLogData {
        /// Where the message begins in the WAL; 0 for messages that have no place there (Relation, Type).
        wal_start: Lsn,
        /// How far the walsender has sent; not the server's end of WAL.
        wal_end: Lsn,
        /// The server's clock, microseconds since 1970.
        server_time_us: i64,
        /// The message.
        payload: &'a [u8],
    },
    /// `k`: nothing to send.
    Keepalive {
        /// Everything before was decoded and, where it is ours, sent.
        wal_end: Lsn,
        /// The server's clock, microseconds since 1970.
        server_time_us: i64,
        /// The server will end the connection unless it is answered soon.
        reply_requested: bool,
    },
}

/// Decodes the content of one CopyData.
pub fn decode(copy_data: &[u8]) -> Result<Frame<'_>, DecodeError> {
    let Some(&tag) = copy_data.first() else {
        return Err(Reader::new("replication", copy_data, 0).error_at(0, Expected::Bytes { needed: 1, left: 0 }));
    };
    match tag {
        b'w' => x_log_data(copy_data),
        b'k' => keepalive(copy_data),
        found => Err(DecodeError {
            message: "replication",
            position: 0,
            expected: Expected::KnownMessage { found },
        }),
    }
}

fn x_log_data(copy_data: &[u8]) -> Result<Frame<'_>, DecodeError> {
    let mut reader = Reader::new("XLogData", copy_data, 1);
    Ok(Frame::XLogData {
        wal_start: reader.lsn()?,
        wal_end: reader.lsn()?,
        server_time_us: reader.unix_us()?,
        payload: reader.rest(),
    })
}

fn keepalive(copy_data: &[u8]) -> Result<Frame<'_>, DecodeError> {
    let mut reader = Reader::new("Primary keepalive", copy_data, 1);
    let frame = Frame::Keepalive {
        wal_end: reader.lsn()?,
        server_time_us: reader.unix_us()?,
        reply_requested: reader.u8()? != 0,
    };
    reader.end()?;
    Ok(frame)
}

/// `r`: how far the client is. `flushed` is what PostgreSQL may forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandbyStatusUpdate {
    /// Received up to here.
    pub written: Lsn,
    /// Durable up to here: the slot's `confirmed_flush_lsn` follows it.
    pub flushed: Lsn,
    /// Applied up to here; what `synchronous_commit = remote_apply` waits for.
    pub applied: Lsn,
    /// The client's clock, microseconds since 1970.
    pub client_time_us: i64,
    /// Asks the server for a keepalive at once.
    pub reply_requested: bool,
}

impl StandbyStatusUpdate {
    /// Bytes of the encoded message.
    pub const BYTES: usize = 1 + 4 * 8 + 1;

    /// The content of the CopyData to send.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0] = b'r';
        bytes[1..9].copy_from_slice(&self.written.0.to_be_bytes());
        bytes[9..17].copy_from_slice(&self.flushed.0.to_be_bytes());
        bytes[17..25].copy_from_slice(&self.applied.0.to_be_bytes());
        bytes[25..33].copy_from_slice(&self.client_time_us.saturating_sub(POSTGRES_EPOCH_US).to_be_bytes());
        bytes[33] = self.reply_requested.into();
        bytes
    }
}
