//! A column's PostgreSQL type as parameters of its schema (`column.propagate.source.type` and its kin).
//!
//! Lengths and scales are those that PostgreSQL's JDBC driver reports, since Debezium passes them on.

use crate::{ColumnDescription, EventOptions, PgType, PgTypeKind, TableDescription, TypeCatalog};

/// Who asks the driver: Debezium reads the catalog for its snapshot and the RELATION message for its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    Snapshot,
    Stream,
}

/// The driver's length for types that have none.
const UNKNOWN_LENGTH: i32 = i32::MAX;

/// The driver's longest numeric, told where a numeric has no precision.
const NUMERIC_LENGTH: i32 = 131_089;

/// Domains over domains over... PostgreSQL has no limit, and a broken catalog may have a circle.
const DOMAIN_DEPTH_MAX: usize = 32;

/// None, unless one of the two properties names the column or its type.
pub(crate) fn parameters(
    table: &TableDescription,
    index: usize,
    types: &TypeCatalog,
    options: &EventOptions,
    reader: Reader,
) -> Vec<(&'static str, String)> {
    let column = &table.columns[index];
    let type_name = type_name(column, types, reader);
    let qualified = |name: &str| format!("{}.{}.{name}", table.schema, table.table);
    if !options.propagated_columns.matches(&qualified(&column.name))
        && !options.propagated_types.matches(&qualified(type_name))
    {
        return Vec::new();
    }
    let (length, scale) = length_and_scale(column, types, reader);
    let mut parameters = vec![
        ("__debezium.source.column.type", type_name.to_uppercase()),
        ("__debezium.source.column.length", length.to_string()),
    ];
    if let Some(scale) = scale {
        parameters.push(("__debezium.source.column.scale", scale.to_string()));
    }
    parameters.push(("__debezium.source.column.name", column.name.clone()));
    parameters
}

/// The driver calls an integer that a sequence fills by its pseudo-type.
fn type_name<'a>(column: &ColumnDescription, types: &'a TypeCatalog, reader: Reader) -> &'a str {
    let name = types.get(column.type_oid).map_or("unknown", |pg_type| &pg_type.name);
    let from_sequence = column
        .default_expression
        .as_deref()
        .is_some_and(|default| default.contains("nextval("));
    match name {
        "int4" if reader == Reader::Snapshot && from_sequence => "serial",
        "int8" if reader == Reader::Snapshot && from_sequence => "bigserial",
        "int2" if reader == Reader::Snapshot && from_sequence => "smallserial",
        name => name,
    }
}

pub(crate) fn length_and_scale(column: &ColumnDescription, types: &TypeCatalog, reader: Reader) -> (i32, Option<i32>) {
    let (oid, modifier) = (column.type_oid, column.type_modifier);
    let is_domain = matches!(
        types.get(oid),
        Some(PgType {
            kind: PgTypeKind::Domain { .. },
            ..
        })
    );
    if is_domain {
        let (length, scale) = of_domain(oid, types, DOMAIN_DEPTH_MAX);
        return (length, Some(scale));
    }
    let base = element_of(oid, types);
    // Only a scalar's precision is missing in JDBC's words: an array is no NUMERIC to them.
    match (base, modifier, reader) {
        (NUMERIC, -1, Reader::Snapshot) if base == oid => (0, None),
        (NUMERIC, -1, Reader::Stream) => (NUMERIC_LENGTH, Some(0)),
        (NUMERIC, -1, Reader::Snapshot) => (NUMERIC_LENGTH, Some(0)),
        _ => (length(base, modifier), Some(scale(base, modifier))),
    }
}

/// What the nearest domain with a modifier says, else the type below.
fn of_domain(oid: u32, types: &TypeCatalog, depth: usize) -> (i32, i32) {
    match types.get(oid).map(|pg_type| &pg_type.kind) {
        Some(&PgTypeKind::Domain { base, type_modifier }) if depth > 0 => {
            if type_modifier == -1 {
                of_domain(base, types, depth - 1)
            } else {
                (length(base, type_modifier), scale(base, type_modifier))
            }
        }
        _ => match element_of(oid, types) {
            NUMERIC => (NUMERIC_LENGTH, 0),
            base => (length(base, -1), scale(base, -1)),
        },
    }
}

fn element_of(oid: u32, types: &TypeCatalog) -> u32 {
    match types.get(oid).map(|pg_type| &pg_type.kind) {
        Some(&PgTypeKind::Array(element)) => element,
        _ => oid,
    }
}

const NUMERIC: u32 = 1700;

/// `TypeInfoCache.getPrecision`.
fn length(oid: u32, modifier: i32) -> i32 {
    match oid {
        21 => 5,
        23 | 26 => 10,
        20 => 19,
        700 => 8,
        701 => 17,
        NUMERIC => (modifier - 4) >> 16,
        // "char", bool
        18 | 16 => 1,
        // bpchar, varchar
        1042 | 1043 if modifier >= 4 => modifier - 4,
        // bit, varbit
        1560 | 1562 if modifier >= 0 => modifier,
        1082 => 13,
        1083 => 8 + second_length(modifier),
        1266 => 14 + second_length(modifier),
        1114 => 22 + second_length(modifier),
        1184 => 28 + second_length(modifier),
        1186 => 49,
        _ => UNKNOWN_LENGTH,
    }
}

/// Characters of a second's fraction, with its point.
fn second_length(modifier: i32) -> i32 {
    match modifier {
        ..0 => 7,
        0 => 0,
        1 => 3,
        digits => digits + 1,
    }
}

/// `TypeInfoCache.getScale`.
fn scale(oid: u32, modifier: i32) -> i32 {
    match oid {
        700 => 8,
        701 => 17,
        NUMERIC => (modifier - 4) & 0xffff,
        1083 | 1266 | 1114 | 1184 if modifier >= 0 => modifier,
        1186 if modifier >= 0 => modifier & 0xffff,
        1083 | 1266 | 1114 | 1184 | 1186 => 6,
        _ => 0,
    }
}
