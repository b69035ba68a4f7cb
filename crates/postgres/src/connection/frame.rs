//! Cuts the server's byte stream into messages.
//!
//! Promises: a length is checked against the phase's limit before a byte is reserved for it, and memory grows with
//! what has really arrived, never with what a header claims. Knows nothing of what the messages mean.

use std::fmt;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::error::ConnectionError;

/// Bytes asked of the socket at once. Large, so that a drain costs one system call per some hundreds of rows.
const READ_BYTES: usize = 256 * 1024;
/// The smallest room worth a read; below it the buffer is compacted or grown.
const READ_BYTES_MIN: usize = 32 * 1024;
/// Longest message while the server is not yet authenticated. libpq's bound is 30,000; nothing sensible comes near.
pub(crate) const STARTUP_MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Longest message afterwards: PostgreSQL itself cannot build one above 1 GiB (`MaxAllocSize`).
pub(crate) const MESSAGE_BYTES_MAX: usize = 1 << 30;
/// A message above this does not leave its memory behind.
const KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One whole message in the [`Inbox`]: its type and where its body lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) tag: u8,
    body_length: usize,
}

/// Bytes of the type and the length before each body.
const HEADER_BYTES: usize = 5;

/// What was read and not yet consumed.
pub(crate) struct Inbox {
    buffer: BytesMut,
    message_bytes_max: usize,
}

impl fmt::Debug for Inbox {
    /// Never the bytes: they are rows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inbox({} bytes)", self.buffer.len())
    }
}

impl Inbox {
    /// Empty, with the limit of the phase before authentication.
    pub(crate) fn new() -> Inbox {
        Inbox {
            buffer: BytesMut::new(),
            message_bytes_max: STARTUP_MESSAGE_BYTES_MAX,
        }
    }

    /// The server is who it should be: its messages may be as long as PostgreSQL makes them.
    pub(crate) fn trust(&mut self) {
        self.message_bytes_max = MESSAGE_BYTES_MAX;
    }

    /// The first message, if it is here whole.
    pub(crate) fn frame(&self) -> Result<Option<Frame>, ConnectionError> {
        let Some(header) = self.buffer.get(..HEADER_BYTES) else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        if length < 4 || length - 4 > self.message_bytes_max {
            return Err(ConnectionError::protocol(format!(
                "a message of type {:?} claims {length} bytes",
                char::from(header[0])
            )));
        }
        let frame = Frame {
            tag: header[0],
            body_length: length - 4,
        };
        Ok((self.buffer.len() >= HEADER_BYTES + frame.body_length).then_some(frame))
    }

    /// The body of the first message, as [`Inbox::frame`] found it.
    pub(crate) fn body(&self, frame: Frame) -> &[u8] {
        &self.buffer[HEADER_BYTES..HEADER_BYTES + frame.body_length]
    }

    /// Done with the first message. The memory of a huge one is given back.
    pub(crate) fn consume(&mut self, frame: Frame) {
        self.buffer.advance(HEADER_BYTES + frame.body_length);
        if frame.body_length > KEPT_BYTES_MAX {
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
    }

    /// Waits for more bytes. Cancel-safe: what was read stays.
    pub(crate) async fn fill<R: AsyncRead + Unpin>(&mut self, reader: &mut R) -> Result<(), ConnectionError> {
        self.make_room();
        match reader.read_buf(&mut self.buffer).await? {
            0 => Err(ConnectionError::Io(std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                "the server closed the connection",
            ))),
            _ => Ok(()),
        }
    }

    /// `reserve` moves the rest to the front where that makes room, and doubles the memory where it does not: so a
    /// claimed length never allocates by itself.
    fn make_room(&mut self) {
        if self.buffer.capacity() - self.buffer.len() < READ_BYTES_MIN {
            self.buffer.reserve(READ_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn inbox_of(bytes: &[u8]) -> Inbox {
        let mut inbox = Inbox::new();
        let mut reader = bytes;
        while inbox.fill(&mut reader).await.is_ok() {}
        inbox
    }

    #[tokio::test]
    async fn a_message_is_seen_only_when_it_is_whole() {
        let inbox = inbox_of(b"Z\0\0\0\x05").await;
        assert_eq!(inbox.frame().expect("a sound header"), None);
        let inbox = inbox_of(b"Z\0\0\0\x05Iextra").await;
        let frame = inbox.frame().expect("a sound header").expect("a whole message");
        assert_eq!((frame.tag, inbox.body(frame)), (b'Z', &b"I"[..]));
    }

    #[tokio::test]
    async fn a_claimed_length_is_refused_before_memory_is_reserved() {
        for header in [
            &b"D\x7f\xff\xff\xff"[..],
            b"D\0\0\0\x03",
            b"D\xff\xff\xff\xff",
            b"R\0\x02\0\0",
        ] {
            let inbox = inbox_of(header).await;
            assert!(inbox.frame().is_err(), "{header:?}");
            assert!(inbox.buffer.capacity() <= 2 * READ_BYTES);
        }
    }

    #[tokio::test]
    async fn memory_of_a_huge_message_is_given_back() {
        let mut inbox = Inbox::new();
        inbox.trust();
        let body = vec![b'x'; 3 * KEPT_BYTES_MAX];
        let mut bytes = vec![b'd'];
        bytes.extend(u32::try_from(body.len() + 4).expect("fits").to_be_bytes());
        bytes.extend(&body);
        let mut reader = &bytes[..];
        while inbox.frame().expect("sound").is_none() {
            inbox.fill(&mut reader).await.expect("there is more");
        }
        let frame = inbox.frame().expect("sound").expect("whole");
        inbox.consume(frame);
        let mut more = &b"Z"[..];
        inbox.fill(&mut more).await.expect("a byte");
        assert!(inbox.buffer.capacity() <= 2 * READ_BYTES);
    }
}
