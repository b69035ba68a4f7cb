//! The user's tables, their columns and unique indexes, as `pg_class`, `pg_attribute` and `pg_index` have them.

use std::collections::HashMap;

use rowcast_event::{ColumnDescription, TableDescription};

use crate::{
    config::MessageKeys,
    connection::{Connection, error::ConnectionError},
    query::{Row, flag, number, text},
};

/// A table before anything more is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedTable {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    /// A partitioned parent: its rows are published under its partitions' names.
    pub(crate) partitioned: bool,
    /// UPDATE and DELETE work once the table is published.
    pub(crate) has_replica_identity: bool,
    /// A primary key is there, but not all of it in the index that was chosen as replica identity: a DELETE says nothing
    /// of it.
    pub(crate) deletes_without_primary_key: bool,
    /// Row-level security hides rows from our role.
    pub(crate) row_security: bool,
    /// Our role may read it.
    pub(crate) selectable: bool,
    /// A partition, of whichever level.
    pub(crate) is_partition: bool,
    /// Its changes are in no WAL: only a snapshot knows its rows.
    pub(crate) unlogged: bool,
    /// As PostgreSQL last counted them; none if it never did.
    pub(crate) rows_estimated: u64,
}

impl ListedTable {
    /// `schema.table`, as the configuration's lists and our messages write it.
    pub(crate) fn id(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
}

/// Permanent tables outside of PostgreSQL's own schemas; a standby has nothing of unlogged ones. A usable replica identity
/// is: the whole row, a chosen index that still exists, or a primary key that is not deferrable.
const LIST: &str = "SELECT c.oid, n.nspname, c.relname, c.relkind, \
       CASE c.relreplident WHEN 'f' THEN true WHEN 'n' THEN false \
            WHEN 'i' THEN EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisreplident AND i.indisvalid) \
            ELSE EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate AND i.indisvalid) END, \
       c.relreplident = 'i' AND EXISTS (SELECT FROM pg_catalog.pg_index p JOIN pg_catalog.pg_index i USING (indrelid) \
            WHERE p.indrelid = c.oid AND p.indisprimary AND i.indisreplident AND i.indisvalid \
              AND NOT (p.indkey::int2[])[0:p.indnkeyatts - 1] <@ (i.indkey::int2[])[0:i.indnkeyatts - 1]), \
       pg_catalog.row_security_active(c.oid), \
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT'), \
       c.relispartition, greatest(c.reltuples, 0)::int8, c.relpersistence = 'u' \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'p') AND (c.relpersistence = 'p' OR c.relpersistence = 'u' AND NOT pg_catalog.pg_is_in_recovery()) \
       AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'";

/// Lists every table that could be captured.
pub(crate) async fn list(session: &mut Connection) -> Result<Vec<ListedTable>, ConnectionError> {
    let listed = |row: Row| {
        Ok(ListedTable {
            oid: number(&row, 0, "pg_class.oid")?,
            schema: text(&row, 1).to_owned(),
            name: text(&row, 2).to_owned(),
            partitioned: text(&row, 3) == "p",
            has_replica_identity: flag(&row, 4),
            deletes_without_primary_key: flag(&row, 5),
            row_security: flag(&row, 6),
            selectable: flag(&row, 7),
            is_partition: flag(&row, 8),
            rows_estimated: number(&row, 9, "pg_class.reltuples")?,
            unlogged: flag(&row, 10),
        })
    };
    session.query(LIST).await?.into_iter().map(listed).collect()
}

/// A table as the catalog has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CatalogTable {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    /// In attribute order.
    pub(crate) columns: Vec<ColumnDescription>,
    /// The generated ones among them.
    pub(crate) generated: Vec<Generated>,
    /// Names of the key's columns in key order: the primary key, if deletes tell it; else the index that was chosen as
    /// replica identity; else the first usable unique index by name.
    pub(crate) key: Vec<String>,
    /// The same where the stream does not carry generated columns.
    pub(crate) key_not_generated: Vec<String>,
}

/// A generated column. One that the stream does not carry is in the rows of snapshots alone, and in no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generated {
    pub(crate) place: usize,
    /// Not virtual.
    pub(crate) stored: bool,
    /// True as soon as it is known that the publication has it, which PostgreSQL 18 can.
    pub(crate) streamed: bool,
}

impl CatalogTable {
    /// What the snapshot's rows are encoded with, with the key that `keys` chooses.
    pub(crate) fn description(&self, keys: &MessageKeys) -> TableDescription {
        let place = |name: &String| self.columns.iter().position(|column| column.name == *name);
        let mut chosen = keys
            .of(&self.schema, &self.name, self.columns.iter())
            .unwrap_or_default();
        let only_in_snapshots = |place: &usize| {
            let mut generated = self.generated.iter();
            generated.any(|column| column.place == *place && !column.streamed)
        };
        chosen.retain(|place| !only_in_snapshots(place));
        let places = |key: &Vec<String>| key.iter().map(place).collect::<Option<Vec<usize>>>();
        let key = || {
            let key = places(&self.key).filter(|key| !key.iter().any(only_in_snapshots));
            key.or_else(|| places(&self.key_not_generated)).unwrap_or_default()
        };
        TableDescription {
            oid: self.oid,
            schema: self.schema.clone(),
            table: self.name.clone(),
            key: match chosen.is_empty() {
                true => key(),
                false => chosen,
            },
            columns: self.columns.clone(),
            key_only: Vec::new(),
        }
    }
}

