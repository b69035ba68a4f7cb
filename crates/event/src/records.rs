//! The records of one or many changes, kept in one arena so that a change costs no allocation.
//!
//! Keys, values and the header of a key change lie one behind the other in one buffer; a record is three ranges of
//! it. The headers that every record of a table carries are shared with the table. Grows to the largest group
//! it ever held and stays there until dropped.

use std::{ops::Range, sync::Arc};

use crate::headers::{ContextHeaders, HEADERS_MAX};

/// The records of one change, written into buffers that are reused: append, read, [`EncodedRecords::clear`].
#[derive(Debug, Default)]
pub struct EncodedRecords {
    bytes: Vec<u8>,
    records: Vec<RecordRanges>,
    contexts: Vec<Arc<ContextHeaders>>,
}

/// One record, borrowed from [`EncodedRecords`].
#[derive(Clone, Copy, Debug)]
pub struct EncodedRecord<'a> {
    /// JSON of the key; `None` for a table without key.
    pub key: Option<&'a [u8]>,
    /// JSON of the envelope; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Kafka headers in Debezium's order.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// Where a record lies in the arena.
#[derive(Clone, Debug)]
pub(crate) struct RecordRanges {
    pub(crate) key: Option<Range<usize>>,
    pub(crate) value: Option<Range<usize>>,
    /// The header that links the two halves of a key change: its name, and the other half's key.
    pub(crate) other_key: Option<(&'static str, Range<usize>)>,
    /// Index into `contexts`; a record that is no row's has none.
    pub(crate) context: Option<usize>,
}

impl EncodedRecords {
    /// Forgets the records, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
        self.contexts.clear();
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of all keys, values and key change headers, for batch limits.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Calls `each` for every record, in order.
    pub fn for_each(&self, mut each: impl FnMut(EncodedRecord<'_>)) {
        for record in &self.records {
            let mut headers: [(&str, &[u8]); HEADERS_MAX] = [("", &[]); HEADERS_MAX];
            let count = self.headers(record, &mut headers);
            each(EncodedRecord {
                key: record.key.clone().map(|range| &self.bytes[range]),
                value: record.value.clone().map(|range| &self.bytes[range]),
                headers: &headers[..count],
            });
        }
    }

    fn headers<'a>(&'a self, record: &RecordRanges, headers: &mut [(&'a str, &'a [u8]); HEADERS_MAX]) -> usize {
        let mut count = 0;
        if let Some((name, range)) = &record.other_key {
            headers[0] = (name, &self.bytes[range.clone()]);
            count = 1;
        }
        for header in record.context.iter().flat_map(|&context| self.contexts[context].iter()) {
            headers[count] = header;
            count += 1;
        }
        count
    }

    /// The arena, to append to.
    pub(crate) fn arena(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(crate) fn slice(&self, range: &Range<usize>) -> &[u8] {
        &self.bytes[range.clone()]
    }

    /// Takes back what was written last.
    pub(crate) fn cut(&mut self, last: Option<Range<usize>>) {
        if let Some(last) = last {
            self.bytes.truncate(last.start);
        }
    }

    pub(crate) fn push(&mut self, record: RecordRanges) {
        self.records.push(record);
    }

    /// A record that is no row's: without headers.
    pub(crate) fn push_bare(&mut self, key: Range<usize>, value: Range<usize>) {
        self.push(RecordRanges {
            key: Some(key),
            value: Some(value),
            other_key: None,
            context: None,
        });
    }

    /// The index of `context`, which is nearly always the one used last.
    pub(crate) fn context(&mut self, context: &Arc<ContextHeaders>) -> usize {
        if !self.contexts.last().is_some_and(|last| Arc::ptr_eq(last, context)) {
            self.contexts.push(Arc::clone(context));
        }
        self.contexts.len() - 1
    }
}
