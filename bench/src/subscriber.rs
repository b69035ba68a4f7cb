//! One client for the latency rows: blocks in `read` on the thread that has just sent COMMIT.

use std::{
    io::Read as _,
    net::{Ipv4Addr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    mark::MarkFinder,
    websocket::{self, Connected, Endpoint, OPCODE_CLOSE},
};

/// A row that has not come after this long is lost, not late.
const ROW_TIME_MAX: Duration = Duration::from_secs(60);

/// A WebSocket client that waits for one row at a time.
pub(crate) struct Subscriber {
    connected: Connected,
    finder: MarkFinder,
    buffer: Vec<u8>,
    filled: usize,
}

impl Subscriber {
    pub(crate) fn connect(endpoint: &Endpoint) -> Result<Subscriber> {
        Ok(Subscriber::on(endpoint.connect(Ipv4Addr::LOCALHOST)?))
    }

    /// A client of something that sends frames without being asked.
    pub(crate) fn over(stream: TcpStream) -> Subscriber {
        let early = Vec::new();
        Subscriber::on(Connected { stream, early })
    }

    fn on(connected: Connected) -> Subscriber {
        let mut buffer = vec![0; 1024 * 1024];
        let filled = connected.early.len();
        buffer[..filled].copy_from_slice(&connected.early);
        Subscriber {
            connected,
            finder: MarkFinder::new(),
            buffer,
            filled,
        }
    }

    /// Blocks until the row with this sequence is here; when its bytes had been read.
    pub(crate) fn receive(&mut self, sequence: u64) -> Result<Instant> {
        self.wait_for(sequence, ROW_TIME_MAX)?
            .with_context(|| format!("row {sequence} did not arrive within {} s", ROW_TIME_MAX.as_secs()))
    }

    /// As [`Subscriber::receive`], but `None` after `limit`.
    pub(crate) fn wait_for(&mut self, sequence: u64, limit: Duration) -> Result<Option<Instant>> {
        let started = Instant::now();
        self.connected.stream.set_read_timeout(Some(limit))?;
        loop {
            let received = Instant::now();
            if self.take_frames(sequence)? {
                return Ok(Some(received));
            }
            match self.connected.stream.read(&mut self.buffer[self.filled..]) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error.into()),
            }
            if started.elapsed() > limit {
                return Ok(None);
            }
        }
    }

    /// Blocks until the subscription is live; where that is.
    pub(crate) fn cursor(&mut self) -> Result<String> {
        #[derive(serde::Deserialize)]
        struct Message {
            r#type: String,
            cursor: Option<String>,
        }
        self.connected.stream.set_read_timeout(Some(ROW_TIME_MAX))?;
        loop {
            while let Some(frame) = websocket::frame(&self.buffer[..self.filled]) {
                let message: Message = serde_json::from_slice(frame.payload).context("a message of rowcast.v1")?;
                if message.r#type == "live" {
                    return message.cursor.context("a live message holds a cursor");
                }
                let taken = frame.bytes;
                self.buffer.copy_within(taken..self.filled, 0);
                self.filled -= taken;
            }
            match self.connected.stream.read(&mut self.buffer[self.filled..])? {
                0 => bail!("the server closed the connection"),
                count => self.filled += count,
            }
        }
    }

    /// Takes all whole frames; true if the wanted row was among them.
    fn take_frames(&mut self, sequence: u64) -> Result<bool> {
        let (mut taken, mut found) = (0, false);
        while let Some(frame) = websocket::frame(&self.buffer[taken..self.filled]) {
            if frame.opcode == OPCODE_CLOSE {
                bail!(
                    "the server closed: {}",
                    String::from_utf8_lossy(frame.payload.get(2..).unwrap_or_default())
                );
            }
            let mut rest = frame.payload;
            while let Some((mark, behind)) = self.finder.find(rest) {
                found |= mark.sequence == sequence;
                rest = &rest[behind..];
            }
            taken += frame.bytes;
        }
        self.buffer.copy_within(taken..self.filled, 0);
        self.filled -= taken;
        Ok(found)
    }
}
