//! Keeps a feed's recent frames for everyone at once.
//!
//! Positions count the feed's bytes since it began and stand at frame boundaries. Blocks that are small are joined as
//! they age (each byte is copied a few times at most), so that a session far behind still needs few slices.
//! Bounded in bytes; the oldest blocks go first, and who needs them reads the log.

use std::{collections::VecDeque, sync::Arc};

use crate::frames::Frames;

/// Blocks are joined up to this size: 64 KiB is a slice worth a write.
const JOIN_BYTES_MAX: usize = 64 * 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Ring {
    blocks: VecDeque<Block>,
    /// Position and offset before the first block, and after the last.
    start: Place,
    end: Place,
    memory_bytes: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Block {
    start: Place,
    frames: Arc<Frames>,
}

/// The same place in a feed and in its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Bytes since the feed began.
    pub(crate) position: u64,
    /// A session here needs the log from this offset on.
    pub(crate) offset: u64,
}

/// Frames from a position on: a block and where in it they begin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slice {
    pub(crate) frames: Arc<Frames>,
    pub(crate) from: usize,
}

impl Ring {
    pub(crate) fn new(offset: u64, bytes_max: usize) -> Ring {
        let place = Place { position: 0, offset };
        Ring {
            blocks: VecDeque::new(),
            start: place,
            end: place,
            memory_bytes: 0,
            bytes_max,
        }
    }

    pub(crate) fn end(&self) -> Place {
        self.end
    }

    /// Adds the frames of the records from `first_offset` on; a session that has them all goes on from `next_offset`.
    /// What came before and is not here (nobody listened) is left to the log.
    pub(crate) fn push(&mut self, first_offset: u64, frames: Frames, next_offset: u64) {
        if first_offset != self.end.offset {
            self.skip_to(first_offset);
        }
        if !frames.is_empty() {
            let start = self.end;
            self.end.position += frames.bytes.len() as u64;
            self.memory_bytes += frames.memory_bytes();
            self.blocks.push_back(Block {
                start,
                frames: Arc::new(frames),
            });
            self.join_small();
        }
        self.end.offset = next_offset;
        while self.memory_bytes > self.bytes_max {
            self.drop_oldest();
        }
    }

    /// Forgets all frames and goes on from `offset`. The position moves too: a session that stood at the end has
    /// missed something, and finds out.
    pub(crate) fn skip_to(&mut self, offset: u64) {
        self.blocks.clear();
        self.memory_bytes = 0;
        self.end = Place {
            position: self.end.position + 1,
            offset,
        };
        self.start = self.end;
    }

    /// The place of the first frame that a session at `offset` has not seen; `None` if it may be gone, or is still to
    /// come.
    pub(crate) fn seek(&self, offset: u64) -> Option<Place> {
        if offset < self.start.offset || offset > self.end.offset {
            return None;
        }
        if offset == self.end.offset {
            return Some(self.end);
        }
        let index = self.blocks.partition_point(|block| block.last_offset() <= offset);
        let Some(block) = self.blocks.get(index) else {
            return Some(self.end);
        };
        let frame = block.frames.ends.partition_point(|frame| frame.next_offset <= offset);
        let from = frame.checked_sub(1).map_or(0, |before| block.frames.ends[before].end);
        Some(Place {
            position: block.start.position + u64::from(from),
            offset,
        })
    }

    /// Hands out the blocks from `position` on until `each` says no; false if `position` is no longer kept.
    pub(crate) fn read(&self, position: u64, mut each: impl FnMut(Slice) -> bool) -> bool {
        if position < self.start.position {
            return false;
        }
        let index = self.blocks.partition_point(|block| block.end_position() <= position);
        for block in self.blocks.range(index..) {
            let from = position.saturating_sub(block.start.position) as usize;
            if !each(Slice {
                frames: block.frames.clone(),
                from,
            }) {
                break;
            }
        }
        true
    }

    /// Like a binary counter: the last two are joined while the older is not larger than the younger.
    fn join_small(&mut self) {
        while let [.., older, newer] = self.blocks.make_contiguous() {
            let (older_bytes, newer_bytes) = (older.frames.bytes.len(), newer.frames.bytes.len());
            if older_bytes > newer_bytes * 2 || older_bytes + newer_bytes > JOIN_BYTES_MAX {
                break;
            }
            older.frames = Arc::new(older.frames.joined(&newer.frames));
            self.blocks.pop_back();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.blocks.pop_front() else {
            return;
        };
        self.memory_bytes -= oldest.frames.memory_bytes();
        self.start = match self.blocks.front() {
            // What was sent without frames of its own after the dropped block is not needed again.
            Some(block) => Place {
                position: block.start.position,
                offset: oldest.last_offset(),
            },
            None => self.end,
        };
    }
}

impl Block {
    fn end_position(&self) -> u64 {
        self.start.position + self.frames.bytes.len() as u64
    }

    fn last_offset(&self) -> u64 {
        self.frames
            .ends
            .last()
            .map_or(self.start.offset, |frame| frame.next_offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::FramesBuilder;
    use proptest::prelude::*;

    fn block(first_offset: u64, lengths: &[usize]) -> Frames {
        let mut builder = FramesBuilder::default();
        for (index, length) in lengths.iter().enumerate() {
            let offset = first_offset + index as u64;
            builder.buffer.extend(std::iter::repeat_n(offset as u8, *length));
            builder.end(offset + 1, 0);
        }
        builder.take()
    }

    fn read_all(ring: &Ring, position: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        ring.read(position, |slice| {
            bytes.extend_from_slice(&slice.frames.bytes[slice.from..]);
            true
        })
        .then_some(bytes)
    }

    proptest! {
        #[test]
        fn a_session_gets_every_frame_after_its_offset_or_is_told_that_they_are_gone(
            blocks in proptest::collection::vec((proptest::collection::vec(1..50_usize, 0..6), 0..3_u64), 1..60),
            bytes_max in 200..4000_usize,
        ) {
            let mut ring = Ring::new(0, bytes_max);
            let mut sent: Vec<(u64, usize)> = Vec::new();
            let mut offset = 0;
            for (lengths, control) in blocks {
                sent.extend(lengths.iter().enumerate().map(|(index, length)| (offset + index as u64, *length)));
                let frames = block(offset, &lengths);
                let first_offset = offset;
                offset += lengths.len() as u64 + control;
                ring.push(first_offset, frames, offset);
                prop_assert!(ring.memory_bytes <= bytes_max);
            }
            prop_assert_eq!(ring.end().offset, offset);
            prop_assert!(ring.seek(offset + 1).is_none());
            for from in 0..=offset {
                let expected: Vec<u8> =
                    sent.iter().filter(|(at, _)| *at >= from).flat_map(|(at, len)| vec![*at as u8; *len]).collect();
                match ring.seek(from) {
                    Some(place) => prop_assert_eq!(read_all(&ring, place.position), Some(expected)),
                    None => prop_assert!(from < ring.start.offset),
                }
            }
        }
    }

    #[test]
    fn many_small_blocks_need_few_slices() {
        let mut ring = Ring::new(0, 4 * 1024 * 1024);
        for offset in 0..1000 {
            ring.push(offset, block(offset, &[60]), offset + 1);
        }
        assert!(ring.blocks.len() <= 12, "{} blocks", ring.blocks.len());
    }
}
