//! Gives the records of a topic one order, whatever its partitions: the order in which this gateway has seen them.
//!
//! Partitions are ordered in themselves and not among each other, but a ring, a replay and a client need one line. A *place*
//! in it is a number that grows by one with each offset, in whichever partition: so it is the sum of the next offsets of all
//! partitions, and in a topic of one partition it is the offset. Which partition had its turn when is kept as runs, in
//! memory alone: cursors carry the offsets themselves, and are good at a gateway that saw another order, too (see
//! `apart.rs`). Knows nothing of records.

use std::collections::VecDeque;

/// Runs that are remembered: 6 MiB a topic at most, ten times what a ring's sessions can need.
const RUNS_MAX: usize = 256 * 1024;

/// Runs between two places at which all offsets are kept, so that nobody counts from the beginning.
const RUNS_A_MARK: usize = 1024;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    /// Next offsets, by partition, at the end.
    ends: Vec<u64>,
    /// Empty for a topic of one partition, whose places need no memory.
    runs: VecDeque<Run>,
    /// The offsets where every [`RUNS_A_MARK`]th run begins, from the first run that is kept.
    marks: VecDeque<Box<[u64]>>,
}

/// Offsets of one partition, one behind another, that were seen in a row.
#[derive(Clone, Copy, Debug)]
struct Run {
    place: u64,
    offset: u64,
    partition: u32,
}

/// Where a place lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) partition: u32,
    pub(crate) offset: u64,
    /// The place at which another partition has its turn.
    pub(crate) until: u64,
}

impl Sequence {
    /// A sequence that goes on from these offsets; nothing is known of the order before.
    pub(crate) fn new(ends: Vec<u64>) -> Sequence {
        Sequence {
            ends,
            ..Sequence::default()
        }
    }

    /// The place after everything that was seen.
    pub(crate) fn end(&self) -> u64 {
        self.ends.iter().sum()
    }

    /// The next offset of each partition there.
    pub(crate) fn ends(&self) -> &[u64] {
        &self.ends
    }

    /// The first place whose record can be told.
    pub(crate) fn start(&self) -> u64 {
        match self.ends.len() {
            0 | 1 => 0,
            _ => self.runs.front().map_or_else(|| self.end(), |run| run.place),
        }
    }

    /// A partition was read up to this offset.
    pub(crate) fn extend(&mut self, partition: u32, next_offset: u64) {
        let (place, index) = (self.end(), partition as usize);
        let offset = self.ends[index];
        if next_offset <= offset {
            return;
        }
        let goes_on = self.runs.back().is_some_and(|run| run.partition == partition);
        if self.ends.len() > 1 && !goes_on {
            self.begin_run(Run {
                place,
                offset,
                partition,
            });
        }
        self.ends[index] = next_offset;
    }

    fn begin_run(&mut self, run: Run) {
        if self.runs.len() == RUNS_MAX {
            self.runs.drain(..RUNS_A_MARK);
            self.marks.pop_front();
        }
        if self.runs.len().is_multiple_of(RUNS_A_MARK) {
            self.marks.push_back(self.ends.clone().into());
        }
        self.runs.push_back(run);
    }

    /// The topic has more partitions now, which nothing was read of.
    pub(crate) fn grow(&mut self, partitions: usize) {
        if self.ends.len() == 1 && partitions > 1 && self.ends[0] > 0 {
            self.marks.push_back([0].into());
            self.runs.push_back(Run {
                place: 0,
                offset: 0,
                partition: 0,
            });
        }
        self.ends.resize(partitions.max(self.ends.len()), 0);
    }

    /// Where a place lies, unless that is forgotten or yet to come.
    pub(crate) fn locate(&self, place: u64) -> Option<Located> {
        if self.ends.len() == 1 {
            return Some(Located {
                partition: 0,
                offset: place,
                until: u64::MAX,
            });
        }
        if place < self.start() || place >= self.end() {
            return None;
        }
        let after = self.runs.partition_point(|run| run.place <= place);
        let run = self.runs.get(after.checked_sub(1)?)?;
        Some(Located {
            partition: run.partition,
            offset: run.offset + (place - run.place),
            until: self.runs.get(after).map_or(self.end(), |next| next.place),
        })
    }

