//! Compares what the log, the clients and PostgreSQL say happened, and tells the first difference.
//!
//! The three lists must be equal: no change missing (I1), none twice (I2), in commit order (I3), seen by each client
//! without a gap or a repeat (I6), and folding to the table itself (I7).

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use tokio_postgres::Client;

use crate::{
    changes::{LogRecord, Row, RowChange, fold},
    client::Follower,
    oracle,
    process::Rowcast,
    workload::{TABLES, write_marker},
};

/// The topic's records, read by `rowcast tail`, after the checks that hold for every log: offsets rise, and each delete
/// is followed by its tombstone.
pub async fn log_of(rowcast: &Rowcast, table: &str) -> anyhow::Result<Vec<LogRecord>> {
    let lines = rowcast.tail(table).await?;
    let records: Vec<LogRecord> = lines.iter().map(LogRecord::from_tail).collect::<anyhow::Result<_>>()?;
    for pair in records.windows(2) {
        ensure!(
            pair[0].offset < pair[1].offset,
            "{table}: offset {} is followed by {}",
            pair[0].offset,
            pair[1].offset
        );
    }
    for (index, record) in records.iter().enumerate() {
        let owed = index
            .checked_sub(1)
            .and_then(|before| records[before].change.as_ref())
            .filter(|change| change.op == "d");
        match (&record.change, owed) {
            (None, Some(delete)) if delete.key == record.key => {}
            (None, _) => bail!(
                "{table}: the tombstone at offset {} follows no delete of its key",
                record.offset
            ),
            (Some(_), Some(delete)) => bail!(
                "{table}: the delete of {:?} before offset {} has no tombstone",
                delete.key,
                record.offset
            ),
            (Some(_), None) => {}
        }
    }
    Ok(records)
}

/// The records' changes, without tombstones.
pub fn changes_of(records: &[LogRecord]) -> Vec<RowChange> {
    records.iter().filter_map(|record| record.change.clone()).collect()
}

/// The log holds exactly what PostgreSQL committed, in its order, transaction by transaction.
pub fn log_is_what_was_committed(log: &[RowChange], committed: &[RowChange]) -> anyhow::Result<()> {
    same("the log", log, "PostgreSQL's commits", committed, |ours, theirs| {
        ours == theirs
    })
}

/// A log that began with a snapshot holds the rows of one moment, and from there exactly what was committed.
pub fn log_is_a_snapshot_and_what_followed(log: &[RowChange], committed: &[RowChange]) -> anyhow::Result<()> {
    let snapshot = log.iter().take_while(|change| change.op == "r").count();
    let streamed = &log[snapshot..];
    ensure!(
        streamed.iter().all(|change| change.op != "r"),
        "a snapshot row lies between streamed changes"
    );
    let before = committed.len().saturating_sub(streamed.len());
    same(
        "the log's stream",
        streamed,
        "PostgreSQL's last commits",
        &committed[before..],
        |ours, theirs| ours == theirs,
    )?;
    // What follows would cover up a snapshot of another moment: every change is applied to it again.
    same_rows(
        "the snapshot's rows",
        &fold(&log[..snapshot]),
        &fold(&committed[..before]),
    )
}

/// A client saw the log's last changes, in its order, without a gap or a repeat.
pub fn client_saw_the_end_of_the_log(seen: &[RowChange], log: &[RowChange]) -> anyhow::Result<()> {
    same(
        "the client",
        seen,
        "the log's last changes",
        last(log, seen.len()),
        RowChange::same_for_a_client,
    )
}

fn last(changes: &[RowChange], count: usize) -> &[RowChange] {
    &changes[changes.len().saturating_sub(count)..]
}

/// What the log must hold beside "nothing else".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Began {
    /// The tables were empty when the slot was made: every commit since is in the log.
    Empty,
    /// The log begins with a snapshot, made while the tables were in use.
    WithSnapshot,
}

