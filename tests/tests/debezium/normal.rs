//! Replaces what cannot be equal in two runs by words that keep what must be: clocks, and the place of a snapshot.
//!
//! Promises: only the bytes of such a value are replaced, and only where it stands for it: the clocks of an envelope, of a
//! heartbeat and of the header `runId`, and in rows of a snapshot LSN, transaction and time of the source. A snapshot's
//! values become numbered words, in the order in which they are first met, so that equal values stay equal and others stay
//! others. In the stream LSN, transaction, time and `sequence` stay as they are: both sides read the same WAL.

use std::{collections::BTreeMap, ops::Range};

use anyhow::Result;
use rowcast_tests::kafka::Record;

use super::spans;

const RUN_ID: &str = "__debezium.context.runId";
/// A source's times, and how many of each make a second.
const TIMES: [(&str, u64); 3] = [("ts_ms", 1_000), ("ts_us", 1_000_000), ("ts_ns", 1_000_000_000)];

/// What it has met on one side.
#[derive(Debug, Default)]
pub(crate) struct Normaliser {
    seen: BTreeMap<(&'static str, String), usize>,
}

/// A span and what stands there instead.
type Replacement = (Range<usize>, String);

impl Normaliser {
    /// The record with words in the place of what differs from run to run.
    pub(crate) fn normal(&mut self, record: &Record) -> Result<Record> {
        let mut normal = record.clone();
        if let Some(value) = &record.value {
            normal.value = Some(self.value(value)?);
        }
        for (name, value) in &mut normal.headers {
            if name == RUN_ID {
                let text = String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned();
                let word = match is_uuid_of_version_7(&text) {
                    true => self.word("run", &text),
                    false => format!("<no UUID of version 7: {text}>"),
                };
                *value = Some(word.into_bytes());
            }
        }
        Ok(normal)
    }

    fn value(&mut self, value: &[u8]) -> Result<Vec<u8>> {
        let payload = payload(value)?;
        let members = spans::members(&value[payload.clone()])?;
        let inside = |span: &Range<usize>| payload.start + span.start..payload.start + span.end;
        let of = |name: &str| {
            members
                .iter()
                .find(|(member, _)| member == name)
                .map(|(_, span)| inside(span))
        };
        let mut replacements = Vec::new();
        // An envelope and a message have an op; a heartbeat has nothing but its clock.
        if of("op").is_some() || members.len() == 1 {
            replacements.extend(clocks(value, TIMES.map(|(name, _)| of(name)), |_| "<clock".to_owned()));
        }
        if let Some(source) = of("source") {
            replacements.extend(self.source(value, source)?);
        }
        Ok(replaced(value, replacements))
    }

    /// Of a row of a snapshot.
    fn source(&mut self, value: &[u8], source: Range<usize>) -> Result<Vec<Replacement>> {
        let members = spans::members(&value[source.clone()])?;
        let of = |name: &str| {
            let found = members.iter().find(|(member, _)| member == name);
            found.map(|(_, span)| source.start + span.start..source.start + span.end)
        };
        let text = |span: &Range<usize>| String::from_utf8_lossy(&value[span.clone()]).into_owned();
        let streamed = of("snapshot").is_none_or(|span| text(&span) == "\"false\"");
        if streamed {
            return Ok(Vec::new());
        }
        let mut replacements = clocks(value, TIMES.map(|(name, _)| of(name)), |ns| {
            self.word("time", ns).trim_end_matches('>').to_owned()
        });
        for name in ["txId", "lsn"] {
            if let Some(span) = of(name).filter(|span| is_number(&value[span.clone()])) {
                let word = self.word(name, &text(&span));
                replacements.push((span, word));
            }
        }
        if let Some(span) = of("sequence") {
            // ["1","2"] in a string: each number is an LSN.
            let sequence = text(&span);
            let parts: Vec<String> = sequence
                .split_inclusive(|c: char| !c.is_ascii_digit())
                .map(|part| {
                    let digits = part.trim_end_matches(|c: char| !c.is_ascii_digit());
                    match digits.is_empty() {
                        true => part.to_owned(),
                        false => format!("{}{}", self.word("lsn", digits), &part[digits.len()..]),
                    }
                })
                .collect();
            replacements.push((span, parts.concat()));
        }
        Ok(replacements)
    }

    fn word(&mut self, kind: &'static str, value: &str) -> String {
        let next = 1 + self.seen.keys().filter(|(seen, _)| *seen == kind).count();
        let number = self.seen.entry((kind, value.to_owned())).or_insert(next);
        format!("<{kind} {number}>")
    }
}

/// Where the payload is: behind its schema, or the whole.
pub(crate) fn payload(value: &[u8]) -> Result<Range<usize>> {
    let members = spans::members(value)?;
    match &members[..] {
        [(schema, _), (payload, span)] if schema == "schema" && payload == "payload" => Ok(span.clone()),
        _ => Ok(0..value.len()),
    }
}

/// The same instant in milliseconds, microseconds and nanoseconds: words for it, as long as it is the same.
fn clocks(value: &[u8], spans: [Option<Range<usize>>; 3], word: impl FnOnce(&str) -> String) -> Vec<Replacement> {
    let number = |span: &Option<Range<usize>>| -> Option<u64> {
        let span = span.clone()?;
        std::str::from_utf8(&value[span]).ok()?.parse().ok()
    };
    let numbers: Vec<Option<u64>> = spans.iter().map(number).collect();
    let finest = numbers.iter().rposition(Option::is_some);
    let Some((finest, whole)) = finest.and_then(|at| Some((at, numbers[at]?))) else {
        return Vec::new();
    };
    let word = word(&whole.to_string());
    let mut replacements = Vec::new();
    for (place, (name, per_second)) in TIMES.into_iter().enumerate() {
        let (Some(span), Some(number)) = (&spans[place], numbers[place]) else {
            continue;
        };
        let cut = whole / (TIMES[finest].1 / per_second);
        let text = match number == cut {
            true => format!("{word} {name}>"),
            false => format!("{word} {name} of another instant>"),
        };
        replacements.push((span.clone(), text));
    }
    replacements
}

fn replaced(value: &[u8], mut replacements: Vec<Replacement>) -> Vec<u8> {
    replacements.sort_by_key(|(span, _)| span.start);
    let (mut text, mut from) = (Vec::with_capacity(value.len()), 0);
    for (span, word) in replacements {
        text.extend_from_slice(&value[from..span.start]);
        text.extend_from_slice(word.as_bytes());
        from = span.end;
    }
    text.extend_from_slice(&value[from..]);
    text
}

fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

fn is_uuid_of_version_7(text: &str) -> bool {
    let shape = text.bytes().enumerate().all(|(place, byte)| match place {
        8 | 13 | 18 | 23 => byte == b'-',
        14 => byte == b'7',
        _ => byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase(),
    });
    shape && text.len() == 36
}
