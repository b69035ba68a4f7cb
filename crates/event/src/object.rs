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

    /// A tuple shorter than the table is taken as ending in NULLs.
    fn cell(&self, column: &Column) -> Cell<'a> {
        let cell = self.cells.get(column.tuple_index).copied().unwrap_or(Cell::Null);
        let before = self.before.and_then(|cells| cells.get(column.tuple_index)).copied();
        match (cell, before) {
            // PostgreSQL may have sent in the old row what it did not repeat in the new one.
            (Cell::Unchanged, Some(Cell::Text(text))) => Cell::Text(text),
            (cell, _) => cell,
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

    fn write_as<N: Notation>(&self, columns: &[Column], row: Row<'_>, out: &mut Vec<u8>) {
        for field in &self.fields {
            let column = &columns[field.column];
            out.extend_from_slice(&field.prefix);
            match row.cell(column) {
                Cell::Text(text) => {
                    if !column.write::<N>(text, row.from_snapshot, out) {
                        out.extend_from_slice(&field.null);
                    }
                }
                Cell::Null => out.extend_from_slice(&field.null),
                Cell::Unchanged => out.extend_from_slice(&field.unchanged),
            }
        }
        out.extend_from_slice(&self.end);
    }

    /// Whether two rows have the same values, as Debezium compares them: before null becomes a default. `scratch` is left as
    /// it was.
    pub(crate) fn is_same(&self, columns: &[Column], one: Row<'_>, other: Row<'_>, scratch: &mut Vec<u8>) -> bool {
        match self.form {
            Form::Json => self.is_same_as::<Json>(columns, one, other, scratch),
            Form::JsonWithNumbers => self.is_same_as::<JsonWithNumbers>(columns, one, other, scratch),
            Form::HeaderText => self.is_same_as::<HeaderText>(columns, one, other, scratch),
        }
    }

    fn is_same_as<N: Notation>(&self, columns: &[Column], one: Row<'_>, other: Row<'_>, scratch: &mut Vec<u8>) -> bool {
        let start = scratch.len();
        let same = self.fields.iter().all(|field| {
            let column = &columns[field.column];
            let (one, other) = (one.cell(column), other.cell(column));
            if one == other {
                return true;
            }
            scratch.truncate(start);
            field.write_to_compare::<N>(column, one, scratch);
            let middle = scratch.len();
            field.write_to_compare::<N>(column, other, scratch);
            scratch[start..middle] == scratch[middle..]
        });
        scratch.truncate(start);
        same
    }
}

impl Field {
    /// Nothing at all stands for null.
    fn write_to_compare<N: Notation>(&self, column: &Column, cell: Cell<'_>, out: &mut Vec<u8>) {
        match cell {
            Cell::Unchanged => out.extend_from_slice(&self.unchanged),
            Cell::Text(text) if column.write_to_compare::<N>(text, out) => {}
            _ if column.is_nullable() => {}
            _ => out.extend_from_slice(&self.null),
        }
    }
}
