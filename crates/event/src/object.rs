//! A row as one object: the columns that belong to it, with everything that is not the row's own prepared.
//!
//! One for the value, one for the key, one for the key in a header: each has its notation, its separators, and its own
//! idea of what NULL looks like.

use crate::{
    Cell,
    column::Column,
    notation::{Form, HeaderText, Json, JsonWithNumbers, Notation},
    toast::Placeholder,
};

/// The members of an object and the notation they are written in.
#[derive(Debug)]
pub(crate) struct Object {
    form: Form,
    fields: Vec<Field>,
    /// What follows the last field: a brace, and before it the columns that are the same in every row.
    end: Vec<u8>,
}

/// A column's place in an object.
#[derive(Debug)]
struct Field {
    /// `{"name":` or `,"name":`, and before it the columns that are the same in every row.
    prefix: Vec<u8>,
    /// Index into the table's columns.
    column: usize,
    /// Delivered for NULL, and for what does not convert.
    null: Vec<u8>,
    /// Delivered for a TOAST value that PostgreSQL did not send.
    unchanged: Vec<u8>,
}

/// A tuple, and the old one that may hold what it leaves out.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) cells: &'a [Cell<'a>],
    pub(crate) before: Option<&'a [Cell<'a>]>,
    pub(crate) from_snapshot: bool,
}

impl<'a> Row<'a> {
    pub(crate) fn of(cells: &'a [Cell<'a>]) -> Row<'a> {
        Row {
            cells,
            before: None,
            from_snapshot: false,
        }
    }
}

impl Object {
    /// Of these columns, in that order.
    pub(crate) fn new(form: Form, null_is_default: bool, columns: &[Column], placeholder: &Placeholder) -> Object {
        let mut fields = Vec::with_capacity(columns.len());
        let mut constant = b"{".to_vec();
        for (index, column) in columns.iter().enumerate() {
            constant.extend_from_slice(if index == 0 { b"" } else { b"," });
            constant.extend_from_slice(&form.string(&column.name));
            constant.push(b':');
            if let Some(value) = column.constant(form) {
                constant.extend_from_slice(&value);
                continue;
            }
            let null = column.null(form, null_is_default);
            fields.push(Field {
                prefix: std::mem::take(&mut constant),
                column: index,
                unchanged: column.unchanged(placeholder, form).unwrap_or_else(|| null.clone()),
                null,
            });
        }
        constant.push(b'}');
        Object {
            form,
            fields,
            end: constant,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    pub(crate) fn write(&self, columns: &[Column], row: Row<'_>, out: &mut Vec<u8>) {
        match self.form {
            Form::Json => self.write_as::<Json>(columns, row, out),
            Form::JsonWithNumbers => self.write_as::<JsonWithNumbers>(columns, row, out),
            Form::HeaderText => self.write_as::<HeaderText>(columns, row, out),
        }
    }

    /// A tuple shorter than the table is taken as ending in NULLs.
    fn write_as<N: Notation>(&self, columns: &[Column], row: Row<'_>, out: &mut Vec<u8>) {
        for field in &self.fields {
            let column = &columns[field.column];
            let cell = row.cells.get(column.tuple_index).copied().unwrap_or(Cell::Null);
            let before = row.before.and_then(|cells| cells.get(column.tuple_index)).copied();
            out.extend_from_slice(&field.prefix);
            match (cell, before) {
                // PostgreSQL may have sent in the old row what it did not repeat in the new one.
                (Cell::Text(text), _) | (Cell::Unchanged, Some(Cell::Text(text))) => {
                    if !column.write::<N>(text, row.from_snapshot, out) {
                        out.extend_from_slice(&field.null);
                    }
                }
                (Cell::Null, _) => out.extend_from_slice(&field.null),
                (Cell::Unchanged, _) => out.extend_from_slice(&field.unchanged),
            }
        }
        out.extend_from_slice(&self.end);
    }
}
