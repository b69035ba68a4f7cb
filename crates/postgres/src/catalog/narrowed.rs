//! What a publication leaves of a table: `FOR TABLE t (a, b) WHERE (a > 0)`, since PostgreSQL 15; and whether it has generated
//! columns, which it can since 18.
//!
//! The stream has no other columns, and no other rows: one that leaves the filter arrives as a delete. A snapshot that had
//! them all the same would show rows that nothing ever changes again. Pure, but for what is asked of the catalog.

use std::collections::HashMap;

use rowcast_event::ColumnDescription;

use super::tables::CatalogTable;
use crate::{
    connection::{Connection, error::ConnectionError},
    query::{flag, literal, number, text},
};

/// The first version that has row filters and column lists.
const SINCE: u32 = 15_00_00;
/// The first version that can publish generated columns.
const GENERATED_SINCE: u32 = 18_00_00;

/// What is published of a table, where that is not all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Narrowed {
    /// An SQL condition over the table's columns.
    pub(crate) rows: Option<String>,
    /// Names.
    columns: Option<Vec<String>>,
}

/// Whether the stream carries the stored generated columns of tables without a column list.
pub(crate) async fn publishes_generated(
    session: &mut Connection,
    publication: &str,
    version: u32,
) -> Result<bool, ConnectionError> {
    if version < GENERATED_SINCE {
        return Ok(false);
    }
    let statement = format!(
        "SELECT pubgencols = 's' FROM pg_catalog.pg_publication WHERE pubname = {}",
        literal(publication)
    );
    let row = session.query_row(&statement).await?;
    Ok(row.is_some_and(|row| flag(&row, 0)))
}

/// Asks which tables are not published whole, by oid. In one publication, a schema's entry publishes its tables whole,
/// whatever else it says of them.
pub(crate) async fn narrowed(
    session: &mut Connection,
    publication: &str,
    version: u32,
) -> Result<HashMap<u32, Narrowed>, ConnectionError> {
    let mut narrowed: HashMap<u32, Narrowed> = HashMap::new();
    if version < SINCE {
        return Ok(narrowed);
    }
    let statement = format!(
        "SELECT r.prrelid, pg_catalog.pg_get_expr(r.prqual, r.prrelid), a.attname \
         FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid \
           JOIN pg_catalog.pg_class c ON c.oid = r.prrelid \
           LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs::int2[]) \
         WHERE p.pubname = {} AND (r.prqual IS NOT NULL OR r.prattrs IS NOT NULL) \
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s \
                WHERE s.pnpubid = p.oid AND s.pnnspid = c.relnamespace)",
        literal(publication)
    );
    for row in session.query(&statement).await? {
        let table = narrowed
            .entry(number(&row, 0, "pg_publication_rel.prrelid")?)
            .or_default();
        table.rows = row.get(1).cloned().flatten();
        if row.get(2).is_some_and(Option::is_some) {
            table.columns.get_or_insert_default().push(text(&row, 2).to_owned());
        }
    }
    Ok(narrowed)
}

impl Narrowed {
    /// Takes the columns out of the table's description that the stream will not have, as RELATION messages leave them out,
    /// and says which generated ones it will.
    pub(crate) fn narrow(&self, table: &mut CatalogTable, publishes_generated: bool) {
        let Some(published) = &self.columns else {
            for column in &mut table.generated {
                column.streamed = column.stored && publishes_generated;
            }
            return;
        };
        let is_published = |column: &ColumnDescription| published.contains(&column.name);
        table
            .generated
            .retain(|column| is_published(&table.columns[column.place]));
        for column in &mut table.generated {
            let before = table.columns[..column.place].iter();
            column.place = before.filter(|column| is_published(column)).count();
            column.streamed = true;
        }
        table.columns.retain(is_published);
        table.key.retain(|name| published.contains(name));
        table.key_not_generated.retain(|name| published.contains(name));
    }
}
