//! Reads a partition to its end, record by record: for who starts and must know what is there.

use crate::{Log, LogError, Offset, Record, TopicPartition};

/// Bytes read at once: few round trips where reading asks a broker, and little memory.
const READ_BYTES: usize = 1024 * 1024;

/// Lends each record at or above `from`, or above what the log still keeps, to `each`, up to the end that the partition has
/// when it is reached. Gives that end.
pub fn scan(
    log: &dyn Log,
    partition: &TopicPartition,
    from: Offset,
    mut each: impl FnMut(&Record<'_>) -> Result<(), LogError>,
) -> Result<Offset, LogError> {
    let mut from = from.max(log.earliest(partition)?);
    loop {
        let chunk = log.read(partition, from, READ_BYTES)?;
        if chunk.is_empty() {
            return Ok(from.max(chunk.next_offset()));
        }
        for record in chunk.records() {
            each(&record)?;
        }
        from = chunk.next_offset();
    }
}
