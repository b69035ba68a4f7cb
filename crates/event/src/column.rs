//! One delivered column, ready to write: its name as JSON, its converter, and what stands in for a missing value.
//!
//! Promises a valid value for whatever the cell holds: text that does not convert becomes null (the filler, if the
//! column may not be null) and is counted, by column, never shown.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{
    Cell, ColumnDescription, TypeCatalog,
    converter::Converter,
    default_expression, json,
    notation::{HeaderText, Json, Notation},
    schema::Schema,
    toast::Placeholder,
    types,
    values::Fidelity,
};

/// One column of the value (and, by reference, of the key).
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Where the tuples have it.
    pub(crate) tuple_index: usize,
    /// False for NOT NULL columns.
    pub(crate) optional: bool,
    pub(crate) schema: Schema,
    pub(crate) default_json: Option<String>,
    converter: Converter,
    /// Delivered for NULL, for columns an old key does not have, and for what does not convert.
    null: Prepared,
    /// Delivered for a TOAST value that PostgreSQL did not send.
    unchanged: Prepared,
    unconvertible: AtomicU64,
    repaired: AtomicU64,
}

/// A value known beforehand, in both notations.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    json: Vec<u8>,
    header: Vec<u8>,
}

/// How often a column's values were not what its type promises, since the table was compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConversionFailures<'a> {
    /// The column.
    pub column: &'a str,
    /// Values delivered as null (or as the filler of a NOT NULL column) because their text is not of the type.
    pub unconvertible: u64,
    /// Texts delivered with U+FFFD in place of bytes that are not UTF-8.
    pub repaired: u64,
}

impl Column {
    /// `None` if the type has no converter, so the column is not delivered.
    pub(crate) fn compile(
        tuple_index: usize,
        description: &ColumnDescription,
        types: &TypeCatalog,
        placeholder: &Placeholder,
    ) -> Option<Column> {
        let plan = types::plan(description.type_oid, description.type_modifier, types)?;
        let default_text = description
            .default_expression
            .as_deref()
            .and_then(|expression| default_expression::value(expression, plan.default, plan.default_zero));
        let default = default_text.and_then(|text| Prepared::convert(&plan.converter, text.as_bytes()));
        let null = match &default {
            Some(default) => default.clone(),
            None if description.nullable => Prepared::null(),
            None => Prepared::convert(&plan.filler, plan.zero.as_bytes()).unwrap_or_else(Prepared::null),
        };
        Some(Column {
            name: description.name.clone(),
            tuple_index,
            optional: description.nullable || plan.always_optional,
            default_json: default.map(|default| String::from_utf8_lossy(&default.json).into_owned()),
            unchanged: Prepared::placeholder(&plan, placeholder).unwrap_or_else(|| null.clone()),
            null,
            schema: plan.schema,
            converter: plan.converter,
            unconvertible: AtomicU64::new(0),
            repaired: AtomicU64::new(0),
        })
    }

    /// Writes the cell; `before` is the same column of the old row, which PostgreSQL may have sent where it did not
    /// repeat an unchanged value in the new one.
    pub(crate) fn write<N: Written>(&self, cell: Cell<'_>, before: Option<Cell<'_>>, out: &mut Vec<u8>) {
        match (cell, before) {
            (Cell::Text(text), _) | (Cell::Unchanged, Some(Cell::Text(text))) => self.write_text::<N>(text, out),
            (Cell::Null, _) => out.extend_from_slice(N::of(&self.null)),
            (Cell::Unchanged, _) => out.extend_from_slice(N::of(&self.unchanged)),
        }
    }

    fn write_text<N: Written>(&self, text: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        match self.converter.write::<N>(text, out) {
            Ok(Fidelity::Exact) => {}
            Ok(Fidelity::Repaired) => {
                self.repaired.fetch_add(1, Relaxed);
            }
            Err(_) => {
                out.truncate(start);
                out.extend_from_slice(N::of(&self.null));
                self.unconvertible.fetch_add(1, Relaxed);
            }
        }
    }

    /// True where a reader cannot tell NULL from the default.
    pub(crate) fn hides_null(&self) -> bool {
        self.optional && self.default_json.is_some()
    }

    pub(crate) fn failures(&self) -> Option<ConversionFailures<'_>> {
        let (unconvertible, repaired) = (self.unconvertible.load(Relaxed), self.repaired.load(Relaxed));
        (unconvertible + repaired > 0).then_some(ConversionFailures {
            column: &self.name,
            unconvertible,
            repaired,
        })
    }

    /// `{"name":` or `,"name":`, as it stands before the value.
    pub(crate) fn json_prefix(&self, first: bool) -> Vec<u8> {
        prefix(first, json::string(&self.name).as_bytes())
    }

    /// The same for a header's text.
    pub(crate) fn header_prefix(&self, first: bool) -> Vec<u8> {
        let mut name = Vec::new();
        HeaderText::string(self.name.as_bytes(), &mut name);
        prefix(first, &name)
    }
}

fn prefix(first: bool, name: &[u8]) -> Vec<u8> {
    [if first { b"{" } else { b"," }, name, b":"].concat()
}

/// A notation that values were prepared for.
pub(crate) trait Written: Notation {
    fn of(prepared: &Prepared) -> &[u8];
}

impl Written for Json {
    fn of(prepared: &Prepared) -> &[u8] {
        &prepared.json
    }
}

impl Written for HeaderText {
    fn of(prepared: &Prepared) -> &[u8] {
        &prepared.header
    }
}

impl Prepared {
    fn null() -> Prepared {
        Prepared {
            json: b"null".to_vec(),
            header: b"null".to_vec(),
        }
    }

    fn convert(converter: &Converter, text: &[u8]) -> Option<Prepared> {
        let (mut json, mut header) = (Vec::new(), Vec::new());
        converter.write::<Json>(text, &mut json).ok()?;
        converter.write::<HeaderText>(text, &mut header).ok()?;
        Some(Prepared { json, header })
    }

    fn placeholder(plan: &types::Plan, placeholder: &Placeholder) -> Option<Prepared> {
        Some(Prepared {
            json: placeholder.write::<Json>(plan.toast)?,
            header: placeholder.write::<HeaderText>(plan.toast)?,
        })
    }
}
