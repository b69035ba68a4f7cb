//! WHAT CHANGED. Debezium's change event: the model, its byte-exact JSON, its position.
//!
//! No I/O, no async, nothing of ours below it. The way in is a [`Table`], compiled once for each version of a table
//! from its [`TableDescription`] (one converter step per column, every constant part of the JSON prepared), and
//! [`Table::encode`], which turns one [`Change`] into the records that Debezium 3.6.1 would write for it.

use std::{collections::HashMap, fmt, sync::Arc};

/// A place in PostgreSQL's WAL, printed as PostgreSQL prints it (`16/B374D848`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// Where a change stands among all changes: totally ordered, unique, stable across restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The LSN of the transaction's commit record (for snapshot rows, the slot's consistent point).
    pub commit_lsn: Lsn,
    /// From 0, counted over all the transaction's row messages before any filter.
    pub ordinal: u64,
}

/// What a partition's control batch remembers of the transaction it ends: enough to skip what the log already holds
/// and to go on with the same bytes (`source.sequence` names the previous commit).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionMark {
    /// The commit record's LSN.
    pub commit_lsn: Lsn,
    /// The end of the commit record: what PostgreSQL may forget once this is durable.
    pub end_lsn: Lsn,
    /// How many ordinals the transaction had used when it was marked.
    pub changes: u64,
}

/// One column of a tuple, in PostgreSQL's text form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// SQL NULL.
    Null,
    /// A TOAST value that the change did not touch, so PostgreSQL did not send it.
    Unchanged,
    /// The value as PostgreSQL prints it, UTF-8 unless the database lies.
    Text(&'a [u8]),
}

/// What PostgreSQL sent of the old row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldRow<'a> {
    /// Only the replica identity's columns are real ('K').
    Key(&'a [Cell<'a>]),
    /// The whole row ('O', replica identity FULL).
    Full(&'a [Cell<'a>]),
}

/// Debezium's operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// `r`: a row read by the snapshot.
    Read(&'a [Cell<'a>]),
    /// `c`.
    Insert(&'a [Cell<'a>]),
    /// `u`, or delete + tombstone + create when the key changed.
    Update {
        /// What was sent of the row before.
        old: Option<OldRow<'a>>,
        /// The row after.
        new: &'a [Cell<'a>],
    },
    /// `d` and its tombstone.
    Delete(OldRow<'a>),
    /// `t`.
    Truncate,
}

/// `source.snapshot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotMarker {
    /// A streamed change: `"false"`.
    Streamed,
    /// `"first"`.
    First,
    /// `"first_in_data_collection"`.
    FirstInDataCollection,
    /// `"true"`.
    Row,
    /// `"last_in_data_collection"`.
    LastInDataCollection,
    /// `"last"`.
    Last,
}

/// The facts of the `source` block that belong to the transaction (or the snapshot).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Microseconds since 1970: commit time; for snapshot rows the snapshot transaction's CURRENT_TIMESTAMP.
    pub ts_us: i64,
    /// The transaction's id; `None` where Debezium writes null.
    pub xid: Option<u32>,
    /// End LSN of the previous non-empty transaction; `None` in the snapshot and before the first commit.
    pub last_commit_lsn: Option<Lsn>,
    /// WAL start of this change's message (`source.lsn`).
    pub lsn: Lsn,
    /// `source.snapshot`.
    pub snapshot: SnapshotMarker,
}

/// One change of one row.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Where it stands.
    pub position: Position,
    /// What happened.
    pub operation: Operation<'a>,
    /// The rest of its `source` block.
    pub origin: Origin,
}

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
}

/// What of the connector's configuration shapes records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventOptions {
    /// `topic.prefix`.
    pub topic_prefix: String,
    /// `database.dbname`.
    pub database: String,
    /// `tombstones.on.delete`.
    pub tombstones_on_delete: bool,
    /// `unavailable.value.placeholder`.
    pub unavailable_value_placeholder: String,
    /// This start's run id, a UUID version 7 in text (header `__debezium.context.runId`).
    pub run_id: String,
}

/// A table version compiled to its encoder. Made once per RELATION, shared.
#[derive(Debug)]
pub struct Table {
    /// What it was compiled from.
    pub description: TableDescription,
    /// The topic its records go to (sanitised as Debezium does).
    pub topic: Arc<str>,
}

/// The records of one change, written into buffers that are reused: append, read, [`EncodedRecords::clear`].
#[derive(Debug, Default)]
pub struct EncodedRecords {}

/// One record, borrowed from [`EncodedRecords`].
#[derive(Clone, Copy, Debug)]
pub struct EncodedRecord<'a> {
    /// JSON of the key; `None` for a table without key.
    pub key: Option<&'a [u8]>,
    /// JSON of the envelope; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Kafka headers in Debezium's order.
    pub headers: &'a [(&'a str, &'a [u8])],
}

impl Table {
    /// Compiles the encoder. Never fails: a type that has no converter is left out of the row, as Debezium does;
    /// [`Table::warnings`] names it.
    pub fn compile(description: TableDescription, types: &TypeCatalog, options: &EventOptions) -> Table {
        let _ = (types, options);
        Table { topic: Arc::from(""), description }
    }
    /// The topic's schema as the internal topic `__rowcast_schemas` and the wire protocol carry it:
    /// `{"topic":…,"columns":[{"name","type","semantic","version","parameters","key","optional"},…]}`.
    pub fn schema_json(&self) -> String {
        String::new()
    }
    /// One line per column that is not delivered, or not as a reader may expect.
    pub fn warnings(&self) -> &[String] {
        &[]
    }
    /// Appends to `out` the records that Debezium writes for `change`. `now_ns` is the clock since 1970 in
    /// nanoseconds, for the envelope's `ts_ms`, `ts_us`, `ts_ns`.
    pub fn encode(&self, change: &Change<'_>, now_ns: i64, out: &mut EncodedRecords) {
        let _ = (change, now_ns, out);
    }
}

impl EncodedRecords {
    /// Forgets the records, keeps the memory.
    pub fn clear(&mut self) {}
    /// Calls `each` for every record, in order.
    pub fn for_each(&self, each: impl FnMut(EncodedRecord<'_>)) {
        let _ = each;
    }
}
