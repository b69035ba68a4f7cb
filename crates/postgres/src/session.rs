//! One ordinary SQL session, for the product's own needs beside capture (the demo's shop,
//! `heartbeat.action.query`).

use crate::{
    ConnectorConfig, SourceError,
    connection::{Connection, Purpose, options::ConnectionOptions},
};

/// A session with the database of a connector, as its role.
#[derive(Debug)]
pub struct Session(Connection);

impl Session {
    /// Connects; `application_name` is what `pg_stat_activity` shows.
    pub async fn open(config: &ConnectorConfig, application_name: &str) -> Result<Session, SourceError> {
        let options = ConnectionOptions {
            application_name: application_name.to_owned(),
            ..ConnectionOptions::of(config)
        };
        let connection = Connection::open(&options, Purpose::Sql)
            .await
            .map_err(|error| error.during("connecting"))?;
        Ok(Session(connection))
    }

    /// Runs statements and throws their rows away.
    pub async fn execute(&mut self, sql: &str) -> Result<(), SourceError> {
        self.0
            .query(sql)
            .await
            .map(|_| ())
            .map_err(|error| error.during("running a statement"))
    }
}
