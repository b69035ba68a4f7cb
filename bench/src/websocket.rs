//! The client's side of WebSocket, no more of it than a load generator needs.
//!
//! Handshakes by blocking reads, then skims server frames in place: no unmasking (server frames are not masked), no UTF-8 check, no
//! copy. Trusts the server: it is a measuring device, not a conformance test, so `Sec-WebSocket-Accept` is not verified.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use socket2::{Domain, Protocol, Socket, Type};

/// A handshake answer is a few hundred bytes; a server that sends more is not speaking WebSocket.
const HANDSHAKE_BYTES_MAX: usize = 16 * 1024;
/// A server that is busy with ten thousand handshakes may take a while; one that takes this long is stuck.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(30);

/// Where and how to connect.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Endpoint {
    /// Address and port of the server.
    #[arg(long)]
    pub(crate) address: SocketAddr,
    /// Path of the WebSocket.
    #[arg(long, default_value = "/")]
    pub(crate) path: String,
    /// Subprotocol to ask for; none if absent.
    #[arg(long)]
    pub(crate) subprotocol: Option<String>,
    /// One text message to send after the handshake.
    #[arg(long)]
    pub(crate) hello: Option<String>,
}

/// A connection after the handshake, with what the server sent behind it.
pub(crate) struct Connected {
    pub(crate) stream: TcpStream,
    pub(crate) early: Vec<u8>,
}

impl Endpoint {
    /// Connects from `source` (ports of one address are too few for ten thousand clients) and sends the hello.
    pub(crate) fn connect(&self, source: Ipv4Addr) -> Result<Connected> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket
            .bind(&SocketAddr::from((source, 0)).into())
            .with_context(|| format!("binding a client to {source}"))?;
        socket
            .connect(&self.address.into())
            .with_context(|| format!("connecting to {}", self.address))?;
        let mut stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(HANDSHAKE_TIME_MAX))?;
        stream.write_all(self.request().as_bytes())?;
        let early = read_handshake(&mut stream).with_context(|| format!("handshake with {}", self.address))?;
        if let Some(hello) = &self.hello {
            stream.write_all(&client_frame(OPCODE_TEXT, hello.as_bytes()))?;
        }
        stream.set_read_timeout(None)?;
        Ok(Connected { stream, early })
    }

    fn request(&self) -> String {
        let subprotocol = self
            .subprotocol
            .as_ref()
            .map_or(String::new(), |name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
        format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: cm93Y2FzdC1iZW5jaC4uLg==\r\n{subprotocol}\r\n",
            self.path, self.address
        )
    }
}

/// Reads up to the blank line; returns the bytes behind it.
fn read_handshake(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut chunk = [0; 2048];
    loop {
        let count = stream.read(&mut chunk)?;
        answer.extend_from_slice(&chunk[..count]);
        if let Some(end) = memchr::memmem::find(&answer, b"\r\n\r\n") {
            let status = String::from_utf8_lossy(&answer[..end.min(200)]).into_owned();
            if !status.starts_with("HTTP/1.1 101") {
                bail!(
                    "the server did not upgrade: {}",
                    status.lines().next().unwrap_or_default()
                );
            }
            return Ok(answer.split_off(end + 4));
        }
        if count == 0 || answer.len() > HANDSHAKE_BYTES_MAX {
            bail!("the server closed or sent no end of its answer within {HANDSHAKE_BYTES_MAX} bytes");
        }
    }
}

pub(crate) const OPCODE_TEXT: u8 = 1;
pub(crate) const OPCODE_CLOSE: u8 = 8;
pub(crate) const OPCODE_PING: u8 = 9;
pub(crate) const OPCODE_PONG: u8 = 10;

/// One whole client frame; the masking key is zero, which is allowed and leaves the payload as it is.
pub(crate) fn client_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    const MASKED: u8 = 0x80;
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        short @ 0..=125 => frame.push(MASKED | short as u8),
        medium @ 126..=0xffff => {
            frame.push(MASKED | 126);
            frame.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            frame.push(MASKED | 127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// One whole server frame of at most 64 KiB.
pub(crate) fn server_frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | OPCODE_TEXT, 126];
    frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A server frame, borrowed from the read buffer.
pub(crate) struct Frame<'a> {
    pub(crate) opcode: u8,
    pub(crate) payload: &'a [u8],
    /// Header and payload together: where the next frame begins.
    pub(crate) bytes: usize,
}

/// The first whole frame of `input`, or `None` if more bytes are needed.
pub(crate) fn frame(input: &[u8]) -> Option<Frame<'_>> {
    let (opcode, length) = (input.first()? & 0x0f, usize::from(input.get(1)? & 0x7f));
    let (header, length): (usize, usize) = match length {
        126 => (4, usize::from(u16::from_be_bytes(input.get(2..4)?.try_into().ok()?))),
        127 => (
            10,
            usize::try_from(u64::from_be_bytes(input.get(2..10)?.try_into().ok()?)).ok()?,
        ),
        short => (2, short),
    };
    let payload = input.get(header..header.checked_add(length)?)?;
    Some(Frame {
        opcode,
        payload,
        bytes: header + length,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_only_when_it_is_whole() {
        let mut server = vec![0x81, 126, 0, 200];
        server.extend_from_slice(&[b'x'; 200]);
        for cut in 0..server.len() {
            assert!(frame(&server[..cut]).is_none(), "a frame cut at {cut} was taken");
        }
        server.push(0x89);
        let whole = frame(&server).expect("whole");
        assert_eq!(
            (whole.opcode, whole.payload.len(), whole.bytes),
            (OPCODE_TEXT, 200, 204)
        );
    }

    #[test]
    fn client_frames_are_masked_at_every_length() {
        for length in [0, 125, 126, 0xffff, 0x1_0000] {
            let bytes = client_frame(OPCODE_PONG, &vec![7; length]);
            assert_eq!(bytes[0], 0x80 | OPCODE_PONG);
            assert_eq!(bytes[1] & 0x80, 0x80);
            assert_eq!(&bytes[bytes.len() - length..], &vec![7; length][..]);
        }
    }
}
