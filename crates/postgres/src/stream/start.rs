//! What a stream starts from, and the command that starts it.

use std::sync::Arc;

use rowcast_event::{EventOptions, Lsn, Table, TransactionMark};

use super::watch::Watched;
use crate::{
    ConnectorConfig,
    connection::{Connection, error::ConnectionError, unexpected},
    query::{identifier, literal},
};

/// What a stream starts from.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) config: ConnectorConfig,
    pub(crate) options: Arc<EventOptions>,
    /// What the log holds.
    pub(crate) held: Option<TransactionMark>,
    /// The slot's confirmed position.
    pub(crate) confirmed: Lsn,
    /// Tables that the caller has already.
    pub(crate) tables: Vec<Arc<Table>>,
    /// How the captured tables are published.
    pub(crate) watched: Watched,
    /// The publication publishes partitions' rows as their root's.
    pub(crate) via_root: bool,
}

/// START_REPLICATION from the slot's own position: PostgreSQL would skip silently to it from any lower one, and accept
/// any higher one. The caller has compared it with the log.
pub(super) async fn begin_copy(walsender: &mut Connection, config: &ConnectorConfig) -> Result<(), ConnectionError> {
    let publication = literal(&identifier(&config.publication_name));
    let params = config.replication.params.iter();
    let params: String = params
        .map(|(name, value)| format!(", {} {}", identifier(name), literal(value)))
        .collect();
    // Every server that is supported has them; whoever wants none says so.
    let messages = match config.replication.params.iter().any(|(name, _)| name == "messages") {
        true => "",
        false => ", messages 'true'",
    };
    let statement = format!(
        "START_REPLICATION SLOT {} LOGICAL 0/0 (proto_version '1', publication_names {publication}{messages}{params})",
        identifier(&config.slot_name)
    );
    walsender.send_query(&statement).await?;
    let frame = walsender.receive().await?;
    match frame.tag {
        b'W' => Ok(()),
        tag => Err(unexpected(tag, "the start of replication")),
    }
}
