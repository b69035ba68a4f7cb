//! Knows which shape a topic's rows have from which place on.
//!
//! Two sources, one structure: our capture's word, and for topics that somebody else fills what their records carry.
//! Capture writes a topic's schema durably to [`TOPIC`] before the first record of that shape, so whoever reads this
//! topic up to its end before looking at a record knows the record's schema. Knows nothing of what a schema says.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use rowcast_log::{Log, Offset, TopicPartition};
use rowcast_protocol::RawSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::options::READ_BYTES;

/// The internal topic: key = `["topic", from_offsets]`, value = `{"topic", "from_offsets", "schema"}`.
pub(crate) const TOPIC: &str = "__rowcast_schemas";

/// Shapes that are kept of a topic whose records carry them.
///
/// A table changes its shape a few times a year. Only records that go back and forth between shapes come near: of those the
/// oldest are forgotten, and whoever goes on from so long ago sees values as they are.
const LEARNED_MAX: usize = 1024;

/// One shape of one topic.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) from_place: u64,
    pub(crate) schema: RawSchema,
}

/// All shapes of all topics. See the module.
pub(crate) struct Schemas {
    log: Arc<dyn Log>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    reading: Option<Reading>,
    /// By offset; shapes are few and never forgotten.
    shapes: HashMap<Arc<str>, Vec<Arc<Shape>>>,
    /// Up to which place each topic's records were published.
    published: HashMap<Arc<str>, Arc<AtomicU64>>,
    /// By place, for topics of which capture says nothing: what followers found in records.
    learned: HashMap<Arc<str>, Vec<Arc<Shape>>>,
}

struct Reading {
    partition: TopicPartition,
    next: Offset,
    end: watch::Receiver<Offset>,
}

#[derive(Deserialize)]
struct Stored<'a> {
    topic: String,
    from_offsets: Vec<u64>,
    #[serde(borrow)]
    schema: &'a RawValue,
}

impl Schemas {
    pub(crate) fn new(log: Arc<dyn Log>) -> Schemas {
        Schemas {
            log,
            state: Mutex::default(),
        }
    }

    /// Reads what was written since the last time. Nearly free when that is nothing.
    pub(crate) fn catch_up(&self) {
        let mut state = self.state.lock();
        if state
            .reading
            .as_ref()
            .is_some_and(|reading| reading.end.has_changed().is_err())
        {
            state.reading = None;
        }
        if state.reading.is_none() {
            state.reading = self.begin();
        }
        let State {
            reading: Some(reading),
            shapes,
            published,
            ..
        } = &mut *state
        else {
            return;
        };
        while *reading.end.borrow() > reading.next {
            match self.log.read(&reading.partition, reading.next, READ_BYTES) {
                Ok(chunk) if chunk.is_empty() => break,
                Ok(chunk) => {
                    chunk
                        .records()
                        .filter_map(|record| record.value)
                        .for_each(|value| remember(shapes, published, value));
                    reading.next = chunk.next_offset();
                }
                Err(error) => {
                    tracing::error!(%error, "schemas cannot be read; clients see rows without types");
                    break;
                }
            }
        }
    }

    fn begin(&self) -> Option<Reading> {
        self.log.find_topic(TOPIC).ok()??;
        let partition = TopicPartition {
            topic: TOPIC.into(),
            partition: 0,
        };
        let next = self.log.earliest(&partition).ok()?;
        let end = self.log.end(&partition).ok()?;
        Some(Reading { partition, next, end })
    }

    /// The shape of the rows at `place`.
    pub(crate) fn at(&self, topic: &str, place: u64) -> Option<Arc<Shape>> {
        let state = self.state.lock();
        let shapes = state.of(topic);
        let after = shapes.partition_point(|shape| shape.from_place <= place);
        shapes.get(after.checked_sub(1)?).cloned()
    }

    /// The shape of the rows at `place`, if it holds from `told_below` on or later: whoever was told all shapes below that
    /// does not know it.
    pub(crate) fn newer(&self, topic: &str, told_below: u64, place: u64) -> Option<Arc<Shape>> {
        self.at(topic, place).filter(|shape| shape.from_place >= told_below)
    }

    /// The first place, not below `place`, from which another shape holds; `u64::MAX` if there is none.
    pub(crate) fn first_from(&self, topic: &str, place: u64) -> u64 {
        let state = self.state.lock();
        let shapes = state.of(topic);
        let below = shapes.partition_point(|shape| shape.from_place < place);
        shapes.get(below).map_or(u64::MAX, |shape| shape.from_place)
    }

    /// The record at `place` carries this shape. Called by the topic's follower alone, in the order of the log.
    pub(crate) fn learn(&self, topic: &Arc<str>, place: u64, schema: RawSchema) {
        let mut state = self.state.lock();
        let shapes = state.learned.entry(topic.clone()).or_default();
        let is_known = shapes.last().is_some_and(|last| last.schema.0.get() == schema.0.get());
        if is_known {
            return;
        }
        if shapes.len() >= LEARNED_MAX {
            shapes.drain(..LEARNED_MAX / 2);
        }
        shapes.push(Arc::new(Shape {
            from_place: place,
            schema,
        }));
    }

    /// A topic is met, whose records are published up to the place told there.
    pub(crate) fn learn_of(&self, topic: &Arc<str>, published: Arc<AtomicU64>) {
        self.state.lock().published.insert(topic.clone(), published);
    }

    /// The topic's records are read from the beginning, perhaps because it is another one now.
    pub(crate) fn unlearn(&self, topic: &str) {
        self.state.lock().learned.remove(topic);
    }
}

impl State {
    fn of(&self, topic: &str) -> &[Arc<Shape>] {
        let shapes = self.shapes.get(topic).or_else(|| self.learned.get(topic));
        shapes.map_or(&[], |shapes| shapes)
    }
}

/// In a topic of one partition the place is the offset. In others it is where we are when we hear of the shape: those that
/// were written before it in another partition and come later are taken for it.
fn place_of(stored: &Stored<'_>, published: &HashMap<Arc<str>, Arc<AtomicU64>>) -> u64 {
    match stored.from_offsets[..] {
        [offset] => offset,
        _ => published
            .get(stored.topic.as_str())
            .map_or(0, |published| published.load(Ordering::Acquire)),
    }
}

fn remember(
    shapes: &mut HashMap<Arc<str>, Vec<Arc<Shape>>>,
    published: &HashMap<Arc<str>, Arc<AtomicU64>>,
    value: &[u8],
) {
    let stored: Stored<'_> = match serde_json::from_slice(value) {
        Ok(stored) => stored,
        Err(error) => {
            tracing::warn!(%error, "a record of {TOPIC} is not a schema; it is passed over");
            return;
        }
    };
    let shape = Arc::new(Shape {
        from_place: place_of(&stored, published),
        schema: RawSchema(stored.schema.to_owned()),
    });
    let shapes = shapes.entry(stored.topic.into()).or_default();
    // A later word on the same or an earlier offset replaces what was said from there on.
    shapes.truncate(shapes.partition_point(|known| known.from_place < shape.from_place));
    shapes.push(shape);
}
