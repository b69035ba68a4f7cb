//! The publication: which tables' changes PostgreSQL decodes for us.
//!
//! Made before the slot, since a slot cannot decode with a publication younger than itself. Promises: no table is added
//! to a publication whose owner could then no longer update it. Knows nothing of slots.

use crate::{
    SourceError,
    catalog::tables::ListedTable,
    config::{ConnectorConfig, PublicationMode},
    connection::{Connection, error::ConnectionError},
    query::{flag, identifier, literal, qualified, text},
    server,
};

/// Tables named in a sentence; the rest are counted.
const NAMED_MAX: usize = 10;

/// Makes sure that the publication is there, as `publication.autocreate.mode` says. `existing` are all the database's
/// tables, `captured` those the connector wants.
pub(crate) async fn ensure(
    session: &mut Connection,
    config: &ConnectorConfig,
    version: u32,
    existing: &[ListedTable],
    captured: &[&ListedTable],
) -> Result<(), SourceError> {
    let name = &config.publication_name;
    let found = find(session, name)
        .await
        .map_err(|error| error.during("looking for the publication"))?;
    let change = match (config.publication_mode, found) {
        (PublicationMode::Filtered, Some(found)) => alter(name, &found, captured, version)?,
        (_, Some(_)) => None,
        (PublicationMode::Disabled, None) => return Err(missing(name)),
        (PublicationMode::AllTables, None) => {
            refuse_without_identity(name, existing.iter())?;
            Some(format!("CREATE PUBLICATION {} FOR ALL TABLES", identifier(name)))
        }
        (PublicationMode::Filtered, None) => {
            refuse_without_identity(name, captured.iter().copied())?;
            Some(format!(
                "CREATE PUBLICATION {} FOR TABLE {}",
                identifier(name),
                table_list(captured)
            ))
        }
        (PublicationMode::NoTables, None) => Some(format!("CREATE PUBLICATION {}", identifier(name))),
    };
    match change {
        Some(statement) => apply(session, name, &statement).await,
        None => Ok(()),
    }
}

/// What the catalog says of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Publication {
    all_tables: bool,
    /// `schema.table` of what it holds by name.
    tables: Vec<String>,
}

async fn find(session: &mut Connection, name: &str) -> Result<Option<Publication>, ConnectionError> {
    let publication = format!(
        "SELECT puballtables FROM pg_catalog.pg_publication WHERE pubname = {}",
        literal(name)
    );
    let Some(row) = session.query_row(&publication).await? else {
        return Ok(None);
    };
    let tables = format!(
        "SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_publication p \
         JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid JOIN pg_catalog.pg_class c ON c.oid = r.prrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = {}",
        literal(name)
    );
    let tables = session
        .query(&tables)
        .await?
        .iter()
        .map(|row| text(row, 0).to_owned())
        .collect();
    Ok(Some(Publication {
        all_tables: flag(&row, 0),
        tables,
    }))
}

fn missing(name: &str) -> SourceError {
    SourceError::Refused(format!(
        "publication {name:?} does not exist and publication.autocreate.mode is \"disabled\": create it (CREATE \
         PUBLICATION {} FOR TABLE …), or set publication.autocreate.mode to \"filtered\"",
        identifier(name)
    ))
}

/// The statement that makes an existing publication hold the captured tables; `None` if it does.
fn alter(
    name: &str,
    found: &Publication,
    captured: &[&ListedTable],
    version: u32,
) -> Result<Option<String>, SourceError> {
    if found.all_tables {
        return Err(SourceError::Refused(format!(
            "publication {name:?} is FOR ALL TABLES, which publication.autocreate.mode \"filtered\" cannot narrow: set it \
             to \"all_tables\", or drop the publication"
        )));
    }
    let is_new = |table: &&ListedTable| !found.tables.contains(&table.id());
    let added: Vec<&ListedTable> = captured.iter().copied().filter(is_new).collect();
    if added.is_empty() && found.tables.len() == captured.len() {
        return Ok(None);
    }
    refuse_without_identity(name, added.iter().copied())?;
    let statement = format!(
        "ALTER PUBLICATION {} SET TABLE {}",
        identifier(name),
        table_list(captured)
    );
    Ok(Some(match forgets_added_tables(version) && !added.is_empty() {
        // The lock waits for the transactions that already write to the tables.
        true => format!(
            "BEGIN; LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE; {statement}; COMMIT",
            table_list(&added)
        ),
        false => statement,
    }))
}

/// Before these minor versions, a table that was added while a transaction was writing to it was not decoded for the
/// rest of the session, silently (fixed by "Fix data loss in logical replication", May 2025).
fn forgets_added_tables(version: u32) -> bool {
    let (major, minor) = (version / 10_000, version % 10_000);
    matches!((major, minor), (14, ..18) | (15, ..13) | (16, ..9) | (17, ..5))
}

