//! The Kafka headers that Debezium puts on every record of a table, and on the two halves of a key change.
//!
//! Values are `SimpleHeaderConverter`'s text: a string is its bytes, without quotes.

use crate::EventOptions;

/// On the delete half of a key change: the key the row has now.
pub(crate) const NEW_KEY: &str = "__debezium.newkey";
/// On the create half of a key change: the key the row had.
pub(crate) const OLD_KEY: &str = "__debezium.oldkey";

const CONTEXT_HEADERS: [&str; 4] = [
    "__debezium.context.connectorLogicalName",
    "__debezium.context.taskId",
    "__debezium.context.connectorName",
    "__debezium.context.runId",
];

/// A key change's header and the four of the context.
pub(crate) const HEADERS_MAX: usize = CONTEXT_HEADERS.len() + 1;

/// Debezium runs one task for PostgreSQL, ever.
const TASK_ID: &str = "0";

/// The values of the context headers, in the order of [`CONTEXT_HEADERS`]; none without `extended.headers.enabled`.
#[derive(Debug)]
pub(crate) struct ContextHeaders(Option<[String; CONTEXT_HEADERS.len()]>);

impl ContextHeaders {
    pub(crate) fn new(options: &EventOptions) -> ContextHeaders {
        let values = [&options.topic_prefix, TASK_ID, "postgresql", &options.run_id];
        ContextHeaders(options.context_headers.then(|| values.map(str::to_owned)))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let values = self.0.iter().flatten().map(String::as_bytes);
        CONTEXT_HEADERS.into_iter().zip(values)
    }
}
