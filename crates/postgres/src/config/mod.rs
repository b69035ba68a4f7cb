//! WHAT THE USER ASKED FOR. Debezium's connector properties, checked all at once, before anything is touched.
//!
//! Promises: every property of Debezium's PostgreSQL connector is known by name ([`CHAPTERS`]); one that is not
//! honoured is an error where going on would give other records than asked, else a remark, never silence; all
//! errors come together, each naming its property; no secret is ever printed.
//! Knows nothing of the server: whether the slot, the publication or the tables exist is asked by [`crate::Source`].

mod captured;
mod check;
mod columns;
mod creation;
mod document;
mod events;
mod heartbeat;
mod host;
mod java;
mod keys;
mod kind;
mod masks;
mod property;
mod reference;
mod replication;
mod secret;
mod shown;
mod snapshot;
mod suggest;
mod table;
mod validate;
mod values;

use std::{path::PathBuf, sync::Arc};

pub use captured::{CapturedMessages, CapturedTables};
pub use columns::CapturedColumns;
pub use creation::{TopicGroups, TopicSettings};
use document::Findings;
pub use heartbeat::HeartbeatOptions;
pub use host::refused_address;
pub use keys::MessageKeys;
pub use kind::Kind;
pub use property::{Importance, Property, Status};
pub use reference::reference;
pub use replication::{ReplicaIdentities, ReplicaIdentity, ReplicationOptions};
use rowcast_event::{EventOptions, Operation};
pub use secret::Secret;
pub use snapshot::{RowCountOrder, SnapshotMode, SnapshotOptions};
pub use table::{CHAPTERS, Chapter, properties, property};
pub use validate::{Validation, validate};
use values::Values;

/// A connector's configuration, parsed and checked (Debezium's flat JSON).
///
/// `Debug` prints all of it but the password.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectorConfig {
    /// The connector's name.
    pub name: String,
    /// `topic.prefix`.
    pub topic_prefix: String,
    /// It and `topic.delimiter`: what the name of every table's topic begins with.
    pub topic_start: String,
    /// `database.hostname`: a name or an address. What a name resolves to is checked by [`refused_address`].
    pub host: String,
    /// `database.port`.
    pub port: u16,
    /// `database.user`.
    pub user: String,
    /// `database.password`.
    pub password: Option<Secret>,
    /// `database.dbname`.
    pub dbname: String,
    /// `database.sslmode` and the files it needs.
    pub tls: TlsOptions,
    /// `slot.name`.
    pub slot_name: String,
    /// `publication.name`, unquoted.
    pub publication_name: String,
    /// `publication.autocreate.mode`.
    pub publication_mode: PublicationMode,
    /// `snapshot.*`.
    pub snapshot: SnapshotOptions,
    /// What of `slot.*` and of publication and stream is more than a name.
    pub replication: ReplicationOptions,
    /// The include and exclude lists of schemas and tables.
    pub tables: CapturedTables,
    /// The include and exclude lists of columns.
    pub columns: CapturedColumns,
    /// The include and exclude lists of logical messages.
    pub messages: CapturedMessages,
    /// `provide.transaction.metadata`.
    pub transaction_metadata: bool,
    /// `heartbeat.*`.
    pub heartbeat: Option<HeartbeatOptions>,
    /// `message.key.columns`.
    pub keys: MessageKeys,
    /// `topic.creation.*`.
    pub topic_groups: TopicGroups,
    /// `skipped.operations`.
    pub skipped_operations: SkippedOperations,
    /// Whether it was given: then the publication leaves them out, too.
    pub skipped_operations_given: bool,
    /// `tombstones.on.delete`.
    pub tombstones_on_delete: bool,
    /// `exactly.once.support`: whether Kafka's transactions are asked for. The embedded log needs none.
    pub exactly_once_required: bool,
    /// `unavailable.value.placeholder`, with `hex:` undone.
    pub unavailable_value_placeholder: String,
    events: Arc<EventOptions>,
    remarks: Vec<String>,
    shown_json: String,
}

