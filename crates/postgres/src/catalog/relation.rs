//! Merges a RELATION message with the catalog into the description that a table's encoder is compiled from.
//!
//! The message is the truth about which columns the tuples have, for it describes the moment the rows were written.
//! The catalog adds what the message cannot say. Where they disagree (the table changed again meanwhile, or has gone)
//! the message's own flags serve. Pure.

use rowcast_event::{ColumnDescription, TableDescription};

use super::tables::CatalogTable;
use crate::{
    config::MessageKeys,
    pgoutput::{RelationColumn, ReplicaIdentity},
};

/// A RELATION message's content.
#[derive(Debug)]
pub(crate) struct Relation<'a> {
    pub(crate) oid: u32,
    pub(crate) schema: &'a str,
    pub(crate) table: &'a str,
    pub(crate) replica_identity: ReplicaIdentity,
    pub(crate) columns: &'a [RelationColumn<'a>],
}

/// The table as its rows are sent from now on, with the key that `keys` chooses.
pub(crate) fn merge(relation: &Relation<'_>, catalog: Option<&CatalogTable>, keys: &MessageKeys) -> TableDescription {
    let columns: Vec<ColumnDescription> = relation
        .columns
        .iter()
        .map(|column| merge_column(relation, column, catalog))
        .collect();
    TableDescription {
        oid: relation.oid,
        schema: relation.schema.to_owned(),
        table: relation.table.to_owned(),
        key: keys
            .of(relation.schema, relation.table, columns.iter())
            .unwrap_or_else(|| key(relation, catalog)),
        columns,
        key_only: Vec::new(),
    }
}

fn merge_column(
    relation: &Relation<'_>,
    column: &RelationColumn<'_>,
    catalog: Option<&CatalogTable>,
) -> ColumnDescription {
    let known = catalog
        .and_then(|table| table.columns.iter().find(|known| known.name == column.name))
        .filter(|known| known.type_oid == column.type_oid);
    ColumnDescription {
        name: column.name.to_owned(),
        type_oid: column.type_oid,
        type_modifier: column.type_modifier,
        nullable: known.map_or(!(column.key && flags_name_a_key(relation)), |known| known.nullable),
        default_expression: known.and_then(|known| known.default_expression.clone()),
    }
}

/// Under REPLICA IDENTITY FULL every column is flagged, which says nothing of a key.
fn flags_name_a_key(relation: &Relation<'_>) -> bool {
    matches!(
        relation.replica_identity,
        ReplicaIdentity::Default | ReplicaIdentity::Index
    )
}

/// The catalog's key if the tuples still have all its columns, and those of a deleted row too; otherwise what the message
/// flags.
fn key(relation: &Relation<'_>, catalog: Option<&CatalogTable>) -> Vec<usize> {
    let place = |name: &String| relation.columns.iter().position(|column| column.name == *name);
    let places = |key: &Vec<String>| key.iter().map(place).collect::<Option<Vec<_>>>();
    let from_catalog = catalog.and_then(|table| places(&table.key).or_else(|| places(&table.key_not_generated)));
    let is_deleted_with = |key: &Vec<usize>| key.iter().all(|&index| relation.columns[index].key);
    let from_catalog =
        from_catalog.filter(|key| relation.replica_identity != ReplicaIdentity::Index || is_deleted_with(key));
    from_catalog.unwrap_or_else(|| match flags_name_a_key(relation) {
        true => (0..relation.columns.len())
            .filter(|&index| relation.columns[index].key)
            .collect(),
        false => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(relation: &Relation<'_>, catalog: Option<&CatalogTable>) -> TableDescription {
        super::merge(relation, catalog, &MessageKeys::default())
    }

    const fn column(name: &str, key: bool) -> RelationColumn<'_> {
        RelationColumn {
            key,
            name,
            type_oid: 23,
            type_modifier: -1,
        }
    }

    fn relation<'a>(columns: &'a [RelationColumn<'a>]) -> Relation<'a> {
        Relation {
            oid: 1,
            schema: "public",
            table: "t",
            replica_identity: ReplicaIdentity::Default,
            columns,
        }
    }

    fn catalog(names: &[&str], key: &[&str]) -> CatalogTable {
        let column = |name: &&str| ColumnDescription {
            name: (*name).to_owned(),
            type_oid: 23,
            type_modifier: -1,
            nullable: false,
            default_expression: Some("7".to_owned()),
        };
        CatalogTable {
            oid: 1,
            schema: "public".to_owned(),
            name: "t".to_owned(),
            columns: names.iter().map(column).collect(),
            generated: Vec::new(),
            key: key.iter().map(|name| (*name).to_owned()).collect(),
            key_not_generated: key.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn key_columns_come_in_primary_key_order_not_in_column_order() {
        let columns = [column("a", true), column("b", true)];
        let merged = merge(&relation(&columns), Some(&catalog(&["a", "b"], &["b", "a"])));
        assert_eq!(merged.key, [1, 0]);
        assert!(!merged.columns[0].nullable);
        assert_eq!(merged.columns[0].default_expression.as_deref(), Some("7"));
    }

    #[test]
    fn a_table_that_has_gone_is_described_by_the_message_alone() {
        let columns = [column("a", false), column("b", true)];
        let merged = merge(&relation(&columns), None);
        assert_eq!(merged.key, [1]);
        assert_eq!(
            merged.columns.iter().map(|column| column.nullable).collect::<Vec<_>>(),
            [true, false]
        );
    }

    #[test]
    fn columns_renamed_since_do_not_take_their_neighbours_place() {
        let columns = [column("old", true), column("b", false)];
        let merged = merge(&relation(&columns), Some(&catalog(&["new", "b"], &["new"])));
        assert_eq!(merged.columns[0].name, "old");
        assert_eq!(merged.columns[0].default_expression, None);
        assert_eq!(merged.key, [0]);
    }

    #[test]
    fn an_identity_index_without_the_primary_key_is_the_key() {
        let columns = [column("id", false), column("k", true)];
        let index = Relation {
            replica_identity: ReplicaIdentity::Index,
            ..relation(&columns)
        };
        assert_eq!(merge(&index, Some(&catalog(&["id", "k"], &["id"]))).key, [1]);
        assert_eq!(merge(&index, Some(&catalog(&["id", "k"], &["k"]))).key, [1]);
        let both = [column("id", true), column("k", true)];
        let index = Relation {
            replica_identity: ReplicaIdentity::Index,
            ..relation(&both)
        };
        assert_eq!(merge(&index, Some(&catalog(&["id", "k"], &["id"]))).key, [0]);
    }

    #[test]
    fn a_generated_column_is_in_the_key_if_the_stream_carries_it() {
        let table = CatalogTable {
            key_not_generated: vec!["b".to_owned()],
            ..catalog(&["b", "generated"], &["generated"])
        };
        let carried = [column("b", false), column("generated", true)];
        assert_eq!(merge(&relation(&carried), Some(&table)).key, [1]);
        assert_eq!(merge(&relation(&carried[..1]), Some(&table)).key, [0]);
    }

    #[test]
    fn full_identity_without_a_key_has_no_key() {
        let columns = [column("a", true), column("b", true)];
        let full = Relation {
            replica_identity: ReplicaIdentity::Full,
            ..relation(&columns)
        };
        assert!(merge(&full, None).key.is_empty());
        assert!(merge(&full, Some(&catalog(&["a", "b"], &[]))).key.is_empty());
        assert_eq!(merge(&full, Some(&catalog(&["a", "b"], &["b"]))).key, [1]);
    }
}
