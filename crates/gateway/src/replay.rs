//! Reads a feed's past from the log, for those who are further behind than its ring.
//!
//! The log is cut into blocks at fixed places, so that all who replay get the same blocks, and the last few are kept:
//! when thousands of clients come back at once they are some blocks apart at most, and each block is encoded once.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use rowcast_log::LogError;

use crate::{
    encode::{Progress, Voice},
    frames::{Frames, FramesBuilder},
    options::READ_BYTES,
    reading::Reading,
    topic::Topic,
};

/// Places of one block: 40 KiB of our usual rows. What a client that stops reading may keep alive.
const BLOCK_PLACES: u64 = 64;

/// A block of large rows ends early, at the record that takes it beyond this.
const BLOCK_BYTES: usize = 64 * 1024;

/// Blocks that a feed keeps: a replay that is that far ahead of another shares nothing with it.
const BLOCKS_KEPT: usize = 16;

/// Encoded records of the log, from an place that everyone computes alike.
#[derive(Clone, Debug)]
struct Block {
    first_place: u64,
    next_place: u64,
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
    pub(crate) next_place: u64,
}

impl Replayed {
    /// What a client that needs the log from `place` on gets next. Without frames when there was nothing for clients
    /// in it, or at the log's end.
    pub(crate) fn read(&self, topic: &Topic, voice: &Voice, place: u64) -> Result<Part, LogError> {
        let earliest = topic.earliest_place()?;
        if place < earliest {
            let partition = topic.name.to_string();
            return Err(LogError::OutOfRange {
                partition,
                asked: place,
                earliest,
            });
        }
        let mut first = (place - place % BLOCK_PLACES).max(earliest);
        loop {
            let block = self.block(topic, voice, first)?;
            // At the log's end, or the place is in this block.
            if block.next_place > place || block.next_place == first {
                let before = block.frames.ends.partition_point(|frame| frame.next_place <= place);
                let from = before
                    .checked_sub(1)
                    .map_or(0, |frame| block.frames.ends[frame].end as usize);
                return Ok(Part {
                    frames: block.frames,
                    from,
                    next_place: block.next_place.max(place),
                });
            }
            first = block.next_place;
        }
    }

    /// Forgets all blocks: nobody listens.
    pub(crate) fn clear(&self) {
        self.blocks.lock().clear();
    }

    fn block(&self, topic: &Topic, voice: &Voice, first_place: u64) -> Result<Block, LogError> {
        let kept = self
            .blocks
            .lock()
            .iter()
            .find(|block| block.first_place == first_place)
            .cloned();
        if let Some(block) = kept {
            return Ok(block);
        }
        let (block, whole) = encode(topic, voice, first_place)?;
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

/// Encodes the block that begins at this place, and tells whether the log will never have more of it.
fn encode(topic: &Topic, voice: &Voice, first_place: u64) -> Result<(Block, bool), LogError> {
    let shared = &topic.shared;
    shared.schemas.catch_up();
    let whole_end = first_place - first_place % BLOCK_PLACES + BLOCK_PLACES;
    // What the follower has not seen is the ring's to tell, and its shapes are not known yet.
    let end = whole_end.min(topic.published());
    // Where the log cannot say how far everybody had got, nothing can be gone on from.
    let mut offsets = topic.offsets(first_place).ok_or_else(|| LogError::OutOfRange {
        partition: topic.name.to_string(),
        asked: first_place,
        earliest: first_place + 1,
    })?;
    let partitions = topic.partitions().into_iter();
    let mut readings: Vec<Reading> = partitions
        .map(|partition| Reading::new(shared.log.clone(), partition))
        .collect();
    let mut out = FramesBuilder::default();
    let mut progress = Progress::from(first_place);
    let mut next_place = first_place;
    let mut whole = false;
    while !whole && next_place < end {
        let chunk = topic.read(next_place, READ_BYTES)?;
        if chunk.is_empty() {
            break;
        }
        let number = chunk.partition as usize;
        next_place = chunk.next_place().min(end);
        for placed in chunk.records().take_while(|placed| placed.place < end) {
            let change = readings[number].read(&placed.record, true);
            let change = change.as_ref().map_err(|not| *not);
            let row = change.ok().and_then(|change| change.after);
            let filled = row.and_then(|row| topic.filled_late(row, placed.spot()));
            offsets[number] = placed.record.offset.0 + 1;
            voice.record(
                &placed,
                &offsets,
                change,
                filled.as_ref(),
                &shared.schemas,
                &mut progress,
                &mut out,
            );
            if out.len() >= BLOCK_BYTES {
                next_place = placed.place + 1;
                whole = true;
                break;
            }
        }
        offsets[number] = chunk.next_offset();
        whole |= next_place == whole_end;
    }
    Ok((
        Block {
            first_place,
            next_place,
            frames: Arc::new(out.take()),
        },
        whole,
    ))
}
