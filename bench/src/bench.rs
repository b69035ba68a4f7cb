//! What all measurements share: a folder that is thrown away, a private PostgreSQL, and the options of the run.
//!
//! Every measurement gets a database of its own, with the shop's `orders` table and nothing else in it: no slot, no
//! publication and no row of one measurement is seen by the next.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use rowcast::demo::{
    binaries::{Binaries, Wanted},
    server::{Server, ServerOptions, free_port},
};

use crate::{interrupt, wire::Connection};

/// The replaced stack's table, as in the demo's `init.sql`, without its rows.
const ORDERS: &str = "CREATE TABLE orders (id serial PRIMARY KEY, customer_name text NOT NULL, product_name text NOT NULL, \
                      status text NOT NULL, updated_at timestamp NOT NULL DEFAULT now())";
/// The private server. Durable commits as in production (fsync stays on); no background work in the middle of a row.
const SETTINGS: [(&str, &str); 4] = [
    ("max_connections", "60"),
    ("autovacuum", "off"),
    ("max_wal_size", "16GB"),
    ("checkpoint_timeout", "1h"),
];

/// Which peers stand beside us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Peers {
    /// Only those that a target is defined by: the bare walsender reader and pg_recvlogical.
    None,
    /// And the Node and Go programs.
    Light,
    /// And the stack that Rowcast replaces.
    All,
}

/// One run of the benchmark.
pub(crate) struct Bench {
    pub(crate) quick: bool,
    pub(crate) peers: Peers,
    /// The `rowcast` program.
    pub(crate) rowcast: PathBuf,
    /// The repository's root.
    pub(crate) root: PathBuf,
    server: Server,
    pub(crate) postgres_version: String,
    folder: tempfile::TempDir,
    databases: u32,
}

impl Bench {
    pub(crate) fn start(quick: bool, peers: Peers, rowcast: Option<PathBuf>) -> Result<Bench> {
        let root = repository_root()?;
        let rowcast = rowcast.map_or_else(|| build_rowcast(&root), Ok)?;
        let folder = tempfile::Builder::new().prefix("rowcast-bench-").tempdir()?;
        open_to_all(folder.path())?;
        let binaries = Binaries::find(&Wanted {
            bin_dir: None,
            major: None,
            offline: false,
        })?;
        let postgres_version = binaries.version.clone();
        let server = Server::start(ServerOptions {
            binaries,
            data_dir: folder.path().join("postgres"),
            port: free_port(0)?,
            user: "postgres".to_owned(),
            password: None,
            database: "postgres".to_owned(),
            fsync: true,
            settings: SETTINGS
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        })?;
        interrupt::remember(postmaster(folder.path())?);
        Ok(Bench {
            quick,
            peers,
            rowcast,
            root,
            server,
            postgres_version,
            folder,
            databases: 0,
        })
    }

    /// A folder that goes away with the run.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Keeps the folder, so that logs can be read after a failure.
    pub(crate) fn keep_folder(&mut self) {
        self.folder.disable_cleanup(true);
    }

    /// The full or the quick number.
    pub(crate) fn choose<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// A new database with an empty `orders` table.
    pub(crate) fn database(&mut self) -> Result<Database> {
        self.databases += 1;
        let name = format!("bench_{}", self.databases);
        let address = SocketAddr::from(([127, 0, 0, 1], self.server.port()));
        Connection::open(address, "postgres")?.query(&format!("CREATE DATABASE {name}"))?;
        let database = Database { address, name };
        let mut connection = database.connect()?;
        connection.query(ORDERS)?;
        connection.query("CREATE PUBLICATION bench FOR TABLE orders")?;
        Ok(database)
    }

    /// The programs of PostgreSQL, `pg_recvlogical` among them.
    pub(crate) fn postgres_program(&self, name: &str) -> PathBuf {
        self.server.options().binaries.program(name)
    }
}

/// One measurement's database.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub(crate) address: SocketAddr,
    pub(crate) name: String,
}

impl Database {
    pub(crate) fn connect(&self) -> Result<Connection> {
        Connection::open(self.address, &self.name)
    }

    /// Drops this database's slots, so that the next measurement does not pay for WAL that nobody will read.
    pub(crate) fn drop_slots(&self) -> Result<()> {
        let drop = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database() AND NOT active";
        self.connect()?.query(drop)?;
        Ok(())
    }

    /// Debezium's configuration of the connector `name` for the `orders` table of this database.
    pub(crate) fn connector_json(&self, name: &str, extra: &[(&str, &str)]) -> Result<String> {
        let mut config = serde_json::json!({
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "database.hostname": "127.0.0.1",
            "database.port": self.address.port().to_string(),
            "database.user": "postgres",
            "database.password": "password",
            "database.dbname": self.name,
            "topic.prefix": "orders",
            "table.include.list": "public.orders",
            "plugin.name": "pgoutput",
            "publication.name": "bench",
            "slot.name": format!("slot_{}", self.name),
        });
        for (property, value) in extra {
            config[*property] = serde_json::Value::from(*value);
        }
        Ok(serde_json::to_string_pretty(
            &serde_json::json!({"name": name, "config": config}),
        )?)
    }
}

/// The server's process, so that a signal can end it, too.
fn postmaster(folder: &Path) -> Result<u32> {
    let file = std::fs::read_to_string(folder.join("postgres/postmaster.pid"))?;
    file.lines()
        .next()
        .and_then(|pid| pid.parse().ok())
        .context("postmaster.pid holds no number")
}

/// PostgreSQL runs as another user than root, who must be able to pass.
fn open_to_all(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::set_permissions(
        folder,
        std::fs::Permissions::from_mode(0o755),
    )?)
}

fn repository_root() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(manifest.parent().context("bench/ has a parent")?.to_owned())
}

/// Builds the release binary into the target directory that this program came from.
fn build_rowcast(root: &Path) -> Result<PathBuf> {
    let own = env::current_exe()?;
    let target = own
        .ancestors()
        .nth(2)
        .context("this program lies in target/<profile>/")?;
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--release",
            "--package",
            "rowcast",
            "--bin",
            "rowcast",
            "--target-dir",
        ])
        .arg(target)
        .current_dir(root)
        .status()
        .context("running cargo")?;
    if !status.success() {
        bail!("`rowcast` does not build; mend it, or name a program with --rowcast");
    }
    Ok(target.join("release/rowcast"))
}
