//! Takes fields off the front of a message: the one place where a length from the network meets the bytes there are.

use rowcast_event::Lsn;

use super::error::{DecodeError, Expected};

/// Microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL's time begins.
pub(super) const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

/// A place in a message. Every `take` either moves forward by what it returns or fails and names the place.
pub(super) struct Reader<'a> {
    message: &'static str,
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// `message` names the message in errors; `position` is where its fields begin in `bytes`.
    pub(super) fn new(message: &'static str, bytes: &'a [u8], position: usize) -> Self {
        Self {
            message,
            bytes,
            position: position.min(bytes.len()),
        }
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.position
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// The bytes from an earlier [`Reader::position`] up to here.
    pub(super) fn since(&self, earlier: usize) -> &'a [u8] {
        &self.bytes[earlier.min(self.position)..self.position]
    }

    /// An error about the byte at `position`.
    pub(super) fn error_at(&self, position: usize, expected: Expected) -> DecodeError {
        DecodeError {
            message: self.message,
            position,
            expected,
        }
    }

    /// Fails unless `needed` more bytes are there: asked before anything is allocated for them.
    pub(super) fn require(&self, needed: usize) -> Result<(), DecodeError> {
        if needed > self.left() {
            return Err(self.error_at(
                self.position,
                Expected::Bytes {
                    needed,
                    left: self.left(),
                },
            ));
        }
        Ok(())
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        self.require(length)?;
        let start = self.position;
        self.position += length;
        Ok(&self.bytes[start..self.position])
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        let start = self.position;
        self.position = self.bytes.len();
        &self.bytes[start..]
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(super) fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(super) fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub(super) fn lsn(&mut self) -> Result<Lsn, DecodeError> {
        Ok(Lsn(u64::from_be_bytes(self.array()?)))
    }

    /// A time since 2000, as microseconds since 1970.
    pub(super) fn unix_us(&mut self) -> Result<i64, DecodeError> {
        let start = self.position;
        let since_2000 = self.i64()?;
        since_2000
            .checked_add(POSTGRES_EPOCH_US)
            .ok_or_else(|| self.error_at(start, Expected::Time))
    }

    /// A string that a NUL ends.
    pub(super) fn string(&mut self) -> Result<&'a str, DecodeError> {
        let start = self.position;
        let end = memchr::memchr(0, &self.bytes[start..]).ok_or_else(|| self.error_at(start, Expected::StringEnd))?;
        let bytes = self.take(end)?;
        self.take(1)?;
        std::str::from_utf8(bytes).map_err(|_| self.error_at(start, Expected::Utf8))
    }

    /// A length that PostgreSQL sends as a signed 32-bit number, checked against the bytes that follow.
    pub(super) fn length(&mut self) -> Result<usize, DecodeError> {
        let start = self.position;
        let length = self.u32()? as usize;
        if length > i32::MAX as usize {
            return Err(self.error_at(start, Expected::AtMost(i32::MAX as usize)));
        }
        self.require(length)?;
        Ok(length)
    }

    /// Fails if the message goes on.
    pub(super) fn end(&self) -> Result<(), DecodeError> {
        match self.left() {
            0 => Ok(()),
            left => Err(self.error_at(self.position, Expected::End { left })),
        }
    }
}
