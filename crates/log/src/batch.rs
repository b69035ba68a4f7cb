//! Kafka's record batch (message format 2), the one shape of bytes in a segment.
//!
//! Source: <https://kafka.apache.org/documentation/#recordbatch>. Encoding appends to one growing buffer, so that a
//! record costs no allocation; decoding checks every length before it is used and never panics. Knows nothing of
//! files: [`crate::segment`] says where the bytes lie.

use crate::{Epoch, NewRecord, varint};

/// Bytes before a batch's records.
pub(crate) const HEADER_BYTES: usize = 61;

/// Bytes of `baseOffset` and `batchLength`, which `batchLength` does not count.
const PREFIX_BYTES: usize = 12;

/// The largest batch of more than one record.
///
/// Below 64 KiB, so that reaching one record costs one small read; a larger record gets a batch of its own.
pub(crate) const BATCH_BYTES_MAX: usize = 64 * 1024 - 1;

/// The largest record that the log takes.
///
/// Kafka's `batchLength` and index positions are signed 32-bit numbers; 1 GiB is PostgreSQL's own bound for a field.
pub(crate) const RECORD_BYTES_MAX: usize = 1 << 30;

/// The longest source position a control batch carries.
pub(crate) const POSITION_BYTES_MAX: usize = 256;

/// Attribute bit 5: the batch holds a control record, which consumers skip.
const CONTROL: i16 = 0x20;
/// Attribute bits 0-2: the compression codec.
const COMPRESSION: i16 = 0x07;
/// Our control record's type; Kafka's own are below 10, and readers skip the ones that they do not know.
const CONTROL_TYPE: i16 = 1000;
/// A control record's key: version 0 and the type.
pub(crate) const CONTROL_KEY: [u8; 4] = (CONTROL_TYPE as u32).to_be_bytes();
/// First byte of a control record's value.
const CONTROL_VALUE_VERSION: u8 = 1;
/// Control value before the position: version, epoch, durable offset.
const CONTROL_VALUE_FIXED: usize = 1 + 16 + 8;
/// Offset in a batch where the bytes under its checksum begin.
const CRC_FROM: usize = 21;

/// What a batch's header says, checked for sense but not for its checksum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) base_offset: u64,
    /// The whole batch, header included.
    pub(crate) bytes: usize,
    crc: u32,
    attributes: i16,
    last_offset_delta: u32,
    base_timestamp_ms: i64,
    pub(crate) max_timestamp_ms: i64,
    pub(crate) count: u32,
}

impl Header {
    /// Reads a header off the front of `bytes`; the error says what makes it none.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let Some(head) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err("the batch header is cut short");
        };
        let length = i32::from_be_bytes(four(head, 8));
        if head[16] != 2 {
            return Err("no record batch of message format 2 begins here");
        }
        if length < (HEADER_BYTES - PREFIX_BYTES) as i32 {
            return Err("the batch length is impossible");
        }
        let base_offset = i64::from_be_bytes(eight(head, 0));
        let last_offset_delta = i32::from_be_bytes(four(head, 23));
        let count = i32::from_be_bytes(four(head, 57));
        // Compaction may leave a batch fewer records than offsets, even none.
        let offsets_make_sense =
            base_offset >= 0 && last_offset_delta >= 0 && count >= 0 && count - 1 <= last_offset_delta;
        if !offsets_make_sense || base_offset.checked_add(i64::from(last_offset_delta) + 1).is_none() {
            return Err("the batch's offsets are impossible");
        }
        Ok(Header {
            base_offset: base_offset as u64,
            bytes: length as usize + PREFIX_BYTES,
            crc: u32::from_be_bytes(four(head, 17)),
            attributes: i16::from_be_bytes([head[21], head[22]]),
            last_offset_delta: last_offset_delta as u32,
            base_timestamp_ms: i64::from_be_bytes(eight(head, 27)),
            max_timestamp_ms: i64::from_be_bytes(eight(head, 35)),
            count: count as u32,
        })
    }

    /// The last offset that the batch takes.
    pub(crate) fn last_offset(&self) -> u64 {
        self.base_offset + u64::from(self.last_offset_delta)
    }

    /// The offset after the batch.
    pub(crate) fn next_offset(&self) -> u64 {
        self.last_offset() + 1
    }

    pub(crate) fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// Checks the checksum, and that the records are as many and as long as they say; `batch` is the whole batch.
    pub(crate) fn check(&self, batch: &[u8]) -> Result<(), &'static str> {
        if crc32c::crc32c(&batch[CRC_FROM..]) != self.crc {
            return Err("the checksum does not match");
        }
        if self.attributes & COMPRESSION != 0 {
            return Err("the batch is compressed, which this version cannot read");
        }
        let mut records = Records::new(self, batch);
        let found = records.by_ref().count();
        if found != self.count as usize || !records.rest.is_empty() {
            return Err("the records are not as many or as long as the header says");
        }
        Ok(())
    }
}

