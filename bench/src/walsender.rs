//! The least that any product on logical replication must do: a `pgoutput` stream read by one blocking thread.
//!
//! What the walsender itself and one socket cost is the floor under every commit-to-client figure, so it is measured in the
//! same run, by the same thread, with the same clock. It decodes nothing but the first byte of a message.

use std::{net::SocketAddr, time::Instant};

use anyhow::{Result, bail};

use crate::{
    mark::MarkFinder,
    wire::{Connection, Message},
};

/// A temporary slot and the stream from it; both go away with the connection.
pub(crate) struct Walsender {
    connection: Connection,
    finder: MarkFinder,
}

impl Walsender {
    pub(crate) fn start(address: SocketAddr, database: &str, publication: &str) -> Result<Walsender> {
        let mut connection = Connection::open_replication(address, database)?;
        connection.query("CREATE_REPLICATION_SLOT bare_reader TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT")?;
        connection.start_copy(&format!(
            "START_REPLICATION SLOT bare_reader LOGICAL 0/0 (proto_version '1', publication_names '{publication}')"
        ))?;
        Ok(Walsender {
            connection,
            finder: MarkFinder::new(),
        })
    }

    /// Blocks until the inserted row with this sequence is here; when its bytes had been read.
    pub(crate) fn receive(&mut self, sequence: u64) -> Result<Instant> {
        loop {
            let Message { tag, body } = self.connection.read()?;
            let received = Instant::now();
            let inserted =
                tag == b'd' && body.first() == Some(&b'w') && body.get(XLOG_DATA_HEADER_BYTES) == Some(&b'I');
            if inserted
                && self
                    .finder
                    .find(body)
                    .is_some_and(|(mark, _)| mark.sequence == sequence)
            {
                return Ok(received);
            }
            match (tag, body.first(), body.last()) {
                (b'd', Some(b'k'), Some(&REPLY_WANTED)) => self.confirm_nothing()?,
                (b'E', ..) => bail!("the walsender ended the stream"),
                _ => {}
            }
        }
    }

    /// A status update that keeps the connection and confirms nothing (the slot is temporary).
    fn confirm_nothing(&mut self) -> Result<()> {
        let mut status = vec![b'r'];
        status.extend_from_slice(&[0; 33]);
        self.connection.send_copy(&status)
    }
}

/// `w`, WAL start, WAL end, server time.
const XLOG_DATA_HEADER_BYTES: usize = 1 + 8 + 8 + 8;
/// The last byte of a keepalive that must be answered.
const REPLY_WANTED: u8 = 1;
