//! The database's types, as its catalog lists them, so that a column's type can be followed to what it is made of.
//!
//! Only a container: which types can be converted, and how, is decided in `types`.

use std::collections::HashMap;

/// What PostgreSQL's catalog says of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgType {
    /// `pg_type.oid`.
    pub oid: u32,
    /// Name without schema (`int4`, `_text`, `mood`).
    pub name: String,
    /// What it is made of.
    pub kind: PgTypeKind,
}

/// `pg_type.typtype`, with what matters of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PgTypeKind {
    /// A base type, range, pseudo type: known by its oid or name.
    Base,
    /// An array of the type with this oid.
    Array(u32),
    /// An enum, labels in enumsortorder.
    Enum(Vec<String>),
    /// A domain over the type, with the domain's type modifier.
    Domain {
        /// `typbasetype`.
        base: u32,
        /// `typtypmod`.
        type_modifier: i32,
    },
    /// A row type.
    Composite,
}

/// Every type of the database that a captured table may use, by oid.
#[derive(Clone, Debug, Default)]
pub struct TypeCatalog {
    types: HashMap<u32, PgType>,
}

impl TypeCatalog {
    /// Adds a type; a later one with the same oid replaces it.
    pub fn insert(&mut self, pg_type: PgType) {
        self.types.insert(pg_type.oid, pg_type);
    }
    /// The type with this oid, if the catalog has it.
    pub fn get(&self, oid: u32) -> Option<&PgType> {
        self.types.get(&oid)
    }
}
