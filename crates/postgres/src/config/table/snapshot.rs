//! The snapshot, and what asks for more of it.

use crate::config::{
    Importance::{Must, Often, Rare},
    Kind::{self, Patterns, Shaped, Switch, Text, Whole, WordList, Words},
    Property,
    Status::{Deprecated, Honoured, NotApplicable, NotYet, NotYetHarmless, Refused},
    property::declare,
};

const JAVA_CLASS: &str = "it names a Java implementation";
const CONFIGURATION_BASED: &str = "it belongs to snapshot.mode=configuration_based, which is not supported yet";
const ONE_READER: &str = "tables are read one after the other";
const NO_SIGNALS: &str = "signals are not read";
const NO_INCREMENTAL: &str = "there are no incremental snapshots";
const NO_NOTIFICATIONS: &str = "no notifications are sent";

fn is_snapshot_mode(text: &str) -> bool {
    text.eq_ignore_ascii_case("initial") || text.eq_ignore_ascii_case("no_data")
}

const SNAPSHOT_MODE: Kind = Shaped(
    is_snapshot_mode,
    "initial or no_data (always, initial_only, when_needed, configuration_based and custom are not supported yet; \
     never is called no_data now)",
);

pub(super) const SNAPSHOT: &[Property] = &[
    declare("snapshot.mode", SNAPSHOT_MODE, Some("initial"), Must, Honoured),
    declare(
        "snapshot.isolation.mode",
        Words(&["serializable", "repeatable_read", "read_committed", "read_uncommitted"]),
        Some("serializable"),
        Often,
        NotApplicable("the snapshot is read as of one moment, whatever the mode"),
    ),
    declare(
        "snapshot.locking.mode",
        Words(&["none", "shared", "custom"]),
        Some("none"),
        Often,
        NotYetHarmless("tables are not locked; a table dropped while it is read stops the snapshot"),
    ),
    declare(
        "snapshot.locking.mode.custom.name",
        Text,
        None,
        Rare,
        Refused(JAVA_CLASS),
    ),
    declare("snapshot.mode.custom.name", Text, None, Rare, Refused(JAVA_CLASS)),
    declare("snapshot.query.mode.custom.name", Text, None, Rare, Refused(JAVA_CLASS)),
    declare(
        "snapshot.query.mode",
        Words(&["select_all", "custom"]),
        Some("select_all"),
        Often,
        NotYet("all rows of all captured tables would be read"),
    ),
    declare(
        "snapshot.include.collection.list",
        Patterns,
        None,
        Often,
        NotYet("the snapshot would have all captured tables"),
    ),
    declare(
        "snapshot.select.statement.overrides",
        Text,
        None,
        Often,
        NotYet("the snapshot would have all rows of these tables"),
    ),
    declare(
        "snapshot.select.statement.overrides.*",
        Text,
        None,
        Often,
        NotYet("the snapshot would have all rows of this table"),
    ),
    declare(
        "snapshot.fetch.size",
        Kind::NUMBER,
        Some("10240"),
        Often,
        NotApplicable("rows are streamed by COPY, never fetched in portions"),
    ),
    declare(
        "snapshot.max.threads",
        Whole(1, 1000),
        Some("1"),
        Often,
        NotYetHarmless(ONE_READER),
    ),
    declare(
        "snapshot.max.threads.multiplier",
        Whole(1, 1000),
        Some("1"),
        Rare,
        NotYetHarmless(ONE_READER),
    ),
    declare(
        "snapshot.max.threads.multiplier.*",
        Whole(1, 1000),
        Some("1"),
        Rare,
        NotYetHarmless(ONE_READER),
    ),
    declare(
        "legacy.snapshot.max.threads",
        Switch,
        Some("false"),
        Rare,
        Deprecated(ONE_READER),
    ),
    declare(
        "snapshot.delay.ms",
        Kind::NUMBER,
        Some("0"),
        Often,
        NotYetHarmless("the snapshot begins at once"),
    ),
    declare(
        "snapshot.lock.timeout.ms",
        Kind::NUMBER,
        Some("10000"),
        Rare,
        NotApplicable("the snapshot takes no locks of its own"),
    ),
    declare(
        "snapshot.tables.order.by.row.count",
        Words(&["disabled", "ascending", "descending"]),
        Some("disabled"),
        Rare,
        NotYetHarmless("tables are read in the order of table.include.list, then by name"),
    ),
    declare(
        "snapshot.mode.configuration.based.snapshot.data",
        Switch,
        Some("false"),
        Rare,
        NotApplicable(CONFIGURATION_BASED),
    ),
    declare(
        "snapshot.mode.configuration.based.snapshot.schema",
        Switch,
        Some("false"),
        Rare,
        NotApplicable(CONFIGURATION_BASED),
    ),
    declare(
        "snapshot.mode.configuration.based.start.stream",
        Switch,
        Some("false"),
        Rare,
        NotApplicable(CONFIGURATION_BASED),
    ),
    declare(
        "snapshot.mode.configuration.based.snapshot.on.schema.error",
        Switch,
        Some("false"),
        Rare,
        NotApplicable(CONFIGURATION_BASED),
    ),
    declare(
        "snapshot.mode.configuration.based.snapshot.on.data.error",
        Switch,
        Some("false"),
        Rare,
        NotApplicable(CONFIGURATION_BASED),
    ),
    declare(
        "internal.snapshot.scan.all.columns.force",
        Switch,
        Some("false"),
        Rare,
        NotApplicable("all columns are read in any case"),
    ),
];

