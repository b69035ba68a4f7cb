//! Blocks of encoded frames: what rings keep, what snapshots and replays hand over, what sockets are given.
//!
//! A block is one run of bytes with a table that says where each frame ends and from which place a client that has
//! it goes on. Immutable once built, shared by all who send it.

use bytes::Bytes;

use crate::frame::{self, HEADER_BYTES_MAX, Opcode};

/// Where a frame ends in its block, and what having it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameEnd {
    /// Bytes from the block's start.
    pub(crate) end: u32,
    /// A client that has this frame goes on from this place.
    pub(crate) next_place: u64,
    /// When the change was committed, microseconds since 1970; 0 where that is not known or means nothing.
    pub(crate) commit_ts_us: i64,
}

/// A block of whole frames.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frames {
    pub(crate) bytes: Bytes,
    pub(crate) ends: Vec<FrameEnd>,
}

impl Frames {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What it costs to keep.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<FrameEnd>()
    }

    /// Index of the frame that holds byte `at`.
    pub(crate) fn frame_at(&self, at: usize) -> usize {
        self.ends.partition_point(|frame| frame.end as usize <= at)
    }

    /// Two blocks in one, so that a write needs fewer slices.
    pub(crate) fn joined(&self, next: &Frames) -> Frames {
        let shift = self.bytes.len() as u32;
        let mut bytes = Vec::with_capacity(self.bytes.len() + next.bytes.len());
        bytes.extend_from_slice(&self.bytes);
        bytes.extend_from_slice(&next.bytes);
        let shifted = next.ends.iter().map(|frame| FrameEnd {
            end: frame.end + shift,
            ..*frame
        });
        Frames {
            bytes: bytes.into(),
            ends: self.ends.iter().copied().chain(shifted).collect(),
        }
    }
}

/// Builds a block; reused, so that a busy feed allocates once per block and not per frame.
#[derive(Debug, Default)]
pub(crate) struct FramesBuilder {
    pub(crate) buffer: Vec<u8>,
    ends: Vec<FrameEnd>,
}

impl FramesBuilder {
    pub(crate) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Starts a WebSocket message: keeps room for the header of the usual length. Tells where it starts.
    pub(crate) fn start_message(&mut self) -> usize {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 4]);
        start
    }

    /// Puts the header of the message that started at `start` in place.
    pub(crate) fn seal_message(&mut self, start: usize, opcode: Opcode) {
        let mut header = [0; HEADER_BYTES_MAX];
        let used = frame::encode_header(opcode, self.buffer.len() - start - 4, &mut header);
        let used = &header[used..];
        if used.len() == 4 {
            self.buffer[start..start + 4].copy_from_slice(used);
        } else {
            self.buffer.splice(start..start + 4, used.iter().copied());
        }
    }

    /// Ends what a client gets as a whole: a message, or a schema with the change that needs it.
    pub(crate) fn end(&mut self, next_place: u64, commit_ts_us: i64) {
        let end = u32::try_from(self.buffer.len()).expect("blocks are bounded far below 4 GiB");
        self.ends.push(FrameEnd {
            end,
            next_place,
            commit_ts_us,
        });
    }

    /// The block, leaving the builder empty with its memory.
    pub(crate) fn take(&mut self) -> Frames {
        let frames = Frames {
            bytes: Bytes::copy_from_slice(&self.buffer),
            ends: self.ends.clone(),
        };
        self.buffer.clear();
        self.ends.clear();
        // One huge row must not keep its size for ever.
        self.buffer.shrink_to(1024 * 1024);
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_every_length_get_the_header_that_fits() {
        let mut builder = FramesBuilder::default();
        for len in [0, 125, 126, 70_000] {
            let start = builder.start_message();
            builder.buffer.extend(std::iter::repeat_n(b'x', len));
            builder.seal_message(start, Opcode::Text);
            builder.end(7, 0);
        }
        let frames = builder.take();
        let expected: Vec<u8> = [0, 125, 126, 70_000]
            .iter()
            .flat_map(|len| frame::encode(Opcode::Text, &vec![b'x'; *len]))
            .collect();
        assert_eq!(frames.bytes, expected);
        assert_eq!(frames.frame_at(0), 0);
        assert_eq!(frames.frame_at(2), 1);
        assert_eq!(frames.frame_at(frames.bytes.len() - 1), 3);
    }
}
