//! What a table's encoder is compiled from: the table as the catalog describes it.
//!
//! A changed table is another [`TableDescription`]; nothing here ever changes in place.

/// A column as the catalog and the RELATION message describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDescription {
    /// As it is, unquoted.
    pub name: String,
    /// `atttypid`.
    pub type_oid: u32,
    /// `atttypmod`, -1 for none.
    pub type_modifier: i32,
    /// False for NOT NULL columns.
    pub nullable: bool,
    /// `pg_get_expr` of the default, if there is one.
    pub default_expression: Option<String>,
}

/// One version of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDescription {
    /// `pg_class.oid`.
    pub oid: u32,
    /// `pg_namespace.nspname`.
    pub schema: String,
    /// `pg_class.relname`.
    pub table: String,
    /// In attribute order, as the tuples have them.
    pub columns: Vec<ColumnDescription>,
    /// Indexes into `columns`, in key order. Empty: the table has no key.
    pub key: Vec<usize>,
    /// Indexes into `columns` of those that only the key has: the row leaves them out.
    pub key_only: Vec<usize>,
}