impl ConnectorConfig {
    /// Parses `{"name":…,"config":{…}}`, or the `config` object alone with `name` in it. Errors name the property and
    /// what it takes; all of them, not the first.
    ///
    /// ```
    /// use rowcast_postgres::ConnectorConfig;
    ///
    /// let errors = ConnectorConfig::from_json(r#"{"name": "orders", "config": {"database.port": "54x2"}}"#).unwrap_err();
    /// assert!(errors.0.iter().any(|error| error.starts_with("database.port: takes a whole number from 1 to 65535")));
    /// ```
    pub fn from_json(json: &str) -> Result<ConnectorConfig, ConfigErrors> {
        let (values, mut findings) = document::read(json)?;
        check::each(&values, &mut findings);
        check::together(&values, &mut findings);
        Self::compile(&values, findings)
    }

    /// What is made of several properties; then, if nothing was wrong, the rest.
    fn compile(values: &Values, mut findings: Findings) -> Result<ConnectorConfig, ConfigErrors> {
        let tables = CapturedTables::compile(values, &mut findings.errors);
        let columns = CapturedColumns::compile(values, &mut findings.errors);
        let messages = CapturedMessages::compile(values, &mut findings.errors);
        let compiled = Compiled {
            topic_groups: TopicGroups::compile(values, &mut findings),
            snapshot: SnapshotOptions::compile(values, &mut findings),
            replication: ReplicationOptions::compile(values, &mut findings),
            events: events::compile(values, &mut findings.errors),
            keys: MessageKeys::compile(values, &mut findings.errors),
        };
        match (tables, columns, messages) {
            (Some(tables), Some(columns), Some(messages)) if findings.errors.is_empty() => Ok(Self::build(
                values,
                (tables, columns, messages),
                compiled,
                findings.remarks,
            )),
            _ => Err(ConfigErrors(findings.errors)),
        }
    }

    /// From values that were checked one by one and together.
    fn build(
        values: &Values,
        (tables, columns, messages): (CapturedTables, CapturedColumns, CapturedMessages),
        compiled: Compiled,
        remarks: Vec<String>,
    ) -> Self {
        let Compiled {
            topic_groups,
            snapshot,
            replication,
            events,
            keys,
        } = compiled;
        let text = |name| values.text(name).to_owned();
        Self {
            name: text("name"),
            topic_prefix: text("topic.prefix"),
            topic_start: text("topic.prefix") + values.text("topic.delimiter"),
            host: host::without_brackets(values.text("database.hostname")).to_owned(),
            port: u16::try_from(values.whole("database.port")).expect("the kind's bounds are a port's"),
            user: text("database.user"),
            password: values
                .given("database.password")
                .map(|password| Secret::new(password.to_owned())),
            dbname: text("database.dbname"),
            tls: TlsOptions::build(values),
            slot_name: text("slot.name"),
            publication_name: text("publication.name"),
            publication_mode: PublicationMode::build(values),
            snapshot,
            replication,
            tables,
            columns,
            messages,
            heartbeat: HeartbeatOptions::build(values),
            transaction_metadata: values.switch("provide.transaction.metadata"),
            keys,
            topic_groups,
            skipped_operations: SkippedOperations::build(values),
            skipped_operations_given: values.given("skipped.operations").is_some(),
            tombstones_on_delete: values.switch("tombstones.on.delete"),
            exactly_once_required: values.word("exactly.once.support") == "required",
            unavailable_value_placeholder: check::placeholder(values.text("unavailable.value.placeholder"))
                .expect("checked with the others"),
            events: Arc::new(events),
            remarks,
            shown_json: shown::json(values),
        }
    }

    /// One line per property that we do not know, or do not support yet, to be reported once at start.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// `{"name":…,"config":{…}}` as it was given, with `[hidden]` for what must not be shown: secrets, and whatever we do
    /// not know.
    pub fn shown_json(&self) -> &str {
        &self.shown_json
    }

    /// Whether changes of this table are wanted; short for [`CapturedTables::captures`].
    pub fn captures(&self, schema: &str, table: &str) -> bool {
        self.tables.captures(schema, table)
    }

