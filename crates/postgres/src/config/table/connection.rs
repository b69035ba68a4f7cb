//! Who the connector is and how it reaches its server.

use crate::config::{
    Importance::{Must, Often, Rare},
    Kind::{self, Host, Secret, Shaped, Switch, Text, Whole, Words},
    Property,
    Status::{Honoured, NotApplicable, NotYet, NotYetHarmless, Refused, Required},
    property::declare,
};

/// The class that Debezium's configurations name, and the short forms that Connect takes for it.
const CLASSES: &[&str] = &[
    "io.debezium.connector.postgresql.PostgresConnector",
    "PostgresConnector",
    "Postgres",
];

/// Kafka's limit for a topic name, of which the prefix is only the beginning.
const TOPIC_PREFIX_BYTES_MAX: usize = 200;

fn is_topic_prefix(text: &str) -> bool {
    let known = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    known && !text.starts_with("__") && (1..=TOPIC_PREFIX_BYTES_MAX).contains(&text.len())
}

fn is_connector_name(text: &str) -> bool {
    (1..=249).contains(&text.len())
}

const CONNECTOR_NAME: Kind = Shaped(is_connector_name, "a name of 1 to 249 bytes");
const TOPIC_PREFIX: Kind = Shaped(
    is_topic_prefix,
    "1 to 200 letters, digits, '_', '.' or '-', not beginning with \"__\" (such topics are internal)",
);

pub(super) const CONNECTION: &[Property] = &[
    declare(
        "name",
        CONNECTOR_NAME,
        None,
        Must,
        Required("what to call this connector"),
    ),
    declare(
        "connector.class",
        Words(CLASSES),
        None,
        Must,
        Required("set it to io.debezium.connector.postgresql.PostgresConnector"),
    ),
    declare("tasks.max", Whole(1, i32::MAX as u64), Some("1"), Must, Honoured),
    declare(
        "topic.prefix",
        TOPIC_PREFIX,
        None,
        Must,
        Required("the first part of every topic's name, such as shop"),
    ),
    declare(
        "database.hostname",
        Host,
        None,
        Must,
        Required("the host name or address of the PostgreSQL server"),
    ),
    declare("database.port", Whole(1, 65535), Some("5432"), Must, Honoured),
    declare(
        "database.user",
        Text,
        None,
        Must,
        Required("a role with the REPLICATION attribute"),
    ),
    declare("database.password", Secret, None, Must, Honoured),
    declare(
        "database.dbname",
        Text,
        None,
        Must,
        Required("the database whose tables to capture"),
    ),
    declare(
        "database.sslmode",
        Words(&["disable", "prefer", "require", "verify-ca", "verify-full"]),
        Some("prefer"),
        Must,
        Honoured,
    ),
    declare("database.sslrootcert", Text, None, Often, Honoured),
    declare("database.sslcert", Text, None, Often, Honoured),
    declare("database.sslkey", Text, None, Often, Honoured),
    declare(
        "database.sslpassword",
        Secret,
        None,
        Often,
        NotYetHarmless("database.sslkey is read as a key without a password"),
    ),
    declare(
        "database.sslfactory",
        Text,
        None,
        Rare,
        Refused("it names a Java class; use database.sslmode and database.sslrootcert"),
    ),
    declare(
        "database.tcpKeepAlive",
        Switch,
        Some("true"),
        Often,
        NotYetHarmless("the system's own setting holds"),
    ),
    declare(
        "database.initial.statements",
        Text,
        None,
        Often,
        NotYet("the statements would not be run"),
    ),
    declare(
        "database.query.timeout.ms",
        Kind::NUMBER,
        Some("600000"),
        Rare,
        NotYetHarmless("queries have no time limit"),
    ),
    declare(
        "connection.validation.timeout.ms",
        Kind::NUMBER,
        Some("60000"),
        Rare,
        NotYetHarmless("connecting has its own time limit"),
    ),
    declare(
        "database.connection.factory.class",
        Text,
        None,
        Rare,
        Refused("it names a Java class, and connections are made without Java here"),
    ),
    declare(
        "driver.*",
        Text,
        None,
        Rare,
        NotApplicable("it is for the JDBC driver, and there is none"),
    ),
];
