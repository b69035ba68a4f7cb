//! What must be known of a change that was written before, read back from its record: with and without its schema around
//! it (`schemas.enable`).

use std::borrow::Cow;

use rowcast_event::Lsn;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Debezium's envelope, as far as it tells what happened and where in the source.
#[derive(Default, Deserialize)]
pub(crate) struct Envelope<'a> {
    #[serde(borrow, default)]
    pub(crate) op: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(crate) source: Option<SourceBlock>,
    /// Of a record of the transaction topic: `742:23476200`.
    #[serde(borrow, default)]
    pub(crate) id: Option<Cow<'a, str>>,
}

impl Envelope<'_> {
    /// Which transaction the record is of (`None`: of none), and its LSN there.
    pub(crate) fn place(&self) -> Option<(Option<u32>, Lsn)> {
        if let Some(source) = self.source {
            return Some((source.xid, Lsn(source.lsn.cast_unsigned())));
        }
        let (xid, lsn) = self.id.as_deref()?.split_once(':')?;
        Some((Some(xid.parse().ok()?), Lsn(lsn.parse::<i64>().ok()?.cast_unsigned())))
    }
}

/// Of a record's `source` block, its place in the source.
#[derive(Clone, Copy, Deserialize)]
pub(crate) struct SourceBlock {
    /// Not there in what is part of no transaction, and in rows that a standby gave.
    #[serde(rename = "txId")]
    pub(crate) xid: Option<u32>,
    /// Written as a Java long.
    pub(crate) lsn: i64,
}

/// What JsonConverter writes: the envelope, or its schema and then the envelope.
#[derive(Deserialize)]
struct Value<'a> {
    #[serde(borrow, default)]
    payload: Option<Envelope<'a>>,
    #[serde(borrow, default)]
    op: Option<Cow<'a, str>>,
    #[serde(default)]
    source: Option<SourceBlock>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
}

/// The envelope in a record's value; `None` if there is none.
pub(crate) fn read(value: &[u8]) -> Option<Envelope<'_>> {
    let Value {
        payload,
        op,
        source,
        id,
    } = serde_json::from_slice(value).ok()?;
    Some(payload.unwrap_or(Envelope { op, source, id }))
}

/// What a record of any producer tells of itself, as far as it does.
#[derive(Default)]
pub(crate) struct Told<'a> {
    pub(crate) op: Option<Cow<'a, str>>,
    /// `source.name`
    pub(crate) name: Option<Cow<'a, str>>,
    /// `source.db`
    pub(crate) database: Option<Cow<'a, str>>,
    /// `source.lsn`
    pub(crate) lsn: Option<i64>,
}

/// What JsonConverter writes, of which nothing is believed.
#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow, default)]
    schema: Option<&'a RawValue>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    #[serde(borrow, default)]
    op: Option<&'a RawValue>,
    #[serde(borrow, default)]
    source: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Whose<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    db: Option<Cow<'a, str>>,
    #[serde(default)]
    lsn: Option<i64>,
}

/// Reads a value of whatever source; `None`: it is no JSON object.
pub(crate) fn told(value: &[u8]) -> Option<Told<'_>> {
    let parts: Parts<'_> = serde_json::from_slice(value).ok()?;
    let parts = match (parts.schema, parts.payload) {
        (Some(_), Some(payload)) => serde_json::from_str(payload.get()).ok()?,
        _ => parts,
    };
    let whose = parts.source.map(|source| serde_json::from_str(source.get()));
    let Whose { name, db, lsn } = whose.and_then(Result::ok).unwrap_or_default();
    Some(Told {
        op: parts.op.and_then(|op| serde_json::from_str(op.get()).ok()),
        name,
        database: db,
        lsn,
    })
}

/// A key without the schema that may be around it.
pub(crate) fn key_payload(key: &[u8]) -> &[u8] {
    if !key.starts_with(b"{\"schema\":") {
        return key;
    }
    match serde_json::from_slice::<Parts<'_>>(key) {
        Ok(Parts {
            schema: Some(_),
            payload: Some(payload),
            ..
        }) => payload.get().as_bytes(),
        _ => key,
    }
}

/// A log for the tests of those who read records back.
#[cfg(test)]
pub(crate) mod filled {
    use std::sync::Arc;

    use rowcast_log::{
        EmbeddedLog, EmbeddedOptions, Log, NewRecord, TopicCreation, TopicPartition, Visibility, WriterId,
    };
    use tempfile::TempDir;

    /// Topic `t` with these keys and values, and where they are.
    pub(crate) fn log(records: &[(Option<&str>, Option<&str>)]) -> (TempDir, Arc<dyn Log>, TopicPartition) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).expect("the log opens");
        let partition = log
            .ensure_topic("t", &TopicCreation::default())
            .expect("a topic")
            .all()
            .remove(0);
        let mut appender = log.appender(&WriterId::new("test")).expect("an appender");
        for (key, value) in records {
            let record = NewRecord {
                timestamp_ms: 0,
                key: key.map(str::as_bytes),
                value: value.map(str::as_bytes),
                headers: &[],
            };
            appender.append(&partition, record).expect("appended");
        }
        appender.commit(b"p").expect("committed");
        appender.flush(Visibility::Now).expect("flushed");
        (dir, log, partition)
    }
}
