//! Slot, publication and stream.

use crate::config::{
    Importance::{Must, Often, Rare},
    Kind::{self, Patterns, Retries, Shaped, Switch, Text, Whole, Words},
    Property,
    Status::{Deprecated, Differs, Honoured, NotApplicable, NotYet, NotYetHarmless, Refused},
    property::declare,
};

/// PostgreSQL's NAMEDATALEN without its NUL.
const NAME_BYTES_MAX: usize = 63;

fn is_slot_name(text: &str) -> bool {
    let known = text
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    known && (1..=NAME_BYTES_MAX).contains(&text.len())
}

fn is_identifier(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
}

fn is_pgoutput(text: &str) -> bool {
    text.eq_ignore_ascii_case("pgoutput")
}

const PLUGIN: Kind = Shaped(
    is_pgoutput,
    "pgoutput, which every PostgreSQL has, and no plug-in that must be installed first; set plugin.name=pgoutput",
);
const SLOT_NAME: Kind = Shaped(is_slot_name, "1 to 63 lower-case letters, digits and '_'");
const IDENTIFIER: Kind = Shaped(is_identifier, "an identifier of 1 to 63 bytes");

pub(super) const STREAMING: &[Property] = &[
    // Debezium's default is decoderbufs. Nearly nobody means it, and a configuration that is silent about the plug-in
    // loses nothing with pgoutput: a remark says so.
    declare("plugin.name", PLUGIN, Some("pgoutput"), Must, Honoured),
    declare("slot.name", SLOT_NAME, Some("debezium"), Must, Honoured),
    declare("slot.drop.on.stop", Switch, Some("false"), Must, Honoured),
    declare(
        "slot.failover",
        Switch,
        Some("false"),
        Often,
        Differs("a slot that exists without it is altered; before PostgreSQL 17 it is a warning"),
    ),
    declare(
        "slot.max.retries",
        Kind::NUMBER,
        Some("6"),
        Often,
        Differs("if it is not given, a busy slot is waited for as long as it takes: whoever waits is a standby"),
    ),
    declare(
        "slot.retry.delay.ms",
        Kind::NUMBER,
        Some("10000"),
        Often,
        Differs("if it is not given, a busy slot is looked at every second"),
    ),
    declare(
        "slot.stream.params",
        Text,
        None,
        Rare,
        Differs(
            "options that change how changes are written (proto_version, publication_names, binary, streaming, two_phase) are errors",
        ),
    ),
    declare(
        "offset.mismatch.strategy",
        Words(&["no_validation", "trust_offset", "trust_slot", "trust_greater_lsn"]),
        Some("no_validation"),
        Often,
        NotYetHarmless("a slot and a log that do not fit together are always refused"),
    ),
    declare(
        "internal.slot.seek.to.known.offset.on.start",
        Text,
        None,
        Rare,
        Deprecated("nothing instead: it is ignored, and a slot and a log that do not fit together are always refused"),
    ),
    declare(
        "internal.create.slot.command.timeout",
        Kind::NUMBER,
        Some("90"),
        Rare,
        NotYetHarmless("making the slot waits as long as older transactions run"),
    ),
    declare(
        "internal.log.position.check.enable",
        Switch,
        Some("true"),
        Rare,
        Refused("the position is always checked, for that is how loss is noticed"),
    ),
    declare("publication.name", IDENTIFIER, Some("dbz_publication"), Must, Honoured),
    declare(
        "publication.autocreate.mode",
        Words(&["all_tables", "disabled", "filtered", "no_tables"]),
        Some("all_tables"),
        Must,
        Honoured,
    ),
    declare(
        "publish.via.partition.root",
        Switch,
        Some("false"),
        Often,
        Differs(
            "the snapshot reads the root alone, so each row comes once; a publication of ours that exists without it is altered",
        ),
    ),
    declare(
        "replica.identity.autoset.values",
        Text,
        None,
        Often,
        Differs("an entry that is not understood is an error"),
    ),
    declare(
        "status.update.interval.ms",
        Whole(1, 3_600_000),
        Some("10000"),
        Often,
        Differs(
            "never less often than every third of the server's wal_sender_timeout, and that alone if it is not given",
        ),
    ),
    declare(
        "lsn.flush.mode",
        Words(&["connector", "manual", "connector_and_driver"]),
        Some("connector"),
        Often,
        NotYet("the slot would be confirmed as far as the log is durable"),
    ),
    declare(
        "flush.lsn.source",
        Switch,
        Some("true"),
        Rare,
        NotYet("the slot would be confirmed as far as the log is durable (the newer name is lsn.flush.mode)"),
    ),
    declare(
        "lsn.flush.timeout.ms",
        Kind::NUMBER,
        Some("30000"),
        Rare,
        NotApplicable("confirming is a message that nothing waits for"),
    ),
    declare(
        "lsn.flush.timeout.action",
        Words(&["fail", "warn", "ignore"]),
        Some("fail"),
        Rare,
        NotApplicable("confirming is a message that nothing waits for"),
    ),
    declare(
        "xmin.fetch.interval.ms",
        Kind::NUMBER,
        Some("0"),
        Often,
        NotYet("source.xmin would be null in every record"),
    ),
    declare(
        "read.only",
        Switch,
        Some("false"),
        Often,
        NotYetHarmless("it is about incremental snapshots, and there are none yet"),
    ),
    declare(
        "streaming.delay.ms",
        Kind::NUMBER,
        Some("0"),
        Rare,
        NotYetHarmless("the stream begins as soon as the snapshot ends"),
    ),
    declare(
        "schema.refresh.mode",
        Words(&["columns_diff", "columns_diff_exclude_unchanged_toast"]),
        Some("columns_diff"),
        Often,
        NotApplicable("pgoutput announces every change of a table's shape"),
    ),
    declare(
        "unavailable.value.placeholder",
        Text,
        Some("__debezium_unavailable_value"),
        Must,
        Honoured,
    ),
    declare("message.prefix.include.list", Patterns, None, Often, Honoured),
    declare("message.prefix.exclude.list", Patterns, None, Often, Honoured),
    declare("provide.transaction.metadata", Switch, Some("false"), Often, Honoured),
    declare(
        "transaction.metadata.factory",
        Text,
        Some("io.debezium.pipeline.txmetadata.DefaultTransactionMetadataFactory"),
        Rare,
        Refused("it names a Java class"),
    ),
    declare(
        "errors.max.retries",
        Retries,
        Some("-1"),
        Often,
        NotYetHarmless("a lost connection is always tried again"),
    ),
];
