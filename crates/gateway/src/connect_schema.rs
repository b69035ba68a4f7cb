//! Turns the schema that a record carries into what clients are told of its rows.
//!
//! The record's own words (Kafka Connect's JSON schema of key and value, `schemas.enable=true`) are all there is to know of a
//! topic that somebody else fills. Read when they change, which is seldom.

use rowcast_protocol::{Column, Items, RawSchema, Schema};
use serde::Deserialize;

use crate::json;

/// A schema as JsonConverter writes it.
#[derive(Deserialize)]
struct ConnectSchema {
    r#type: String,
    #[serde(default)]
    fields: Vec<ConnectSchema>,
    #[serde(default)]
    items: Option<Box<ConnectSchema>>,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    version: Option<u32>,
    #[serde(default)]
    parameters: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    default: Option<serde_json::Value>,
    /// Its name in the struct around it.
    #[serde(default)]
    field: Option<String>,
}

/// The schemas of one record's key and value, and the key itself, which names its columns where it has no schema.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carried<'a> {
    pub(crate) value_schema: &'a [u8],
    pub(crate) key_schema: Option<&'a [u8]>,
    pub(crate) key: Option<&'a [u8]>,
}

/// How the rows of such records are to be read; `None` if their schema is not one of rows.
pub(crate) fn describe(topic: &str, carried: &Carried<'_>) -> Option<RawSchema> {
    let value: ConnectSchema = serde_json::from_slice(carried.value_schema).ok()?;
    let key = key_columns(carried);
    let table = value.name.as_deref().and_then(table_of);
    let columns: Vec<Column> = row_of(value)?
        .into_iter()
        .filter_map(|field| Some((field.field.clone()?, field)))
        .map(|(name, field)| column(&key, name, field))
        .collect();
    if columns.is_empty() {
        return None;
    }
    let schema = Schema {
        topic: topic.to_owned(),
        table,
        columns,
    };
    RawSchema::from_json(serde_json::to_string(&schema).ok()?).ok()
}

/// An envelope's rows are its `after`; any other struct is the row.
fn row_of(value: ConnectSchema) -> Option<Vec<ConnectSchema>> {
    if value.r#type != "struct" {
        return None;
    }
    let is = |field: &ConnectSchema, name: &str| field.field.as_deref() == Some(name);
    let is_envelope = value.fields.iter().any(|field| is(field, "op"));
    let after = value
        .fields
        .iter()
        .position(|field| is(field, "after") && field.r#type == "struct");
    let mut fields = value.fields;
    match after.filter(|_| is_envelope) {
        Some(after) => Some(fields.swap_remove(after).fields),
        None => Some(fields),
    }
}

/// The names of the key's columns.
fn key_columns(carried: &Carried<'_>) -> Vec<String> {
    let schema: Option<ConnectSchema> = carried
        .key_schema
        .and_then(|schema| serde_json::from_slice(schema).ok());
    if let Some(schema) = schema {
        return schema.fields.into_iter().filter_map(|field| field.field).collect();
    }
    let members = carried.key.and_then(json::members).into_iter().flatten();
    members.filter_map(|(name, _)| json::name(name)).collect()
}

/// `public.orders` of `shop.public.orders.Envelope`: the schema is named for the topic, the topic for the table.
fn table_of(schema_name: &str) -> Option<String> {
    let name = schema_name
        .strip_suffix(".Envelope")
        .or(schema_name.strip_suffix(".Value"))?;
    let (before, table) = name.rsplit_once('.')?;
    let schema = before.rsplit_once('.').map_or(before, |(_, schema)| schema);
    Some(format!("{schema}.{table}"))
}

fn column(key: &[String], name: String, field: ConnectSchema) -> Column {
    Column {
        key: key.contains(&name),
        name,
        r#type: field.r#type,
        semantic: field.name,
        version: field.version,
        parameters: field.parameters,
        optional: field.optional,
        default: field.default,
        items: field.items.map(|items| Box::new(items_of(*items))),
    }
}

fn items_of(schema: ConnectSchema) -> Items {
    Items {
        r#type: schema.r#type,
        semantic: schema.name,
        version: schema.version,
        parameters: schema.parameters,
        optional: schema.optional,
        items: schema.items.map(|items| Box::new(items_of(*items))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Printed by Connect's JsonConverter from Debezium's schema of a PostgreSQL table.
    const GOLDEN: &str = include_str!("../tests/golden/debezium_envelope.txt");

    fn described(value: &str, key_schema: Option<&str>, key: Option<&str>) -> Option<Schema> {
        let carried = Carried {
            value_schema: value.as_bytes(),
            key_schema: key_schema.map(str::as_bytes),
            key: key.map(str::as_bytes),
        };
        describe("shop", &carried).map(|schema| schema.parse().expect("ours"))
    }

    #[test]
    fn debeziums_schema_of_a_table_becomes_its_columns() {
        let record = GOLDEN.lines().next().expect("with schema");
        let schema = crate::wrapping::unwrap(record.as_bytes()).schema.expect("a schema");
        let schema = std::str::from_utf8(schema).expect("text");
        let key = r#"{"type":"struct","fields":[{"type":"int32","optional":false,"default":0,"field":"id"}],"optional":false,"name":"tp.public.customers.Key"}"#;
        let rows = described(schema, Some(key), Some(r#"{"id":1}"#)).expect("rows");
        assert_eq!(rows.table.as_deref(), Some("public.customers"));
        let columns: Vec<_> = rows
            .columns
            .iter()
            .map(|column| (&*column.name, column.key, column.optional))
            .collect();
        assert_eq!(
            columns,
            [("id", true, false), ("name", false, true), ("price", false, true)]
        );
        assert_eq!(rows.columns[0].default, Some(0.into()));
        let price = &rows.columns[2];
        assert_eq!(
            (price.semantic.as_deref(), price.version),
            (Some("org.apache.kafka.connect.data.Decimal"), Some(1))
        );
        assert_eq!(
            price.parameters.as_ref().map(|all| all["scale"].clone()),
            Some("2".into())
        );
    }

    #[test]
    fn a_flat_row_is_its_own_struct_and_a_key_without_schema_names_its_columns() {
        let value = r#"{"type":"struct","fields":[{"type":"int64","optional":false,"field":"id"},{"type":"array","items":{"type":"string","optional":true},"optional":true,"field":"tags"},{"type":"string","optional":true,"field":"__deleted"}],"optional":true,"name":"shop.inventory.orders.Value"}"#;
        let rows = described(value, None, Some(r#"{"\u0069d":7}"#)).expect("rows");
        assert_eq!(rows.table.as_deref(), Some("inventory.orders"));
        assert_eq!(
            (rows.columns.len(), rows.columns[0].key, rows.columns[1].key),
            (3, true, false)
        );
        assert_eq!(
            rows.columns[1].items.as_ref().map(|items| &*items.r#type),
            Some("string")
        );
    }

    #[test]
    fn what_is_no_schema_of_rows_describes_nothing() {
        for schema in [
            "null",
            "{}",
            "[",
            r#"{"type":"struct"}"#,
            r#"{"type":"string","optional":false}"#,
        ] {
            assert!(described(schema, Some("{"), Some("7")).is_none(), "{schema}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_schemas_never_panic(value in "[{}\\[\\]\":,a1 ]{0,60}", key in "[{}\":,a1 ]{0,30}") {
            described(&value, Some(&key), Some(&key));
            described(&format!(r#"{{"type":"struct","fields":[{value}]}}"#), None, None);
        }
    }
}
