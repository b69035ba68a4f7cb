//! Knows the latest record of every key of a topic: the table, as offsets into its log.
//!
//! Promises: after every record up to an offset was applied, in order, the view's offsets are the rows of the table as
//! of that offset. Knows also where the large values are that the latest record of a row left out. Never holds a row.

use std::{collections::HashMap, sync::Arc};

use rowcast_log::{Offset, Record, ViewIndex};
use rowcast_protocol::Op;

use crate::{
    envelope::{Envelope, NotAChange},
    toast::{self, Fill},
    wrapping::key_payload,
};

/// Debezium's headers on the two halves of a key change.
const OLD_KEY: &str = "__debezium.oldkey";
const NEW_KEY: &str = "__debezium.newkey";

/// Where the values are that a record left out.
pub(crate) type Fills = Arc<[Fill]>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct View {
    rows: ViewIndex,
    /// By the row's offset, for rows whose latest record left values out.
    fills: HashMap<u64, Fills>,
    /// The row that the first half of a key change took away, for the second half.
    moved: Option<Earlier>,
    next_offset: u64,
    /// A row without key was seen: there is no table to keep.
    keyless: bool,
}

/// A row's record before the one at hand.
#[derive(Clone, Debug)]
struct Earlier {
    offset: u64,
    fills: Option<Fills>,
}

impl View {
    /// Every record below this offset was applied.
    pub(crate) fn next_offset(&self) -> u64 {
        self.next_offset
    }

    pub(crate) fn set_next_offset(&mut self, next_offset: u64) {
        self.next_offset = next_offset;
    }

    pub(crate) fn is_keyless(&self) -> bool {
        self.keyless
    }

    /// Where the values are that the record at `offset` left out, if it is its row's latest.
    pub(crate) fn fills(&self, offset: u64) -> Option<Fills> {
        self.fills.get(&offset).cloned()
    }

    /// A copy of the rows' places and of what they left out, to be sorted where nobody waits.
    pub(crate) fn rows(&self) -> (ViewIndex, HashMap<u64, Fills>) {
        (self.rows.clone(), self.fills.clone())
    }

    /// Takes the next record in. Gives back where the values are that it left out, if it did.
    pub(crate) fn apply(&mut self, record: &Record<'_>, change: Result<&Envelope<'_>, NotAChange>) -> Option<Fills> {
        let change = change.ok()?;
        match (change.op, key_payload(record.key)) {
            (Op::Truncate, _) => {
                self.rows.clear();
                self.fills.clear();
                None
            }
            (_, None) => {
                self.keyless = true;
                None
            }
            (Op::Delete, Some(key)) => {
                let earlier = self.remove(key);
                self.moved = earlier.filter(|_| has_header(record, NEW_KEY));
                None
            }
            (Op::Create | Op::Read | Op::Update, Some(key)) => self.put(key, record, change.after.unwrap_or_default()),
        }
    }

    fn put(&mut self, key: &[u8], record: &Record<'_>, row: &[u8]) -> Option<Fills> {
        let offset = record.offset.0;
        let replaced = self.rows.put(key, record.offset);
        let earlier = replaced.map(|Offset(offset)| Earlier {
            offset,
            fills: self.fills.remove(&offset),
        });
        let columns = toast::placeholders(row);
        if columns.is_empty() {
            return None;
        }
        let earlier = earlier.or_else(|| self.moved.take().filter(|_| has_header(record, OLD_KEY)));
        let fills: Fills = columns
            .into_iter()
            .map(|column| Fill {
                column: column.into(),
                source: earlier.as_ref().and_then(|row| row.source(column)),
            })
            .collect();
        self.fills.insert(offset, fills.clone());
        Some(fills)
    }

    fn remove(&mut self, key: &[u8]) -> Option<Earlier> {
        let Offset(offset) = self.rows.remove(key)?;
        Some(Earlier {
            offset,
            fills: self.fills.remove(&offset),
        })
    }
}

impl Earlier {
    /// The record that has the column's value: this one, unless it left the value out too.
    fn source(&self, column: &[u8]) -> Option<u64> {
        let left_out = self
            .fills
            .iter()
            .flat_map(|fills| fills.iter())
            .find(|fill| *fill.column == *column);
        left_out.map_or(Some(self.offset), |fill| fill.source)
    }
}

fn has_header(record: &Record<'_>, name: &str) -> bool {
    record.headers().any(|(header, _)| header == name)
}