/// Holds log, clients, PostgreSQL's commits and the tables against each other, once nobody writes any more.
///
/// `marker` is a key not used before: who sees it has seen all. Each follower is of the table at its place in
/// [`TABLES`].
pub async fn everything_agrees(
    database: &Client,
    rowcast: &Rowcast,
    followers: impl IntoIterator<Item = (&'static str, Follower)>,
    marker: i64,
    began: Began,
) -> anyhow::Result<()> {
    write_marker(database, marker).await?;
    let mut seen = Vec::new();
    for (table, follower) in followers {
        follower
            .row(marker)
            .await
            .with_context(|| format!("{table}; rowcast logged:\n{}", rowcast.log_text()))?;
        seen.push((table, follower.stop()));
    }
    for table in TABLES {
        let log = changes_of(&log_of(rowcast, table).await?);
        let committed = oracle::changes(database, table).await?;
        let rows = oracle::select(database, table).await?;
        match began {
            Began::Empty => log_is_what_was_committed(&log, &committed),
            Began::WithSnapshot => log_is_a_snapshot_and_what_followed(&log, &committed),
        }
        .with_context(|| format!("table {table}"))?;
        folds_to(&log, &rows).with_context(|| format!("table {table}"))?;
        for (_, seen) in seen.iter().filter(|(followed, _)| *followed == table) {
            ensure!(
                seen.resets.is_empty(),
                "a client of {table} was reset: {:?}",
                seen.resets
            );
            client_saw_the_end_of_the_log(&seen.changes, &log).with_context(|| format!("a client of {table}"))?;
            same_rows("the client", &seen.rows, &rows).with_context(|| format!("a client of {table}"))?;
        }
        eprintln!(
            "{table}: {} changes in the log, {} rows, all agree",
            log.len(),
            rows.len()
        );
    }
    Ok(())
}

/// The changes, one after another, make the table.
pub fn folds_to(changes: &[RowChange], table: &BTreeMap<String, Row>) -> anyhow::Result<()> {
    same_rows("the log's changes", &fold(changes), table)
}

/// Two views of a table are equal.
pub fn same_rows(whose: &str, rows: &BTreeMap<String, Row>, table: &BTreeMap<String, Row>) -> anyhow::Result<()> {
    for (key, row) in table {
        match rows.get(key) {
            None => bail!("{whose} miss the row {key} ({} of {} rows)", rows.len(), table.len()),
            Some(ours) if ours != row => bail!("{whose} have {ours:?} where the table has {row:?}"),
            Some(_) => {}
        }
    }
    match rows.keys().find(|key| !table.contains_key(*key)) {
        Some(key) => bail!(
            "{whose} have the row {key}, which the table has not ({} of {} rows)",
            rows.len(),
            table.len()
        ),
        None => Ok(()),
    }
}

/// Two lists are equal; else where they first differ, and how it goes on there.
fn same(
    left_name: &str,
    left: &[RowChange],
    right_name: &str,
    right: &[RowChange],
    equal: impl Fn(&RowChange, &RowChange) -> bool,
) -> anyhow::Result<()> {
    let common = left
        .iter()
        .zip(right)
        .take_while(|(left, right)| equal(left, right))
        .count();
    if common == left.len() && common == right.len() {
        return Ok(());
    }
    let around = |changes: &[RowChange]| {
        let from = common.saturating_sub(1).min(changes.len());
        let lines = changes[from..].iter().take(4).map(|change| format!("    {change:?}"));
        lines.collect::<Vec<_>>().join("\n")
    };
    bail!(
        "{left_name} ({} changes) and {right_name} ({} changes) differ at change {common}:\n  {left_name}:\n{}\n  {right_name}:\n{}",
        left.len(),
        right.len(),
        around(left),
        around(right)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(op: &str, id: i64) -> RowChange {
        let row = crate::changes::row(&json!({ "id": id })).expect("a row");
        RowChange {
            op: op.to_owned(),
            key: row.clone(),
            after: if op == "d" { Row::new() } else { row },
            xid: Some(7),
        }
    }

    #[test]
    fn a_missing_a_repeated_and_a_swapped_change_are_found() {
        let committed = [change("c", 1), change("c", 2), change("d", 1)];
        let broken = [
            vec![change("c", 1), change("d", 1)],
            vec![change("c", 1), change("c", 2), change("c", 2), change("d", 1)],
            vec![change("c", 2), change("c", 1), change("d", 1)],
            vec![change("c", 1), change("c", 2)],
        ];
        assert!(log_is_what_was_committed(&committed, &committed).is_ok());
        for log in broken {
            assert!(log_is_what_was_committed(&log, &committed).is_err(), "{log:?}");
        }
    }

    #[test]
    fn a_snapshot_of_another_moment_than_the_streams_beginning_is_found() {
        let committed = [change("c", 1), change("c", 2), change("c", 3)];
        let log = |rows: &[i64]| -> Vec<RowChange> {
            let rows = rows.iter().map(|&id| change("r", id));
            rows.chain([change("c", 3)]).collect()
        };
        assert!(log_is_a_snapshot_and_what_followed(&log(&[1, 2]), &committed).is_ok());
        assert!(log_is_a_snapshot_and_what_followed(&log(&[1]), &committed).is_err());
        assert!(log_is_a_snapshot_and_what_followed(&log(&[1, 2, 3]), &committed).is_err());
    }

    #[test]
    fn a_view_with_another_row_is_not_the_table() {
        let table = fold(&[change("c", 1), change("c", 2)]);
        assert!(folds_to(&[change("c", 2), change("c", 1)], &table).is_ok());
        assert!(folds_to(&[change("c", 1)], &table).is_err());
        assert!(folds_to(&[change("c", 1), change("c", 2), change("c", 3)], &table).is_err());
    }
}
