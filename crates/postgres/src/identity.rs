//! Sets the replica identities that `replica.identity.autoset.values` asks for, before anything is published or read.

use crate::{
    SourceError,
    catalog::tables::ListedTable,
    config::{ConnectorConfig, ReplicaIdentity},
    connection::{Connection, error::ConnectionError},
    query::{identifier, qualified, text},
    server,
};

/// Alters the captured tables whose identity is another one; true if any was.
pub(crate) async fn set(
    session: &mut Connection,
    config: &ConnectorConfig,
    captured: &[&ListedTable],
) -> Result<bool, SourceError> {
    let mut any = false;
    for table in captured {
        let wanted = config.replication.identities.of(&table.schema, &table.name);
        let Some(wanted) = wanted.map_err(SourceError::Refused)? else {
            continue;
        };
        if has(session, table, wanted).await? {
            continue;
        }
        alter(session, table, wanted).await?;
        any = true;
    }
    Ok(any)
}

async fn has(session: &mut Connection, table: &ListedTable, wanted: &ReplicaIdentity) -> Result<bool, SourceError> {
    let statement = format!(
        "SELECT c.relreplident, (SELECT x.relname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = \
         i.indexrelid WHERE i.indrelid = c.oid AND i.indisreplident LIMIT 1) FROM pg_catalog.pg_class c WHERE c.oid = {}",
        table.oid
    );
    let row = session
        .query_row(&statement)
        .await
        .map_err(|error| error.during("reading a table's replica identity"))?
        .unwrap_or_default();
    Ok(match (text(&row, 0), wanted) {
        ("d", ReplicaIdentity::Default) | ("f", ReplicaIdentity::Full) | ("n", ReplicaIdentity::Nothing) => true,
        ("i", ReplicaIdentity::Index(index)) => text(&row, 1) == index,
        _ => false,
    })
}

async fn alter(session: &mut Connection, table: &ListedTable, wanted: &ReplicaIdentity) -> Result<(), SourceError> {
    let clause = match wanted {
        ReplicaIdentity::Default => "DEFAULT".to_owned(),
        ReplicaIdentity::Full => "FULL".to_owned(),
        ReplicaIdentity::Nothing => "NOTHING".to_owned(),
        ReplicaIdentity::Index(index) => format!("USING INDEX {}", identifier(index)),
    };
    let doing = format!("setting the replica identity of table {} to {clause}", table.id());
    if server::in_recovery(session)
        .await
        .map_err(|error| error.during(&doing))?
    {
        return Err(SourceError::Refused(format!(
            "{doing}: this server is a standby, where nothing can be altered: do it on the primary"
        )));
    }
    let name = qualified(&table.schema, &table.name);
    tracing::info!(table = table.id(), "replica identity is set to {clause}");
    let altered = session
        .query(&format!("ALTER TABLE {name} REPLICA IDENTITY {clause}"))
        .await;
    altered.map(|_| ()).map_err(|error: ConnectionError| match error.sqlstate() {
        Some("42501") => SourceError::Refused(format!(
            "{doing}: {error}; only the table's owner may: run ALTER TABLE {name} REPLICA IDENTITY {clause}, or take the \
             table out of replica.identity.autoset.values"
        )),
        Some("42704" | "42809" | "55000") => SourceError::Refused(format!("{doing}: {error}")),
        _ => error.during(&doing),
    })
}
