//! The snapshot, and what asks for more of it.

use super::{TOPIC, TOPIC_PART};
use crate::config::{
    Importance::{Must, Often, Rare},
    Kind::{self, Patterns, Shaped, Switch, Text, Whole, WordList, Words},
    Property,
    Status::{Deprecated, Differs, Honoured, NotApplicable, NotYet, NotYetHarmless, Refused},
    property::declare,
};

const JAVA_CLASS: &str = "it names a Java implementation";
const ONE_READER: &str = "tables are read one after the other";
const NO_SIGNALS: &str = "signals are not read";
const NO_INCREMENTAL: &str = "there are no incremental snapshots";
const NO_NOTIFICATIONS: &str = "no notifications are sent";

fn is_snapshot_mode(text: &str) -> bool {
    let modes = [
        "initial",
        "always",
        "initial_only",
        "no_data",
        "when_needed",
        "configuration_based",
    ];
    modes.iter().any(|mode| mode.eq_ignore_ascii_case(text))
}

const SNAPSHOT_MODE: Kind = Shaped(
    is_snapshot_mode,
    "initial, always, initial_only, no_data, when_needed or configuration_based (custom names a Java implementation, and \
     there is no Java here; never is called no_data now)",
);

fn is_locking_mode(text: &str) -> bool {
    ["none", "shared"].iter().any(|mode| mode.eq_ignore_ascii_case(text))
}

const LOCKING_MODE: Kind = Shaped(
    is_locking_mode,
    "none or shared (custom names a Java implementation, and there is no Java here)",
);

pub(super) const SNAPSHOT: &[Property] = &[
    declare(
        "snapshot.mode",
        SNAPSHOT_MODE,
        Some("initial"),
        Must,
        Differs(
            "always and when_needed lose nothing between the last record and the snapshot, or write tombstones for rows that have gone; a reconnection is no start",
        ),
    ),
    declare(
        "snapshot.isolation.mode",
        Words(&["serializable", "repeatable_read", "read_committed", "read_uncommitted"]),
        Some("serializable"),
        Often,
        Differs("all tables are read as of one moment, whatever the mode"),
    ),
    declare(
        "snapshot.locking.mode",
        LOCKING_MODE,
        Some("none"),
        Often,
        Differs("tables are locked against being rewritten in both modes; shared adds the time limit"),
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
    declare("snapshot.include.collection.list", Patterns, None, Often, Honoured),
    declare(
        "snapshot.select.statement.overrides",
        Text,
        None,
        Often,
        Differs(
            "a table that is named without its statement is an error; columns that the statement does not give are null",
        ),
    ),
    declare("snapshot.select.statement.overrides.*", Text, None, Often, Honoured),
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
        Deprecated("snapshot.max.threads; it is ignored, for tables are read one after the other"),
    ),
    declare("snapshot.delay.ms", Kind::NUMBER, Some("0"), Often, Honoured),
    declare("snapshot.lock.timeout.ms", Kind::NUMBER, Some("10000"), Rare, Honoured),
    declare(
        "snapshot.tables.order.by.row.count",
        Words(&["disabled", "ascending", "descending"]),
        Some("disabled"),
        Rare,
        Differs("rows are counted as PostgreSQL last estimated them"),
    ),
    declare(
        "snapshot.mode.configuration.based.snapshot.data",
        Switch,
        Some("false"),
        Rare,
        Honoured,
    ),
    declare(
        "snapshot.mode.configuration.based.snapshot.schema",
        Switch,
        Some("false"),
        Rare,
        NotApplicable("pgoutput needs no schema read beforehand"),
    ),
    declare(
        "snapshot.mode.configuration.based.start.stream",
        Switch,
        Some("false"),
        Rare,
        Honoured,
    ),
    declare(
        "snapshot.mode.configuration.based.snapshot.on.schema.error",
        Switch,
        Some("false"),
        Rare,
        NotApplicable("pgoutput needs no schema read beforehand"),
    ),
    declare(
        "snapshot.mode.configuration.based.snapshot.on.data.error",
        Switch,
        Some("false"),
        Rare,
        Honoured,
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
        Differs("written between transactions; the slot is confirmed while idle without them, too"),
    ),
    declare(
        "heartbeat.action.query",
        Text,
        None,
        Must,
        Differs("one that fails is an error in the log, tried again with the next heartbeat, and stops nothing"),
    ),
    declare(
        "topic.heartbeat.prefix",
        TOPIC_PART,
        Some("__debezium-heartbeat"),
        Often,
        Honoured,
    ),
    declare(
        "heartbeat.topics.prefix",
        Text,
        Some("__debezium-heartbeat"),
        Rare,
        Deprecated("topic.heartbeat.prefix"),
    ),
    declare("topic.heartbeat.name", TOPIC, None, Rare, Honoured),
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
