//! The least that any product on logical replication must do: a `pgoutput` stream read by one blocking thread.
//!
//! What the walsender itself and one socket cost is the floor under every commit-to-client figure, so it is measured in the
//! same run, by the same thread, with the same clock. It decodes nothing but the first byte of a message.

use std::{convert::Infallible, net::TcpStream, time::Instant};

use anyhow::{Result, bail};

use crate::{
    bench::Database,
    mark::MarkFinder,
    wire::{Connection, Message},
};

/// A temporary slot and the stream from it; both go away with the connection.
pub(crate) struct Walsender {
    connection: Connection,
    finder: MarkFinder,
}

impl Walsender {
    /// The slot has a name of its own: the server frees the one before a moment after its connection has gone.
    pub(crate) fn start(database: &Database, slot: &str) -> Result<Walsender> {
        let mut connection = Connection::open_replication(database.address, &database.name)?;
        connection.query(&format!(
            "CREATE_REPLICATION_SLOT {slot} TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT"
        ))?;
        connection.start_copy(&format!(
            "START_REPLICATION SLOT {slot} LOGICAL 0/0 (proto_version '1', publication_names 'bench')"
        ))?;
        Ok(Walsender {
            connection,
            finder: MarkFinder::new(),
        })
    }

    /// Blocks until the inserted row with this sequence is here; when its bytes had been read.
    pub(crate) fn receive(&mut self, sequence: u64) -> Result<Instant> {
        let finder = &mut self.finder;
        let mut is_it = |row: &[u8]| finder.find(row).is_some_and(|(mark, _)| mark.sequence == sequence);
        rows(&mut self.connection, |row, received| Ok(is_it(row).then_some(received)))
    }

    /// Hands every inserted row's message to `each`, until it fails or the stream ends.
    pub(crate) fn relay(&mut self, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<Infallible> {
        rows(&mut self.connection, |row, _| each(row).map(|()| None))
    }

    /// A second handle on the socket, to end the stream from another thread.
    pub(crate) fn socket(&self) -> Result<TcpStream> {
        self.connection.writer()
    }
}

/// Reads until `found` has an answer for an inserted row: its message, and when that had been read.
fn rows<T>(connection: &mut Connection, mut found: impl FnMut(&[u8], Instant) -> Result<Option<T>>) -> Result<T> {
    loop {
        let Message { tag, body } = connection.read()?;
        let received = Instant::now();
        let inserted = tag == b'd' && body.first() == Some(&b'w') && body.get(XLOG_DATA_HEADER_BYTES) == Some(&b'I');
        if inserted && let Some(answer) = found(body, received)? {
            return Ok(answer);
        }
        match (tag, body.first(), body.last()) {
            (b'd', Some(b'k'), Some(&REPLY_WANTED)) => confirm_nothing(connection)?,
            (b'E', ..) => bail!("the walsender ended the stream"),
            _ => {}
        }
    }
}

/// A status update that keeps the connection and confirms nothing (the slot is temporary).
fn confirm_nothing(connection: &mut Connection) -> Result<()> {
    let mut status = vec![b'r'];
    status.extend_from_slice(&[0; 33]);
    connection.send_copy(&status)
}

/// `w`, WAL start, WAL end, server time.
const XLOG_DATA_HEADER_BYTES: usize = 1 + 8 + 8 + 8;
/// The last byte of a keepalive that must be answered.
const REPLY_WANTED: u8 = 1;
