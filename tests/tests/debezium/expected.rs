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

/// `docs/decisions/0013-keys-that-deletes-carry.md`.
const KEY_OF_INDEX: &str = "REPLICA IDENTITY USING INDEX: Debezium's deletes have a key that no row ever had";
/// The place of a scenario that Debezium's task does not live through.
pub(crate) const FAILED: &str = "(failed)";

/// Its rows come from its partitions, as in the stream.
const ROWS_TWICE: &str =
    "the snapshot reads a partitioned table and each of its partitions: rows come two or three times";
const ROWS_OF_CHILDREN: &str = "the snapshot reads the rows of inheriting tables again under the parent's name";

const DOMAIN_OF_ENUM: &str = "a domain over an enum type anywhere in the database stops Debezium at its start";
const NULL_IN_ENUMS: &str = "a NULL in an enum array that is NOT NULL stops Debezium for good";
const NO_COLUMNS: &str = "a captured table without columns stops Debezium at its snapshot";
const SECONDS_IN_ZONE: &str = "a timetz whose zone has seconds stops Debezium's stream for good";

/// Where Debezium is wrong and ours is right.
pub(crate) const EXPECTED: &[Entry] = &[
    Entry::new("fails_domain_of_enum", "*", FAILED, DOMAIN_OF_ENUM),
    Entry::new("fails_domain_of_enum", "*", "extra", DOMAIN_OF_ENUM),
    Entry::new("fails_enum_array", "*", FAILED, NULL_IN_ENUMS),
    Entry::new("fails_enum_array", "*", "extra", NULL_IN_ENUMS),
    Entry::new("fails_no_columns", "*", FAILED, NO_COLUMNS),
    Entry::new("fails_no_columns", "*", "extra", NO_COLUMNS),
    Entry::new("fails_timetz", "*", FAILED, SECONDS_IN_ZONE),
    Entry::new("fails_timetz", "*", "extra", SECONDS_IN_ZONE),
    Entry::new("identities", "by_index", "*", KEY_OF_INDEX),
    Entry::new("inheritance", "parent", "missing", ROWS_OF_CHILDREN).only(Origin::Snapshot),
    Entry::new("inheritance", "parent", "source.snapshot", ROWS_OF_CHILDREN).only(Origin::Snapshot),
    Entry::new(
        "lost_values",
        "t",
        "after.a_name",
        "a value of type name is null in the stream",
    )
    .only(Origin::Stream),
    Entry::new("lost_values", "t", "after.bits", "bit[] is null"),
    Entry::new(
        "lost_values",
        "t",
        "after.ints",
        "arrays of arrays are null in each element",
    ),
    Entry::new(
        "lost_values",
        "t",
        "after.moods",
        "a NULL in an array of an enum makes it null as a whole",
    ),
    Entry::new(
        "lost_values",
        "t",
        "after.n",
        "a negative scale is taken for one of 2,046 digits",
    ),
    Entry::new(
        "lost_values",
        "t",
        "after.texts",
        "arrays of text arrays are names of Java objects",
    ),
    Entry::new("partitioned", "p", "missing", ROWS_TWICE).only(Origin::Snapshot),
    Entry::new("partitioned", "p_us", "missing", ROWS_TWICE).only(Origin::Snapshot),
    Entry::new("partitioned_truncated", "p", "missing", ROWS_TWICE).only(Origin::Snapshot),
    Entry::new("partitioned_truncated", "p_eu", "source.snapshot", ROWS_TWICE).only(Origin::Snapshot),
    Entry::new("partitioned_truncated", "p_us", "missing", ROWS_TWICE).only(Origin::Snapshot),
    Entry::new(
        "texts",
        "t",
        "after.ltrees",
        "a NULL in ltree[] makes it null as a whole",
    ),
];

const NO_MESSAGES: &str = "pg_logical_emit_message makes no records";
const LAST_COMMIT: &str = "a message outside of transactions counts as the last commit";