    /// What of this configuration shapes records.
    pub fn event_options(&self, run_id: &str) -> Arc<EventOptions> {
        Arc::new(EventOptions {
            run_id: run_id.to_owned(),
            ..(*self.events).clone()
        })
    }
}

/// What is made of several properties.
struct Compiled {
    topic_groups: TopicGroups,
    snapshot: SnapshotOptions,
    replication: ReplicationOptions,
    events: EventOptions,
    keys: MessageKeys,
}

/// How the connection is encrypted, and whom it trusts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsOptions {
    /// `database.sslmode`.
    pub mode: SslMode,
    /// `database.sslrootcert`: there for the verify modes.
    pub root_cert: Option<PathBuf>,
    /// `database.sslcert`: there exactly if `key` is.
    pub cert: Option<PathBuf>,
    /// `database.sslkey`.
    pub key: Option<PathBuf>,
}

impl TlsOptions {
    fn build(values: &Values) -> Self {
        let path = |name| values.given(name).map(PathBuf::from);
        Self {
            mode: match &*values.word("database.sslmode") {
                "disable" => SslMode::Disable,
                "require" => SslMode::Require,
                "verify-ca" => SslMode::VerifyCa,
                "verify-full" => SslMode::VerifyFull,
                _ => SslMode::Prefer,
            },
            root_cert: path("database.sslrootcert"),
            cert: path("database.sslcert"),
            key: path("database.sslkey"),
        }
    }
}

/// libpq's words for how much encryption is insisted on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// If the server offers it; the certificate is not looked at.
    #[default]
    Prefer,
    /// Or no connection; the certificate is checked only if `sslrootcert` is given, as libpq does.
    Require,
    /// And the certificate must come from `sslrootcert`.
    VerifyCa,
    /// And it must be the host's.
    VerifyFull,
}

/// `publication.autocreate.mode`: what to do when the publication is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicationMode {
    /// Create it FOR ALL TABLES.
    AllTables,
    /// Refuse to start.
    Disabled,
    /// Create it for the captured tables; alter it when they are others.
    Filtered,
    /// Create it without tables.
    NoTables,
}

impl PublicationMode {
    fn build(values: &Values) -> Self {
        match &*values.word("publication.autocreate.mode") {
            "disabled" => Self::Disabled,
            "filtered" => Self::Filtered,
            "no_tables" => Self::NoTables,
            _ => Self::AllTables,
        }
    }
}

/// `skipped.operations`: streamed changes that make no record. They keep their ordinals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SkippedOperations {
    /// `c`.
    pub insert: bool,
    /// `u`.
    pub update: bool,
    /// `d`.
    pub delete: bool,
    /// `t`: skipped unless the property says otherwise, as in Debezium.
    pub truncate: bool,
}

impl SkippedOperations {
    fn build(values: &Values) -> Self {
        let words = values.word("skipped.operations");
        let lists = |operation: &str| words.split(',').any(|word| word.trim() == operation);
        Self {
            insert: lists("c"),
            update: lists("u"),
            delete: lists("d"),
            truncate: lists("t"),
        }
    }

    /// Whether `operation` makes no record. Rows of a snapshot are never skipped.
    pub fn skips(&self, operation: &Operation<'_>) -> bool {
        match operation {
            Operation::Read(_) => false,
            Operation::Insert(_) => self.insert,
            Operation::Update { .. } => self.update,
            Operation::Delete(_) => self.delete,
            Operation::Truncate => self.truncate,
        }
    }
}

/// Everything wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigErrors(pub Vec<String>);

/// A configuration for the tests of whoever reads one.
#[cfg(test)]
pub(crate) mod sample {
    use super::ConnectorConfig;

    /// What is needed, and these members (`,"name":"value"` each).
    pub(crate) fn config(more: &str) -> ConnectorConfig {
        let json = format!(
            r#"{{"name":"c","config":{{"connector.class":"io.debezium.connector.postgresql.PostgresConnector",
            "database.hostname":"h","database.user":"u","database.dbname":"d","topic.prefix":"t"{more}}}}}"#
        );
        ConnectorConfig::from_json(&json).expect("a good configuration")
    }
}