    /// The next offset of each partition at a place.
    pub(crate) fn offsets(&self, place: u64) -> Option<Vec<u64>> {
        if self.ends.len() == 1 {
            return Some(vec![place]);
        }
        if place == self.end() {
            return Some(self.ends.clone());
        }
        let here = self.locate(place)?;
        let index = self.runs.partition_point(|run| run.place <= place) - 1;
        let mark = index / RUNS_A_MARK;
        let mut offsets = self.marks[mark].to_vec();
        // Before the topic had more partitions, marks were shorter.
        offsets.resize(self.ends.len(), 0);
        let passed = self.runs.range(mark * RUNS_A_MARK..=index);
        for (run, next) in passed.clone().zip(passed.skip(1)) {
            offsets[run.partition as usize] = run.offset + (next.place - run.place);
        }
        offsets[here.partition as usize] = here.offset;
        Some(offsets)
    }

    /// The place at which these are the next offsets, if this gateway ever was there.
    pub(crate) fn find(&self, offsets: &[u64]) -> Option<u64> {
        if offsets.len() != self.ends.len() {
            return None;
        }
        let place = offsets.iter().try_fold(0_u64, |sum, offset| sum.checked_add(*offset))?;
        if offsets.len() == 1 {
            return Some(place);
        }
        let found = (self.start()..=self.end())
            .contains(&place)
            .then(|| self.offsets(place))??;
        (found == offsets).then_some(place)
    }

    /// The first place from which on everything is kept, if partitions keep what these offsets say.
    pub(crate) fn kept_from(&self, earliest: &[u64]) -> u64 {
        if let [earliest] = earliest {
            return *earliest;
        }
        let lost = |run: &&Run| {
            earliest
                .get(run.partition as usize)
                .is_some_and(|earliest| run.offset < *earliest)
        };
        match self.runs.iter().rev().find(lost) {
            None => self.start(),
            Some(run) => run.place + (earliest[run.partition as usize] - run.offset),
        }
        .min(self.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_place_is_found_by_its_offsets_and_by_nothing_else(
            starts in proptest::collection::vec(0..1000_u64, 1..5),
            reads in proptest::collection::vec((any::<prop::sample::Index>(), 1..9_u64), 1..60),
        ) {
            let mut sequence = Sequence::new(starts.clone());
            let mut line = vec![starts.clone()];
            let mut turns = Vec::new();
            for (which, count) in reads {
                let partition = which.index(starts.len());
                let next = sequence.ends()[partition] + count;
                for _ in 0..count {
                    let mut offsets = line.last().expect("never empty").clone();
                    turns.push((partition as u32, offsets[partition]));
                    offsets[partition] += 1;
                    line.push(offsets);
                }
                sequence.extend(partition as u32, next);
            }
            let first: u64 = starts.iter().sum();
            for (passed, offsets) in line.iter().enumerate() {
                let place = first + passed as u64;
                prop_assert_eq!(sequence.offsets(place), Some(offsets.clone()));
                prop_assert_eq!(sequence.find(offsets), Some(place));
                if let Some((partition, offset)) = turns.get(passed) {
                    let located = sequence.locate(place).expect("it was seen");
                    prop_assert_eq!((located.partition, located.offset), (*partition, *offset));
                    prop_assert!(located.until > place);
                }
            }
            prop_assert_eq!(sequence.end(), first + turns.len() as u64);
            if starts.len() > 1 {
                let mut elsewhere = line[line.len() - 1].clone();
                elsewhere[0] += 1;
                prop_assert_eq!(sequence.find(&elsewhere), None);
            }
        }
    }

    #[test]
    fn a_topic_that_grows_keeps_its_places() {
        let mut sequence = Sequence::new(vec![7]);
        sequence.extend(0, 10);
        sequence.grow(3);
        sequence.extend(2, 4);
        assert_eq!(sequence.offsets(8), Some(vec![8, 0, 0]));
        assert_eq!(sequence.find(&[10, 0, 2]), Some(12));
        assert_eq!(
            sequence.locate(12).map(|found| (found.partition, found.offset)),
            Some((2, 2))
        );
    }

    #[test]
    fn what_was_too_long_ago_is_forgotten() {
        let mut sequence = Sequence::new(vec![0, 0]);
        for turn in 0..(RUNS_MAX as u64 + 10) {
            sequence.extend((turn % 2) as u32, turn / 2 + 1);
        }
        assert_eq!(sequence.start(), RUNS_A_MARK as u64);
        assert_eq!(sequence.locate(0), None);
        let place = sequence.start() + 5;
        assert_eq!(sequence.offsets(place), Some(vec![place.div_ceil(2), place / 2]));
        assert_eq!(sequence.kept_from(&[1_000, 0]), 1_999);
    }
}
