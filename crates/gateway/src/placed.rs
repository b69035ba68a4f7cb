//! What a topic's readers read: records with their place in the gateway's one order, from whichever partition has its turn.

use rowcast_log::{Chunk, Offset, Record};

/// Bits of a [`spot`] that hold the offset.
const OFFSET_BITS: u32 = 48;

/// A record and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed<'a> {
    pub(crate) record: Record<'a>,
    pub(crate) partition: u32,
    /// See [`crate::sequence`].
    pub(crate) place: u64,
}

impl Placed<'_> {
    /// Where the record lies, as one number.
    pub(crate) fn spot(&self) -> u64 {
        spot(self.partition, self.record.offset.0)
    }
}

/// Where a record lies, as one number that sorts by partition and offset: what a view keeps of a row. In a topic of one
/// partition it is the offset.
pub(crate) fn spot(partition: u32, offset: u64) -> u64 {
    debug_assert!(partition < 1 << (u64::BITS - OFFSET_BITS) && offset < 1 << OFFSET_BITS);
    u64::from(partition) << OFFSET_BITS | offset
}

/// Partition and offset of a [`spot`].
pub(crate) fn of_spot(spot: u64) -> (u32, Offset) {
    ((spot >> OFFSET_BITS) as u32, Offset(spot & ((1 << OFFSET_BITS) - 1)))
}

/// Records of one partition that follow each other in the topic's order.
#[derive(Debug)]
pub(crate) struct PlacedChunk {
    pub(crate) chunk: Chunk,
    pub(crate) partition: u32,
    /// Add it to an offset to get the place.
    shift: u64,
    until: u64,
}

impl PlacedChunk {
    /// `chunk` begins at `offset`, which stands at `place`; from `until` on another partition has its turn.
    pub(crate) fn new(chunk: Chunk, partition: u32, offset: u64, place: u64, until: u64) -> PlacedChunk {
        PlacedChunk {
            chunk,
            partition,
            shift: place.wrapping_sub(offset),
            until,
        }
    }

    /// Nothing, yet.
    pub(crate) fn empty(place: u64) -> PlacedChunk {
        PlacedChunk::new(Chunk::end(Offset(place)), 0, place, place, u64::MAX)
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = Placed<'_>> {
        self.chunk
            .records()
            .map(move |record| Placed {
                place: record.offset.0.wrapping_add(self.shift),
                record,
                partition: self.partition,
            })
            .take_while(|placed| placed.place < self.until)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunk.is_empty()
    }

    /// The place after the chunk.
    pub(crate) fn next_place(&self) -> u64 {
        self.chunk.next_offset().0.wrapping_add(self.shift).min(self.until)
    }

    /// The partition's offset there.
    pub(crate) fn next_offset(&self) -> u64 {
        self.next_place().wrapping_sub(self.shift)
    }
}
