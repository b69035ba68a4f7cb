//! What of a connector's configuration shapes records: Debezium's modes, and the settings of Connect's JsonConverter.
//!
//! Read once, when a table is compiled; nothing here is looked at again when a row comes.

use std::{fmt, sync::Arc};

use crate::ColumnMasks;

/// What of the connector's configuration shapes records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventOptions {
    /// `topic.prefix`.
    pub topic_prefix: String,
    /// `topic.delimiter`.
    pub topic_delimiter: String,
    /// `database.dbname`.
    pub database: String,
    /// `topic.transaction`: the end of the transaction topic's name.
    pub transaction_topic: String,
    /// `tombstones.on.delete`.
    pub tombstones_on_delete: bool,
    /// `skipped.operations`, as far as they are rows'.
    pub skipped: SkippedRecords,
    /// `skip.messages.without.change`: updates that leave every delivered value as it was make no record.
    pub skip_unchanged: bool,
    /// `extended.headers.enabled`.
    pub context_headers: bool,
    /// `unavailable.value.placeholder`: text, or bytes behind `hex:`.
    pub unavailable_value_placeholder: String,
    /// This start's run id, a UUID version 7 in text (header `__debezium.context.runId`).
    pub run_id: String,
    /// How values look.
    pub modes: ValueModes,
    /// `key.converter.*`.
    pub key_converter: JsonConverter,
    /// `value.converter.*`.
    pub value_converter: JsonConverter,
    /// `schema.name.adjustment.mode`.
    pub schema_names: NameAdjustment,
    /// `field.name.adjustment.mode`.
    pub field_names: NameAdjustment,
    /// `column.propagate.source.type`, matched against `schema.table.column`.
    pub propagated_columns: NamePattern,
    /// `datatype.propagate.source.type`, matched against `schema.table.type`.
    pub propagated_types: NamePattern,
    /// `column.mask.*` and `column.truncate.*`, matched against `schema.table.column`.
    pub masks: ColumnMasks,
}

impl EventOptions {
    /// Debezium's defaults, but for `schemas.enable`, which is off.
    pub fn new(topic_prefix: &str, database: &str, run_id: &str) -> EventOptions {
        EventOptions {
            topic_prefix: topic_prefix.to_owned(),
            topic_delimiter: ".".to_owned(),
            database: database.to_owned(),
            transaction_topic: "transaction".to_owned(),
            tombstones_on_delete: true,
            skipped: SkippedRecords::default(),
            skip_unchanged: false,
            context_headers: true,
            unavailable_value_placeholder: "__debezium_unavailable_value".to_owned(),
            run_id: run_id.to_owned(),
            modes: ValueModes::default(),
            key_converter: JsonConverter::default(),
            value_converter: JsonConverter::default(),
            schema_names: NameAdjustment::None,
            field_names: NameAdjustment::None,
            propagated_columns: NamePattern::default(),
            propagated_types: NamePattern::default(),
            masks: ColumnMasks::new(),
        }
    }
}

/// Records that are not written: a change of a key is a delete and a create, and each may be left out by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SkippedRecords {
    /// `c`.
    pub creates: bool,
    /// `u`.
    pub updates: bool,
    /// `d`, with its tombstone.
    pub deletes: bool,
}

/// How values look: Debezium's modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueModes {
    /// `decimal.handling.mode`.
    pub decimal: DecimalMode,
    /// `time.precision.mode`.
    pub time: TimeMode,
    /// `interval.handling.mode`.
    pub interval: IntervalMode,
    /// `binary.handling.mode`.
    pub binary: BinaryMode,
    /// `hstore.handling.mode`.
    pub hstore: HstoreMode,
    /// `include.unknown.datatypes`.
    pub include_unknown: bool,
    /// `money.fraction.digits`.
    pub money_fraction_digits: u16,
}

impl Default for ValueModes {
    fn default() -> ValueModes {
        ValueModes {
            decimal: DecimalMode::Precise,
            time: TimeMode::Adaptive,
            interval: IntervalMode::Numeric,
            binary: BinaryMode::Bytes,
            hstore: HstoreMode::Json,
            include_unknown: false,
            money_fraction_digits: 2,
        }
    }
}

/// `decimal.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecimalMode {
    /// `precise`: Connect's Decimal.
    Precise,
    /// `double`.
    Double,
    /// `string`.
    String,
}

/// `time.precision.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeMode {
    /// `adaptive`: milliseconds or microseconds, by the column's precision.
    Adaptive,
    /// `adaptive_time_microseconds`: the same, but every time of day in microseconds.
    AdaptiveTimeMicroseconds,
    /// `connect`: Connect's own types, in milliseconds.
    Connect,
    /// `isostring`.
    IsoString,
    /// `microseconds`.
    Microseconds,
    /// `nanoseconds`.
    Nanoseconds,
}

/// `interval.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntervalMode {
    /// `numeric`: microseconds.
    Numeric,
    /// `string`: ISO 8601.
    String,
}

/// `binary.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryMode {
    /// `bytes`, which JSON shows in base64.
    Bytes,
    /// `base64`.
    Base64,
    /// `base64-url-safe`.
    Base64UrlSafe,
    /// `hex`, lower-case.
    Hex,
}

/// `hstore.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HstoreMode {
    /// `json`: text.
    Json,
    /// `map`.
    Map,
}

/// The settings of Connect's `JsonConverter`, for keys or for values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonConverter {
    /// `schemas.enable`: `{"schema":…,"payload":…}`.
    pub schemas: bool,
    /// `replace.null.with.default`: a NULL of a field with a default is written as the default.
    pub null_is_default: bool,
    /// `decimal.format=NUMERIC`: Connect's Decimals are numbers, not base64.
    pub decimal_is_number: bool,
}

impl Default for JsonConverter {
    /// Connect's defaults, but for `schemas.enable`, which is off.
    fn default() -> JsonConverter {
        JsonConverter {
            schemas: false,
            null_is_default: true,
            decimal_is_number: false,
        }
    }
}

/// `schema.name.adjustment.mode` and `field.name.adjustment.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameAdjustment {
    /// `none`.
    None,
    /// `avro`: what Avro forbids is an underscore.
    Avro,
    /// `avro_unicode`: what Avro forbids is `_u` and its code in hexadecimal.
    AvroUnicode,
}

/// The expressions of one property, compiled by whoever knows their language.
#[derive(Clone, Default)]
pub struct NamePattern {
    text: String,
    matches: Option<Arc<Matches>>,
}

type Matches = dyn Fn(&str) -> bool + Send + Sync;

impl NamePattern {
    /// `text` is what the user wrote: two patterns of the same text are the same.
    pub fn new(text: &str, matches: impl Fn(&str) -> bool + Send + Sync + 'static) -> NamePattern {
        NamePattern {
            text: text.to_owned(),
            matches: Some(Arc::new(matches)),
        }
    }

    /// Whether one of the expressions is `name`'s. None is, if nothing was given.
    pub fn matches(&self, name: &str) -> bool {
        self.matches.as_ref().is_some_and(|matches| matches(name))
    }
}

impl fmt::Debug for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamePattern({:?})", self.text)
    }
}

impl PartialEq for NamePattern {
    fn eq(&self, other: &NamePattern) -> bool {
        self.text == other.text
    }
}

impl Eq for NamePattern {}
