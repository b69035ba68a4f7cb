//! Whether every captured table has been published without a break.
//!
//! PostgreSQL decodes a change with the publication as it was when the change was written, and says nothing of a table
//! that was not in it: the change is gone, whoever puts the table back. So each table is remembered with the entries
//! of the publication that publish it, by their oids: an entry that was taken out and made again has another one. Pure,
//! but for one question to the catalog.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    connection::{Connection, error::ConnectionError},
    publication,
    query::{identifier, literal, number, text},
    server,
};

/// Tables asked for in one statement. Keeps the statement's text below a few tens of kilobytes.
const TABLES_PER_QUESTION: usize = 1000;

/// The first version that has FOR TABLES IN SCHEMA.
const SCHEMAS_SINCE: u32 = 15_00_00;

/// The captured tables, each with the publication's entries that publish it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Published(BTreeMap<u32, Vec<u32>>);

/// What the catalog says at one moment.
#[derive(Debug, Default)]
pub(crate) struct Look {
    pub(crate) published: Published,
    /// `schema.table` by oid.
    names: BTreeMap<u32, String>,
}

impl Published {
    /// The tables it knows.
    pub(crate) fn tables(&self) -> Vec<u32> {
        self.0.keys().copied().collect()
    }

    /// Tables that were published before and still exist, but that no entry has published all the time.
    fn broken(&self, now: &Published) -> Vec<u32> {
        let lasts = |before: &[u32], now: &[u32]| before.is_empty() || before.iter().any(|entry| now.contains(entry));
        let broken = |(table, before): (&u32, &Vec<u32>)| {
            let now = now.0.get(table)?;
            (!lasts(before, now)).then_some(*table)
        };
        self.0.iter().filter_map(broken).collect()
    }
}

impl Look {
    /// Asks the catalog. Tables that do not exist are left out.
    pub(crate) async fn take(
        session: &mut Connection,
        publication: &str,
        version: u32,
        tables: &[u32],
    ) -> Result<Look, ConnectionError> {
        let mut look = Look::default();
        for tables in tables.chunks(TABLES_PER_QUESTION) {
            for row in session.query(&question(publication, version, tables)).await? {
                let table = number(&row, 0, "pg_class.oid")?;
                let entries = text(&row, 2).split(',').filter_map(|entry| entry.parse().ok());
                look.published.0.insert(table, entries.collect());
                look.names.insert(table, text(&row, 1).to_owned());
            }
        }
        Ok(look)
    }

    /// The tables that `before` does not know, by name. None if nothing was written down.
    pub(crate) fn since(&self, before: &Published) -> Vec<String> {
        let is_new = |table: &u32| !before.0.is_empty() && !before.0.contains_key(table);
        self.names
            .iter()
            .filter(|(table, _)| is_new(table))
            .map(|(_, name)| name.clone())
            .collect()
    }

    /// The refusal, if a table that `before` knows was not published all the time since then.
    pub(crate) fn refusal(&self, publication: &str, before: &Published) -> Option<String> {
        let broken = before.broken(&self.published);
        let names: Vec<String> = broken.iter().map(|table| self.names[table].clone()).collect();
        (!names.is_empty()).then(|| {
            let name = identifier(publication);
            format!(
                "publication {publication:?} was dropped, or {} taken out of it, while changes were captured: what was \
                 written there meanwhile was not decoded and never will be. CREATE PUBLICATION {name} FOR TABLE … or ALTER \
                 PUBLICATION {name} ADD TABLE … (publication.autocreate.mode \"filtered\" does it by itself), {}; or leave \
                 the tables out by table.include.list or table.exclude.list",
                publication::listed(&names),
                server::NEW_SNAPSHOT
            )
        })
    }
}

/// An entry of a publication is: itself, when it is FOR ALL TABLES; its row for the table or for one that the table is a
/// partition of; its row for the schema of either.
fn question(publication: &str, version: u32, tables: &[u32]) -> String {
    let tables = tables.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let name = literal(publication);
    let schemas = match version >= SCHEMAS_SINCE {
        true => {
            "UNION ALL SELECT s.oid FROM p JOIN pg_catalog.pg_publication_namespace s ON s.pnpubid = p.oid \
             JOIN pg_catalog.pg_class f ON f.relnamespace = s.pnnspid AND f.oid = ANY (family.oids)"
        }
        false => "",
    };
    format!(
        "WITH p AS (SELECT oid, puballtables FROM pg_catalog.pg_publication WHERE pubname = {name}) \
         SELECT c.oid, n.nspname || '.' || c.relname, (SELECT pg_catalog.string_agg(DISTINCT e.oid::text, ',') FROM ( \
             SELECT p.oid FROM p WHERE p.puballtables \
             UNION ALL SELECT r.oid FROM p JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid \
               AND r.prrelid = ANY (family.oids) {schemas}) e) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL ( \
             SELECT ARRAY(SELECT c.oid UNION SELECT a.relid::oid FROM pg_catalog.pg_partition_ancestors(c.oid) a(relid)) \
             AS oids) family \
         WHERE c.oid IN ({tables})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(tables: &[(u32, &[u32])]) -> Published {
        Published(
            tables
                .iter()
                .map(|(table, entries)| (*table, entries.to_vec()))
                .collect(),
        )
    }

    #[test]
    fn a_table_is_whole_while_one_entry_lasts() {
        let before = published(&[(1, &[10]), (2, &[10, 20]), (3, &[30]), (4, &[]), (5, &[50])]);
        let now = published(&[(1, &[10, 11]), (2, &[20]), (3, &[31]), (4, &[]), (6, &[])]);
        assert_eq!(
            before.broken(&now),
            [3],
            "3 was taken out and put back; 5 was dropped; 4 never was published"
        );
    }

    #[test]
    fn it_is_kept_as_plain_json() {
        let before = published(&[(16384, &[16390, 16391])]);
        let text = serde_json::to_string(&before).expect("numbers");
        assert_eq!(text, r#"{"16384":[16390,16391]}"#);
        assert_eq!(serde_json::from_str::<Published>(&text).expect("its own"), before);
    }
}
