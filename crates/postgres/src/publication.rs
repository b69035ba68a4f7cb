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
/// tables, `captured` those the connector wants, without unlogged ones, which cannot be published.
pub(crate) async fn ensure(
    session: &mut Connection,
    config: &ConnectorConfig,
    version: u32,
    existing: &[ListedTable],
    captured: &[&ListedTable],
) -> Result<(), SourceError> {
    let name = &config.publication_name;
    let found = look_up(session, name).await?;
    if let Some(found) = &found
        && let Some(statement) = widen(config, found)?
    {
        apply(session, name, &statement).await?;
    }
    let change = match (config.publication_mode, found) {
        (PublicationMode::Filtered, Some(found)) => alter(name, &found, captured, version)?,
        (_, Some(_)) => None,
        (PublicationMode::Disabled, None) => return Err(missing(name)),
        (PublicationMode::AllTables, None) => {
            refuse_without_identity(name, existing.iter().filter(|table| !table.unlogged))?;
            Some(format!(
                "CREATE PUBLICATION {} FOR ALL TABLES{}",
                identifier(name),
                with(config)
            ))
        }
        (PublicationMode::Filtered, None) => {
            refuse_without_identity(name, captured.iter().copied())?;
            // Of unlogged tables alone: there is nothing to publish yet.
            let tables = match captured.is_empty() {
                true => String::new(),
                false => format!(" FOR TABLE {}", table_list(captured)),
            };
            Some(format!(
                "CREATE PUBLICATION {}{tables}{}",
                identifier(name),
                with(config)
            ))
        }
        (PublicationMode::NoTables, None) => Some(format!("CREATE PUBLICATION {}{}", identifier(name), with(config))),
    };
    match change {
        Some(statement) => apply(session, name, &statement).await,
        None => Ok(()),
    }
}

/// Whether partitions' rows come as their root's: as the publication says if it is there, or will be made to say.
pub(crate) async fn via_root(session: &mut Connection, config: &ConnectorConfig) -> Result<bool, SourceError> {
    let found = look_up(session, &config.publication_name).await?;
    Ok(config.replication.via_root || found.is_some_and(|found| found.via_root))
}

async fn look_up(session: &mut Connection, name: &str) -> Result<Option<Publication>, SourceError> {
    find(session, name)
        .await
        .map_err(|error| error.during("looking for the publication"))
}

/// The options of a new publication. Operations are named, as in Debezium, only if `skipped.operations` was given.
fn with(config: &ConnectorConfig) -> String {
    let mut options = Vec::new();
    if config.replication.via_root {
        options.push("publish_via_partition_root = true".to_owned());
    }
    let operations = wanted_operations(config);
    if config.skipped_operations_given && operations.len() < OPERATIONS.len() {
        options.push(format!("publish = {}", literal(&operations.join(", "))));
    }
    match options.is_empty() {
        true => String::new(),
        false => format!(" WITH ({})", options.join(", ")),
    }
}

/// PostgreSQL's words, in its order.
const OPERATIONS: [&str; 4] = ["insert", "update", "delete", "truncate"];

/// An update of the key is a delete and a create: it must come if either of these is wanted, which Debezium forgets.
fn wanted_operations(config: &ConnectorConfig) -> Vec<&'static str> {
    let skipped = config.skipped_operations;
    let no_update = skipped.insert && skipped.update && skipped.delete;
    let skipped = [skipped.insert, no_update, skipped.delete, skipped.truncate];
    let wanted = OPERATIONS.iter().zip(skipped).filter(|(_, skipped)| !skipped);
    wanted.map(|(operation, _)| *operation).collect()
}

