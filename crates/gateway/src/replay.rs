//! Reads a feed's past from the log, for those who are further behind than its ring.
//!
//! The log is cut into blocks at fixed offsets, so that all who replay get the same blocks, and the last few are kept:
//! when thousands of clients come back at once they are some blocks apart at most, and each block is encoded once.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use rowcast_log::{LogError, Offset};

use crate::{
    encode::{Progress, Voice},
    frames::{Frames, FramesBuilder},
    options::READ_BYTES,
    reading::Reading,
    topic::Topic,
};

/// Offsets of one block: 40 KiB of our usual rows. What a client that stops reading may keep alive.
const BLOCK_OFFSETS: u64 = 64;

/// A block of large rows ends early, at the record that takes it beyond this.
const BLOCK_BYTES: usize = 64 * 1024;

/// Blocks that a feed keeps: a replay that is that far ahead of another shares nothing with it.
const BLOCKS_KEPT: usize = 16;

/// Encoded records of the log, from an offset that everyone computes alike.
#[derive(Clone, Debug)]
struct Block {
    first_offset: u64,
    next_offset: u64,
    frames: Arc<Frames>,
}

/// The blocks that were encoded last.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    blocks: Mutex<VecDeque<Block>>,
}

/// A part of the log for one client.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) frames: Arc<Frames>,
    /// Where the client's frames begin.
    pub(crate) from: usize,
    pub(crate) next_offset: u64,
}

impl Replayed {
    /// What a client that needs the log from `offset` on gets next. Without frames when there was nothing for clients
    /// in it, or at the log's end.
    pub(crate) fn read(&self, topic: &Topic, voice: &Voice, offset: u64) -> Result<Part, LogError> {
        let earliest = topic.shared.log.earliest(&topic.partition)?.0;
        if offset < earliest {
            let partition = topic.partition.to_string();
            return Err(LogError::OutOfRange {
                partition,
                asked: offset,
                earliest,
            });
        }
        let mut first = (offset - offset % BLOCK_OFFSETS).max(earliest);
        loop {
            let block = self.block(topic, voice, first)?;
            // At the log's end, or the offset is in this block.
            if block.next_offset > offset || block.next_offset == first {
                let before = block.frames.ends.partition_point(|frame| frame.next_offset <= offset);
                let from = before
                    .checked_sub(1)
                    .map_or(0, |frame| block.frames.ends[frame].end as usize);
                return Ok(Part {
                    frames: block.frames,
                    from,
                    next_offset: block.next_offset.max(offset),
                });
            }
            first = block.next_offset;
        }
    }

    /// Forgets all blocks: nobody listens.
    pub(crate) fn clear(&self) {
        self.blocks.lock().clear();
    }

    fn block(&self, topic: &Topic, voice: &Voice, first_offset: u64) -> Result<Block, LogError> {
        let kept = self
            .blocks
            .lock()
            .iter()
            .find(|block| block.first_offset == first_offset)
            .cloned();
        if let Some(block) = kept {
            return Ok(block);
        }
        let (block, whole) = encode(topic, voice, first_offset)?;
        if whole {
            let mut blocks = self.blocks.lock();
            if blocks.len() >= BLOCKS_KEPT {
                blocks.pop_front();
            }
            blocks.push_back(block.clone());
        }
        Ok(block)
    }
}

/// Encodes the block that begins at this offset, and tells whether the log will never have more of it.
fn encode(topic: &Topic, voice: &Voice, first_offset: u64) -> Result<(Block, bool), LogError> {
    let shared = &topic.shared;
    shared.schemas.catch_up();
    let whole_end = first_offset - first_offset % BLOCK_OFFSETS + BLOCK_OFFSETS;
    // What the follower has not seen is the ring's to tell, and its shapes are not known yet.
    let end = whole_end.min(topic.published());
    let mut reading = Reading::new(shared.log.clone(), topic.partition.clone());
    let mut out = FramesBuilder::default();
    let mut progress = Progress::from(first_offset);
    let mut next_offset = first_offset;
    let mut whole = false;
    while !whole && next_offset < end {
        let chunk = shared.log.read(&topic.partition, Offset(next_offset), READ_BYTES)?;
        if chunk.is_empty() {
            break;
        }
        next_offset = chunk.next_offset().0.min(end);
        for record in chunk.records().take_while(|record| record.offset.0 < end) {
            let change = reading.read(&record, true);
            let change = change.as_ref().map_err(|not| *not);
            let row = change.ok().and_then(|change| change.after);
            let filled = row.and_then(|row| topic.filled_late(row, record.offset.0));
            voice.record(
                &record,
                change,
                filled.as_ref(),
                &shared.schemas,
                &mut progress,
                &mut out,
            );
            if out.len() >= BLOCK_BYTES {
                next_offset = record.offset.0 + 1;
                whole = true;
                break;
            }
        }
        whole |= next_offset == whole_end;
    }
    Ok((
        Block {
            first_offset,
            next_offset,
            frames: Arc::new(out.take()),
        },
        whole,
    ))
}
