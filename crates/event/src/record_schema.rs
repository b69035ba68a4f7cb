//! What stands around keys and values with `schemas.enable=true`: `{"schema":…,"payload":` and a brace.
//!
//! Kilobytes that never change while a table does not: made when the table is compiled, copied into each record.
//! Member order and names are Debezium 3.6.1's and JsonConverter's.

use crate::{
    EventOptions, TableDescription, TypeCatalog,
    column::Column,
    json::string,
    mask::Masked,
    names::{NameOf, adjusted},
    notation::Form,
    schema::Place,
    source_type::{self, Reader},
};

/// The texts around the keys and values of one kind, a table's mostly; empty without schemas.
#[derive(Debug, Default)]
pub(crate) struct Wrapping {
    key: Vec<u8>,
    value: Vec<u8>,
    /// For rows of a snapshot, if Debezium reads the table's types otherwise there.
    snapshot_value: Option<Vec<u8>>,
}

impl Wrapping {
    pub(crate) fn new(
        topic: &str,
        description: &TableDescription,
        (columns, key): (&[Column], &[Column]),
        types: &TypeCatalog,
        options: &EventOptions,
    ) -> Wrapping {
        let value = |reader| {
            wrapped(options.value_converter.schemas, || {
                value_schema(topic, description, columns, types, options, reader)
            })
        };
        let streamed = value(Reader::Stream);
        let snapshot = value(Reader::Snapshot);
        Wrapping {
            key: wrapped(options.key_converter.schemas, || key_schema(topic, key, options)),
            snapshot_value: (snapshot != streamed).then_some(snapshot),
            value: streamed,
        }
    }

    /// Of records that are no table's rows.
    pub(crate) fn of(options: &EventOptions, key: &str, value: impl FnOnce() -> String) -> Wrapping {
        Wrapping {
            key: wrapped(options.key_converter.schemas, || key.to_owned()),
            value: wrapped(options.value_converter.schemas, value),
            snapshot_value: None,
        }
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    pub(crate) fn key_end(&self) -> &[u8] {
        end(&self.key)
    }

    pub(crate) fn value(&self, from_snapshot: bool) -> &[u8] {
        match &self.snapshot_value {
            Some(snapshot) if from_snapshot => snapshot,
            _ => &self.value,
        }
    }

    pub(crate) fn value_end(&self) -> &[u8] {
        end(&self.value)
    }
}

/// `{"schema":…,"payload":`, or nothing without schemas.
fn wrapped(enabled: bool, schema: impl FnOnce() -> String) -> Vec<u8> {
    if enabled {
        format!(r#"{{"schema":{},"payload":"#, schema()).into_bytes()
    } else {
        Vec::new()
    }
}

/// What closes it.
fn end(start: &[u8]) -> &'static [u8] {
    if start.is_empty() { b"" } else { b"}" }
}

/// A schema's name, adjusted and quoted.
fn name(topic: &str, part: &str, options: &EventOptions) -> String {
    string(&adjusted(
        &format!("{topic}.{part}"),
        options.schema_names,
        NameOf::Schema,
    ))
}

fn key_schema(topic: &str, key: &[Column], options: &EventOptions) -> String {
    let form = Form::of_json(options.key_converter);
    let fields: Vec<String> = key.iter().map(|column| field(column, form, &[])).collect();
    format!(
        r#"{{"type":"struct","fields":[{}],"optional":false,"name":{}}}"#,
        fields.join(","),
        name(topic, "Key", options)
    )
}

fn value_schema(
    topic: &str,
    description: &TableDescription,
    columns: &[Column],
    types: &TypeCatalog,
    options: &EventOptions,
    reader: Reader,
) -> String {
    let form = Form::of_json(options.value_converter);
    let fields: Vec<String> = columns
        .iter()
        .map(|column| {
            let parameters = match Masked::find(description, column.tuple_index, types, options) {
                Some(masked) => masked.parameters(reader),
                None => source_type::parameters(description, column.tuple_index, types, options, reader),
            };
            field(column, form, &parameters)
        })
        .collect();
    let row = format!(
        r#"{{"type":"struct","fields":[{}],"optional":true,"name":{},"field""#,
        fields.join(","),
        name(topic, "Value", options)
    );
    format!(
        r#"{{"type":"struct","fields":[{row}:"before"}},{row}:"after"}},{SOURCE},{TRANSACTION},{REST}],"optional":false,"name":{},"version":2}}"#,
        name(topic, "Envelope", options)
    )
}

fn field(column: &Column, form: Form, parameters: &[(&'static str, String)]) -> String {
    let mut out = String::new();
    let default = column.default_json(form);
    let place = Place {
        field: Some(&column.name),
        optional: Some(column.optional),
        default: default.as_deref(),
        parameters,
    };
    column.schema.write(&place, &mut out);
    out
}

/// `PostgresSourceInfoStructMaker`'s.
pub(crate) const SOURCE: &str = concat!(
    r#"{"type":"struct","fields":["#,
    r#"{"type":"string","optional":false,"field":"version"},"#,
    r#"{"type":"string","optional":false,"field":"connector"},"#,
    r#"{"type":"string","optional":false,"field":"name"},"#,
    r#"{"type":"int64","optional":false,"field":"ts_ms"},"#,
    r#"{"type":"string","optional":true,"name":"io.debezium.data.Enum","version":1,"parameters":{"allowed":"#,
    r#""true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"},"#,
    r#""default":"false","field":"snapshot"},"#,
    r#"{"type":"string","optional":false,"field":"db"},"#,
    r#"{"type":"string","optional":true,"field":"sequence"},"#,
    r#"{"type":"int64","optional":true,"field":"ts_us"},"#,
    r#"{"type":"int64","optional":true,"field":"ts_ns"},"#,
    r#"{"type":"string","optional":false,"field":"schema"},"#,
    r#"{"type":"string","optional":false,"field":"table"},"#,
    r#"{"type":"int64","optional":true,"field":"txId"},"#,
    r#"{"type":"int64","optional":true,"field":"lsn"},"#,
    r#"{"type":"int64","optional":true,"field":"xmin"},"#,
    r#"{"type":"string","optional":true,"field":"origin"},"#,
    r#"{"type":"int64","optional":true,"field":"origin_lsn"}],"#,
    r#""optional":false,"name":"io.debezium.connector.postgresql.Source","version":1,"field":"source"}"#,
);

/// `event.block`, whose name is never adjusted.
pub(crate) const TRANSACTION: &str = concat!(
    r#"{"type":"struct","fields":["#,
    r#"{"type":"string","optional":false,"field":"id"},"#,
    r#"{"type":"int64","optional":false,"field":"total_order"},"#,
    r#"{"type":"int64","optional":false,"field":"data_collection_order"}],"#,
    r#""optional":true,"name":"event.block","version":1,"field":"transaction"}"#,
);

const REST: &str = concat!(
    r#"{"type":"string","optional":false,"field":"op"},"#,
    r#"{"type":"int64","optional":true,"field":"ts_ms"},"#,
    r#"{"type":"int64","optional":true,"field":"ts_us"},"#,
    r#"{"type":"int64","optional":true,"field":"ts_ns"}"#,
);