pub(super) const SIGNALS: &[Property] = &[
    declare(
        "heartbeat.interval.ms",
        Kind::NUMBER,
        Some("0"),
        Must,
        NotYetHarmless("no heartbeat records are written; the slot is confirmed while idle without them"),
    ),
    declare(
        "heartbeat.action.query",
        Text,
        None,
        Must,
        NotYetHarmless("the statement is not run; the slot is confirmed while idle without it"),
    ),
    declare(
        "topic.heartbeat.prefix",
        Text,
        Some("__debezium-heartbeat"),
        Often,
        NotYetHarmless("no heartbeat records are written"),
    ),
    declare(
        "heartbeat.topics.prefix",
        Text,
        Some("__debezium-heartbeat"),
        Rare,
        Deprecated("Debezium has topic.heartbeat.prefix for it"),
    ),
    declare(
        "topic.heartbeat.name",
        Text,
        None,
        Rare,
        NotYetHarmless("no heartbeat records are written"),
    ),
    declare("signal.data.collection", Text, None, Must, NotYetHarmless(NO_SIGNALS)),
    declare(
        "signal.enabled.channels",
        WordList(&["source", "kafka", "file", "jmx", "in-process"]),
        Some("source"),
        Must,
        NotYetHarmless(NO_SIGNALS),
    ),
    declare("signal.kafka.topic", Text, None, Often, NotYetHarmless(NO_SIGNALS)),
    declare(
        "signal.kafka.bootstrap.servers",
        Text,
        None,
        Often,
        NotYetHarmless(NO_SIGNALS),
    ),
    declare(
        "signal.kafka.groupId",
        Text,
        Some("kafka-signal"),
        Often,
        NotYetHarmless(NO_SIGNALS),
    ),
    declare(
        "signal.kafka.poll.timeout.ms",
        Kind::NUMBER,
        Some("100"),
        Often,
        NotYetHarmless(NO_SIGNALS),
    ),
    declare("signal.consumer.*", Text, None, Often, NotYetHarmless(NO_SIGNALS)),
    declare(
        "signal.file",
        Text,
        Some("file-signals.txt"),
        Rare,
        NotYetHarmless(NO_SIGNALS),
    ),
    declare(
        "signal.poll.interval.ms",
        Kind::NUMBER,
        Some("5000"),
        Rare,
        NotYetHarmless(NO_SIGNALS),
    ),
    declare(
        "incremental.snapshot.chunk.size",
        Whole(1, i32::MAX as u64),
        Some("1024"),
        Must,
        NotYetHarmless(NO_INCREMENTAL),
    ),
    declare(
        "incremental.snapshot.watermarking.strategy",
        Words(&["insert_insert", "insert_delete"]),
        Some("insert_insert"),
        Often,
        NotYetHarmless(NO_INCREMENTAL),
    ),
    declare(
        "incremental.snapshot.allow.schema.changes",
        Switch,
        Some("false"),
        Rare,
        NotApplicable("Debezium does not support it for PostgreSQL either"),
    ),
    declare(
        "notification.enabled.channels",
        WordList(&["sink", "log", "jmx"]),
        None,
        Often,
        NotYetHarmless(NO_NOTIFICATIONS),
    ),
    declare(
        "notification.sink.topic.name",
        Text,
        None,
        Often,
        NotYetHarmless(NO_NOTIFICATIONS),
    ),
];