fn four(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; 4] {
    std::array::from_fn(|i| bytes[at + i])
}

fn eight(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; 8] {
    std::array::from_fn(|i| bytes[at + i])
}

/// A record as it lies in a batch. `headers` are still encoded, but known to be well formed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawRecord<'a> {
    pub(crate) offset: u64,
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a [u8],
}

/// The records of one batch, as long as they are well formed.
#[derive(Clone, Debug)]
pub(crate) struct Records<'a> {
    base_offset: u64,
    base_timestamp_ms: i64,
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// `batch` is the whole batch.
    pub(crate) fn new(header: &Header, batch: &'a [u8]) -> Self {
        Records {
            base_offset: header.base_offset,
            base_timestamp_ms: header.base_timestamp_ms,
            rest: &batch[HEADER_BYTES..],
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = RawRecord<'a>;

    fn next(&mut self) -> Option<RawRecord<'a>> {
        let mut rest = self.rest;
        let length = usize::try_from(varint::take(&mut rest)?).ok()?;
        let (mut body, after) = rest.split_at_checked(length)?;
        let (_attributes, fields) = body.split_first()?;
        body = fields;
        let timestamp_delta = varint::take(&mut body)?;
        let offset_delta = u32::try_from(varint::take(&mut body)?).ok()?;
        let key = take_bytes(&mut body)?;
        let value = take_bytes(&mut body)?;
        check_headers(body)?;
        self.rest = after;
        Some(RawRecord {
            offset: self.base_offset.checked_add(u64::from(offset_delta))?,
            timestamp_ms: self.base_timestamp_ms.wrapping_add(timestamp_delta),
            key,
            value,
            headers: body,
        })
    }
}

/// Takes a length and as many bytes; -1 is null.
fn take_bytes<'a>(from: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = varint::take(from)?;
    if length == -1 {
        return Some(None);
    }
    let (taken, rest) = from.split_at_checked(usize::try_from(length).ok()?)?;
    *from = rest;
    Some(Some(taken))
}

/// Takes one record header: a UTF-8 key and bytes (Kafka's null header value reads as empty).
pub(crate) fn take_header<'a>(from: &mut &'a [u8]) -> Option<(&'a str, &'a [u8])> {
    let key = std::str::from_utf8(take_bytes(from)??).ok()?;
    Some((key, take_bytes(from)?.unwrap_or_default()))
}

fn check_headers(mut encoded: &[u8]) -> Option<()> {
    let count = varint::take(&mut encoded)?;
    if count < 0 {
        return None;
    }
    for _ in 0..count {
        take_header(&mut encoded)?;
    }
    encoded.is_empty().then_some(())
}

/// A batch that still takes records, at the end of a growing buffer.
#[derive(Debug)]
pub(crate) struct OpenBatch {
    start: usize,
    base_offset: u64,
    base_timestamp_ms: i64,
    max_timestamp_ms: i64,
    last_offset: u64,
    count: u32,
}

impl OpenBatch {
    pub(crate) fn begin(buffer: &mut Vec<u8>, base_offset: u64, timestamp_ms: i64) -> Self {
        let start = buffer.len();
        buffer.resize(start + HEADER_BYTES, 0);
        OpenBatch {
            start,
            base_offset,
            base_timestamp_ms: timestamp_ms,
            max_timestamp_ms: timestamp_ms,
            last_offset: base_offset,
            count: 0,
        }
    }

    /// How far an offset lies from the batch's first.
    pub(crate) fn spans(&self, offset: u64) -> u64 {
        offset - self.base_offset
    }

    /// Appends a record with this offset, above those before it, unless the batch would grow past
    /// [`BATCH_BYTES_MAX`]; the first one always fits.
    pub(crate) fn push(&mut self, buffer: &mut Vec<u8>, offset: u64, record: &NewRecord<'_>) -> bool {
        let timestamp_delta = record.timestamp_ms.wrapping_sub(self.base_timestamp_ms);
        let offset_delta = (offset - self.base_offset) as i64;
        let body = 1 + varint::len(timestamp_delta) + varint::len(offset_delta) + fields_len(record);
        let batch_after = buffer.len() - self.start + varint::len(body as i64) + body;
        if self.count > 0 && batch_after > BATCH_BYTES_MAX {
            return false;
        }
        varint::put(buffer, body as i64);
        buffer.push(0);
        varint::put(buffer, timestamp_delta);
        varint::put(buffer, offset_delta);
        put_bytes(buffer, record.key);
        put_bytes(buffer, record.value);
        put_headers(buffer, record.headers);
        self.count += 1;
        self.last_offset = offset;
        self.max_timestamp_ms = self.max_timestamp_ms.max(record.timestamp_ms);
        true
    }

    /// Makes the batch span offsets that hold no record, up to and with this one.
    #[cfg(feature = "kafka")]
    pub(crate) fn span_to(&mut self, offset: u64) {
        self.last_offset = self.last_offset.max(offset);
    }

