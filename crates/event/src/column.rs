//! One delivered column: its name, its schema, its converter, and what stands in for a missing value.
//!
//! Promises a valid value for whatever the cell holds: text that does not convert becomes null (the filler, if the
//! column may not be null) and is counted, by column, never shown.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{
    ColumnDescription, EventOptions, TypeCatalog,
    converter::Converter,
    default_expression,
    mask::Masked,
    names::{NameOf, adjusted},
    notation::{Form, Notation},
    schema::Schema,
    source_type::Reader,
    toast::{Placeholder, Toast},
    types,
    values::Fidelity,
};

/// One column of the value (and, by reference, of the key).
#[derive(Debug)]
pub(crate) struct Column {
    /// As records have it (`field.name.adjustment.mode`).
    pub(crate) name: String,
    /// Where the tuples have it.
    pub(crate) tuple_index: usize,
    /// What its schema says; true for NOT NULL columns of a few types as well.
    pub(crate) optional: bool,
    nullable: bool,
    pub(crate) schema: Schema,
    /// JSON of the default, as the value's converter writes it.
    pub(crate) default_json: Option<String>,
    default: Option<Constant>,
    /// Its fillers are masked too.
    is_masked: bool,
    /// Delivered where null is not allowed.
    filler: Constant,
    toast: Toast,
    converter: Converter,
    /// For rows of a snapshot, where Debezium delivers another value there.
    snapshot_converter: Converter,
    /// What its value always is.
    constant: Option<String>,
    unconvertible: AtomicU64,
    repaired: AtomicU64,
}

/// A value by its PostgreSQL text.
#[derive(Clone, Debug)]
struct Constant {
    text: String,
    converter: Converter,
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
    /// `None` if the type has no converter, so the column is not delivered. `masked` says how its values are hidden.
    pub(crate) fn compile(
        tuple_index: usize,
        description: &ColumnDescription,
        types: &TypeCatalog,
        options: &EventOptions,
        masked: Option<Masked<'_>>,
    ) -> Option<Column> {
        let plan = types::plan(description.type_oid, description.type_modifier, types, options)?;
        let default = description
            .default_expression
            .as_deref()
            .and_then(|expression| default_expression::value(expression, plan.default, plan.default_zero))
            .map(|text| Constant {
                text: text.to_owned(),
                converter: plan.default_converter,
            })
            .filter(|default| default.convert(Form::Json).is_some());
        let form = Form::of_json(options.value_converter);
        let mask = |converter: Converter, reader| match masked {
            Some(masked) => masked.converter(converter, &plan.schema, reader),
            None => converter,
        };
        Some(Column {
            name: adjusted(&description.name, options.field_names, NameOf::Field).into_owned(),
            tuple_index,
            optional: description.nullable || plan.schema.optional,
            nullable: description.nullable,
            default_json: default.as_ref().and_then(|default| default.json(form)),
            filler: match (&default, masked) {
                (Some(default), Some(_)) if !description.nullable => Constant {
                    text: default.text.clone(),
                    converter: mask(default.converter.clone(), Reader::Stream),
                },
                _ => Constant {
                    text: plan.zero.to_owned(),
                    converter: mask(plan.filler, Reader::Stream),
                },
            },
            default,
            is_masked: masked.is_some(),
            toast: plan.toast,
            converter: mask(plan.converter, Reader::Stream),
            snapshot_converter: mask(plan.snapshot_converter, Reader::Snapshot),
            constant: masked.and_then(Masked::constant),
            schema: plan.schema,
            unconvertible: AtomicU64::new(0),
            repaired: AtomicU64::new(0),
        })
    }

    /// Writes the value; false if the text is not one of the type, with nothing written.
    pub(crate) fn write<N: Notation>(&self, text: &[u8], from_snapshot: bool, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let converter = if from_snapshot {
            &self.snapshot_converter
        } else {
            &self.converter
        };
        match converter.write::<N>(text, out) {
            Ok(Fidelity::Exact) => true,
            Ok(Fidelity::Repaired) => {
                self.repaired.fetch_add(1, Relaxed);
                true
            }
            Err(_) => {
                out.truncate(start);
                self.unconvertible.fetch_add(1, Relaxed);
                false
            }
        }
    }

    /// The same of the stream for a comparison: a value that is nothing to anybody is not counted.
    pub(crate) fn write_to_compare<N: Notation>(&self, text: &[u8], out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let written = self.converter.write::<N>(text, out).is_ok();
        if !written {
            out.truncate(start);
        }
        written
    }

    /// Whether null is a value of its own here.
    pub(crate) fn is_nullable(&self) -> bool {
        self.nullable
    }

    /// What is delivered for NULL, for columns an old key does not have, and for what does not convert.
    pub(crate) fn null(&self, form: Form, null_is_default: bool) -> Vec<u8> {
        let constant = match (&self.default, self.nullable) {
            (Some(default), true) if null_is_default => default,
            (Some(default), false) if !self.is_masked => default,
            (_, true) => return b"null".to_vec(),
            _ => &self.filler,
        };
        constant.convert(form).unwrap_or_else(|| b"null".to_vec())
    }

    /// What is delivered for a TOAST value that PostgreSQL did not send; `None` if it is what NULL is.
    pub(crate) fn unchanged(&self, placeholder: &Placeholder, form: Form) -> Option<Vec<u8>> {
        match &self.converter {
            hashed @ Converter::Hashed(_) => form.convert(hashed, placeholder.bytes()),
            // The bytes of the placeholder are no value to Debezium's truncation.
            Converter::Cut { whole, max } if !whole.is_bytes() => {
                let mut out = placeholder.write(self.toast, self.nullable, form)?;
                whole.cut(*max, 0, &mut out);
                Some(out)
            }
            _ => placeholder.write(self.toast, self.nullable, form),
        }
    }

    /// What the value is in every row, whatever PostgreSQL sends.
    pub(crate) fn constant(&self, form: Form) -> Option<Vec<u8>> {
        self.constant.as_ref().map(|constant| form.string(constant))
    }

    /// JSON of the default, for a schema.
    pub(crate) fn default_json(&self, form: Form) -> Option<String> {
        self.default.as_ref().and_then(|default| default.json(form))
    }

    /// True where a reader cannot tell NULL from the default.
    pub(crate) fn hides_null(&self) -> bool {
        self.nullable && self.default.is_some()
    }

    pub(crate) fn failures(&self) -> Option<ConversionFailures<'_>> {
        let (unconvertible, repaired) = (self.unconvertible.load(Relaxed), self.repaired.load(Relaxed));
        (unconvertible + repaired > 0).then_some(ConversionFailures {
            column: &self.name,
            unconvertible,
            repaired,
        })
    }
}

impl Constant {
    fn convert(&self, form: Form) -> Option<Vec<u8>> {
        form.convert(&self.converter, self.text.as_bytes())
    }

    fn json(&self, form: Form) -> Option<String> {
        String::from_utf8(self.convert(form)?).ok()
    }
}
