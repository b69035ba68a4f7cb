//! Where a connection goes, as whom, and how it is secured.

use std::fmt;

use crate::config::{ConnectorConfig, Secret, TlsOptions};

/// Everything needed to open a connection.
#[derive(Clone)]
pub(crate) struct ConnectionOptions {
    /// A name, an address, or the directory of a Unix socket (starts with `/`).
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: Option<Secret>,
    pub(crate) database: String,
    pub(crate) tls: TlsOptions,
    /// What `pg_stat_activity` shows.
    pub(crate) application_name: String,
}

impl ConnectionOptions {
    /// As the connector is configured.
    pub(crate) fn of(config: &ConnectorConfig) -> ConnectionOptions {
        ConnectionOptions {
            host: config.host.clone(),
            port: config.port,
            user: config.user.clone(),
            password: config.password.clone(),
            database: config.dbname.clone(),
            tls: config.tls.clone(),
            application_name: format!("rowcast {}", config.name),
        }
    }
}

impl fmt::Debug for ConnectionOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for ConnectionOptions {
    /// Who and where, never the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "database {:?} at {}:{} as {:?}",
            self.database, self.host, self.port, self.user
        )
    }
}
