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
}

/// A column's place in an object.
#[derive(Debug)]
struct Field {
    /// `{"name":` or `,"name":`.
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
    /// Of the columns with these indexes, in that order.
    pub(crate) fn new(
        form: Form,
        null_is_default: bool,
        columns: &[Column],
        of: &[usize],
        placeholder: &Placeholder,
    ) -> Object {
        let field = |(place, &index): (usize, &usize)| {
            let column = &columns[index];
            let null = column.null(form, null_is_default);
            Field {
                prefix: [if place == 0 { b"{" } else { b"," }, &*form.string(&column.name), b":"].concat(),
                column: index,
                unchanged: column.unchanged(placeholder, form).unwrap_or_else(|| null.clone()),
                null,
            }
        };
        Object {
            form,
            fields: of.iter().enumerate().map(field).collect(),
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
        if self.fields.is_empty() {
            out.push(b'{');
        }
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
        out.push(b'}');
    }
}
