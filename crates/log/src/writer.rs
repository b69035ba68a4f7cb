//! Turns one partition's records into batches, in one growing buffer.
//!
//! A writer exists while an appender owns the partition. It numbers records, closes batches before they grow too large
//! and ends transactions with control batches; the buffer goes to the operating system in one write. Nothing here waits.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    LogError, NewRecord, Visibility,
    batch::{Control, OpenBatch, RECORD_BYTES_MAX, Span},
    partition::{Partition, Written},
    storage::Storage,
};

/// Capacity that a writer keeps when its buffer was handed over.
///
/// A usual flush fits; what one great record needed is given back.
const BUFFER_KEPT_BYTES: usize = 1 << 20;

/// Offsets that one batch of a copy may span: Kafka's deltas are signed 32-bit numbers.
const OFFSETS_SPANNED_MAX: u64 = i32::MAX as u64;

/// The one writer of a partition.
#[derive(Debug)]
pub(crate) struct Writer {
    partition: Arc<Partition>,
    buffer: Vec<u8>,
    /// Finished batches in the buffer.
    batches: Vec<Span>,
    open: Option<OpenBatch>,
    /// Something was buffered, or written without being shown, since the last flush.
    touched: bool,
    /// The current transaction ends here with a control batch, whether it has records here or not.
    included: bool,
    /// Where the partition stands with what is buffered; `position` is set by the control batches in it.
    ahead: Written,
}

impl Writer {
    /// Takes the partition, with the unfinished transaction that may lie at its end.
    pub(crate) fn take(partition: &Arc<Partition>) -> Result<Writer, LogError> {
        let ahead = partition.take()?;
        let partition = Arc::clone(partition);
        Ok(Writer {
            partition,
            buffer: Vec::new(),
            batches: Vec::new(),
            open: None,
            touched: false,
            included: false,
            ahead,
        })
    }

    pub(crate) fn partition(&self) -> &Arc<Partition> {
        &self.partition
    }

    /// Records since the last control batch, buffered ones too.
    pub(crate) fn unfinished(&self) -> u64 {
        self.ahead.end - self.ahead.committed_end
    }

    pub(crate) fn buffered_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The offset that the next record gets.
    pub(crate) fn next_offset(&self) -> u64 {
        self.ahead.end
    }

    /// Buffers a record at the next offset.
    pub(crate) fn append(&mut self, record: &NewRecord<'_>) -> Result<(), LogError> {
        check_size(record)?;
        self.push(self.ahead.end, record);
        Ok(())
    }

    /// Buffers a record of another log at the offset that it has there. Offsets that are missing there (compacted, of
    /// markers) are spanned by the batch, so batches follow each other without holes; a copy needs no control batches.
    pub(crate) fn copy(&mut self, offset: u64, record: &NewRecord<'_>) -> Result<(), LogError> {
        check_size(record)?;
        if !(self.ahead.end..self.ahead.end + OFFSETS_SPANNED_MAX).contains(&offset) {
            let (id, end) = (&self.partition.id, self.ahead.end);
            let why = format!("a copy of {id} that ends at offset {end} cannot go on with offset {offset}");
            return Err(LogError::Invalid(why));
        }
        self.push(offset, record);
        self.ahead.committed_end = self.ahead.end;
        Ok(())
    }

    fn push(&mut self, offset: u64, record: &NewRecord<'_>) {
        self.touched = true;
        let spans_little = |open: &OpenBatch| open.spans(offset) < OFFSETS_SPANNED_MAX;
        let fits = self.open.as_ref().is_none_or(spans_little)
            && self
                .open
                .get_or_insert_with(|| OpenBatch::begin(&mut self.buffer, self.ahead.end, record.timestamp_ms))
                .push(&mut self.buffer, offset, record);
        if !fits {
            self.finish_batch();
            let mut open = OpenBatch::begin(&mut self.buffer, self.ahead.end, record.timestamp_ms);
            open.push(&mut self.buffer, offset, record);
            self.open = Some(open);
        }
        self.ahead.end = offset + 1;
        self.ahead.last_timestamp_ms = record.timestamp_ms;
    }

    /// The transaction's end is written here even without records.
    pub(crate) fn include(&mut self) {
        self.included = true;
    }

    /// Ends the transaction, if it has records here or includes this partition.
    pub(crate) fn commit(&mut self, position: &[u8]) {
        if self.unfinished() == 0 && !self.included {
            return;
        }
        self.included = false;
        self.touched = true;
        self.finish_batch();
        let control = Control {
            epoch: self.partition.epoch,
            durable_end: self.partition.durable_end(),
            position,
        };
        let span = control.encode(&mut self.buffer, self.ahead.end, self.ahead.last_timestamp_ms);
        self.batches.push(span);
        self.ahead.end += 1;
        self.ahead.committed_end = self.ahead.end;
        self.ahead.position = Some(Bytes::copy_from_slice(position));
    }

    fn finish_batch(&mut self) {
        if let Some(open) = self.open.take() {
            self.batches.push(open.finish(&mut self.buffer, false));
        }
    }

    /// Hands everything buffered to the operating system in one write; true when a sync is due.
    pub(crate) fn write(
        &mut self,
        storage: &dyn Storage,
        segment_bytes: u64,
        visibility: Option<Visibility>,
    ) -> Result<bool, LogError> {
        if !self.touched {
            return Ok(false);
        }
        self.finish_batch();
        let wrote = !self.batches.is_empty();
        self.partition
            .write(storage, segment_bytes, &self.buffer, &self.batches)?;
        let waited_for = self.partition.wrote(self.ahead.clone(), visibility);
        self.touched = visibility.is_none();
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_KEPT_BYTES);
        self.batches.clear();
        Ok(wrote || waited_for)
    }
}

fn check_size(record: &NewRecord<'_>) -> Result<(), LogError> {
    let headers: usize = record
        .headers
        .iter()
        .map(|(key, value)| key.len() + value.len() + 20)
        .sum();
    let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + headers;
    if bytes > RECORD_BYTES_MAX {
        let why = format!(
            "a record of {bytes} bytes is larger than the log takes ({RECORD_BYTES_MAX}); leave its large column out with column.exclude.list"
        );
        return Err(LogError::Invalid(why));
    }
    Ok(())
}
