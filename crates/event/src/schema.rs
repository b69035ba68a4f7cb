//! The shape of a topic's rows in Kafka Connect's words, as clients and the internal topic `__rowcast_schemas` get it.
//!
//! The same table version always gives the same bytes.

use crate::{column::Column, json::string};

/// A field's schema: Connect type, semantic name, parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schema {
    /// Connect's type word (`int32`, `string`, `struct`...).
    pub(crate) type_word: &'static str,
    /// Connect's schema name and its version.
    pub(crate) semantic: Option<(&'static str, u32)>,
    pub(crate) parameters: Vec<(&'static str, String)>,
    /// For arrays, the elements' schema and whether an element may be null.
    pub(crate) items: Option<(Box<Schema>, bool)>,
}

impl Schema {
    pub(crate) fn plain(type_word: &'static str) -> Schema {
        Schema {
            type_word,
            semantic: None,
            parameters: Vec::new(),
            items: None,
        }
    }

    pub(crate) fn named(type_word: &'static str, semantic: &'static str) -> Schema {
        Schema {
            semantic: Some((semantic, 1)),
            ..Schema::plain(type_word)
        }
    }

    pub(crate) fn with(mut self, parameter: &'static str, value: impl ToString) -> Schema {
        self.parameters.push((parameter, value.to_string()));
        self
    }

    pub(crate) fn array_of(items: Schema, items_optional: bool) -> Schema {
        Schema {
            items: Some((Box::new(items), items_optional)),
            ..Schema::plain("array")
        }
    }

    /// `"type":…,"semantic":…,"version":…,"parameters":{…}[,"items":{…}]`.
    fn members(&self) -> String {
        let (semantic, version) = match self.semantic {
            Some((name, version)) => (string(name), version.to_string()),
            None => ("null".to_owned(), "null".to_owned()),
        };
        let parameters: Vec<String> = self
            .parameters
            .iter()
            .map(|(name, value)| format!("{}:{}", string(name), string(value)))
            .collect();
        let items = self.items.as_ref().map_or(String::new(), |(items, optional)| {
            format!(r#","items":{{{},"optional":{optional}}}"#, items.members())
        });
        format!(
            r#""type":"{}","semantic":{semantic},"version":{version},"parameters":{{{}}}{items}"#,
            self.type_word,
            parameters.join(",")
        )
    }
}

/// The whole topic's schema; `key` says of a tuple index whether it belongs to the key.
pub(crate) fn topic_schema(topic: &str, table: &str, columns: &[Column], key: impl Fn(usize) -> bool) -> String {
    let columns: Vec<String> = columns
        .iter()
        .map(|column| {
            let default = column
                .default_json
                .as_ref()
                .map_or(String::new(), |json| format!(r#","default":{json}"#));
            format!(
                r#"{{"name":{},{},"key":{},"optional":{}{default}}}"#,
                string(&column.name),
                column.schema.members(),
                key(column.tuple_index),
                column.optional,
            )
        })
        .collect();
    format!(
        r#"{{"topic":{},"table":{},"columns":[{}]}}"#,
        string(topic),
        string(table),
        columns.join(",")
    )
}
