//! Notices when the schema that a topic's records carry becomes another, by comparing bytes.

use std::sync::Arc;

use rowcast_log::Record;
use rowcast_protocol::RawSchema;

use crate::{
    connect_schema::{self, Carried},
    envelope::Envelope,
    wrapping::unwrap,
};

/// Schemas that are remembered with what they say: a topic into which several tables are routed goes back and forth.
const KNOWN_MAX: usize = 4;

/// The schemas that one partition's records carried last, the latest first.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    known: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    value_schema: Box<[u8]>,
    key_schema: Option<Box<[u8]>>,
    /// `None` if it is not one of rows.
    schema: Option<RawSchema>,
}

impl Shapes {
    /// The shape of this record's row, if it is not that of the record before.
    pub(crate) fn next(&mut self, topic: &Arc<str>, record: &Record<'_>, change: &Envelope<'_>) -> Option<RawSchema> {
        let value_schema = change.schema?;
        let key = record.key.map(unwrap);
        let key_schema = key.and_then(|key| key.schema);
        let is_this = |known: &Known| *known.value_schema == *value_schema && known.key_schema.as_deref() == key_schema;
        match self.known.iter().position(is_this) {
            Some(0) => return None,
            Some(at) => self.known[..=at].rotate_right(1),
            None => {
                let carried = Carried {
                    value_schema,
                    key_schema,
                    key: key.map(|key| key.payload),
                };
                self.known.truncate(KNOWN_MAX - 1);
                let known = Known {
                    value_schema: value_schema.into(),
                    key_schema: key_schema.map(Into::into),
                    schema: connect_schema::describe(topic, &carried),
                };
                self.known.insert(0, known);
            }
        }
        self.known[0].schema.clone()
    }
}
