//! WHAT CHANGED. Debezium's change event: the model, its byte-exact JSON, its position.
//!
//! No I/O, no async, nothing of ours below it. The way in is a [`Table`], compiled once for each version of a table
//! from its [`TableDescription`] (one converter step per column, every constant part of the JSON prepared), and
//! [`Table::encode`], which turns one [`Change`] into the records that Debezium 3.6.1 would write for it.
//!
//! The files follow a change on its way: [`Change`] comes in with the text that PostgreSQL sent (`change`, `session`),
//! a `table` holds its `column`s, each column a `converter` for its type (`values`), and what comes out is the
//! envelope around them (`source_block`, `headers`, `records`). `schema` says the same of the shape.

mod catalog;
mod change;
mod column;
mod converter;
mod default_expression;
mod description;
mod headers;
mod json;
mod lsn;
mod notation;
mod position;
mod records;
mod schema;
mod session;
mod source_block;
mod table;
mod toast;
mod topic;
mod types;
mod values;

pub use catalog::{PgType, PgTypeKind, TypeCatalog};
pub use change::{Cell, Change, OldRow, Operation, Origin, SnapshotMarker};
pub use column::ConversionFailures;
pub use description::{ColumnDescription, EventOptions, TableDescription};
pub use lsn::{Lsn, LsnParseError};
pub use position::{Position, TransactionMark, TransactionMarkError};
pub use records::{EncodedRecord, EncodedRecords};
pub use session::SESSION_SETTINGS;
pub use table::Table;
