//! Topics, and the properties of the runtime that Debezium lives in.

use super::TOPIC_PART;
use crate::config::{
    Importance::{Must, Often, Rare},
    Kind::{self, Switch, Text, Whole, Words},
    Property,
    Status::{Honoured, NotApplicable, NotYet, NotYetHarmless, Refused},
    property::declare,
};

const OTHER_NAMING: &str = "it belongs to another topic.naming.strategy than the one that is supported";
const NO_QUEUE: &str = "there is no queue between capture and log; memory is bounded by design";
const NO_JMX: &str = "it is about JMX, and metrics are served to Prometheus";
const NO_OPENLINEAGE: &str = "OpenLineage events are not sent";
const NO_KAFKA: &str = "it is for Kafka's producers, and the log is embedded";
const JSON_CONVERTER: &str = "org.apache.kafka.connect.json.JsonConverter";

fn is_delimiter(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    text.len() <= 10 && text.bytes().all(known)
}

const DELIMITER: Kind = Kind::Shaped(is_delimiter, "up to 10 letters, digits, '_', '.' or '-'");

pub(super) const TOPICS: &[Property] = &[
    declare(
        "topic.naming.strategy",
        Text,
        Some("io.debezium.schema.SchemaTopicNamingStrategy"),
        Often,
        NotYet("topics would be named prefix.schema.table"),
    ),
    declare("topic.regex", Text, None, Often, NotApplicable(OTHER_NAMING)),
    declare("topic.replacement", Text, None, Often, NotApplicable(OTHER_NAMING)),
    declare("topic.key.*", Text, None, Often, NotApplicable(OTHER_NAMING)),
    declare("topic.delimiter", DELIMITER, Some("."), Often, Honoured),
    declare(
        "topic.cache.size",
        Kind::NUMBER,
        Some("10000"),
        Rare,
        NotApplicable("topic names are not cached"),
    ),
    declare("topic.transaction", TOPIC_PART, Some("transaction"), Often, Honoured),
    // Connect has it in the worker's own file; here there is none.
    declare("topic.creation.enable", Switch, Some("true"), Must, Honoured),
    declare("topic.creation.groups", Text, None, Must, Honoured),
    declare("topic.creation.*", Text, None, Must, Honoured),
];

pub(super) const RUNNING: &[Property] = &[
    declare(
        "max.batch.size",
        Whole(1, i32::MAX as u64),
        Some("2048"),
        Must,
        NotApplicable(NO_QUEUE),
    ),
    declare(
        "max.queue.size",
        Whole(1, i32::MAX as u64),
        Some("8192"),
        Must,
        NotApplicable(NO_QUEUE),
    ),
    declare(
        "max.queue.size.in.bytes",
        Kind::NUMBER,
        Some("0"),
        Often,
        NotApplicable(NO_QUEUE),
    ),
    declare(
        "poll.interval.ms",
        Kind::NUMBER,
        Some("500"),
        Must,
        NotApplicable("nothing polls: changes go on as they come"),
    ),
    declare(
        "poll.dispatch.interval.ms",
        Kind::NUMBER,
        Some("0"),
        Rare,
        NotApplicable("nothing polls: changes go on as they come"),
    ),
    declare(
        "queue.provider.type",
        Text,
        Some("memory"),
        Rare,
        NotApplicable(NO_QUEUE),
    ),
    declare(
        "retriable.restart.connector.wait.ms",
        Kind::NUMBER,
        Some("10000"),
        Often,
        NotYetHarmless("the back-off after a lost connection is fixed"),
    ),
    declare(
        "internal.custom.retriable.exception",
        Text,
        None,
        Rare,
        NotApplicable("it matches the text of Java exceptions"),
    ),
    declare(
        "query.fetch.size",
        Kind::NUMBER,
        Some("0"),
        Rare,
        NotApplicable("rows are streamed by COPY, never fetched in portions"),
    ),
    declare(
        "executor.shutdown.timeout.ms",
        Kind::NUMBER,
        Some("4000"),
        Rare,
        NotApplicable("there is no executor to wait for"),
    ),
    declare("custom.metric.tags", Text, None, Rare, NotApplicable(NO_JMX)),
    declare("custom.sanitize.pattern", Text, None, Rare, NotApplicable(NO_JMX)),
    declare(
        "internal.advanced.metrics.enable",
        Text,
        None,
        Rare,
        NotApplicable(NO_JMX),
    ),
    declare(
        "statistics.metrics.enabled",
        Switch,
        Some("true"),
        Rare,
        NotApplicable(NO_JMX),
    ),
    declare(
        "guardrail.collections.max",
        Kind::NUMBER,
        Some("0"),
        Rare,
        NotYet("the number of tables would not be limited"),
    ),
    declare(
        "guardrail.collections.limit.action",
        Words(&["warn", "fail"]),
        Some("warn"),
        Rare,
        NotYetHarmless("the number of tables is not limited"),
    ),
    declare(
        "openlineage.integration.*",
        Text,
        None,
        Rare,
        NotYetHarmless(NO_OPENLINEAGE),
    ),
    declare(
        "signal.emit.failure.max.retries",
        Kind::NUMBER,
        Some("0"),
        Rare,
        NotYetHarmless("signals are not read"),
    ),
    declare(
        "signal.emit.failure.backoff.ms",
        Kind::NUMBER,
        Some("10000"),
        Rare,
        NotYetHarmless("signals are not read"),
    ),
    declare(
        "internal.offset.activity.monitor.interval.ms",
        Text,
        None,
        Rare,
        NotApplicable("progress is in the metrics"),
    ),
];

