//! How slot, publication and stream are set up beyond their names.

use std::time::Duration;

use regex::Regex;

use super::{
    captured::{Case, compile},
    document::Findings,
    kind::shown,
    values::Values,
};

const PARAMS: &str = "slot.stream.params";
const IDENTITIES: &str = "replica.identity.autoset.values";

/// Options of START_REPLICATION that say what the bytes are like: ours to choose.
const FIXED_PARAMS: [&str; 5] = ["proto_version", "publication_names", "binary", "streaming", "two_phase"];

/// How slot, publication and stream are set up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReplicationOptions {
    /// `slot.drop.on.stop`.
    pub drop_on_stop: bool,
    /// `slot.failover`.
    pub failover: bool,
    /// `slot.max.retries`, if it is given: how often a busy slot is tried again. Without it, for as long as it takes.
    pub busy_retries: Option<u64>,
    /// `slot.retry.delay.ms`, if it is given.
    pub busy_delay: Option<Duration>,
    /// `slot.stream.params`: further options of START_REPLICATION.
    pub params: Vec<(String, String)>,
    /// `publish.via.partition.root`.
    pub via_root: bool,
    /// `status.update.interval.ms`, if it is given.
    pub status_interval: Option<Duration>,
    /// `replica.identity.autoset.values`.
    pub identities: ReplicaIdentities,
}

impl ReplicationOptions {
    pub(super) fn compile(values: &Values, findings: &mut Findings) -> Self {
        let given = |name| values.given(name).and_then(|value| value.parse::<u64>().ok());
        Self {
            drop_on_stop: values.switch("slot.drop.on.stop"),
            failover: values.switch("slot.failover"),
            busy_retries: given("slot.max.retries"),
            busy_delay: given("slot.retry.delay.ms").map(Duration::from_millis),
            params: params(values.text(PARAMS), &mut findings.errors),
            via_root: values.switch("publish.via.partition.root"),
            status_interval: given("status.update.interval.ms").map(Duration::from_millis),
            identities: ReplicaIdentities::compile(values.text(IDENTITIES), &mut findings.errors),
        }
    }
}

/// `name=value;name=value`.
fn params(text: &str, errors: &mut Vec<String>) -> Vec<(String, String)> {
    let mut params = Vec::new();
    for param in text.split(';').map(str::trim).filter(|param| !param.is_empty()) {
        match param.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
            Some((name, _)) if FIXED_PARAMS.contains(&name) => errors.push(format!(
                "{PARAMS}: {name} says how changes are written, and is not free to choose; leave it out"
            )),
            Some((name, value)) if !name.is_empty() => params.push((name.to_owned(), value.to_owned())),
            _ => errors.push(format!("{PARAMS}: takes name=value;name=value, got {}", shown(param))),
        }
    }
    params
}

/// What a table's old rows are told by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplicaIdentity {
    /// The primary key.
    Default,
    /// The whole row.
    Full,
    /// Nothing.
    Nothing,
    /// The columns of this index.
    Index(String),
}

/// `replica.identity.autoset.values`: which tables get which replica identity at start.
#[derive(Clone, Debug, Default)]
pub struct ReplicaIdentities(Vec<(Regex, ReplicaIdentity)>);

impl ReplicaIdentities {
    /// Whether any is to be set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the table shall have; an error if two patterns match it.
    pub fn of(&self, schema: &str, table: &str) -> Result<Option<&ReplicaIdentity>, String> {
        let name = format!("{schema}.{table}");
        let mut matching = self.0.iter().filter(|(pattern, _)| pattern.is_match(&name));
        match (matching.next(), matching.next()) {
            (_, Some(_)) => Err(format!(
                "{IDENTITIES}: more than one of its patterns matches table {name}; make them tell it apart"
            )),
            (first, None) => Ok(first.map(|(_, identity)| identity)),
        }
    }

    fn compile(text: &str, errors: &mut Vec<String>) -> Self {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let compiled = entries.filter_map(|entry| match entry_of(entry) {
            Ok(entry) => Some(entry),
            Err(why) => {
                errors.push(format!("{IDENTITIES}: {why}"));
                None
            }
        });
        Self(compiled.collect())
    }
}

fn entry_of(entry: &str) -> Result<(Regex, ReplicaIdentity), String> {
    let takes = || {
        format!(
            "takes schema.table:IDENTITY, where IDENTITY is DEFAULT, FULL, NOTHING or INDEX and an index's name, got {}",
            shown(entry)
        )
    };
    let (pattern, identity) = entry.split_once(':').ok_or_else(takes)?;
    let (word, index) = identity.split_once(' ').unwrap_or((identity, ""));
    let identity = match (word.to_ascii_uppercase().as_str(), index.trim()) {
        ("DEFAULT", "") => ReplicaIdentity::Default,
        ("FULL", "") => ReplicaIdentity::Full,
        ("NOTHING", "") => ReplicaIdentity::Nothing,
        ("INDEX", index) if !index.is_empty() => ReplicaIdentity::Index(index.to_owned()),
        _ => return Err(takes()),
    };
    let pattern = compile(pattern, Case::Any).map_err(|why| format!("{} is not {why}", shown(pattern)))?;
    Ok((pattern, identity))
}
