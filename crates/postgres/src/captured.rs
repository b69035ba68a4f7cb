//! What of the database a connector captures: tables, in the snapshot's order, and columns.
//!
//! The configuration's lists say what is wanted; the catalog says what is there, and how a partitioned table's rows come.

use rowcast_event::TableDescription;

use crate::{
    ConnectorConfig, SourceError,
    catalog::tables::ListedTable,
    config::{CapturedColumns, RowCountOrder},
    publication,
};

/// The tables that the configuration asks for, in the snapshot's order. A partitioned table's rows are published under the
/// names of its partitions, or, via the root, under its own: so it is either those that count, or itself.
pub(crate) fn captured<'t>(
    config: &ConnectorConfig,
    tables: &'t [ListedTable],
    via_root: bool,
) -> Vec<&'t ListedTable> {
    let publishes = |table: &&ListedTable| match via_root {
        true => !table.is_partition,
        false => !table.partitioned,
    };
    let wanted = |table: &&ListedTable| publishes(table) && config.captures(&table.schema, &table.name);
    let mut captured: Vec<&ListedTable> = tables.iter().filter(wanted).collect();
    captured.sort_by_cached_key(|table| config.tables.snapshot_order(&table.schema, &table.name));
    match config.snapshot.order {
        RowCountOrder::Disabled => {}
        RowCountOrder::Ascending => captured.sort_by_key(|table| table.rows_estimated),
        RowCountOrder::Descending => captured.sort_by_key(|table| std::cmp::Reverse(table.rows_estimated)),
    }
    captured
}

/// Of those, the ones that a snapshot reads.
pub(crate) fn read_by_snapshot<'t>(config: &ConnectorConfig, captured: &[&'t ListedTable]) -> Vec<&'t ListedTable> {
    let read = |table: &&ListedTable| config.snapshot.includes(&table.schema, &table.name);
    captured.iter().copied().filter(read).collect()
}

/// Items of `table.include.list` to which no captured table answers.
pub(crate) fn unmatched(config: &ConnectorConfig, captured: &[&ListedTable]) -> Vec<String> {
    let names: Vec<String> = captured.iter().map(|table| table.id()).collect();
    config.tables.unmatched(&names)
}

/// The snapshot reads every table whole, or not at all.
pub(crate) fn check_readable(tables: &[&ListedTable], user: &str) -> Result<(), SourceError> {
    let unreadable: Vec<&ListedTable> = tables.iter().copied().filter(|table| !table.selectable).collect();
    if !unreadable.is_empty() {
        return Err(SourceError::Refused(format!(
            "role {user:?} may not read {}: GRANT USAGE on the schema and SELECT on the table to it, or leave the table \
             out",
            publication::named(&unreadable)
        )));
    }
    let hidden: Vec<&ListedTable> = tables.iter().copied().filter(|table| table.row_security).collect();
    if !hidden.is_empty() {
        return Err(SourceError::Refused(format!(
            "row-level security would hide rows of {} from role {user:?} in the snapshot, while the stream shows all: \
             ALTER ROLE … BYPASSRLS, or leave the table out",
            publication::named(&hidden)
        )));
    }
    Ok(())
}

/// Which of a row's values are delivered, if not all: their places.
pub(crate) type Kept = Option<Box<[usize]>>;

/// Takes the columns out of a description that are not wanted. Those of the key stay for the key alone, as Debezium's stream
/// describes them there: without default, and as if they could be null.
pub(crate) fn without_columns(mut table: TableDescription, wanted: &CapturedColumns) -> (TableDescription, Kept) {
    if !wanted.is_restricted() {
        return (table, None);
    }
    let all = table.columns.len();
    let is_captured = |place: usize| wanted.captures(&table.schema, &table.table, &table.columns[place].name);
    let kept: Vec<usize> = (0..all)
        .filter(|place| is_captured(*place) || table.key.contains(place))
        .collect();
    let key_only: Vec<usize> = (0..kept.len()).filter(|&index| !is_captured(kept[index])).collect();
    let place = |before: &usize| kept.binary_search(before).expect("a key's columns are kept");
    table.key = table.key.iter().map(place).collect();
    table.columns = kept.iter().map(|&place| table.columns[place].clone()).collect();
    table.key_only = key_only;
    for &place in &table.key_only {
        table.columns[place].nullable = true;
        table.columns[place].default_expression = None;
    }
    (table, (kept.len() < all).then(|| kept.into()))
}

#[cfg(test)]
mod tests {
    use rowcast_event::ColumnDescription;

    use super::*;
    use crate::config::sample::config;

    fn described(names: &[&str], key: &[usize]) -> TableDescription {
        let column = |name: &&str| ColumnDescription {
            name: (*name).to_owned(),
            type_oid: 23,
            type_modifier: -1,
            nullable: false,
            default_expression: None,
        };
        TableDescription {
            oid: 1,
            schema: "public".to_owned(),
            table: "t".to_owned(),
            columns: names.iter().map(column).collect(),
            key: key.to_vec(),
            key_only: Vec::new(),
        }
    }

    fn left(list: &str, key: &[usize]) -> (Vec<String>, Vec<usize>, Kept) {
        let (table, kept) = without_columns(described(&["a", "b", "c"], key), &config(&format!(",{list}")).columns);
        let names = table.columns.iter().map(|column| column.name.clone()).collect();
        (names, table.key, kept)
    }

    #[test]
    fn columns_that_are_not_wanted_go_and_the_key_finds_its_own_again() {
        let (names, key, kept) = left(r#""column.exclude.list":"public.t.b""#, &[2, 0]);
        assert_eq!(
            (names, key, kept.as_deref()),
            (vec!["a".into(), "c".into()], vec![1, 0], Some(&[0, 2][..]))
        );
        let (names, key, _) = left(r#""column.include.list":"PUBLIC\\.t\\.(a|c)""#, &[1]);
        assert_eq!((names.len(), key), (3, vec![1]), "b is the key");
        let list = r#","column.exclude.list":"public.t.b,public.t.c""#;
        let (table, kept) = without_columns(described(&["a", "b", "c"], &[1]), &config(list).columns);
        assert_eq!(
            (table.key, table.key_only, kept.as_deref()),
            (vec![1], vec![1], Some(&[0, 1][..]))
        );
        assert!(table.columns[1].nullable, "of no use but for the key");
        let (_, _, kept) = left(r#""column.exclude.list":"public.other.*""#, &[0]);
        assert_eq!(kept, None);
    }
}
