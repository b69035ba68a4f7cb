//! Describes a topic's rows, so that a client can turn Debezium's encoding into what a person reads.
//!
//! Written by capture (`rowcast-event`), kept in the log's metadata and sent as it is: the gateway splices the text
//! ([`RawSchema`]), only clients and tests look inside ([`Schema`]).

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::declare::{message, typescript_name};

/// String parameters of a type, in their order (`scale`, `allowed`, …).
type Parameters = serde_json::Map<String, serde_json::Value>;

typescript_name! {
    Parameters => "Record<string, string>",
    serde_json::Value => "unknown",
    RawSchema => "Schema",
}

message! {
    /// A topic's rows.
    #[derive(PartialEq)]
    pub struct Schema {
        /// The topic's name.
        pub topic: String,
        /// `schema.table` in PostgreSQL, where it is known.
        #[serde(default)]
        pub table: Option<String>,
        /// In the table's order.
        pub columns: Vec<Column>,
    }
}

message! {
    /// One column of a topic's rows.
    #[derive(PartialEq)]
    pub struct Column {
        /// Its name in the row object.
        pub name: String,
        /// Kafka Connect's type: `int64`, `string`, `bytes`, `struct`, `array`, …
        pub r#type: String,
        /// What the value means, such as `io.debezium.time.MicroTimestamp`.
        #[serde(default)]
        pub semantic: Option<String>,
        /// The version of that meaning.
        #[serde(default)]
        pub version: Option<u32>,
        /// What the meaning needs: a decimal's `scale`, an enum's `allowed`.
        #[serde(default)]
        pub parameters: Option<Parameters>,
        /// Whether it is part of the row's key.
        #[serde(default)]
        pub key: bool,
        /// Whether it may be null.
        #[serde(default)]
        pub optional: bool,
        /// The default, in the row's encoding.
        #[serde(default)]
        pub default: Option<serde_json::Value>,
        /// For arrays: what the elements are.
        #[serde(default)]
        pub items: Option<Box<Items>>,
    }
}

message! {
    /// The elements of an array.
    #[derive(PartialEq)]
    pub struct Items {
        /// Kafka Connect's type.
        pub r#type: String,
        /// What the value means.
        #[serde(default)]
        pub semantic: Option<String>,
        /// The version of that meaning.
        #[serde(default)]
        pub version: Option<u32>,
        /// What the meaning needs.
        #[serde(default)]
        pub parameters: Option<Parameters>,
        /// Whether an element may be null.
        #[serde(default)]
        pub optional: bool,
        /// For arrays of arrays: what the elements are.
        #[serde(default)]
        pub items: Option<Box<Items>>,
    }
}

/// A [`Schema`] as the text that capture wrote.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawSchema(pub Box<RawValue>);

impl RawSchema {
    /// Takes JSON text as it is; it must be one JSON value.
    pub fn from_json(text: impl Into<String>) -> Result<RawSchema, serde_json::Error> {
        RawValue::from_string(text.into()).map(RawSchema)
    }

    /// Looks inside.
    pub fn parse(&self) -> Result<Schema, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }
}
