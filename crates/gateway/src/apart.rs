//! Brings a client to a place in this gateway's order that comes with a cursor from elsewhere: from a gateway that saw the
//! partitions in another order, or from before this one was started.
//!
//! Partition by partition the client is sent what it lacks, up to one place of ours; from there it goes on as everybody
//! does. Order is kept where it means something: inside each partition, so for each key.

use rowcast_log::{LogError, Offset};

use crate::{
    encode::{Progress, Voice},
    frames::{Frames, FramesBuilder},
    options::READ_BYTES,
    placed::PlacedChunk,
    reading::Reading,
    sequence::Sequence,
    topic::Topic,
    truncates::CutOffsets,
};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Apart {
    /// The next offset of each partition for the client.
    have: Vec<u64>,
    /// Where it shall get, and the place that this is.
    goal: Option<(Vec<u64>, u64)>,
}

/// Whether a client's offsets are a place of ours.
pub(crate) enum Meeting {
    /// They are this one.
    At(u64),
    /// We have not seen yet what the client has.
    NotYet,
    /// They will be, when it has got what it lacks.
    After(Box<Apart>),
}

impl Apart {
    pub(crate) fn new(have: Vec<u64>) -> Apart {
        Apart { have, goal: None }
    }

    /// Whether the client has got so far that changes tell it the rest of the table.
    pub(crate) fn has_passed(&self, cut: &CutOffsets) -> bool {
        cut.are_passed_by(&self.have)
    }

    /// Looks where the client stands now.
    pub(crate) fn meet(&self, sequence: &Sequence) -> Meeting {
        // The topic was given more partitions since the cursor was made.
        let mut have = self.have.clone();
        have.resize(have.len().max(sequence.ends().len()), 0);
        match &self.goal {
            Some((goal, place)) if *goal == have => return Meeting::At(*place),
            Some(goal) => {
                return Meeting::After(Box::new(Apart {
                    have,
                    goal: Some(goal.clone()),
                }));
            }
            None => {}
        }
        if let Some(place) = sequence.find(&have) {
            return Meeting::At(place);
        }
        let ends = sequence.ends();
        let is_behind = have.len() == ends.len() && have.iter().zip(ends).all(|(have, end)| have <= end);
        match is_behind {
            false => Meeting::NotYet,
            true => Meeting::After(Box::new(Apart {
                have,
                goal: Some((ends.to_vec(), sequence.end())),
            })),
        }
    }

    /// The next part of what the client lacks; after it the client has as much more.
    pub(crate) fn read(&mut self, topic: &Topic, voice: &Voice) -> Result<Frames, LogError> {
        let mut out = FramesBuilder::default();
        let (goal, _) = self.goal.as_ref().expect("read on the way to a goal");
        let behind = self.have.iter().zip(goal).position(|(have, goal)| have < goal);
        let Some(number) = behind else {
            return Ok(out.take());
        };
        let goal = goal[number];
        let (shared, partition) = (&topic.shared, topic.partitions()[number].clone());
        shared.schemas.catch_up();
        let from = Offset(self.have[number]);
        let chunk = shared.log.read(&partition, from, READ_BYTES)?;
        if chunk.is_empty() {
            // A copy that ends in offsets without records.
            self.have[number] = goal;
            return Ok(out.take());
        }
        let chunk = PlacedChunk::new(chunk, number as u32, from.0, topic.published(), u64::MAX);
        let mut reading = Reading::new(shared.log.clone(), partition);
        let mut progress = Progress::from(topic.published());
        for mut placed in chunk.records().take_while(|placed| placed.record.offset.0 < goal) {
            placed.place = topic.published();
            let change = reading.read(&placed.record, true);
            let change = change.as_ref().map_err(|not| *not);
            let row = change.ok().and_then(|change| change.after);
            let filled = row.and_then(|row| topic.filled_late(row, placed.spot()));
            self.have[number] = placed.record.offset.0 + 1;
            voice.record(
                &placed,
                &self.have,
                change,
                filled.as_ref(),
                &shared.schemas,
                &mut progress,
                &mut out,
            );
        }
        self.have[number] = chunk.next_offset().min(goal);
        Ok(out.take())
    }
}
