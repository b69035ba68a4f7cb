//! What is read before the stream, and how: `snapshot.*`.

use std::{collections::BTreeMap, time::Duration};

use super::{captured::Patterns, document::Findings, values::Values};

const MODE: &str = "snapshot.mode";
const DATA: &str = "snapshot.mode.configuration.based.snapshot.data";
const STREAM: &str = "snapshot.mode.configuration.based.start.stream";
const ON_DATA_ERROR: &str = "snapshot.mode.configuration.based.snapshot.on.data.error";
const INCLUDE: &str = "snapshot.include.collection.list";
const OVERRIDES: &str = "snapshot.select.statement.overrides";

/// `snapshot.mode`: what is read before the stream, and whether there is a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotMode {
    /// All captured tables, once.
    Initial,
    /// All captured tables, at every start.
    Always,
    /// All captured tables, once; then nothing.
    InitialOnly,
    /// Nothing.
    NoData,
    /// All captured tables, once, and again whenever the slot does not have what the log lacks.
    WhenNeeded,
    /// As the `snapshot.mode.configuration.based.*` say.
    ConfigurationBased {
        /// Read all captured tables, at every start.
        data: bool,
        /// Stream.
        stream: bool,
        /// Read them again whenever the slot does not have what the log lacks.
        on_data_error: bool,
    },
}

impl SnapshotMode {
    fn build(values: &Values) -> Self {
        match &*values.word(MODE) {
            "always" => Self::Always,
            "initial_only" => Self::InitialOnly,
            "no_data" => Self::NoData,
            "when_needed" => Self::WhenNeeded,
            "configuration_based" => Self::ConfigurationBased {
                data: values.switch(DATA),
                stream: values.switch(STREAM),
                on_data_error: values.switch(ON_DATA_ERROR),
            },
            _ => Self::Initial,
        }
    }

    /// Whether a first start reads the tables.
    pub fn reads(self) -> bool {
        !matches!(self, Self::NoData | Self::ConfigurationBased { data: false, .. })
    }

    /// Whether every later start reads them again.
    pub fn reads_at_every_start(self) -> bool {
        matches!(self, Self::Always | Self::ConfigurationBased { data: true, .. })
    }

    /// Whether they are read again when the slot does not have what the log lacks.
    pub fn reads_after_a_gap(self) -> bool {
        self.reads_at_every_start()
            || matches!(
                self,
                Self::WhenNeeded
                    | Self::ConfigurationBased {
                        on_data_error: true,
                        ..
                    }
            )
    }

    /// Whether changes are followed. If not, there is neither slot nor publication.
    pub fn streams(self) -> bool {
        !matches!(self, Self::InitialOnly | Self::ConfigurationBased { stream: false, .. })
    }
}

/// `snapshot.tables.order.by.row.count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowCountOrder {
    /// Not looked at.
    Disabled,
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// How tables are read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SnapshotOptions {
    /// `snapshot.mode`.
    pub mode: SnapshotMode,
    /// `snapshot.isolation.mode` is serializable: a snapshot of its own waits until no serializable transaction could have
    /// made it impossible.
    pub serializable: bool,
    /// `snapshot.lock.timeout.ms`, with `snapshot.locking.mode=shared`: how long a table's lock is waited for.
    pub lock_timeout: Option<Duration>,
    /// `snapshot.delay.ms`.
    pub delay: Duration,
    /// `snapshot.tables.order.by.row.count`.
    pub order: RowCountOrder,
    /// `snapshot.include.collection.list`; all captured tables if it is not given.
    include: Option<Patterns>,
    /// `snapshot.select.statement.overrides.*`, by `schema.table`.
    overrides: BTreeMap<String, String>,
}

impl SnapshotOptions {
    /// Whether a captured table is read.
    pub fn includes(&self, schema: &str, table: &str) -> bool {
        self.include.as_ref().is_none_or(|list| {
            list.match_any(&format!("{schema}.{table}")) || list.match_any(&format!("\"{schema}\".\"{table}\""))
        })
    }

    /// The statement that reads the table, if it is not all of it.
    pub fn statement(&self, schema: &str, table: &str) -> Option<&str> {
        self.overrides.get(&format!("{schema}.{table}")).map(String::as_str)
    }

    pub(super) fn compile(values: &Values, findings: &mut Findings) -> Self {
        let mode = SnapshotMode::build(values);
        if mode.streams() || mode.reads() {
            mode_remarks(mode, values, findings);
        } else {
            findings.errors.push(format!(
                "{MODE}: configuration_based would neither read tables nor stream: set {DATA} or {STREAM} to true"
            ));
        }
        let milliseconds = |name| Duration::from_millis(values.text(name).parse().unwrap_or_default());
        Self {
            mode,
            serializable: values.word("snapshot.isolation.mode") == "serializable",
            lock_timeout: (values.word("snapshot.locking.mode") == "shared")
                .then(|| milliseconds("snapshot.lock.timeout.ms")),
            delay: milliseconds("snapshot.delay.ms"),
            order: match &*values.word("snapshot.tables.order.by.row.count") {
                "ascending" => RowCountOrder::Ascending,
                "descending" => RowCountOrder::Descending,
                _ => RowCountOrder::Disabled,
            },
            include: values
                .given(INCLUDE)
                .map(|_| Patterns::compile(values, INCLUDE, &mut findings.errors)),
            overrides: overrides(values, findings),
        }
    }
}

fn mode_remarks(mode: SnapshotMode, values: &Values, findings: &mut Findings) {
    let is_based = matches!(mode, SnapshotMode::ConfigurationBased { .. });
    for name in [DATA, STREAM, ON_DATA_ERROR] {
        if !is_based && values.switch(name) {
            findings
                .remarks
                .push(format!("{name}: has no effect here: {MODE} is not configuration_based"));
        }
    }
    if values.switch("slot.drop.on.stop") && mode.streams() && !mode.reads_after_a_gap() {
        findings.remarks.push(format!(
            "slot.drop.on.stop: what is written while the connector is stopped is not kept, so the next start will be \
             refused; set {MODE} to when_needed to have it begin with a new snapshot"
        ));
    }
}

/// The list names the tables, and a property of its own each one's statement.
fn overrides(values: &Values, findings: &mut Findings) -> BTreeMap<String, String> {
    let listed: Vec<&str> = values.text(OVERRIDES).split(',').map(str::trim).collect();
    let mut overrides = BTreeMap::new();
    for table in listed.iter().filter(|table| !table.is_empty()) {
        let property = format!("{OVERRIDES}.{table}");
        let statement = values.given(&property).unwrap_or_default().trim_end_matches([';', ' ']);
        match (statement, table.split_once('.')) {
            (_, None) => findings.errors.push(format!(
                "{OVERRIDES}: takes names of tables as schema.table, got {table:?}"
            )),
            ("", _) => findings.errors.push(format!(
                "{property}: is missing: {OVERRIDES} names the table, and this is the SELECT that reads it"
            )),
            (statement, Some((schema, name))) => {
                let name = format!("{}.{}", schema.trim_matches('"'), name.trim_matches('"'));
                overrides.insert(name, statement.to_owned());
            }
        }
    }
    let prefix = format!("{OVERRIDES}.");
    for (name, _) in values.iter() {
        if let Some(table) = name.strip_prefix(&prefix)
            && !listed.contains(&table)
        {
            findings.remarks.push(format!(
                "{}: has no effect here: its table is not in {OVERRIDES}",
                super::property::shown_name(name)
            ));
        }
    }
    overrides
}
