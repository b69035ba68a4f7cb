//! What may differ, and why: the two lists that the suite is held against.
//!
//! [`EXPECTED`] has what is meant to differ, since Debezium is wrong there; each is a row of `docs/debezium-differences.md`.
//! [`PENDING`] has what still differs and must not; it only gets shorter. An entry that nothing needs any more is an error in
//! both.

use std::collections::BTreeSet;

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
    /// As [`Difference::place`]; `after.*` is all that begins with `after.`, `column a` the column in both rows and their
    /// schemas, [`REFUSED`] that ours does not start.
    pub(crate) place: &'static str,
    /// For people; of what is expected, the id of its row in `docs/debezium-differences.md`.
    pub(crate) why: &'static str,
}

/// The place of a scenario whose configuration ours does not take.
pub(crate) const REFUSED: &str = "(refused)";

/// The place of a scenario that Debezium's task does not live through.
pub(crate) const FAILED: &str = "(failed)";

/// Where Debezium is wrong and ours is right.
pub(crate) const EXPECTED: &[Entry] = &[
    Entry::new("columns_excluded", "t", "missing", "key-column-excluded").only(Origin::Snapshot),
    Entry::new("columns_excluded", "t", "extra", "key-column-excluded").only(Origin::Snapshot),
    Entry::new("columns_included", "u", "missing", "key-column-excluded").only(Origin::Snapshot),
    Entry::new("columns_included", "u", "extra", "key-column-excluded").only(Origin::Snapshot),
    Entry::new("fails_domain_of_enum", "*", FAILED, "domain-over-enum"),
    Entry::new("fails_domain_of_enum", "*", "extra", "domain-over-enum"),
    Entry::new("fails_enum_array", "*", FAILED, "array-null-element"),
    Entry::new("fails_enum_array", "*", "extra", "array-null-element"),
    Entry::new("fails_no_columns", "*", FAILED, "table-without-columns"),
    Entry::new("fails_no_columns", "*", "extra", "table-without-columns"),
    Entry::new("fails_nanoseconds", "*", FAILED, "nanoseconds-filler"),
    Entry::new("fails_nanoseconds", "*", "extra", "nanoseconds-filler"),
    Entry::new("fails_required", "*", FAILED, "required-unconvertible"),
    Entry::new("fails_required", "*", "extra", "required-unconvertible"),
    Entry::new("fails_sparsevec", "*", FAILED, "sparsevec-filler"),
    Entry::new("fails_sparsevec", "*", "extra", "sparsevec-filler"),
    Entry::new("fails_toast", "*", FAILED, "toast-required"),
    Entry::new("fails_toast", "*", "extra", "toast-required"),
    Entry::new("fails_toast_base64", "*", FAILED, "toast-required-base64"),
    Entry::new("fails_toast_base64", "*", "extra", "toast-required-base64"),
    Entry::new("fails_timetz", "*", FAILED, "timetz-seconds"),
    Entry::new("fails_timetz", "*", "extra", "timetz-seconds"),
    Entry::new("headers_off", "by_index", "*", "index-identity-key"),
    Entry::new("fails_unlogged", "*", FAILED, "unlogged-published"),
    Entry::new("fails_unlogged", "*", "extra", "unlogged-published"),
    Entry::new("identities", "by_index", "*", "index-identity-key"),
    Entry::new("identities_metadata", "by_index", "*", "index-identity-key"),
    Entry::new(
        "messages_metadata",
        "message",
        "transaction.data_collection_order",
        "message-collection",
    ),
    Entry::new(
        "messages_metadata",
        "transaction",
        "data_collections.*",
        "message-collection",
    ),
    Entry::new(
        "messages_metadata",
        "transaction",
        "data_collections",
        "message-collection",
    ),
    Entry::new("inheritance", "parent", "missing", "inheritance-snapshot").only(Origin::Snapshot),
    Entry::new("inheritance", "parent", "source.snapshot", "inheritance-snapshot").only(Origin::Snapshot),
    Entry::new("keyless_refused", "*", REFUSED, "table-without-identity"),
    Entry::new("lost_values", "t", "column a_name", "name-streamed").only(Origin::Stream),
    Entry::new("lost_values", "t", "column bits", "bit-array"),
    Entry::new("lost_values", "t", "column ints", "array-dimensions"),
    Entry::new("lost_values", "t", "column moods", "array-null-element"),
    Entry::new("lost_values", "t", "column n", "numeric-negative-scale"),
    Entry::new("lost_values", "t", "column texts", "array-dimensions"),
    Entry::new("partitioned", "p", "missing", "partition-snapshot").only(Origin::Snapshot),
    Entry::new("partitioned", "p_us", "missing", "partition-snapshot").only(Origin::Snapshot),
    Entry::new("partitioned_truncated", "p", "missing", "partition-snapshot").only(Origin::Snapshot),
    Entry::new("partitioned_truncated", "p_eu", "source.snapshot", "partition-snapshot").only(Origin::Snapshot),
    Entry::new("partitioned_truncated", "p_us", "missing", "partition-snapshot").only(Origin::Snapshot),
    Entry::new("partitioned_root", "p", "source.snapshot", "partition-snapshot").only(Origin::Snapshot),
    Entry::new("partitioned_root", "p_eu", "missing", "partition-snapshot").only(Origin::Snapshot),
    Entry::new("partitioned_root", "p_us", "missing", "partition-snapshot").only(Origin::Snapshot),
    Entry::new("partitioned_root", "p_us_1", "missing", "partition-snapshot").only(Origin::Snapshot),
    Entry::new("publication_filtered", "t", "after.(members)", "publication-snapshot").only(Origin::Snapshot),
    Entry::new("publication_filtered", "t", "schema.before", "publication-snapshot").only(Origin::Snapshot),
    Entry::new("publication_filtered", "t", "schema.after", "publication-snapshot").only(Origin::Snapshot),
    Entry::new("publication_filtered", "t", "missing", "publication-snapshot").only(Origin::Snapshot),
    Entry::new(
        "generated_published",
        "listed",
        "after.(members)",
        "publication-snapshot",
    )
    .only(Origin::Snapshot),
    Entry::new("generated_published", "listed", "schema.before", "publication-snapshot").only(Origin::Snapshot),
    Entry::new("generated_published", "listed", "schema.after", "publication-snapshot").only(Origin::Snapshot),
    Entry::new(
        "generated_published",
        "unlisted",
        "after.(members)",
        "publication-snapshot",
    )
    .only(Origin::Snapshot),
    Entry::new(
        "generated_published",
        "unlisted",
        "schema.before",
        "publication-snapshot",
    )
    .only(Origin::Snapshot),
    Entry::new(
        "generated_published",
        "unlisted",
        "schema.after",
        "publication-snapshot",
    )
    .only(Origin::Snapshot),
    Entry::new("propagated", "t", "column ltrees", "array-null-element"),
    Entry::new("texts", "t", "column ltrees", "array-null-element"),
    Entry::new("masks", "t", "column masked", "mask-passed-over"),
    Entry::new("masks_types", "t", "column h_beside", "mask-passed-over"),
    Entry::new("nanoseconds", "t", "after.ts", "array-time-fraction"),
    Entry::new("propagated_times", "t", "after.ts", "array-time-fraction"),
    Entry::new("temporal", "t", "after.ts", "array-time-fraction"),
    Entry::new(
        "temporal_adaptive_time_microseconds",
        "t",
        "after.ts",
        "array-time-fraction",
    ),
    Entry::new("temporal_intervals", "t", "after.ts", "array-time-fraction"),
    Entry::new("temporal_isostring", "t", "after.ts", "array-time-fraction"),
    Entry::new("temporal_microseconds", "t", "after.ts", "array-time-fraction"),
    Entry::new("propagated_times", "t", "after.tzs", "array-time-fraction"),
    Entry::new("temporal", "t", "after.tzs", "array-time-fraction"),
    Entry::new(
        "temporal_adaptive_time_microseconds",
        "t",
        "after.tzs",
        "array-time-fraction",
    ),
    Entry::new("temporal_connect", "t", "after.tzs", "array-time-fraction"),
    Entry::new("temporal_intervals", "t", "after.tzs", "array-time-fraction"),
    Entry::new("temporal_isostring", "t", "after.tzs", "array-time-fraction"),
    Entry::new("temporal_microseconds", "t", "after.tzs", "array-time-fraction"),
    Entry::new("decimals_double", "t", "after.ns", "numeric-array-nan"),
    Entry::new("decimals_string", "t", "after.ns", "numeric-array-nan"),
    Entry::new("propagated_times", "t", "after.ts6", "timestamp-beyond-64-bits"),
    Entry::new("temporal", "t", "after.ts6", "timestamp-beyond-64-bits"),
    Entry::new(
        "temporal_adaptive_time_microseconds",
        "t",
        "after.ts6",
        "timestamp-beyond-64-bits",
    ),
    Entry::new("temporal_intervals", "t", "after.ts6", "timestamp-beyond-64-bits"),
    Entry::new("temporal_microseconds", "t", "after.ts6", "timestamp-beyond-64-bits"),
    Entry::new("vectors", "t", "column hs", "array-null-element"),
    Entry::new("vectors", "t", "column ss", "sparsevec-array"),
    Entry::new("vectors", "t", "column vs", "array-null-element"),
    Entry::new("without_change_key", "t", "extra", "unchanged-key"),
    Entry::new("enums", "t", "column ms", "array-null-element"),
    Entry::new("fails_enum_array", "t", "column m", "array-null-element"),
    Entry::new("unmapped_bytes", "t", "column pairs", "array-null-element"),
    Entry::new("unmapped_bytes", "t", "column prices", "array-null-element"),
    Entry::new("unmapped_hex", "t", "column pairs", "array-null-element"),
    Entry::new("unmapped_hex", "t", "column prices", "array-null-element"),
];

