//! Compares what the log, the clients and PostgreSQL say happened, and tells the first difference.
//!
//! The three lists must be equal: no change missing (I1), none twice (I2), in commit order (I3), seen by each client
//! without a gap or a repeat (I6), and folding to the table itself (I7).

use std::collections::BTreeMap;

use anyhow::{bail, ensure};

use crate::{
    changes::{LogRecord, Row, RowChange, fold},
    process::Rowcast,
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

/// A client saw exactly what the log holds, in its order.
pub fn client_saw_the_log(seen: &[RowChange], log: &[RowChange]) -> anyhow::Result<()> {
    same("the client", seen, "the log", log, RowChange::same_for_a_client)
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
    fn a_view_with_another_row_is_not_the_table() {
        let table = fold(&[change("c", 1), change("c", 2)]);
        assert!(folds_to(&[change("c", 2), change("c", 1)], &table).is_ok());
        assert!(folds_to(&[change("c", 1)], &table).is_err());
        assert!(folds_to(&[change("c", 1), change("c", 2), change("c", 3)], &table).is_err());
    }
}
