//! Reads one partition's records in order: what each says of its row, its schema taken off, its tombstone understood.
//!
//! A tombstone deletes its row, unless it only follows a delete that has said so: Debezium writes both. Which of the two it
//! is depends on the records right before it and on nothing else, so that every reader, whenever it reads, says the same.

use std::{collections::VecDeque, sync::Arc};

use rowcast_log::{Log, Offset, Record, TopicPartition};
use rowcast_protocol::Op;

use crate::{
    envelope::{Envelope, NotAChange},
    options::READ_BYTES,
    wrapping::{Wrapping, key_payload, unwrap},
};

/// Offsets from a delete to the tombstone that belongs to it.
///
/// Debezium writes it right behind; another producer's records, or a transaction's marker, may come in between.
pub(crate) const ECHO_OFFSETS_MAX: u64 = 16;

/// See the module.
pub(crate) struct Reading {
    log: Arc<dyn Log>,
    partition: TopicPartition,
    /// The first offset that was read; what was before is looked up when it matters.
    began: Option<u64>,
    wrapping: Wrapping,
    /// Keys whose row was deleted a moment ago, and where; the oldest first.
    deleted: VecDeque<(u64, Box<[u8]>)>,
}

impl Reading {
    pub(crate) fn new(log: Arc<dyn Log>, partition: TopicPartition) -> Reading {
        Reading {
            log,
            partition,
            began: None,
            wrapping: Wrapping::default(),
            deleted: VecDeque::new(),
        }
    }

    /// What the next record says, whole if somebody has `heard` of it, else as much as a view must know.
    pub(crate) fn read<'a>(&mut self, record: &Record<'a>, heard: bool) -> Result<Envelope<'a>, NotAChange> {
        let began = *self.began.get_or_insert(record.offset.0);
        let change = look(record, &mut self.wrapping, heard)?;
        let Some(key) = key_payload(record.key) else {
            // Nobody can say whose tombstone it is.
            return if change.is_tombstone() {
                Err(NotAChange::Echo)
            } else {
                Ok(change)
            };
        };
        let offset = record.offset.0;
        while self
            .deleted
            .front()
            .is_some_and(|(at, _)| *at + ECHO_OFFSETS_MAX < offset)
        {
            self.deleted.pop_front();
        }
        let known = self.deleted.iter().position(|(_, deleted)| **deleted == *key);
        if change.is_tombstone() {
            let is_echo = known.is_some() || (offset < began + ECHO_OFFSETS_MAX && self.follows_delete(offset, key));
            return if is_echo { Err(NotAChange::Echo) } else { Ok(change) };
        }
        if let Some(known) = known {
            self.deleted.remove(known);
        }
        if change.op == Op::Delete {
            self.deleted.push_back((offset, key.into()));
        }
        Ok(change)
    }

    /// Whether the last word on the key before the tombstone at `offset` was a delete, and a recent one. An unreadable past
    /// says no: a delete too many does no harm.
    fn follows_delete(&self, offset: u64, key: &[u8]) -> bool {
        let earliest = self.log.earliest(&self.partition).map_or(offset, |earliest| earliest.0);
        let mut from = offset.saturating_sub(ECHO_OFFSETS_MAX).max(earliest);
        let mut is_deleted = false;
        while from < offset {
            let Ok(chunk) = self.log.read(&self.partition, Offset(from), READ_BYTES) else {
                return false;
            };
            if chunk.is_empty() {
                break;
            }
            for record in chunk.records().take_while(|record| record.offset.0 < offset) {
                if key_payload(record.key) == Some(key)
                    && let Ok(change) = look(&record, &mut Wrapping::default(), false)
                    && !change.is_tombstone()
                {
                    is_deleted = change.op == Op::Delete;
                }
            }
            from = chunk.next_offset().0;
        }
        is_deleted
    }
}

/// The row that a record left behind, for those who come for this record alone.
pub(crate) fn row<'a>(record: &Record<'a>) -> Option<&'a [u8]> {
    Envelope::parse(unwrap(record.value?).payload).ok()?.after
}

fn look<'a>(record: &Record<'a>, wrapping: &mut Wrapping, heard: bool) -> Result<Envelope<'a>, NotAChange> {
    let Some(value) = record.value else {
        return Ok(Envelope::TOMBSTONE);
    };
    let unwrapped = wrapping.unwrap(value);
    let mut change = if heard {
        Envelope::parse(unwrapped.payload)
    } else {
        Envelope::glance(unwrapped.payload)
    }?;
    change.schema = unwrapped.schema;
    Ok(change)
}