/// Where ours is not there yet.
pub(crate) const PENDING: &[Entry] = &[];

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
        let place = match (self.place.strip_suffix('*'), self.place.strip_prefix("column ")) {
            (Some(beginning), _) => difference.place.starts_with(beginning),
            (_, Some(column)) => column_of(&difference.place) == Some(column),
            _ => difference.place == self.place,
        };
        self.scenario == scenario
            && (self.table == "*" || self.table == table || self.table == topic)
            && self.origin.is_none_or(|origin| origin == difference.origin)
            && place
    }

    /// Whether it says that Debezium's task fails.
    pub(crate) fn is_failure(&self, scenario: &str) -> bool {
        self.scenario == scenario && self.place == FAILED
    }

    /// Whether it says that ours does not start.
    pub(crate) fn is_refusal(&self, scenario: &str) -> bool {
        self.scenario == scenario && self.place == REFUSED
    }
}

/// The column that the place is in, or in whose schema.
fn column_of(place: &str) -> Option<&str> {
    let row = place.strip_prefix("schema.").unwrap_or(place);
    let column = row.strip_prefix("before.").or_else(|| row.strip_prefix("after."))?;
    column.split('.').next()
}

/// Rows of the page that no scenario plays.
const NOT_PLAYED: &[(&str, &str)] = &[
    ("float-digits", "they depend on the Java that runs Debezium"),
    ("interval-hours", "Debezium tries again for ever"),
];

#[test]
fn the_page_of_differences_and_the_suite_know_the_same() {
    let page = include_str!("../../../docs/debezium-differences.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")).skip(1);
    let rows: BTreeSet<&str> = rows.filter_map(|row| row.split(" |").next()).collect();
    let ids = EXPECTED.iter().map(|entry| entry.why);
    let ids: BTreeSet<&str> = ids.chain(NOT_PLAYED.iter().map(|(id, _)| *id)).collect();
    assert_eq!(rows, ids);
}
