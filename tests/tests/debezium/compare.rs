//! Says where the records of two sides differ, to the byte.
//!
//! Promises: records are equal when topic, partition, order, key, headers and value are, each byte of them, after
//! [`Normaliser`] has taken out what no two runs share; a record that only one side has is one difference, and those behind
//! it are compared with their own counterparts. Knows nothing of which differences are wanted.

use std::{collections::BTreeMap, fmt};

use anyhow::{Context, Result};
use rowcast_tests::kafka::Record;

use super::{
    normal::{Normaliser, payload},
    spans,
};

/// A side's records, by topic.
pub(crate) type Recorded = BTreeMap<String, Vec<Record>>;

/// Bytes shown of a value on each side of where it begins to differ.
const SHOWN_BYTES: usize = 60;

/// Which records a difference is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    Snapshot,
    Stream,
}

/// One place where they differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) topic: String,
    /// Its place in the topic: in Debezium's, or in ours when only we have it.
    pub(crate) record: usize,
    pub(crate) origin: Origin,
    /// `after.price`, `key`, `header __debezium.newkey`, `missing`: where in the record.
    pub(crate) place: String,
    pub(crate) debezium: String,
    pub(crate) rowcast: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference {
            topic,
            record,
            origin,
            place,
            debezium,
            rowcast,
        } = self;
        write!(
            f,
            "{topic}, record {record} ({origin:?}): {place}\n    Debezium {debezium}\n    Rowcast  {rowcast}"
        )
    }
}

/// The same records without schemas: what `schemas.enable=false` writes is the payload that `true` writes.
pub(crate) fn without_schemas(recorded: &Recorded) -> Result<Recorded> {
    let cut = |bytes: &Option<Vec<u8>>| -> Result<Option<Vec<u8>>> {
        let Some(bytes) = bytes else { return Ok(None) };
        Ok(Some(bytes[payload(bytes)?].to_vec()))
    };
    let records = |records: &Vec<Record>| -> Result<Vec<Record>> {
        let records = records.iter().map(|record| {
            Ok(Record {
                key: cut(&record.key)?,
                value: cut(&record.value)?,
                ..record.clone()
            })
        });
        records.collect()
    };
    recorded
        .iter()
        .map(|(topic, of_topic)| Ok((topic.clone(), records(of_topic)?)))
        .collect()
}

/// Everything that differs; `debezium` is how it should be.
pub(crate) fn compare(debezium: &Recorded, rowcast: &Recorded) -> Result<Vec<Difference>> {
    let (debezium, rowcast) = (normal(debezium)?, normal(rowcast)?);
    let none = Vec::new();
    let mut topics: Vec<&String> = debezium.keys().chain(rowcast.keys()).collect();
    topics.sort();
    topics.dedup();
    let mut differences = Vec::new();
    for topic in topics {
        let (theirs, ours) = (
            debezium.get(topic).unwrap_or(&none),
            rowcast.get(topic).unwrap_or(&none),
        );
        compare_topic(topic, theirs, ours, &mut differences)?;
    }
    Ok(differences)
}

fn normal(recorded: &Recorded) -> Result<Recorded> {
    let mut normaliser = Normaliser::default();
    let mut normal = Recorded::new();
    for (topic, records) in recorded {
        let mut of_topic = Vec::with_capacity(records.len());
        for record in records {
            let context = || format!("{topic}, offset {}: {}", record.offset, lossy(record.value.as_deref()));
            of_topic.push(normaliser.normal(record).with_context(context)?);
        }
        normal.insert(topic.clone(), of_topic);
    }
    Ok(normal)
}

fn compare_topic(topic: &str, theirs: &[Record], ours: &[Record], found: &mut Vec<Difference>) -> Result<()> {
    for (their, our) in paired(theirs, ours)? {
        let (at, record) = match (their, our) {
            (Some(at), _) => (at, &theirs[at]),
            (None, Some(at)) => (at, &ours[at]),
            (None, None) => continue,
        };
        let origin = origin(record)?;
        let mut differ = |place: &str, debezium: String, rowcast: String| {
            found.push(Difference {
                topic: topic.to_owned(),
                record: at,
                origin,
                place: place.to_owned(),
                debezium,
                rowcast,
            });
        };
        match (their, our) {
            (Some(_), None) => differ("missing", shown(record), "has no such record".to_owned()),
            (None, Some(_)) => differ("extra", "has no such record".to_owned(), shown(record)),
            (Some(their), Some(our)) => compare_record(&theirs[their], &ours[our], &mut differ)?,
            (None, None) => {}
        }
    }
    Ok(())
}

