//! Writes a record as one line of JSON.

use std::io::{self, Write};

use anyhow::Result;
use rowcast_log::{Record, TopicPartition};
use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    partition: u32,
    offset: u64,
    timestamp: i64,
    key: Option<Field<'a>>,
    value: Option<Field<'a>>,
    headers: Vec<HeaderLine<'a>>,
}

#[derive(Serialize)]
struct HeaderLine<'a> {
    key: &'a str,
    value: std::borrow::Cow<'a, str>,
}

/// JSON as it lies in the record, or a string with the exact text.
#[derive(Serialize)]
#[serde(untagged)]
enum Field<'a> {
    Json(&'a RawValue),
    Text(std::borrow::Cow<'a, str>),
}

/// One line.
pub(super) fn print(out: &mut impl Write, partition: &TopicPartition, record: &Record<'_>, raw: bool) -> Result<()> {
    let line = Line {
        topic: &partition.topic,
        partition: partition.partition,
        offset: record.offset.0,
        timestamp: record.timestamp_ms,
        key: record.key.map(|bytes| field(bytes, raw)),
        value: record.value.map(|bytes| field(bytes, raw)),
        headers: record
            .headers()
            .map(|(key, value)| HeaderLine {
                key,
                value: String::from_utf8_lossy(value),
            })
            .collect(),
    };
    serde_json::to_writer(&mut *out, &line).map_err(io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}

fn field(bytes: &[u8], raw: bool) -> Field<'_> {
    let parsed = if raw {
        None
    } else {
        serde_json::from_slice::<&RawValue>(bytes).ok()
    };
    parsed.map_or_else(|| Field::Text(String::from_utf8_lossy(bytes)), Field::Json)
}
