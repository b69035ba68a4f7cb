//! Knows the latest record of every key of a topic: the table, as spots in its log.
//!
//! Promises: after every record up to a place was applied, in order, the view's spots are the rows of the table as of
//! that place. Knows also where the large values are that the latest record of a row left out. Never holds a row.

use std::{collections::HashMap, sync::Arc};

use rowcast_log::{Offset, Record, ViewIndex};
use rowcast_protocol::Op;

use crate::{
    envelope::{Envelope, NotAChange},
    key_changes::KeyChanges,
    placed::{Placed, of_spot},
    toast::{self, Fill},
    truncates::CutOffsets,
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
    /// By the row's spot, for rows whose latest record left values out.
    fills: HashMap<u64, Fills>,
    /// Rows that the first half of a key change took away, and spots of second halves that lack them.
    key_changes: KeyChanges<Earlier, u64>,
    next_place: u64,
    /// A row without key was seen: there is no table to keep.
    keyless: bool,
}

/// A row's record before the one at hand.
#[derive(Clone, Debug)]
struct Earlier {
    spot: u64,
    fills: Option<Fills>,
}

impl View {
    /// Every record below this place was applied.
    pub(crate) fn next_place(&self) -> u64 {
        self.next_place
    }

    pub(crate) fn set_next_place(&mut self, next_place: u64) {
        self.next_place = next_place;
    }

    pub(crate) fn is_keyless(&self) -> bool {
        self.keyless
    }

    /// Where the values are that the record at this spot left out, if it is its row's latest.
    pub(crate) fn fills(&self, spot: u64) -> Option<Fills> {
        self.fills.get(&spot).cloned()
    }

    /// A copy of the rows' places and of what they left out, to be sorted where nobody waits.
    pub(crate) fn rows(&self) -> (ViewIndex, HashMap<u64, Fills>) {
        (self.rows.clone(), self.fills.clone())
    }

    /// Takes the next record in. Gives back where the values are that it left out, if it did.
    pub(crate) fn apply(&mut self, placed: &Placed<'_>, change: Result<&Envelope<'_>, NotAChange>) -> Option<Fills> {
        let record = &placed.record;
        let change = change.ok()?;
        match (change.op, key_payload(record.key)) {
            (Op::Truncate, _) => {
                self.rows.clear();
                self.fills.clear();
                self.key_changes.clear();
                None
            }
            (_, None) => {
                self.keyless = true;
                None
            }
            (Op::Delete, Some(key)) => {
                let earlier = self.remove(key).filter(|_| has_header(record, NEW_KEY));
                if let Some((earlier, source)) = earlier.zip(change.source())
                    && let Some((earlier, spot)) = self.key_changes.delete(source, earlier)
                {
                    self.fill_late(spot, &earlier);
                }
                None
            }
            (Op::Create | Op::Read | Op::Update, Some(key)) => self.put(key, placed, change),
        }
    }

    /// A TRUNCATE took away all rows but those that lie from these offsets on, by partition.
    pub(crate) fn truncate(&mut self, cut: &CutOffsets) {
        let stays = |at: u64| {
            let (partition, offset) = of_spot(at);
            offset.0 >= cut.get(partition)
        };
        self.rows.retain(|Offset(spot)| stays(spot));
        self.fills.retain(|spot, _| stays(*spot));
        self.key_changes.clear();
    }

    fn put(&mut self, key: &[u8], placed: &Placed<'_>, change: &Envelope<'_>) -> Option<Fills> {
        let (spot, record) = (placed.spot(), &placed.record);
        let replaced = self.rows.put(key, Offset(spot));
        let replaced = replaced.map(|Offset(spot)| Earlier {
            spot,
            fills: self.fills.remove(&spot),
        });
        let columns = toast::placeholders(change.after.unwrap_or_default());
        if columns.is_empty() {
            return None;
        }
        let earlier = match has_header(record, OLD_KEY) {
            true => change.source().and_then(|source| self.key_changes.create(source, spot)),
            false => replaced,
        };
        let fills: Fills = columns
            .into_iter()
            .map(|column| Fill {
                column: column.into(),
                source: earlier.as_ref().and_then(|row| row.source(column)),
            })
            .collect();
        self.fills.insert(spot, fills.clone());
        Some(fills)
    }

    /// The row that a create half took its left-out values from came after it; nothing to do if that is not a row's latest
    /// record any more.
    fn fill_late(&mut self, spot: u64, earlier: &Earlier) {
        if let Some(fills) = self.fills.get_mut(&spot) {
            let filled = fills.iter().map(|fill| Fill {
                column: fill.column.clone(),
                source: earlier.source(&fill.column),
            });
            *fills = filled.collect();
        }
    }

    fn remove(&mut self, key: &[u8]) -> Option<Earlier> {
        let Offset(spot) = self.rows.remove(key)?;
        Some(Earlier {
            spot,
            fills: self.fills.remove(&spot),
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
        left_out.map_or(Some(self.spot), |fill| fill.source)
    }
}

fn has_header(record: &Record<'_>, name: &str) -> bool {
    record.headers().any(|(header, _)| header == name)
}