type Differ<'a> = dyn FnMut(&str, String, String) + 'a;

fn compare_record(theirs: &Record, ours: &Record, differ: &mut Differ<'_>) -> Result<()> {
    if theirs.partition != ours.partition {
        differ("partition", theirs.partition.to_string(), ours.partition.to_string());
    }
    bytes("key", theirs.key.as_deref(), ours.key.as_deref(), differ)?;
    headers(theirs, ours, differ);
    bytes("", theirs.value.as_deref(), ours.value.as_deref(), differ)
}

fn headers(theirs: &Record, ours: &Record, differ: &mut Differ<'_>) {
    let names = |record: &Record| -> Vec<String> { record.headers.iter().map(|(name, _)| name.clone()).collect() };
    if names(theirs) != names(ours) {
        return differ("headers", format!("{:?}", names(theirs)), format!("{:?}", names(ours)));
    }
    for ((name, their), (_, our)) in theirs.headers.iter().zip(&ours.headers) {
        if their != our {
            differ(
                &format!("header {name}"),
                lossy(their.as_deref()),
                lossy(our.as_deref()),
            );
        }
    }
}

fn bytes(what: &str, theirs: Option<&[u8]>, ours: Option<&[u8]>, differ: &mut Differ<'_>) -> Result<()> {
    let whole = if what.is_empty() { "value" } else { what };
    match (theirs, ours) {
        (Some(theirs), Some(ours)) if theirs == ours => {}
        (None, None) => {}
        (Some(theirs), Some(ours)) => {
            let mut told = 0;
            json(what, theirs, ours, &mut |place, debezium, rowcast| {
                told += 1;
                differ(place, debezium, rowcast);
            })?;
            if told == 0 {
                differ(whole, lossy(Some(theirs)), lossy(Some(ours)));
            }
        }
        _ => differ(whole, lossy(theirs), lossy(ours)),
    }
    Ok(())
}

/// Names the members that differ; a row's columns are not looked into.
fn json(path: &str, theirs: &[u8], ours: &[u8], differ: &mut Differ<'_>) -> Result<()> {
    if theirs == ours {
        return Ok(());
    }
    let below = |name: &str| match path {
        "" => name.to_owned(),
        _ => format!("{path}.{name}"),
    };
    let opens = |byte: u8| theirs.first() == Some(&byte) && ours.first() == Some(&byte);
    let is_column = ["before.", "after.", "payload.before.", "payload.after."]
        .iter()
        .any(|row| path.starts_with(row));
    if opens(b'{') && !is_column {
        let (their, our) = (spans::members(theirs)?, spans::members(ours)?);
        let names = |members: &[(String, _)]| members.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        if names(&their) != names(&our) {
            differ(&below("(members)"), names(&their).join(", "), names(&our).join(", "));
        }
        for (name, span) in &their {
            if let Some((_, other)) = our.iter().find(|(other, _)| other == name) {
                json(&below(name), &theirs[span.clone()], &ours[other.clone()], differ)?;
            }
        }
        return Ok(());
    }
    if opens(b'[') && !is_column {
        let (their, our) = (spans::elements(theirs)?, spans::elements(ours)?);
        if their.len() == our.len() {
            for (place, (their, our)) in their.into_iter().zip(our).enumerate() {
                let (their, our) = (&theirs[their], &ours[our]);
                let name = field_name(their)?.unwrap_or_else(|| place.to_string());
                json(&below(&name), their, our, differ)?;
            }
            return Ok(());
        }
    }
    let at = theirs.iter().zip(ours).take_while(|(their, our)| their == our).count();
    differ(path, around(theirs, at), around(ours, at));
    Ok(())
}

/// A schema's field says which one it is.
fn field_name(element: &[u8]) -> Result<Option<String>> {
    if element.first() != Some(&b'{') {
        return Ok(None);
    }
    let span = spans::member(element, "field")?;
    Ok(span.map(|span| String::from_utf8_lossy(&element[span]).trim_matches('"').to_owned()))
}

