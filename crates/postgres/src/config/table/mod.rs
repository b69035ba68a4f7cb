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

use super::Property;

/// All properties, a group per chapter.
pub const PROPERTIES: &[&[Property]] = &[
    connection::CONNECTION,
    streaming::STREAMING,
    filters::FILTERS,
    data::DATA,
    snapshot::SNAPSHOT,
    snapshot::SIGNALS,
    connect::TOPICS,
    connect::RUNNING,
    connect::CONNECT,
];

/// The property of this name. An exact name goes before a family such as `transforms.*`, and a family before one that says
/// less in front: `topic.creation.default.compression.type` is of `topic.creation.*`, not of `*.type`.
pub fn property(name: &str) -> Option<&'static Property> {
    let all = || PROPERTIES.iter().copied().flatten();
    all().find(|property| property.name == name).or_else(|| {
        let families = all().filter(|property| property.is_named(name));
        families.max_by_key(|property| property.name.find('*'))
    })
}
