//! What the database's catalog says: its types, and the tables that a connector captures.
//!
//! RELATION messages carry names and types as they were when a row was written, but neither NOT NULL nor defaults nor
//! the order of key columns; those come from here, as Debezium reads them. Knows nothing of the stream: `relation.rs`
//! merges the two.

pub(crate) mod relation;
pub(crate) mod tables;
mod types;

use rowcast_event::TypeCatalog;

use crate::{
    SourceError,
    connection::{Connection, Purpose, error::ConnectionError, options::ConnectionOptions},
    server,
};
use tables::CatalogTable;

/// An SQL session for the catalog, with the types it knows. Reconnects when its session has died meanwhile: it sits idle
/// for days between two changes of a table's shape.
#[derive(Debug)]
pub(crate) struct Catalog {
    options: ConnectionOptions,
    /// Absent while a question is under way: if that future is dropped, the session is out of step and goes with it.
    session: Option<Connection>,
    types: TypeCatalog,
}

impl Catalog {
    /// Takes over a prepared session and reads the types.
    pub(crate) async fn new(options: ConnectionOptions, mut session: Connection) -> Result<Catalog, ConnectionError> {
        let types = types::load(&mut session).await?;
        Ok(Catalog {
            options,
            session: Some(session),
            types,
        })
    }

    /// How its sessions are opened.
    pub(crate) fn options(&self) -> &ConnectionOptions {
        &self.options
    }

    /// The types as of the last look.
    pub(crate) fn types(&self) -> &TypeCatalog {
        &self.types
    }

    /// The table as it is now; `None` when it has gone.
    pub(crate) async fn table(&mut self, oid: u32) -> Result<Option<CatalogTable>, SourceError> {
        let mut session = self.take_session().await?;
        let mut answer = tables::describe(&mut session, &[oid]).await;
        if let Err(ConnectionError::Io(_)) = answer {
            session = self.connect().await?;
            answer = tables::describe(&mut session, &[oid]).await;
        }
        let tables = answer.map_err(|error| error.during("reading the table's description"))?;
        self.session = Some(session);
        Ok(tables.into_iter().next())
    }

    /// Reads the types again.
    pub(crate) async fn reload_types(&mut self) -> Result<(), SourceError> {
        let mut session = self.take_session().await?;
        self.types = types::load(&mut session)
            .await
            .map_err(|error| error.during("reading the database's types"))?;
        self.session = Some(session);
        Ok(())
    }

    async fn take_session(&mut self) -> Result<Connection, SourceError> {
        match self.session.take() {
            Some(session) => Ok(session),
            None => self.connect().await,
        }
    }

    async fn connect(&self) -> Result<Connection, SourceError> {
        let connecting = async {
            let mut session = Connection::open(&self.options, Purpose::Sql).await?;
            server::prepare_session(&mut session).await?;
            Ok(session)
        };
        connecting
            .await
            .map_err(|error: ConnectionError| error.during("connecting to read the catalog"))
    }

    /// Ends the session.
    pub(crate) async fn close(self) {
        if let Some(session) = self.session {
            session.close().await;
        }
    }
}
