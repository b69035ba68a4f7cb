//! What librdkafka hands over, as records of ours: borrowed, nothing is copied.

use rdkafka::message::{BorrowedMessage, Message};
use rowcast_librdkafka::header;

use crate::{
    Chunk, Header, NewRecord, Offset, Record,
    batch::{OpenBatch, put_headers},
};

/// Room for the headers of one message, used again for the next.
#[derive(Default)]
pub(crate) struct Encoded(Vec<u8>);

/// Lends a message out as a record.
pub(crate) fn with_record<T>(message: &BorrowedMessage<'_>, take: impl FnOnce(Offset, &NewRecord<'_>) -> T) -> T {
    let headers = headers(message);
    let record = NewRecord {
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        key: message.key(),
        value: message.payload(),
        headers: &headers,
    };
    take(Offset(message.offset().cast_unsigned()), &record)
}

impl Encoded {
    /// The record as readers of a log see it.
    pub(crate) fn record<'a>(&'a mut self, offset: Offset, record: &NewRecord<'a>) -> Record<'a> {
        self.0.clear();
        put_headers(&mut self.0, record.headers);
        Record::of_parts(offset, record, &self.0)
    }
}

/// Names of ours are text; a header of somebody's whose name is not is left out.
fn headers<'a>(message: &'a BorrowedMessage<'_>) -> Vec<Header<'a>> {
    let Some(headers) = message.headers() else {
        return Vec::new();
    };
    let all = (0..).map_while(|place| header(headers, place));
    all.filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value.unwrap_or_default())))
        .collect()
}

/// Makes a chunk of messages.
pub(crate) struct ChunkOf {
    from: Offset,
    next: u64,
    buffer: Vec<u8>,
    open: Option<OpenBatch>,
}

impl ChunkOf {
    /// Of those at and behind an offset.
    pub(crate) fn new(from: Offset) -> ChunkOf {
        ChunkOf {
            from,
            next: from.0,
            buffer: Vec::new(),
            open: None,
        }
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.buffer.len()
    }

    pub(crate) fn push(&mut self, message: &BorrowedMessage<'_>) {
        with_record(message, |offset, record| {
            let (next, buffer) = (self.next, &mut self.buffer);
            let open = self
                .open
                .get_or_insert_with(|| OpenBatch::begin(buffer, next, record.timestamp_ms));
            if open.spans(offset.0) > i32::MAX as u64 || !open.push(buffer, offset.0, record) {
                self.close();
                let mut open = OpenBatch::begin(&mut self.buffer, next, record.timestamp_ms);
                open.push(&mut self.buffer, offset.0, record);
                self.open = Some(open);
            }
            self.next = offset.0 + 1;
        });
    }

    /// The chunk; it goes on at least at `end`, since there are no records before it but those that were pushed.
    pub(crate) fn finish(mut self, end: Offset) -> Chunk {
        if self.next < end.0 {
            let (next, buffer) = (self.next, &mut self.buffer);
            let open = self.open.get_or_insert_with(|| OpenBatch::begin(buffer, next, 0));
            open.span_to(end.0 - 1);
            self.next = end.0;
        }
        self.close();
        Chunk::of_checked(self.buffer.into(), self.from, Offset(self.next))
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            open.finish(&mut self.buffer, false);
        }
    }
}
