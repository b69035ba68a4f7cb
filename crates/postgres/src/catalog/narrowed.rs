//! What a publication leaves of a table: `FOR TABLE t (a, b) WHERE (a > 0)`, since PostgreSQL 15.
//!
//! The stream has no other columns, and no other rows: one that leaves the filter arrives as a delete. A snapshot that had
//! them all the same would show rows that nothing ever changes again. Pure, but for one question to the catalog.

use std::collections::HashMap;

use rowcast_event::ColumnDescription;

use super::tables::CatalogTable;
use crate::{
    connection::{Connection, error::ConnectionError},
    query::{literal, number, text},
};

/// The first version that has row filters and column lists.
const SINCE: u32 = 15_00_00;

/// What is published of a table, where that is not all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Narrowed {
    /// An SQL condition over the table's columns.
    pub(crate) rows: Option<String>,
    /// Names.
    columns: Option<Vec<String>>,
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
    /// Takes the columns out of the table's description that the stream will not have, as RELATION messages leave them out.
    pub(crate) fn narrow(&self, table: &mut CatalogTable) {
        if let Some(published) = &self.columns {
            let is_published = |column: &ColumnDescription| published.contains(&column.name);
            table.generated.retain(|&place| is_published(&table.columns[place]));
            for place in &mut table.generated {
                *place = table.columns[..*place]
                    .iter()
                    .filter(|column| is_published(column))
                    .count();
            }
            table.columns.retain(is_published);
            table.key.retain(|name| published.contains(name));
        }
    }
}