/// Tables asked for in one statement. Keeps the statement's text below a few hundred kilobytes.
const TABLES_PER_QUESTION: usize = 1000;

/// Describes the tables that still exist, in the order asked.
pub(crate) async fn describe(session: &mut Connection, oids: &[u32]) -> Result<Vec<CatalogTable>, ConnectionError> {
    let mut tables = Vec::with_capacity(oids.len());
    for oids in oids.chunks(TABLES_PER_QUESTION) {
        tables.extend(describe_some(session, oids).await?);
    }
    Ok(tables)
}

async fn describe_some(session: &mut Connection, oids: &[u32]) -> Result<Vec<CatalogTable>, ConnectionError> {
    let list = oids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let mut tables: HashMap<u32, CatalogTable> = HashMap::new();
    for row in session.query(&columns_statement(&list)).await? {
        add_column(&mut tables, &row)?;
    }
    let mut chosen: [HashMap<u32, String>; 2] = Default::default();
    for row in session.query(&indexes_statement(&list)).await? {
        let oid = number(&row, 0, "pg_index.indrelid")?;
        let Some(table) = tables.get_mut(&oid) else { continue };
        let keys = [(true, &mut table.key), (!flag(&row, 3), &mut table.key_not_generated)];
        for (chosen, (may_be, key)) in chosen.iter_mut().zip(keys) {
            if may_be && chosen.entry(oid).or_insert_with(|| text(&row, 1).to_owned()) == text(&row, 1) {
                key.push(text(&row, 2).to_owned());
            }
        }
    }
    Ok(oids.iter().filter_map(|oid| tables.remove(oid)).collect())
}

/// A table without columns has one row with NULLs (`LEFT JOIN`): it exists all the same. A column is NOT NULL if its
/// domain is (as JDBC's metadata say, which Debezium reads), though not if a domain below that one is.
fn columns_statement(oids: &str) -> String {
    format!(
        "SELECT c.oid, n.nspname, c.relname, a.attname, a.atttypid, a.atttypmod, \
           a.attnotnull OR (t.typtype = 'd' AND t.typnotnull), pg_catalog.pg_get_expr(d.adbin, d.adrelid), \
           a.attgenerated <> '', a.attgenerated = 's' \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
           LEFT JOIN pg_catalog.pg_attribute a \
             ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
           LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
           LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
         WHERE c.oid IN ({oids}) ORDER BY c.oid, a.attnum"
    )
}

fn add_column(tables: &mut HashMap<u32, CatalogTable>, row: &Row) -> Result<(), ConnectionError> {
    let oid = number(row, 0, "pg_class.oid")?;
    let table = tables.entry(oid).or_insert_with(|| CatalogTable {
        oid,
        schema: text(row, 1).to_owned(),
        name: text(row, 2).to_owned(),
        columns: Vec::new(),
        generated: Vec::new(),
        key: Vec::new(),
        key_not_generated: Vec::new(),
    });
    if row.get(3).is_some_and(Option::is_some) {
        if flag(row, 8) {
            table.generated.push(Generated {
                place: table.columns.len(),
                stored: flag(row, 9),
                streamed: false,
            });
        }
        table.columns.push(ColumnDescription {
            name: text(row, 3).to_owned(),
            type_oid: number(row, 4, "pg_attribute.atttypid")?,
            type_modifier: number(row, 5, "pg_attribute.atttypmod")?,
            nullable: !flag(row, 6),
            default_expression: row.get(7).cloned().flatten(),
        });
    }
    Ok(())
}

/// Valid unique indexes over plain columns, each as one row per column; the first index of a table is its key. As
/// Debezium chooses: the primary key, else by index name; partial indexes and nullable columns count, expressions do
/// not; last, whether the index has a generated column, which the stream may not carry. Before all comes an index that is
/// the replica identity and lacks columns of the primary key: a DELETE carries its columns alone, and Debezium's key would
/// be made up.
fn indexes_statement(oids: &str) -> String {
    format!(
        "SELECT i.indrelid, i.indexrelid, a.attname, \
           EXISTS (SELECT FROM pg_catalog.pg_attribute g \
                WHERE g.attrelid = i.indrelid AND g.attnum = ANY (i.indkey::int2[]) AND g.attgenerated <> '') \
         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid \
           JOIN pg_catalog.pg_class c ON c.oid = i.indrelid \
           CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place) \
           JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
         WHERE i.indrelid IN ({oids}) AND i.indisunique AND i.indisvalid AND k.place <= i.indnkeyatts \
           AND 0 <> ALL (i.indkey::int2[]) \
         ORDER BY i.indrelid, \
           (i.indisreplident AND c.relreplident = 'i' AND NOT EXISTS (SELECT FROM pg_catalog.pg_index p \
                WHERE p.indrelid = i.indrelid AND p.indisprimary \
                  AND (p.indkey::int2[])[0:p.indnkeyatts - 1] <@ (i.indkey::int2[])[0:i.indnkeyatts - 1])) DESC, \
           i.indisprimary DESC, x.relname COLLATE \"C\", i.indexrelid, k.place"
    )
}
