//! Which columns are delivered: Debezium's `column.include.list` and `column.exclude.list`, over `schema.table.column`.
//!
//! A column that is left out is not in the value; one of the key's stays in the key.

use super::{captured::Lists, values::Values};

/// The columns that a connector delivers.
#[derive(Clone, Debug)]
pub struct CapturedColumns(Lists);

impl CapturedColumns {
    /// Whether the column's values are wanted.
    pub fn captures(&self, schema: &str, table: &str, column: &str) -> bool {
        !self.is_restricted() || self.0.allow(&format!("{schema}.{table}.{column}"))
    }

    /// Whether any list leaves columns out.
    pub fn is_restricted(&self) -> bool {
        self.0.restrict()
    }

    pub(super) fn compile(values: &Values, errors: &mut Vec<String>) -> Option<Self> {
        Lists::compile(values, "column.include.list", "column.exclude.list", errors).map(Self)
    }
}
