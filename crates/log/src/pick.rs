//! Reads the records at a sorted list of offsets: a view's rows, in the order of the log.
//!
//! Rows that lie close together are read together, gaps between them are skipped through the log's index. Memory is
//! that of one read, whatever the number of rows.

use crate::{Chunk, Log, LogError, Offset, Record, TopicPartition};

/// Offsets between two wanted records that are read rather than skipped.
///
/// 64 records of 600 bytes are within one 64 KiB batch, which must be read whole for either of them.
const GAP_MAX: u64 = 64;

/// The records at the first of the offsets asked for, as many as one read gave.
#[derive(Debug)]
pub struct Picked<'o> {
    chunk: Chunk,
    offsets: &'o [Offset],
}

/// Reads the records at the first few of `offsets`, which are sorted: at least one of them, and as many as lie close
/// together within about `bytes_max` bytes of log. Go on with `&offsets[picked.taken()..]`.
///
/// Blocks like [`Log::read`]. Without offsets, and past the log's end, nothing is taken.
pub fn read_at<'o>(
    log: &dyn Log,
    partition: &TopicPartition,
    offsets: &'o [Offset],
    bytes_max: usize,
) -> Result<Picked<'o>, LogError> {
    let Some(&first) = offsets.first() else {
        return Ok(Picked {
            chunk: Chunk::end(Offset(0)),
            offsets,
        });
    };
    let lone = offsets.get(1).is_none_or(|second| second.0 - first.0 > GAP_MAX);
    let chunk = log.read(partition, first, if lone { 1 } else { bytes_max })?;
    let taken = offsets.partition_point(|offset| *offset < chunk.next_offset());
    Ok(Picked {
        chunk,
        offsets: &offsets[..taken],
    })
}

impl Picked<'_> {
    /// How many of the offsets this answers.
    pub fn taken(&self) -> usize {
        self.offsets.len()
    }

    /// The records, in order. An offset without a record (a control batch, or compacted away) gives none.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let mut wanted = self.offsets;
        self.chunk.records().filter(move |record| {
            while wanted.first().is_some_and(|offset| *offset < record.offset) {
                wanted = &wanted[1..];
            }
            wanted.first() == Some(&record.offset)
        })
    }
}