/// Publishing a table without replica identity makes PostgreSQL refuse every UPDATE and DELETE of it.
fn refuse_without_identity<'a>(
    publication: &str,
    tables: impl Iterator<Item = &'a ListedTable>,
) -> Result<(), SourceError> {
    let without: Vec<&ListedTable> = tables.filter(|table| !table.has_replica_identity).collect();
    let Some(first) = without.first() else { return Ok(()) };
    Err(SourceError::Refused(format!(
        "{} would be added to publication {publication:?}, but without primary key or replica identity PostgreSQL would \
         then refuse every UPDATE and DELETE there: add a primary key, or ALTER TABLE {} REPLICA IDENTITY FULL, or leave \
         such tables out by table.exclude.list or table.include.list with publication.autocreate.mode \"filtered\"",
        named(&without),
        qualified(&first.schema, &first.name)
    )))
}

/// "table a.b" or "tables a.b, c.d and 3 more".
pub(crate) fn named(tables: &[&ListedTable]) -> String {
    listed(&tables.iter().map(|table| table.id()).collect::<Vec<_>>())
}

/// The same, of names.
pub(crate) fn listed(tables: &[String]) -> String {
    let mut names = tables[..tables.len().min(NAMED_MAX)].join(", ");
    if tables.len() > NAMED_MAX {
        names.push_str(&format!(" and {} more", tables.len() - NAMED_MAX));
    }
    format!("{} {names}", if tables.len() == 1 { "table" } else { "tables" })
}

fn table_list(tables: &[&ListedTable]) -> String {
    tables
        .iter()
        .map(|table| qualified(&table.schema, &table.name))
        .collect::<Vec<_>>()
        .join(", ")
}

async fn apply(session: &mut Connection, name: &str, statement: &str) -> Result<(), SourceError> {
    if server::in_recovery(session)
        .await
        .map_err(|error| error.during("asking whether the server is a standby"))?
    {
        return Err(SourceError::Refused(format!(
            "publication {name:?} is not as it should be, and this server is a standby, where it cannot be changed: \
             create it on the primary"
        )));
    }
    tracing::info!(
        publication = name,
        "changing the publication: {}",
        statement.split(" FOR TABLE ").next().unwrap_or_default()
    );
    session.query(statement).await.map(|_| ()).map_err(|error| match error.sqlstate() {
        Some("42501") => SourceError::Refused(format!(
            "creating or changing publication {name:?}: {error}; FOR ALL TABLES needs a superuser, FOR TABLE needs CREATE \
             on the database and ownership of the tables: have it created for us and set publication.autocreate.mode to \
             \"disabled\""
        )),
        _ => error.during(&format!("creating or changing publication {name:?}")),
    })
}

/// Publication tables, checked against what is captured: PostgreSQL says nothing of a table that is not published.
pub(crate) async fn unpublished<'a>(
    session: &mut Connection,
    name: &str,
    captured: &[&'a ListedTable],
) -> Result<Vec<&'a ListedTable>, ConnectionError> {
    let statement = format!(
        "SELECT schemaname || '.' || tablename FROM pg_catalog.pg_publication_tables WHERE pubname = {}",
        literal(name)
    );
    let published: std::collections::HashSet<String> = session
        .query(&statement)
        .await?
        .iter()
        .map(|row| text(row, 0).to_owned())
        .collect();
    Ok(captured
        .iter()
        .copied()
        .filter(|table| !published.contains(&table.id()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, has_replica_identity: bool) -> ListedTable {
        ListedTable {
            oid: 1,
            schema: "public".to_owned(),
            name: name.to_owned(),
            partitioned: false,
            has_replica_identity,
            deletes_without_primary_key: false,
            row_security: false,
            selectable: true,
        }
    }

    #[test]
    fn an_existing_publication_is_changed_only_where_it_differs() {
        let (a, b) = (table("a", true), table("b", true));
        let holds = |tables: &[&str]| Publication {
            all_tables: false,
            tables: tables.iter().map(|name| format!("public.{name}")).collect(),
        };
        assert_eq!(
            alter("p", &holds(&["a", "b"]), &[&a, &b], 18_00_00).expect("fits"),
            None
        );
        assert_eq!(
            alter("p", &holds(&["a"]), &[&a, &b], 18_00_00)
                .expect("fits")
                .as_deref(),
            Some("ALTER PUBLICATION \"p\" SET TABLE \"public\".\"a\", \"public\".\"b\"")
        );
        let locked = alter("p", &holds(&["a"]), &[&a, &b], 15_00_12)
            .expect("fits")
            .expect("changes");
        assert!(
            locked.starts_with("BEGIN; LOCK TABLE \"public\".\"b\" IN SHARE ROW EXCLUSIVE MODE;"),
            "{locked}"
        );
    }

    #[test]
    fn a_table_that_its_owner_could_no_longer_update_is_not_published() {
        let keyless = table("audit", false);
        let error = refuse_without_identity("p", [&keyless].into_iter()).expect_err("keyless");
        assert!(error.to_string().contains("public.audit"), "{error}");
        assert!(error.to_string().contains("REPLICA IDENTITY FULL"), "{error}");
    }
}
