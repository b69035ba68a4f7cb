//! `rowcast tail`: a topic's records as JSON lines, like `tail -f`.
//!
//! Reads the files of a data directory without its lock, so it works while `rowcast run` holds it, and after.

use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use rowcast_log::{EmbeddedLog, Log, Offset, Record, TopicPartition};
use serde::Serialize;
use serde_json::value::RawValue;

/// Bytes read at once.
const READ_BYTES: usize = 1024 * 1024;

/// What to print.
#[derive(Clone, Debug)]
pub struct TailOptions {
    /// Which topic.
    pub topic: String,
    /// Where to start.
    pub from: From,
    /// Stop after so many.
    pub count: Option<u64>,
    /// Stop at the end instead of waiting.
    pub exit_at_end: bool,
    /// Key and value as strings.
    pub raw: bool,
    /// Whose log.
    pub data_dir: PathBuf,
}

/// Where to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The first record kept.
    Beginning,
    /// After the last record.
    End,
    /// This offset.
    Offset(u64),
}

impl std::str::FromStr for From {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<From> {
        Ok(match text {
            "beginning" => From::Beginning,
            "end" => From::End,
            number => From::Offset(
                number
                    .parse()
                    .with_context(|| format!("--from takes beginning, end or an offset, not {text:?}"))?,
            ),
        })
    }
}

/// Prints until told to stop. A closed pipe (`| head`) is an ordinary end.
pub async fn tail(options: TailOptions, out: impl Write) -> Result<()> {
    match follow(options, BufWriter::new(out)).await {
        Err(error)
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) =>
        {
            Ok(())
        }
        other => other,
    }
}

async fn follow(options: TailOptions, mut out: BufWriter<impl Write>) -> Result<()> {
    let log = EmbeddedLog::open_read_only(&options.data_dir)?;
    let partition = TopicPartition {
        topic: Arc::from(options.topic.as_str()),
        partition: 0,
    };
    if log.topic(&options.topic).is_none() {
        let known: Vec<String> = log.topics().iter().map(|topic| topic.name.to_string()).collect();
        bail!(
            "no topic {:?} in {}; there are: {}",
            options.topic,
            options.data_dir.display(),
            known.join(", ")
        );
    }
    let mut end = log.end(&partition)?;
    let mut from = match options.from {
        From::Beginning => log.earliest(&partition)?,
        From::End => *end.borrow_and_update(),
        From::Offset(offset) => Offset(offset).max(log.earliest(&partition)?),
    };
    let mut left = options.count.unwrap_or(u64::MAX);
    while left > 0 {
        let chunk = log.read(&partition, from, READ_BYTES)?;
        if chunk.is_empty() {
            out.flush()?;
            if options.exit_at_end {
                return Ok(());
            }
            end.wait_for(|&end| end > from).await.context("the topic was deleted")?;
            continue;
        }
        for record in chunk.records().take(usize::try_from(left).unwrap_or(usize::MAX)) {
            print(&mut out, &partition, &record, options.raw)?;
            left -= 1;
        }
        from = chunk.next_offset();
    }
    Ok(out.flush()?)
}

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

fn print(out: &mut impl Write, partition: &TopicPartition, record: &Record<'_>, raw: bool) -> Result<()> {
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