/// Which record of ours stands for which of theirs: in order, what one side lacks left out, by a longest common subsequence.
fn paired(theirs: &[Record], ours: &[Record]) -> Result<Vec<(Option<usize>, Option<usize>)>> {
    let their_names: Vec<String> = theirs.iter().map(identity).collect::<Result<_>>()?;
    let our_names: Vec<String> = ours.iter().map(identity).collect::<Result<_>>()?;
    // What is common at both ends needs no table: usually everything.
    let front = their_names
        .iter()
        .zip(&our_names)
        .take_while(|(their, our)| their == our)
        .count();
    let (left, right) = (&their_names[front..], &our_names[front..]);
    let back = left
        .iter()
        .rev()
        .zip(right.iter().rev())
        .take_while(|(their, our)| their == our)
        .count();
    let (left, right) = (&left[..left.len() - back], &right[..right.len() - back]);
    let mut pairs: Vec<_> = (0..front).map(|at| (Some(at), Some(at))).collect();
    pairs.extend(
        common(left, right)
            .into_iter()
            .map(|(their, our)| (their.map(|at| at + front), our.map(|at| at + front))),
    );
    let ends = (front + left.len(), front + right.len());
    pairs.extend((0..back).map(|at| (Some(ends.0 + at), Some(ends.1 + at))));
    Ok(pairs)
}

fn common(left: &[String], right: &[String]) -> Vec<(Option<usize>, Option<usize>)> {
    if left.len() == right.len() && left.len() * right.len() > PAIRS_MAX {
        return (0..left.len()).map(|at| (Some(at), Some(at))).collect();
    }
    let mut length = vec![vec![0_u32; right.len() + 1]; left.len() + 1];
    for (l, left) in left.iter().enumerate().rev() {
        for (r, right) in right.iter().enumerate().rev() {
            length[l][r] = match left == right {
                true => length[l + 1][r + 1] + 1,
                false => length[l + 1][r].max(length[l][r + 1]),
            };
        }
    }
    let (mut l, mut r, mut pairs) = (0, 0, Vec::new());
    while l < left.len() || r < right.len() {
        if l < left.len() && r < right.len() && left[l] == right[r] {
            pairs.push((Some(l), Some(r)));
            (l, r) = (l + 1, r + 1);
        } else if r == right.len() || l < left.len() && length[l + 1][r] >= length[l][r + 1] {
            pairs.push((Some(l), None));
            l += 1;
        } else {
            pairs.push((None, Some(r)));
            r += 1;
        }
    }
    pairs
}

/// Cells of the table of [`common`]: 16 MB. Beyond, records are paired by their places.
const PAIRS_MAX: usize = 4_000_000;

/// What makes two records each other's counterpart, whatever else differs: op and LSN, or the key of a snapshot's row.
fn identity(record: &Record) -> Result<String> {
    let Some(value) = &record.value else {
        return Ok("tombstone".to_owned());
    };
    let payload = &value[payload(value)?];
    let text = |span: Option<std::ops::Range<usize>>, of: &[u8]| -> String {
        span.map(|span| String::from_utf8_lossy(&of[span]).into_owned())
            .unwrap_or_default()
    };
    let op = text(spans::member(payload, "op")?, payload);
    if op == "\"r\"" {
        return Ok(format!("{op} {}", lossy(record.key.as_deref())));
    }
    let lsn = match spans::member(payload, "source")? {
        Some(source) => text(spans::member(&payload[source.clone()], "lsn")?, &payload[source]),
        None => text(spans::member(payload, "id")?, payload),
    };
    Ok(format!("{op} {lsn}"))
}

fn origin(record: &Record) -> Result<Origin> {
    let Some(value) = &record.value else {
        return Ok(Origin::Stream);
    };
    let payload = &value[payload(value)?];
    let is_read = spans::member(payload, "op")?.is_some_and(|op| &payload[op] == b"\"r\"");
    Ok(if is_read { Origin::Snapshot } else { Origin::Stream })
}

fn shown(record: &Record) -> String {
    format!(
        "key {} value {}",
        lossy(record.key.as_deref()),
        lossy(record.value.as_deref())
    )
}

fn around(text: &[u8], at: usize) -> String {
    let from = at.saturating_sub(SHOWN_BYTES);
    let to = (at + SHOWN_BYTES).min(text.len());
    let dots = |cut: bool| if cut { "…" } else { "" };
    format!(
        "{}{}{}",
        dots(from > 0),
        String::from_utf8_lossy(&text[from..to]),
        dots(to < text.len())
    )
}

fn lossy(bytes: Option<&[u8]>) -> String {
    match bytes {
        None => "nothing".to_owned(),
        Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}
