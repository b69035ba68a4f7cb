//! Publishes what each topic's rows look like, before the first row that looks so.
//!
//! The internal topic `__rowcast_schemas` holds `{"topic","from_offsets","schema"}`: in each partition, from
//! that offset on, rows have that shape. A gateway tells clients; nothing else reads it.

use std::{collections::HashMap, sync::Arc};

use rowcast_event::Table;
use rowcast_log::{LogError, Offset};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::metadata::MetadataTopics;

/// The internal topic.
const SCHEMAS_TOPIC: &str = "__rowcast_schemas";

#[derive(Serialize, Deserialize)]
struct SchemaRecord<'a> {
    #[serde(borrow)]
    topic: std::borrow::Cow<'a, str>,
    from_offsets: Vec<u64>,
    #[serde(borrow)]
    schema: &'a RawValue,
}

/// The newest schema of each topic, as published.
pub(crate) struct Schemas {
    metadata: Arc<MetadataTopics>,
    newest: HashMap<String, String>,
}

impl Schemas {
    pub(crate) fn load(metadata: Arc<MetadataTopics>) -> Result<Schemas, LogError> {
        let mut newest = HashMap::new();
        metadata.scan(SCHEMAS_TOPIC, |_, value| {
            if let Some(Ok(record)) = value.map(serde_json::from_slice::<SchemaRecord<'_>>) {
                newest.insert(record.topic.into_owned(), record.schema.get().to_owned());
            }
        })?;
        Ok(Schemas { metadata, newest })
    }

    /// Whether rows of this table version differ from what readers of its topic were last told.
    pub(crate) fn is_news(&self, table: &Table) -> bool {
        self.newest
            .get(&*table.topic)
            .is_none_or(|newest| *newest != table.schema_json())
    }

    /// Tells readers that records from these offsets on, one for each partition, have this table version's shape.
    /// Durable when it returns.
    pub(crate) async fn publish(&mut self, table: &Table, from_offsets: &[Offset]) -> Result<(), LogError> {
        let schema = table.schema_json();
        let raw = RawValue::from_string(schema.clone())
            .map_err(|error| LogError::Invalid(format!("schema of {} is not JSON: {error}", table.topic)))?;
        let record = SchemaRecord {
            topic: (&*table.topic).into(),
            from_offsets: from_offsets.iter().map(|offset| offset.0).collect(),
            schema: &raw,
        };
        let value = serde_json::to_vec(&record).map_err(|error| LogError::Invalid(error.to_string()))?;
        // Every shape is kept when the topic is compacted: old records still have it.
        let key = serde_json::to_vec(&(&record.topic, &record.from_offsets))
            .map_err(|error| LogError::Invalid(error.to_string()))?;
        self.metadata.put(SCHEMAS_TOPIC, &key, &value).await?;
        self.newest.insert(table.topic.to_string(), schema);
        Ok(())
    }
}
