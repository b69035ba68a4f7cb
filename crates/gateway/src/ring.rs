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
    /// Before the first block, and after the last.
    start: Point,
    end: Point,
    memory_bytes: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Block {
    start: Point,
    frames: Arc<Frames>,
}

/// The same point in a feed's bytes and in its topic's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Point {
    /// Bytes since the feed began.
    pub(crate) position: u64,
    /// A session here goes on from this place.
    pub(crate) place: u64,
}

/// Frames from a position on: a block and where in it they begin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slice {
    pub(crate) frames: Arc<Frames>,
    pub(crate) from: usize,
}

impl Ring {
    pub(crate) fn new(place: u64, bytes_max: usize) -> Ring {
        let point = Point { position: 0, place };
        Ring {
            blocks: VecDeque::new(),
            start: point,
            end: point,
            memory_bytes: 0,
            bytes_max,
        }
    }

    pub(crate) fn end(&self) -> Point {
        self.end
    }

    /// Adds the frames of the records from `first_place` on; a session that has them all goes on from `next_place`.
    /// What came before and is not here (nobody listened) is left to the log.
    pub(crate) fn push(&mut self, first_place: u64, frames: Frames, next_place: u64) {
        if first_place != self.end.place {
            self.skip_to(first_place);
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
        self.end.place = next_place;
        while self.memory_bytes > self.bytes_max {
            self.drop_oldest();
        }
    }

    /// Forgets all frames and goes on from `place`. The position moves too: a session that stood at the end has
    /// missed something, and finds out.
    pub(crate) fn skip_to(&mut self, place: u64) {
        self.blocks.clear();
        self.memory_bytes = 0;
        self.end = Point {
            position: self.end.position + 1,
            place,
        };
        self.start = self.end;
    }

    /// The place of the first frame that a session at `place` has not seen; `None` if it may be gone, or is still to
    /// come.
    pub(crate) fn seek(&self, place: u64) -> Option<Point> {
        if place < self.start.place || place > self.end.place {
            return None;
        }
        if place == self.end.place {
            return Some(self.end);
        }
        let index = self.blocks.partition_point(|block| block.last_place() <= place);
        let Some(block) = self.blocks.get(index) else {
            return Some(self.end);
        };
        let frame = block.frames.ends.partition_point(|frame| frame.next_place <= place);
        let from = frame.checked_sub(1).map_or(0, |before| block.frames.ends[before].end);
        Some(Point {
            position: block.start.position + u64::from(from),
            place,
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
            Some(block) => Point {
                position: block.start.position,
                place: oldest.last_place(),
            },
            None => self.end,
        };
    }
}

impl Block {
    fn end_position(&self) -> u64 {
        self.start.position + self.frames.bytes.len() as u64
    }

    fn last_place(&self) -> u64 {
        self.frames
            .ends
            .last()
            .map_or(self.start.place, |frame| frame.next_place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::FramesBuilder;
    use proptest::prelude::*;

    fn block(first_place: u64, lengths: &[usize]) -> Frames {
        let mut builder = FramesBuilder::default();
        for (index, length) in lengths.iter().enumerate() {
            let place = first_place + index as u64;
            builder.buffer.extend(std::iter::repeat_n(place as u8, *length));
            builder.end(place + 1, 0);
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
            let mut place = 0;
            for (lengths, control) in blocks {
                sent.extend(lengths.iter().enumerate().map(|(index, length)| (place + index as u64, *length)));
                let frames = block(place, &lengths);
                let first_place = place;
                place += lengths.len() as u64 + control;
                ring.push(first_place, frames, place);
                prop_assert!(ring.memory_bytes <= bytes_max);
            }
            prop_assert_eq!(ring.end().place, place);
            prop_assert!(ring.seek(place + 1).is_none());
            for from in 0..=place {
                let expected: Vec<u8> =
                    sent.iter().filter(|(at, _)| *at >= from).flat_map(|(at, len)| vec![*at as u8; *len]).collect();
                match ring.seek(from) {
                    Some(place) => prop_assert_eq!(read_all(&ring, place.position), Some(expected)),
                    None => prop_assert!(from < ring.start.place),
                }
            }
        }
    }

    #[test]
    fn many_small_blocks_need_few_slices() {
        let mut ring = Ring::new(0, 4 * 1024 * 1024);
        for place in 0..1000 {
            ring.push(place, block(place, &[60]), place + 1);
        }
        assert!(ring.blocks.len() <= 12, "{} blocks", ring.blocks.len());
    }
}