    /// Fills in the header: the batch is what follows from the span's start to the buffer's end.
    pub(crate) fn finish(self, buffer: &mut [u8], control: bool) -> Span {
        let bytes = buffer.len() - self.start;
        let head = &mut buffer[self.start..];
        let last_offset_delta = (self.last_offset - self.base_offset) as u32;
        head[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        head[8..12].copy_from_slice(&((bytes - PREFIX_BYTES) as i32).to_be_bytes());
        // partitionLeaderEpoch 0: the first and only leader.
        head[12..16].copy_from_slice(&0i32.to_be_bytes());
        head[16] = 2;
        head[21..23].copy_from_slice(&(if control { CONTROL } else { 0 }).to_be_bytes());
        head[23..27].copy_from_slice(&last_offset_delta.to_be_bytes());
        head[27..35].copy_from_slice(&self.base_timestamp_ms.to_be_bytes());
        head[35..43].copy_from_slice(&self.max_timestamp_ms.to_be_bytes());
        // No producer id, epoch or sequence: Kafka's sign for a producer that is not idempotent.
        head[43..57].fill(0xff);
        head[57..61].copy_from_slice(&self.count.to_be_bytes());
        let crc = crc32c::crc32c(&head[CRC_FROM..]);
        head[17..21].copy_from_slice(&crc.to_be_bytes());
        Span {
            start: self.start,
            bytes,
            base_offset: self.base_offset,
            last_offset: self.last_offset,
        }
    }
}

/// Where a finished batch lies in its buffer, and the offsets that it takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) bytes: usize,
    pub(crate) base_offset: u64,
    pub(crate) last_offset: u64,
}

/// Key, value and headers as encoded.
fn fields_len(record: &NewRecord<'_>) -> usize {
    let headers = record
        .headers
        .iter()
        .map(|(key, value)| bytes_len(Some(key.as_bytes())) + bytes_len(Some(value)));
    bytes_len(record.key) + bytes_len(record.value) + varint::len(record.headers.len() as i64) + headers.sum::<usize>()
}

fn bytes_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint::len(bytes.len() as i64) + bytes.len())
}

fn put_bytes(buffer: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::put(buffer, -1),
        Some(bytes) => {
            varint::put(buffer, bytes.len() as i64);
            buffer.extend_from_slice(bytes);
        }
    }
}

/// Appends a record's headers, as they lie in a batch.
pub(crate) fn put_headers(buffer: &mut Vec<u8>, headers: &[crate::Header<'_>]) {
    varint::put(buffer, headers.len() as i64);
    for (key, value) in headers {
        put_bytes(buffer, Some(key.as_bytes()));
        put_bytes(buffer, Some(value));
    }
}

/// What a control batch tells: its transaction is whole, and where the source stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Control<'a> {
    /// The topic's life that the batch was written in.
    pub(crate) epoch: Epoch,
    /// All offsets below were synced to disk when the batch was written: damage below it is no torn write.
    pub(crate) durable_end: u64,
    /// The source's own bytes.
    pub(crate) position: &'a [u8],
}

impl<'a> Control<'a> {
    /// Appends the control batch that ends a transaction.
    pub(crate) fn encode(&self, buffer: &mut Vec<u8>, offset: u64, timestamp_ms: i64) -> Span {
        let mut value = [0; CONTROL_VALUE_FIXED + POSITION_BYTES_MAX];
        let value = &mut value[..CONTROL_VALUE_FIXED + self.position.len()];
        value[0] = CONTROL_VALUE_VERSION;
        value[1..17].copy_from_slice(&self.epoch.0.to_be_bytes());
        value[17..25].copy_from_slice(&self.durable_end.to_be_bytes());
        value[25..].copy_from_slice(self.position);
        let mut batch = OpenBatch::begin(buffer, offset, timestamp_ms);
        batch.push(
            buffer,
            offset,
            &NewRecord {
                timestamp_ms,
                key: Some(&CONTROL_KEY),
                value: Some(value),
                headers: &[],
            },
        );
        batch.finish(buffer, true)
    }

    /// Reads a whole, checked control batch; `None` for control batches of Kafka's own types.
    pub(crate) fn decode(header: &Header, batch: &'a [u8]) -> Option<Control<'a>> {
        let record = Records::new(header, batch).next().filter(|_| header.is_control())?;
        let (fixed, position) = record.value?.split_first_chunk::<CONTROL_VALUE_FIXED>()?;
        let known = record.key? == CONTROL_KEY && fixed[0] == CONTROL_VALUE_VERSION;
        (known && position.len() <= POSITION_BYTES_MAX).then(|| Control {
            epoch: Epoch(u128::from_be_bytes(std::array::from_fn(|i| fixed[1 + i]))),
            durable_end: u64::from_be_bytes(std::array::from_fn(|i| fixed[17 + i])),
            position,
        })
    }
}
