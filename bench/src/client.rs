//! One simulated browser: its socket, the frame that is not whole yet, and the row it must get next.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read as _, Write as _},
};

use anyhow::{Result, bail};
use mio::net::TcpStream;

use crate::{
    histogram::Histogram,
    mark::{MarkFinder, now_us},
    websocket::{self, Connected, OPCODE_CLOSE, OPCODE_PING, OPCODE_PONG},
};

/// What all clients saw together.
pub(crate) struct Tally {
    finder: MarkFinder,
    pub(crate) latency_us: Histogram,
    pub(crate) out_of_order: u64,
    pub(crate) dropped: u64,
    pub(crate) close_codes: BTreeMap<u16, u64>,
    /// When the first counted row's statement was sent; the largest number before there is one.
    pub(crate) first_sent_us: u64,
    pub(crate) last_received_us: u64,
    /// Payload of all messages that held counted rows.
    pub(crate) message_bytes: u64,
}

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally {
            finder: MarkFinder::new(),
            latency_us: Histogram::new(),
            out_of_order: 0,
            dropped: 0,
            close_codes: BTreeMap::new(),
            first_sent_us: u64::MAX,
            last_received_us: 0,
            message_bytes: 0,
        }
    }
}

/// What one wake-up brought.
#[derive(Default)]
pub(crate) struct Delivered {
    /// This client got its first uncounted row just now.
    pub(crate) warm: bool,
    /// Counted rows.
    pub(crate) rows: u64,
}

pub(crate) struct Client {
    stream: TcpStream,
    /// The beginning of a frame whose end has not come; empty nearly always, so idle clients cost no buffer.
    partial: Vec<u8>,
    next_sequence: u64,
    warm: bool,
    open: bool,
}

impl Client {
    pub(crate) fn new(connected: Connected) -> Result<Client> {
        connected.stream.set_nonblocking(true)?;
        let stream = TcpStream::from_std(connected.stream);
        Ok(Client {
            stream,
            partial: connected.early,
            next_sequence: 1,
            warm: false,
            open: true,
        })
    }

    pub(crate) fn source(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Reads all that the socket holds (the poll is edge-triggered), counting rows into `tally`.
    pub(crate) fn read(&mut self, buffer: &mut [u8], tally: &mut Tally) -> Result<Delivered> {
        let mut delivered = Delivered::default();
        while self.open {
            let held = self.partial.len();
            buffer[..held].copy_from_slice(&self.partial);
            self.partial.clear();
            let count = match self.stream.read(&mut buffer[held..]) {
                Ok(0) => {
                    self.close(tally);
                    break;
                }
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.partial.extend_from_slice(&buffer[..held]);
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => {
                    self.close(tally);
                    break;
                }
            };
            let filled = held + count;
            let taken = self.skim(&buffer[..filled], tally, &mut delivered);
            self.partial.extend_from_slice(&buffer[taken..filled]);
            if self.partial.len() == buffer.len() {
                bail!(
                    "a message is larger than the load generator's buffer of {} bytes",
                    buffer.len()
                );
            }
            // A short read has emptied a stream socket: no second call needed to hear "would block" (epoll(7)).
            if filled < buffer.len() {
                break;
            }
        }
        Ok(delivered)
    }

    /// Takes whole frames from the front of `input`; returns how many bytes they were.
    fn skim(&mut self, input: &[u8], tally: &mut Tally, delivered: &mut Delivered) -> usize {
        let received_us = now_us();
        let mut taken = 0;
        while let Some(frame) = websocket::frame(&input[taken..]) {
            taken += frame.bytes;
            match frame.opcode {
                OPCODE_CLOSE => {
                    let code = frame
                        .payload
                        .get(..2)
                        .map_or(1005, |code| u16::from_be_bytes([code[0], code[1]]));
                    *tally.close_codes.entry(code).or_default() += 1;
                }
                OPCODE_PING => {
                    // A pong that does not fit into an idle socket's buffer: the server will notice by itself.
                    let _ = self.stream.write(&websocket::client_frame(OPCODE_PONG, frame.payload));
                }
                _ => self.count_rows(frame.payload, received_us, tally, delivered),
            }
        }
        taken
    }

    /// A message may hold many rows (centrifuge joins them), one (ours, `ws`) or none.
    fn count_rows(&mut self, message: &[u8], received_us: u64, tally: &mut Tally, delivered: &mut Delivered) {
        let mut rest = message;
        let rows_before = delivered.rows;
        while let Some((mark, behind)) = tally.finder.find(rest) {
            rest = &rest[behind..];
            if mark.sequence == 0 {
                delivered.warm |= !std::mem::replace(&mut self.warm, true);
                continue;
            }
            if mark.sequence < self.next_sequence {
                tally.out_of_order += 1;
                continue;
            }
            // A gap: the rows in between are lost, which the total of deliveries will show.
            self.next_sequence = mark.sequence + 1;
            tally.latency_us.record(received_us.saturating_sub(mark.sent_us));
            tally.first_sent_us = tally.first_sent_us.min(mark.sent_us);
            tally.last_received_us = tally.last_received_us.max(received_us);
            delivered.rows += 1;
        }
        if delivered.rows > rows_before {
            tally.message_bytes += message.len() as u64;
        }
    }

    fn close(&mut self, tally: &mut Tally) {
        self.open = false;
        tally.dropped += 1;
    }
}
