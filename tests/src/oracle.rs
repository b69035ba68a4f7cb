//! What PostgreSQL itself says was committed, and in which order: a second slot with `test_decoding`, whose decoder and
//! text format share nothing with ours.
//!
//! Promises: survives restarts and crashes of the server, as slots do; transactions in flight when a writer died are
//! judged by PostgreSQL, not guessed. Reads only tables of the kit's own shape (see [`crate::workload`]): `test_decoding`
//! prints values without escapes that would allow more.

use anyhow::{Context, bail};
use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::changes::{Row, RowChange};

const SLOT: &str = "oracle";

/// Starts remembering, before anything is written.
pub async fn create(client: &Client) -> anyhow::Result<()> {
    client
        .execute(
            "SELECT pg_create_logical_replication_slot($1, 'test_decoding')",
            &[&SLOT],
        )
        .await?;
    Ok(())
}

/// Every change of `table` since [`create`], in commit order, in the form that Debezium gives it: an update that changes
/// the key is a delete and a create. May be asked again and again: nothing is consumed.
pub async fn changes(client: &Client, table: &str) -> anyhow::Result<Vec<RowChange>> {
    let sql = format!("SELECT xid, data FROM pg_logical_slot_peek_changes('{SLOT}', NULL, NULL, 'include-xids', '0')");
    let mut changes = Vec::new();
    for message in client.simple_query(&sql).await? {
        let SimpleQueryMessage::Row(line) = message else {
            continue;
        };
        let xid = line.get("xid").and_then(|text| text.parse().ok());
        let data = line.get("data").context("a line has data")?;
        let Some(rest) = data.strip_prefix("table public.") else {
            continue;
        };
        let (name, what) = rest
            .split_once(": ")
            .with_context(|| format!("a table and what happened: {data}"))?;
        if name == table {
            changes.extend(parse(what)?.into_iter().map(|change| RowChange { xid, ..change }));
        }
    }
    Ok(changes)
}

/// The table as `SELECT` shows it, by key.
pub async fn select(client: &Client, table: &str) -> anyhow::Result<std::collections::BTreeMap<String, Row>> {
    let mut rows = std::collections::BTreeMap::new();
    for message in client
        .simple_query(&format!("SELECT row_to_json(t)::text AS row FROM {table} t"))
        .await?
    {
        let SimpleQueryMessage::Row(line) = message else {
            continue;
        };
        let row = crate::changes::row(&serde_json::from_str(line.get("row").context("a row has text")?)?)?;
        let key = Row::from([("id".to_owned(), row["id"].clone())]);
        rows.insert(crate::changes::key_text(&key), row);
    }
    Ok(rows)
}

/// `INSERT: id[bigint]:1 note[text]:'x'` and its kin.
fn parse(what: &str) -> anyhow::Result<Vec<RowChange>> {
    let change = |op: &str, key: Row, after: Row| RowChange {
        op: op.to_owned(),
        key,
        after,
        xid: None,
    };
    let key_of = |row: &Row| Row::from([("id".to_owned(), row["id"].clone())]);
    if let Some(columns) = what.strip_prefix("INSERT: ") {
        let after = parse_columns(columns)?;
        return Ok(vec![change("c", key_of(&after), after)]);
    }
    if let Some(columns) = what.strip_prefix("DELETE: ") {
        return Ok(vec![change("d", key_of(&parse_columns(columns)?), Row::new())]);
    }
    if let Some(tuples) = what.strip_prefix("UPDATE: ") {
        let Some(tuples) = tuples.strip_prefix("old-key: ") else {
            let after = parse_columns(tuples)?;
            return Ok(vec![change("u", key_of(&after), after)]);
        };
        let (old, new) = tuples
            .split_once(" new-tuple: ")
            .context("an old key comes with a new tuple")?;
        let after = parse_columns(new)?;
        return Ok(vec![
            change("d", key_of(&parse_columns(old)?), Row::new()),
            change("c", key_of(&after), after),
        ]);
    }
    if what.starts_with("TRUNCATE:") {
        return Ok(vec![change("t", Row::new(), Row::new())]);
    }
    bail!("test_decoding said something new: {what}")
}

/// `id[bigint]:1 writer[integer]:2 note[text]:'it''s'`.
fn parse_columns(mut text: &str) -> anyhow::Result<Row> {
    let mut row = Row::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once('[').context("a column has a type")?;
        let (_, rest) = rest.split_once("]:").context("a type is followed by a value")?;
        let (value, rest) = parse_value(rest)?;
        row.insert(name.to_owned(), value);
        text = rest.strip_prefix(' ').unwrap_or(rest);
    }
    Ok(row)
}

fn parse_value(text: &str) -> anyhow::Result<(Value, &str)> {
    let Some(mut rest) = text.strip_prefix('\'') else {
        let (word, rest) = text.split_at(text.find(' ').unwrap_or(text.len()));
        return match word {
            "null" => Ok((Value::Null, rest)),
            number => Ok((
                serde_json::from_str(number).with_context(|| format!("a number: {number}"))?,
                rest,
            )),
        };
    };
    let mut value = String::new();
    loop {
        let (before, after) = rest.split_once('\'').context("a quoted value ends")?;
        value.push_str(before);
        match after.strip_prefix('\'') {
            Some(after) => {
                value.push('\'');
                rest = after;
            }
            None => return Ok((Value::String(value), after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_test_decoding_prints_is_understood() {
        let row = |value: Value| crate::changes::row(&value).expect("a row");
        let parsed =
            parse("UPDATE: old-key: id[bigint]:1 new-tuple: id[bigint]:-2 note[text]:'it''s [x]:' other[text]:null")
                .expect("parses");
        assert_eq!(parsed.len(), 2);
        assert_eq!((parsed[0].op.as_str(), &parsed[0].key), ("d", &row(json!({ "id": 1 }))));
        assert_eq!(
            (parsed[1].op.as_str(), &parsed[1].after),
            ("c", &row(json!({ "id": -2, "note": "it's [x]:", "other": null })))
        );
    }
}