/// Where ours is not there yet.
pub(crate) const PENDING: &[Entry] = &[
    Entry::new(
        "generated",
        "t",
        "after.(members)",
        "the snapshot has no generated columns",
    )
    .only(Origin::Snapshot),
    Entry::new("heartbeats", "*", "missing", "there are no heartbeats"),
    Entry::new("messages", "message", "missing", NO_MESSAGES),
    Entry::new("messages", "t", "source.sequence", LAST_COMMIT),
    Entry::new("messages_excluded", "message", "missing", NO_MESSAGES),
    Entry::new("messages_excluded", "t", "source.sequence", LAST_COMMIT),
    Entry::new("messages_included", "message", "missing", NO_MESSAGES),
    Entry::new("messages_included", "t", "source.sequence", LAST_COMMIT),
    Entry::new(
        "odd_dates",
        "t",
        "after.d",
        "the snapshot has java.sql.Date's days for infinite dates and those before Christ",
    )
    .only(Origin::Snapshot),
    Entry::new("odd_dates", "t", "after.ds", "so has date[], in the stream as well"),
    Entry::new(
        "restarted",
        "differential.marker",
        "source.sequence",
        "the last commit before a restart is not known",
    ),
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
    Entry::new(
        "temporal",
        "t",
        "after.ts6",
        "a timestamp at the end of PostgreSQL's range wraps around",
    ),
    Entry::new("temporal", "t", "after.tzs", "elements of timetz[] are cut to seconds"),
    Entry::new("unlogged", "quick", "missing", "the snapshot has no unlogged tables").only(Origin::Snapshot),
    Entry::refused("binaries_base64", "binary.handling.mode"),
    Entry::refused("binaries_base64_url_safe", "binary.handling.mode"),
    Entry::refused("binaries_hex", "binary.handling.mode"),
    Entry::refused("columns_excluded", "column.exclude.list"),
    Entry::refused("columns_included", "column.include.list"),
    Entry::refused("decimals_double", "decimal.handling.mode"),
    Entry::refused("decimals_string", "decimal.handling.mode"),
    Entry::refused("delimiter", "topic.delimiter"),
    Entry::refused("headers_off", "extended.headers.enabled"),
    Entry::refused("hstores_map", "hstore.handling.mode"),
    Entry::refused("identities_metadata", "provide.transaction.metadata"),
    Entry::refused("key_columns", "message.key.columns"),
    Entry::refused("masks", "column.mask.*, column.truncate.*"),
    Entry::refused("messages_hex", "binary.handling.mode"),
    Entry::refused("messages_metadata", "provide.transaction.metadata"),
    Entry::refused("money_fine", "money.fraction.digits"),
    Entry::refused("money_whole", "money.fraction.digits"),
    Entry::refused("names_avro", "schema.name.adjustment.mode, field.name.adjustment.mode"),
    Entry::refused(
        "names_avro_unicode",
        "schema.name.adjustment.mode, field.name.adjustment.mode",
    ),
    Entry::refused("nanoseconds", "time.precision.mode"),
    Entry::refused("odd_dates_adaptive_time_microseconds", "time.precision.mode"),
    Entry::refused("odd_dates_connect", "time.precision.mode"),
    Entry::refused("odd_dates_isostring", "time.precision.mode"),
    Entry::refused("odd_dates_microseconds", "time.precision.mode"),
    Entry::refused("partitioned_root", "publish.via.partition.root"),
    Entry::refused("propagated", "column.propagate.source.type"),
    Entry::refused("propagated_by_type", "datatype.propagate.source.type"),
    Entry::refused("propagated_numbers", "column.propagate.source.type"),
    Entry::refused("propagated_times", "column.propagate.source.type"),
    Entry::refused("skipped_metadata", "provide.transaction.metadata"),
    Entry::refused("snapshot_always", "snapshot.mode"),
    Entry::refused("snapshot_configured", "snapshot.mode"),
    Entry::refused("snapshot_override", "snapshot.select.statement.overrides"),
    Entry::refused("snapshot_part", "snapshot.include.collection.list"),
    Entry::refused("snapshot_when_needed", "snapshot.mode"),
    Entry::refused("temporal_adaptive_time_microseconds", "time.precision.mode"),
    Entry::refused("temporal_connect", "time.precision.mode"),
    Entry::refused("temporal_intervals", "interval.handling.mode"),
    Entry::refused("temporal_isostring", "time.precision.mode"),
    Entry::refused("temporal_microseconds", "time.precision.mode"),
    Entry::refused("toast_binaries_base64", "binary.handling.mode"),
    Entry::refused("toast_binaries_base64_url_safe", "binary.handling.mode"),
    Entry::refused("toast_binaries_hex", "binary.handling.mode"),
    Entry::refused("transactions_metadata", "provide.transaction.metadata"),
    Entry::refused("unmapped_bytes", "include.unknown.datatypes"),
    Entry::refused("unmapped_hex", "include.unknown.datatypes"),
    Entry::refused("without_change", "skip.messages.without.change"),
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

    /// Ours does not take the configuration yet.
    const fn refused(scenario: &'static str, property: &'static str) -> Entry {
        Entry::new(scenario, "*", REFUSED, property)
    }

    const fn only(self, origin: Origin) -> Entry {
        Entry {
            origin: Some(origin),
            ..self
        }
    }

    /// Its row in `docs/debezium-differences.md`.
    pub(crate) fn row(&self) -> String {
        let origin = match self.origin {
            Some(Origin::Snapshot) => "snapshot",
            Some(Origin::Stream) => "stream",
            None => "both",
        };
        let Entry {
            scenario,
            table,
            place,
            why,
            ..
        } = self;
        format!("| {scenario} | {table} | `{place}` | {origin} | {why} |")
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

    /// Whether it says that Debezium's task fails.
    pub(crate) fn is_failure(&self, scenario: &str) -> bool {
        self.scenario == scenario && self.place == FAILED
    }

    /// Whether it says that ours does not start.
    pub(crate) fn is_refusal(&self, scenario: &str) -> bool {
        self.scenario == scenario && self.place == REFUSED
    }
}

#[test]
fn the_page_of_differences_has_the_same_rows() {
    let page = include_str!("../../../docs/debezium-differences.md");
    let (_, seen) = page.split_once("## Where each was seen").expect("the heading");
    let rows: Vec<&str> = seen.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    let wanted: Vec<String> = EXPECTED.iter().map(Entry::row).collect();
    assert_eq!(rows, wanted, "the rows should be:\n{}", wanted.join("\n"));
}
