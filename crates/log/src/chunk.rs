//! What a read gives: whole batches, checked, lent out record by record without copying.
//!
//! A [`Chunk`] is made only by a log, from batches whose checksums and inner lengths are right, so walking it cannot
//! fail. It keeps the bytes it was read into alive, and nothing else.

use bytes::Bytes;

use crate::{
    Header, Offset,
    batch::{self, RawRecord, Records},
    varint,
};

/// Whole batches of one partition, from the one that holds the offset asked for.
#[derive(Clone, Debug)]
pub struct Chunk {
    bytes: Bytes,
    from: Offset,
    next: Offset,
}

/// A record as read back, borrowed from its chunk.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its number in the partition.
    pub offset: Offset,
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Kafka's key bytes.
    pub key: Option<&'a [u8]>,
    /// Kafka's value bytes; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    headers: &'a [u8],
}

impl Chunk {
    /// Batches that the caller has checked; `next` is the offset after the last.
    pub(crate) fn of_checked(bytes: Bytes, from: Offset, next: Offset) -> Self {
        Chunk { bytes, from, next }
    }

    /// What a read gives at the end of the log: nothing.
    pub fn end(from: Offset) -> Self {
        Chunk {
            bytes: Bytes::new(),
            from,
            next: from,
        }
    }

    /// The records at or after the offset asked for, in order; control batches are skipped.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        Batches { rest: &self.bytes }
            .filter(|(header, _)| !header.is_control() && header.last_offset() >= self.from.0)
            .flat_map(|(header, batch)| Records::new(&header, batch))
            .filter(|record| record.offset >= self.from.0)
            .map(Record::from)
    }

    /// Where the next read goes on: the offset after the last batch, control batches included.
    pub fn next_offset(&self) -> Offset {
        self.next
    }

    /// True at the end of the log. A chunk of nothing but control batches is not empty: read on from
    /// [`Chunk::next_offset`].
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many bytes the chunk keeps alive, batch headers included.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Shares a key or value of this chunk beyond the borrow, without copying; it keeps the whole chunk's bytes alive.
    ///
    /// # Panics
    ///
    /// When `part` does not lie in this chunk.
    pub fn share(&self, part: &[u8]) -> Bytes {
        self.bytes.slice_ref(part)
    }
}

/// The batches of a chunk, one after another.
struct Batches<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Batches<'a> {
    type Item = (batch::Header, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header = batch::Header::parse(self.rest).ok()?;
        let (batch, rest) = self.rest.split_at_checked(header.bytes)?;
        self.rest = rest;
        Some((header, batch))
    }
}

impl<'a> From<RawRecord<'a>> for Record<'a> {
    fn from(raw: RawRecord<'a>) -> Self {
        Record {
            offset: Offset(raw.offset),
            timestamp_ms: raw.timestamp_ms,
            key: raw.key,
            value: raw.value,
            headers: raw.headers,
        }
    }
}

impl<'a> Record<'a> {
    /// The headers, in order.
    pub fn headers(&self) -> impl Iterator<Item = Header<'a>> + 'a {
        let mut encoded = self.headers;
        let count = varint::take(&mut encoded).unwrap_or(0);
        (0..count).map_while(move |_| batch::take_header(&mut encoded))
    }
}
