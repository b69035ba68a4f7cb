//! What may differ, and why: the two lists that the suite is held against.
//!
//! [`EXPECTED`] has what is meant to differ, since Debezium is wrong there; each is a row of `docs/debezium-differences.md`.
//! [`PENDING`] has what still differs and must not; it only gets shorter. An entry that nothing needs any more is an error in
//! both.

use super::compare::{Difference, Origin};

/// One place where the sides may differ.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The scenario's name.
    pub(crate) scenario: &'static str,
    /// The table, or the topic without its prefix; `*` for all.
    pub(crate) table: &'static str,
    /// In rows of the snapshot, in the stream, or in both.
    pub(crate) origin: Option<Origin>,
    /// As [`Difference::place`]; `after.*` is all that begins with `after.`, [`REFUSED`] that ours does not start.
    pub(crate) place: &'static str,
    /// For people.
    pub(crate) why: &'static str,
}

/// The place of a scenario whose configuration ours does not take.
pub(crate) const REFUSED: &str = "(refused)";

/// Where Debezium is wrong and ours is right.
pub(crate) const EXPECTED: &[Entry] = &[
    Entry::new("identities", "by_index", "*", KEY_OF_INDEX),
    Entry::new(
        "texts",
        "t",
        "after.ltrees",
        "a NULL in ltree[] makes Debezium lose the whole array",
    ),
];

/// `docs/decisions/0013-keys-that-deletes-carry.md`.
const KEY_OF_INDEX: &str = "REPLICA IDENTITY USING INDEX: Debezium's deletes have a key that no row ever had";

/// Where ours is not there yet.
pub(crate) const PENDING: &[Entry] = &[
    Entry::new(
        "enums",
        "t",
        "before.c",
        "a domain's NOT NULL makes the column NOT NULL, so old keys have its filler",
    ),
    Entry::new(
        "odd_dates",
        "t",
        "after.d",
        "the snapshot has java.sql.Date's days for infinite dates and those before Christ",
    )
    .only(Origin::Snapshot),
    Entry::new("odd_dates", "t", "after.ds", "so has date[], in the stream as well"),
    Entry::new(
        "skipped",
        "t",
        "extra",
        "the delete half of a key change is not skipped",
    ),
    Entry::new(
        "temporal",
        "t",
        "after.ts",
        "elements of time[] are cut to milliseconds",
    ),
    Entry::new("temporal", "t", "after.tzs", "elements of timetz[] are cut to seconds"),
    Entry::new(
        "temporal",
        "t",
        "after.ts6",
        "a timestamp at the end of PostgreSQL's range wraps around",
    ),
];

impl Entry {
    const fn new(scenario: &'static str, table: &'static str, place: &'static str, why: &'static str) -> Entry {
        Entry {
            scenario,
            table,
            origin: None,
            place,
            why,
        }
    }

    const fn only(self, origin: Origin) -> Entry {
        Entry {
            origin: Some(origin),
            ..self
        }
    }

    /// Whether it speaks of this difference of this scenario.
    pub(crate) fn allows(&self, scenario: &str, difference: &Difference) -> bool {
        let (_, topic) = difference.topic.split_once('.').unwrap_or_default();
        let table = topic.rsplit('.').next().unwrap_or_default();
        let place = match self.place.strip_suffix('*') {
            Some(beginning) => difference.place.starts_with(beginning),
            None => difference.place == self.place,
        };
        self.scenario == scenario
            && (self.table == "*" || self.table == table || self.table == topic)
            && self.origin.is_none_or(|origin| origin == difference.origin)
            && place
    }

    /// Whether it says that ours does not start.
    pub(crate) fn is_refusal(&self, scenario: &str) -> bool {
        self.scenario == scenario && self.place == REFUSED
    }
}
