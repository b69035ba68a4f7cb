//! One form of "what happened to a row" for all who report it: the log, the client, the oracle.
//!
//! Knows nothing of where a change was seen; [`crate::checker`] compares them.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use serde_json::Value;

/// A row, or a key: column names and values.
pub type Row = BTreeMap<String, Value>;

/// One change of one row, without what may differ between two honest reports (clocks, positions).
#[derive(Clone, Debug, PartialEq)]
pub struct RowChange {
    /// Debezium's letter: `r c u d t`.
    pub op: String,
    /// The key; empty for a truncate.
    pub key: Row,
    /// The row after; empty for a delete.
    pub after: Row,
    /// The transaction that made it, where the reporter knows it.
    pub xid: Option<u32>,
}

/// A record of the log as `rowcast tail --raw` prints it.
#[derive(Clone, Debug)]
pub struct LogRecord {
    /// Its number in the partition.
    pub offset: u64,
    /// `None` for a tombstone, whose key is in `key`.
    pub change: Option<RowChange>,
    /// The key, parsed.
    pub key: Row,
}

impl RowChange {
    /// From an envelope's JSON and the record's key.
    pub fn from_envelope(key: Row, envelope: &Value) -> anyhow::Result<RowChange> {
        let op = envelope["op"].as_str().context("an envelope has op")?.to_owned();
        let after = if envelope["after"].is_null() {
            Row::new()
        } else {
            row(&envelope["after"])?
        };
        let xid = envelope["source"]["txId"]
            .as_u64()
            .and_then(|xid| u32::try_from(xid).ok());
        Ok(RowChange { op, key, after, xid })
    }

    /// Equal in all that a client is told.
    pub fn same_for_a_client(&self, other: &RowChange) -> bool {
        self.op == other.op && self.key == other.key && self.after == other.after
    }
}

impl LogRecord {
    /// From one line of `rowcast tail --raw`.
    pub fn from_tail(line: &Value) -> anyhow::Result<LogRecord> {
        let offset = line["offset"].as_u64().context("a record has an offset")?;
        let key = match line["key"].as_str() {
            Some(text) => row(&serde_json::from_str(text).context("a key is JSON")?)?,
            None => Row::new(),
        };
        let change = match line["value"].as_str() {
            Some(text) => {
                let envelope: Value = serde_json::from_str(text).context("a value is JSON")?;
                Some(RowChange::from_envelope(key.clone(), &envelope)?)
            }
            None => None,
        };
        Ok(LogRecord { offset, change, key })
    }
}

/// A JSON object as a row.
pub fn row(value: &Value) -> anyhow::Result<Row> {
    let Value::Object(fields) = value else {
        bail!("a row is a JSON object, not {value:.100}")
    };
    Ok(fields
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect())
}

/// What a table holds after these changes, by key.
pub fn fold<'a>(changes: impl IntoIterator<Item = &'a RowChange>) -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    for change in changes {
        match change.op.as_str() {
            "d" => drop(rows.remove(&key_text(&change.key))),
            "t" => rows.clear(),
            _ => drop(rows.insert(key_text(&change.key), change.after.clone())),
        }
    }
    rows
}

/// A key as text, to find a row by.
pub fn key_text(key: &Row) -> String {
    serde_json::to_string(key).expect("a row of JSON values is JSON")
}