/// The statement that has an existing publication publish what is wanted and it leaves out: operations that were skipped
/// when it was made, or the root of partitions. It is never narrowed, for others may read it.
fn widen(config: &ConnectorConfig, found: &Publication) -> Result<Option<String>, SourceError> {
    let name = &config.publication_name;
    let mut options = Vec::new();
    let wanted = wanted_operations(config);
    if wanted.iter().any(|operation| !found.operations.contains(operation)) {
        let all = OPERATIONS
            .iter()
            .filter(|operation| wanted.contains(operation) || found.operations.contains(operation));
        let all: Vec<&str> = all.copied().collect();
        options.push(format!("publish = {}", literal(&all.join(", "))));
    }
    if config.replication.via_root && !found.via_root {
        options.push("publish_via_partition_root = true".to_owned());
    }
    if options.is_empty() {
        return Ok(None);
    }
    let statement = format!("ALTER PUBLICATION {} SET ({})", identifier(name), options.join(", "));
    let told = format!(
        "publication {name:?} leaves out what the configuration asks for, and publication.autocreate.mode is \"disabled\": \
         run {statement}, or set skipped.operations and publish.via.partition.root as it is"
    );
    match config.publication_mode {
        PublicationMode::Disabled if config.replication.via_root && !found.via_root => Err(SourceError::Refused(told)),
        // Somebody may well want that.
        PublicationMode::Disabled => {
            tracing::warn!("{told}");
            Ok(None)
        }
        _ => Ok(Some(statement)),
    }
}

/// What the catalog says of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Publication {
    all_tables: bool,
    via_root: bool,
    /// What of [`OPERATIONS`] it publishes.
    operations: Vec<&'static str>,
    /// `schema.table` of what it holds by name.
    tables: Vec<String>,
}

async fn find(session: &mut Connection, name: &str) -> Result<Option<Publication>, ConnectionError> {
    let publication = format!(
        "SELECT puballtables, pubviaroot, pubinsert, pubupdate, pubdelete, pubtruncate FROM pg_catalog.pg_publication \
         WHERE pubname = {}",
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
    let published = OPERATIONS.iter().enumerate().filter(|(place, _)| flag(&row, 2 + place));
    Ok(Some(Publication {
        all_tables: flag(&row, 0),
        via_root: flag(&row, 1),
        operations: published.map(|(_, operation)| *operation).collect(),
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
    // None at all cannot be said in SQL.
    if captured.is_empty() || added.is_empty() && found.tables.len() == captured.len() {
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
    use crate::config::sample::config;

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
            is_partition: false,
            unlogged: false,
            rows_estimated: 0,
        }
    }

    #[test]
    fn an_existing_publication_is_changed_only_where_it_differs() {
        let (a, b) = (table("a", true), table("b", true));
        let holds = |tables: &[&str]| Publication {
            all_tables: false,
            via_root: false,
            operations: OPERATIONS.to_vec(),
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
    fn a_publication_says_what_was_asked_for_and_is_only_widened() {
        assert_eq!(with(&config("")), "");
        let options = r#","skipped.operations":"t,d","publish.via.partition.root":"true""#;
        assert_eq!(
            with(&config(options)),
            " WITH (publish_via_partition_root = true, publish = 'insert, update')"
        );
        let found = Publication {
            all_tables: true,
            via_root: false,
            operations: vec!["insert", "truncate"],
            tables: Vec::new(),
        };
        let widened = |extra| widen(&config(extra), &found);
        assert_eq!(
            widened(options).expect("may be altered").as_deref(),
            Some(
                "ALTER PUBLICATION \"dbz_publication\" SET (publish = 'insert, update, truncate', \
                  publish_via_partition_root = true)"
            )
        );
        assert_eq!(widened(r#","skipped.operations":"c,u,d""#).expect("fits"), None);
        assert_eq!(with(&config(r#","skipped.operations":"u""#)), "", "a key may change");
        let disabled = r#","publication.autocreate.mode":"disabled""#;
        assert_eq!(widened(disabled).expect("somebody's wish"), None);
        let error = widened(&format!(r#"{disabled},"publish.via.partition.root":"true""#)).expect_err("other topics");
        assert!(
            error.to_string().contains("publish_via_partition_root = true"),
            "{error}"
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