pub(super) const CONNECT: &[Property] = &[
    declare(
        "key.converter",
        Words(&[JSON_CONVERTER]),
        Some(JSON_CONVERTER),
        Must,
        NotYet("keys would be JSON"),
    ),
    declare("key.converter.schemas.enable", Switch, Some("false"), Must, Honoured),
    declare(
        "key.converter.replace.null.with.default",
        Switch,
        Some("true"),
        Rare,
        Honoured,
    ),
    declare(
        "key.converter.decimal.format",
        Words(&["BASE64", "NUMERIC"]),
        Some("BASE64"),
        Rare,
        Honoured,
    ),
    declare(
        "key.converter.*",
        Text,
        None,
        Often,
        NotYetHarmless("keys are JSON, with Debezium's defaults"),
    ),
    declare(
        "value.converter",
        Words(&[JSON_CONVERTER]),
        Some(JSON_CONVERTER),
        Must,
        NotYet("values would be JSON"),
    ),
    declare("value.converter.schemas.enable", Switch, Some("false"), Must, Honoured),
    declare(
        "value.converter.replace.null.with.default",
        Switch,
        Some("true"),
        Rare,
        Honoured,
    ),
    declare(
        "value.converter.decimal.format",
        Words(&["BASE64", "NUMERIC"]),
        Some("BASE64"),
        Rare,
        Honoured,
    ),
    declare(
        "value.converter.*",
        Text,
        None,
        Often,
        NotYetHarmless("values are JSON, with Debezium's defaults"),
    ),
    declare(
        "header.converter",
        Text,
        None,
        Must,
        NotYetHarmless("headers are as Connect's own default writes them"),
    ),
    declare(
        "header.converter.*",
        Text,
        None,
        Rare,
        NotYetHarmless("headers are as Connect's own default writes them"),
    ),
    declare(
        "transforms",
        Text,
        None,
        Must,
        NotYet("records would come untransformed"),
    ),
    declare("transforms.*", Text, None, Must, NotYetHarmless("no transform runs")),
    declare(
        "predicates",
        Text,
        None,
        Must,
        NotYetHarmless("no transform runs that could have one"),
    ),
    declare(
        "predicates.*",
        Text,
        None,
        Must,
        NotYetHarmless("no transform runs that could have one"),
    ),
    declare(
        "errors.tolerance",
        Words(&["none", "all"]),
        Some("none"),
        Must,
        NotYetHarmless("a record that cannot be made stops the connector"),
    ),
    declare(
        "errors.log.*",
        Text,
        None,
        Must,
        NotYetHarmless("errors are logged, values never"),
    ),
    declare(
        "errors.retry.*",
        Text,
        None,
        Rare,
        NotApplicable("there is no converter or transform to try again"),
    ),
    declare(
        "exactly.once.support",
        Words(&["requested", "required"]),
        Some("requested"),
        Must,
        Honoured,
    ),
    declare(
        "transaction.boundary",
        Words(&["poll", "interval", "connector"]),
        Some("poll"),
        Must,
        NotApplicable("a transaction of PostgreSQL is what is written as one"),
    ),
    declare(
        "transaction.boundary.interval.ms",
        Text,
        None,
        Rare,
        NotApplicable("a transaction of PostgreSQL is what is written as one"),
    ),
    declare(
        "offsets.storage.topic",
        Text,
        None,
        Must,
        NotApplicable("positions are kept in the log beside the records"),
    ),
    declare("producer.override.*", Text, None, Must, NotApplicable(NO_KAFKA)),
    declare("consumer.override.*", Text, None, Rare, NotApplicable(NO_KAFKA)),
    declare("admin.override.*", Text, None, Rare, NotApplicable(NO_KAFKA)),
    declare(
        "config.action.reload",
        Words(&["none", "restart"]),
        Some("restart"),
        Rare,
        NotApplicable("configuration providers are not supported yet"),
    ),
    declare(
        "config.providers",
        Text,
        None,
        Rare,
        Refused("it belongs to the Connect worker; give the values themselves"),
    ),
];
