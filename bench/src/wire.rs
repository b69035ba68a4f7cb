//! A blocking PostgreSQL connection of a few hundred lines, so that nothing stands between the socket and the clock.
//!
//! The latency rows need "the moment COMMIT is written" and "the moment the row is read" on one thread; a client library puts a
//! channel and a runtime there. Trust authentication only, text results only, the bench's own private server only.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use anyhow::{Result, anyhow, bail};

/// One message may not be larger than this: the bench itself writes rows of 600 bytes.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One message of the server, borrowed from the read buffer.
pub(crate) struct Message<'a> {
    pub(crate) tag: u8,
    pub(crate) body: &'a [u8],
}

/// A connection as superuser `postgres`.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr, database: &str) -> Result<Connection> {
        Connection::start(
            address,
            &[
                ("user", "postgres"),
                ("database", database),
                ("application_name", "rowcast-bench"),
            ],
        )
    }

    /// A connection that speaks the replication commands for one database.
    pub(crate) fn open_replication(address: SocketAddr, database: &str) -> Result<Connection> {
        Connection::start(
            address,
            &[
                ("user", "postgres"),
                ("database", database),
                ("replication", "database"),
            ],
        )
    }

    fn start(address: SocketAddr, parameters: &[(&str, &str)]) -> Result<Connection> {
        const PROTOCOL_3_0: u32 = 196_608;
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut connection = Connection {
            stream,
            buffer: vec![0; 64 * 1024],
            start: 0,
            end: 0,
        };
        let mut body = PROTOCOL_3_0.to_be_bytes().to_vec();
        for (name, value) in parameters {
            body.extend_from_slice(name.as_bytes());
            body.push(0);
            body.extend_from_slice(value.as_bytes());
            body.push(0);
        }
        body.push(0);
        let mut startup = (body.len() as u32 + 4).to_be_bytes().to_vec();
        startup.extend_from_slice(&body);
        connection.stream.write_all(&startup)?;
        connection.finish()?;
        Ok(connection)
    }

    /// A second handle on the same socket, for a thread that only writes.
    pub(crate) fn writer(&self) -> Result<TcpStream> {
        Ok(self.stream.try_clone()?)
    }

    /// Runs `sql` and returns the rows of its (last) result; NULL is an empty string.
    pub(crate) fn query(&mut self, sql: &str) -> Result<Vec<Vec<String>>> {
        self.send(sql)?;
        self.finish()
    }

    /// The first column of the first row.
    pub(crate) fn scalar(&mut self, sql: &str) -> Result<String> {
        let rows = self.query(sql)?;
        let first = rows.into_iter().next().and_then(|row| row.into_iter().next());
        first.ok_or_else(|| anyhow!("no row came back from: {sql}"))
    }

    /// Writes the statement and does not wait.
    pub(crate) fn send(&mut self, sql: &str) -> Result<()> {
        Ok(self.stream.write_all(&query_message(sql))?)
    }

    /// Reads up to "ready for query".
    pub(crate) fn finish(&mut self) -> Result<Vec<Vec<String>>> {
        let mut rows = Vec::new();
        let mut failure = None;
        loop {
            let Message { tag, body } = self.read()?;
            match tag {
                b'R' if body != [0, 0, 0, 0] => bail!("the server wants a password; the bench's own one does not"),
                b'D' => rows.push(columns(body)?),
                b'E' => failure = Some(error_text(body)),
                b'Z' => return failure.map_or(Ok(rows), |text| Err(anyhow!("PostgreSQL: {text}"))),
                _ => {}
            }
        }
    }

    /// Sends START_REPLICATION and waits until the stream is open.
    pub(crate) fn start_copy(&mut self, command: &str) -> Result<()> {
        self.send(command)?;
        loop {
            let Message { tag, body } = self.read()?;
            match tag {
                b'W' => return Ok(()),
                b'E' => bail!("PostgreSQL: {}", error_text(body)),
                _ => {}
            }
        }
    }

    /// Sends one CopyData message.
    pub(crate) fn send_copy(&mut self, payload: &[u8]) -> Result<()> {
        let mut message = vec![b'd'];
        message.extend_from_slice(&(payload.len() as u32 + 4).to_be_bytes());
        message.extend_from_slice(payload);
        Ok(self.stream.write_all(&message)?)
    }

    /// The next message; blocks until it is whole.
    pub(crate) fn read(&mut self) -> Result<Message<'_>> {
        let length = loop {
            match self.whole_message()? {
                Some(length) => break length,
                None => self.fill()?,
            }
        };
        let at = self.start;
        self.start += 1 + length;
        Ok(Message {
            tag: self.buffer[at],
            body: &self.buffer[at + 5..at + 1 + length],
        })
    }

    /// The length field of the next message if all of it has been read.
    fn whole_message(&self) -> Result<Option<usize>> {
        let held = &self.buffer[self.start..self.end];
        let Some(length) = held
            .get(1..5)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u32::from_be_bytes)
        else {
            return Ok(None);
        };
        let length = length as usize;
        if !(4..=MESSAGE_BYTES_MAX).contains(&length) {
            bail!("a message of {length} bytes from PostgreSQL: out of step");
        }
        Ok((held.len() > length).then_some(length))
    }

    fn fill(&mut self) -> Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let count = self.stream.read(&mut self.buffer[self.end..])?;
        if count == 0 {
            bail!("PostgreSQL closed the connection");
        }
        self.end += count;
        Ok(())
    }
}

/// A simple-query message.
pub(crate) fn query_message(sql: &str) -> Vec<u8> {
    let mut message = vec![b'Q'];
    message.extend_from_slice(&(sql.len() as u32 + 5).to_be_bytes());
    message.extend_from_slice(sql.as_bytes());
    message.push(0);
    message
}

fn columns(body: &[u8]) -> Result<Vec<String>> {
    let out_of_step = || anyhow!("a row from PostgreSQL is shorter than it says");
    let (count, mut rest) = body.split_first_chunk::<2>().ok_or_else(out_of_step)?;
    (0..u16::from_be_bytes(*count))
        .map(|_| {
            let (length, behind) = rest.split_first_chunk::<4>().ok_or_else(out_of_step)?;
            let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
            let value = behind.get(..length).ok_or_else(out_of_step)?;
            rest = &behind[length..];
            Ok(String::from_utf8_lossy(value).into_owned())
        })
        .collect()
}

/// The message field of an ErrorResponse, with its SQLSTATE.
fn error_text(body: &[u8]) -> String {
    let field = |kind: u8| {
        let found = body.split(|byte| *byte == 0).find(|field| field.first() == Some(&kind));
        found.map_or(String::new(), |field| String::from_utf8_lossy(&field[1..]).into_owned())
    };
    format!("{} ({})", field(b'M'), field(b'C'))
}
