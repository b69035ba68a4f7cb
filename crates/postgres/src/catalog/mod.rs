//! What the database's catalog says: its types, and the tables that a connector captures.
//!
//! RELATION messages carry names and types as they were when a row was written, but neither NOT NULL nor defaults nor
//! the order of key columns; those come from here, as Debezium reads them. Knows nothing of the stream: `relation.rs`
//! merges the two.

pub(crate) mod narrowed;
pub(crate) mod relation;
pub(crate) mod tables;
mod types;

use std::{fmt, pin::Pin};

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
    /// Absent while a question is under way, and after it failed.
    session: Option<Connection>,
    types: TypeCatalog,
    question: Option<Question>,
}

/// A question under way. Kept here, so that a caller who is cancelled again and again still gets its answer.
struct Question {
    oid: u32,
    with_types: bool,
    answer: Pin<Box<dyn Future<Output = Result<Answer, SourceError>> + Send>>,
}

/// The session comes back with the answer.
struct Answer {
    session: Connection,
    table: Option<CatalogTable>,
    types: Option<TypeCatalog>,
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Question({})", self.oid)
    }
}

impl Catalog {
    /// Takes over a prepared session and reads the types.
    pub(crate) async fn new(options: ConnectionOptions, mut session: Connection) -> Result<Catalog, ConnectionError> {
        let types = types::load(&mut session).await?;
        Ok(Catalog {
            options,
            session: Some(session),
            types,
            question: None,
        })
    }

    /// How its sessions are opened.
    pub(crate) fn options(&self) -> &ConnectionOptions {
        &self.options
    }

    /// The session at hand.
    pub(crate) fn session(&mut self) -> Option<&mut Connection> {
        self.session.as_mut()
    }

    /// The types as of the last look.
    pub(crate) fn types(&self) -> &TypeCatalog {
        &self.types
    }

    /// The table as it is now, `None` when it has gone; and the types read again, if asked. Cancel-safe: ask again.
    pub(crate) async fn look_up(&mut self, oid: u32, with_types: bool) -> Result<Option<CatalogTable>, SourceError> {
        let is_ours = |question: &Question| (question.oid, question.with_types) == (oid, with_types);
        if !self.question.as_ref().is_some_and(is_ours) {
            let answer = Box::pin(ask(self.options.clone(), self.session.take(), oid, with_types));
            self.question = Some(Question {
                oid,
                with_types,
                answer,
            });
        }
        let question = self.question.as_mut().expect("asked just now");
        let answer = (&mut question.answer).await;
        self.question = None;
        let Answer { session, table, types } = answer?;
        self.session = Some(session);
        self.types = types.unwrap_or_else(|| std::mem::take(&mut self.types));
        Ok(table)
    }

    /// Ends the session.
    pub(crate) async fn close(self) {
        if let Some(session) = self.session {
            session.close().await;
        }
    }
}

/// Asks in the session at hand; in a new one if there is none, or if it turns out to be dead.
async fn ask(
    options: ConnectionOptions,
    session: Option<Connection>,
    oid: u32,
    with_types: bool,
) -> Result<Answer, SourceError> {
    let failed = |error: ConnectionError| error.during("reading a table's description");
    if let Some(session) = session {
        match describe(session, oid, with_types).await {
            Err(ConnectionError::Io(_)) => {}
            answer => return answer.map_err(failed),
        }
    }
    let mut session = Connection::open(&options, Purpose::Sql).await.map_err(failed)?;
    server::prepare_session(&mut session).await.map_err(failed)?;
    describe(session, oid, with_types).await.map_err(failed)
}

async fn describe(mut session: Connection, oid: u32, with_types: bool) -> Result<Answer, ConnectionError> {
    let table = tables::describe(&mut session, &[oid]).await?.into_iter().next();
    let types = match with_types {
        true => Some(types::load(&mut session).await?),
        false => None,
    };
    Ok(Answer { session, table, types })
}
