//! Every property of Debezium 3.6's PostgreSQL connector, one row each, in the order of its documentation.
//!
//! A row is name, what it takes, default, importance, and what becomes of it here: checks, defaults, errors and
//! remarks all come from these rows.

mod connect;
mod connection;
mod data;
mod filters;
mod snapshot;
mod streaming;

use super::{Kind, Property};

/// Kafka's limit for a topic name.
const TOPIC_BYTES_MAX: usize = 249;

/// Of what is put before or behind `topic.prefix`, which has most of it.
const TOPIC_PART_BYTES_MAX: usize = 48;

fn is_topic(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    text.bytes().all(known) && (1..=TOPIC_BYTES_MAX).contains(&text.len())
}

fn is_part_of_a_topic(text: &str) -> bool {
    is_topic(text) && text.len() <= TOPIC_PART_BYTES_MAX
}

/// A topic's whole name.
const TOPIC: Kind = Kind::Shaped(is_topic, "1 to 249 letters, digits, '_', '.' or '-'");

/// The part of a topic's name that a property says.
const TOPIC_PART: Kind = Kind::Shaped(is_part_of_a_topic, "1 to 48 letters, digits, '_', '.' or '-'");

/// Some properties that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Chapter {
    /// What they are about.
    pub title: &'static str,
    /// In the order of Debezium's documentation.
    pub properties: &'static [Property],
}

const fn chapter(title: &'static str, properties: &'static [Property]) -> Chapter {
    Chapter { title, properties }
}

/// All properties.
pub const CHAPTERS: &[Chapter] = &[
    chapter("Connection", connection::CONNECTION),
    chapter("Slot, publication and stream", streaming::STREAMING),
    chapter("Filters", filters::FILTERS),
    chapter("Data", data::DATA),
    chapter("Snapshot", snapshot::SNAPSHOT),
    chapter("Heartbeat, signals and notifications", snapshot::SIGNALS),
    chapter("Topics", connect::TOPICS),
    chapter("Running", connect::RUNNING),
    chapter("Kafka Connect", connect::CONNECT),
];

/// The same without their chapters.
pub fn properties() -> impl Iterator<Item = &'static Property> {
    CHAPTERS.iter().flat_map(|chapter| chapter.properties)
}

/// The property of this name. An exact name goes before a family such as `transforms.*`, and a family before one that says
/// less in front: `topic.creation.default.compression.type` is of `topic.creation.*`, not of `*.type`.
pub fn property(name: &str) -> Option<&'static Property> {
    properties().find(|property| property.name == name).or_else(|| {
        let families = properties().filter(|property| property.is_named(name));
        families.max_by_key(|property| property.name.find('*'))
    })
}
