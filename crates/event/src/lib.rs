//! WHAT CHANGED. Debezium's change event: the model, its byte-exact JSON, its position.
//!
//! No I/O, no async, nothing of ours below it. The way in is a [`Table`], compiled once for each version of a table
//! from its [`TableDescription`] (one converter step per column, every constant part of the JSON prepared), and
//! [`Table::encode`], which turns one [`Change`] into the records that Debezium 3.6.1 would write for it.
//!
//! The files follow a change on its way: [`Change`] comes in with the text that PostgreSQL sent (`change`, `session`),
//! a `table` holds its `column`s, each column a `converter` for its type (`types`, `values`), the `object`s write rows
//! out of them, and around these come the envelope (`source_block`, `headers`, `records`) and with `schemas.enable` the
//! `record_schema`. `options` has the modes that all of this depends on.
//!
//! ```
//! use rowcast_event::*;
//!
//! let id = ColumnDescription {
//!     name: "id".into(),
//!     type_oid: 23, // int4
//!     type_modifier: -1,
//!     nullable: false,
//!     default_expression: None,
//! };
//! let description = TableDescription {
//!     oid: 16384,
//!     schema: "public".into(),
//!     table: "orders".into(),
//!     columns: vec![id],
//!     key: vec![0],
//!     key_only: Vec::new(),
//! };
//! let options = EventOptions::new("orders", "orders_db", "01a20628-5c5b-7786-839f-fdc321293bb9");
//! let table = Table::compile(description, &TypeCatalog::default(), &options);
//! assert_eq!(&*table.topic, "orders.public.orders");
//!
//! let origin = Origin {
//!     ts_us: 1_785_830_400_123_456,
//!     xid: Some(742),
//!     last_commit_lsn: None,
//!     lsn: "0/16638E8".parse()?,
//!     snapshot: SnapshotMarker::Streamed,
//! };
//! let change = Change { position: Position::default(), operation: Operation::Insert(&[Cell::Text(b"1")]), origin };
//! let mut records = EncodedRecords::default();
//! table.encode(&change, 1_785_830_400_200_123_000, &mut records);
//! records.for_each(|record| {
//!     assert_eq!(record.key, Some(&br#"{"id":1}"#[..]));
//!     assert!(record.value.is_some_and(|value| value.starts_with(br#"{"before":null,"after":{"id":1},"#)));
//! });
//! # Ok::<(), LsnParseError>(())
//! ```

mod catalog;
mod change;
mod column;
mod converter;
mod default_expression;
mod description;
mod headers;
mod heartbeat;
mod java_hash;
mod json;
mod lsn;
mod mask;
mod message;
mod names;
mod notation;
mod object;
mod options;
mod position;
mod record_schema;
mod records;
mod schema;
mod session;
mod source_block;
mod source_type;
mod table;
mod toast;
mod topic;
mod transaction;
mod types;
mod values;

pub use catalog::{PgType, PgTypeKind, TypeCatalog};
pub use change::{Cell, Change, OldRow, Operation, Origin, SnapshotMarker};
pub use column::ConversionFailures;
pub use description::{ColumnDescription, TableDescription};
pub use heartbeat::HeartbeatEncoder;
pub use lsn::{Lsn, LsnParseError};
pub use mask::{ColumnMasks, Hash, HashAlgorithm, Mask};
pub use message::{LogicalMessage, MessageEncoder};
pub use options::{
    BinaryMode, DecimalMode, EventOptions, HstoreMode, IntervalMode, JsonConverter, NameAdjustment, NamePattern,
    SkippedRecords, TimeMode, ValueModes,
};
pub use position::{Position, TransactionMark, TransactionMarkError};
pub use records::{EncodedRecord, EncodedRecords};
pub use session::SESSION_SETTINGS;
pub use table::Table;
pub use topic::topic_name;
pub use transaction::{TransactionCounts, TransactionEncoder};
pub use values::temporal::utc_date_time;
