//! A private PostgreSQL for one test: made by initdb, on a port of its own, gone when the test ends.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of it")]

use std::{
    fmt::Write as _,
    fs,
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use rowcast_event::{Cell, Change, Lsn, Operation, SnapshotMarker, Table};
use rowcast_postgres::{
    ConnectorConfig, Opened, Resume, ServerIdentity, SnapshotEvent, SnapshotReader, Source, SourceError, Stream,
    StreamEvent,
};

/// Longest that anything in these tests may take; only a hang gets there.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Where Debian keeps the programs.
fn bin(program: &str) -> PathBuf {
    let directories = [
        "/usr/lib/postgresql/18/bin",
        "/usr/lib/postgresql/17/bin",
        "/usr/lib/postgresql/15/bin",
    ];
    let found = directories
        .iter()
        .map(|directory| Path::new(directory).join(program))
        .find(|path| path.exists());
    found.unwrap_or_else(|| PathBuf::from(program))
}

/// A running server. Its superuser is `postgres`, its database `shop`.
pub struct Server {
    pub port: u16,
    directory: tempfile::TempDir,
    process: Child,
    settings: Vec<String>,
}

impl Server {
    /// With wal_level=logical and trust for everyone from this machine.
    pub fn start() -> Server {
        Server::start_with(&["wal_level=logical"], "host all all 127.0.0.1/32 trust\n")
    }

    /// With these settings and this pg_hba.conf (a line for the superuser over the socket directory is put before it).
    pub fn start_with(settings: &[&str], hba: &str) -> Server {
        let directory = tempfile::Builder::new()
            .prefix("rowcast-pg-")
            .tempdir_in("/tmp")
            .expect("a directory");
        let (uid, gid) = postgres_user();
        chown(directory.path(), Some(uid), Some(gid)).expect("root may chown");
        let data = directory.path().join("data");
        let made = as_postgres(&bin("initdb"))
            .args([
                "-D",
                data.to_str().expect("UTF-8"),
                "-A",
                "trust",
                "-U",
                "postgres",
                "-N",
                "-E",
                "UTF8",
                "--locale=C",
            ])
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        fs::write(data.join("pg_hba.conf"), format!("local all all trust\n{hba}")).expect("writable");
        let port = free_port();
        let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
        let process = launch(directory.path(), port, &settings);
        let server = Server {
            port,
            directory,
            process,
            settings,
        };
        server.wait_until_ready();
        server.sql_in("postgres", "CREATE DATABASE shop");
        server
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Stops it with this signal and waits for its end.
    pub fn stop(&mut self, signal: &str) {
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").args([signal, &pid]).status();
        let _ = self.process.wait();
    }

    /// Starts it again on the same port.
    pub fn restart(&mut self) {
        self.process = launch(self.directory.path(), self.port, &self.settings);
        self.wait_until_ready();
    }

    /// A further setting, from the next start on.
    pub fn set(&mut self, setting: &str) {
        self.settings.push(setting.to_owned());
    }

    fn wait_until_ready(&self) {
        let start = Instant::now();
        while self.try_sql("postgres", "SELECT 1").is_err() {
            assert!(start.elapsed() < PATIENCE, "PostgreSQL does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Runs statements as superuser in the database `shop`; unaligned rows.
    pub fn sql(&self, statements: &str) -> String {
        self.sql_in("shop", statements)
    }

    pub fn sql_in(&self, database: &str, statements: &str) -> String {
        self.try_sql(database, statements)
            .unwrap_or_else(|error| panic!("{statements}: {error}"))
    }

    pub fn try_sql(&self, database: &str, statements: &str) -> Result<String, String> {
        let output = self
            .psql(database)
            .args(["-c", statements])
            .output()
            .expect("psql runs");
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// psql over the Unix socket, where pg_hba.conf always trusts.
    pub fn psql(&self, database: &str) -> Command {
        let mut command = Command::new(bin("psql"));
        command.args([
            "-h",
            self.directory.path().to_str().expect("UTF-8"),
            "-p",
            &self.port.to_string(),
        ]);
        command.args([
            "-U",
            "postgres",
            "-d",
            database,
            "-X",
            "-A",
            "-t",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
        ]);
        command.env_remove("PGOPTIONS");
        command
    }

    /// pgbench with this script.
    pub fn pgbench(&self, script: &str, clients: u32, transactions: u32) -> Child {
        let file = self
            .directory
            .path()
            .join(format!("bench-{clients}-{transactions}.sql"));
        fs::write(&file, script).expect("writable");
        Command::new(bin("pgbench"))
            .args([
                "-h",
                self.directory.path().to_str().expect("UTF-8"),
                "-p",
                &self.port.to_string(),
                "-U",
                "postgres",
            ])
            .args([
                "-n",
                "-f",
                file.to_str().expect("UTF-8"),
                "-c",
                &clients.to_string(),
                "-t",
                &transactions.to_string(),
            ])
            .arg("shop")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pgbench runs")
    }

    /// A connector for the table list, as superuser, in mode filtered; `extra` are further JSON members (`,"a":"b"`).
    pub fn config(&self, tables: &str, extra: &str) -> ConnectorConfig {
        let mut json = format!(
            r#"{{"name":"t","config":{{"connector.class":"io.debezium.connector.postgresql.PostgresConnector",
            "plugin.name":"pgoutput","database.hostname":"127.0.0.1","database.port":"{}","database.dbname":"shop",
            "topic.prefix":"t","slot.name":"rowcast_test","publication.name":"rowcast_test","table.include.list":"{tables}""#,
            self.port
        );
        for (name, value) in [
            ("database.user", "postgres"),
            ("database.password", "irrelevant"),
            ("publication.autocreate.mode", "filtered"),
        ] {
            if !extra.contains(&format!("\"{name}\"")) {
                write!(json, r#","{name}":"{value}""#).expect("a string");
            }
        }
        let json = format!("{json}{extra}}}}}");
        ConnectorConfig::from_json(&json).unwrap_or_else(|errors| panic!("{errors}\n{json}"))
    }

    /// `pg_replication_slots.confirmed_flush_lsn`.
    pub fn confirmed_flush(&self) -> Lsn {
        lsn(&self.sql("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'rowcast_test'"))
    }

    /// Waits until a query's answer is this one.
    pub async fn wait_for(&self, query: &str, answer: &str) {
        let start = Instant::now();
        loop {
            let found = self.sql(query);
            if found == answer {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{query}: still {found:?}, not {answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop("-QUIT");
    }
}

/// Reads `16/B374D848`.
pub fn lsn(text: &str) -> Lsn {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn launch(directory: &Path, port: u16, settings: &[String]) -> Child {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(directory.join("log"))
        .expect("a log file");
    let mut command = as_postgres(&bin("postgres"));
    command
        .arg("-D")
        .arg(directory.join("data"))
        .args(["-p", &port.to_string()]);
    for setting in [
        "listen_addresses=127.0.0.1",
        "fsync=off",
        "shared_buffers=16MB",
        "log_line_prefix=%p ",
    ] {
        command.args(["-c", setting]);
    }
    command
        .arg("-c")
        .arg(format!("unix_socket_directories={}", directory.display()));
    for setting in settings {
        command.args(["-c", setting]);
    }
    command
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("postgres runs")
}

fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new(program);
    let (uid, gid) = postgres_user();
    command
        .uid(uid)
        .gid(gid)
        .current_dir("/tmp")
        .env_clear()
        .env("LC_ALL", "C")
        .env("TZ", "UTC");
    command
}

/// The unprivileged user to run PostgreSQL as: it refuses to be root.
fn postgres_user() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").expect("readable");
    let line = users
        .lines()
        .find(|line| line.starts_with("postgres:"))
        .expect("a user named postgres");
    let mut numbers = line.split(':').skip(2).map(|number| number.parse().expect("a number"));
    (numbers.next().expect("uid"), numbers.next().expect("gid"))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

/// Opens the source, whatever comes.
pub async fn open(config: &ConnectorConfig, resume: &Resume) -> Result<(ServerIdentity, Opened), SourceError> {
    let opened = tokio::time::timeout(PATIENCE, Source::open(config, resume, "run"))
        .await
        .expect("opening does not hang");
    opened.map(|(found, opened)| (found.server, opened))
}

/// Opens a source that has a snapshot to read.
pub async fn open_snapshot(config: &ConnectorConfig) -> (ServerIdentity, SnapshotReader) {
    match open(config, &Resume::default()).await {
        Ok((server, Opened::Snapshot(reader))) => (server, reader),
        other => panic!("no snapshot: {other:?}"),
    }
}

/// Opens a source that goes on after `resume`.
pub async fn open_stream(config: &ConnectorConfig, resume: &Resume) -> Stream {
    match open(config, resume).await {
        Ok((_, Opened::Stream(stream))) => stream,
        other => panic!("no stream: {other:?}"),
    }
}

/// The sentence of the refusal that opening must end in.
pub async fn refusal(config: &ConnectorConfig, resume: &Resume) -> String {
    match open(config, resume).await {
        Err(SourceError::Refused(sentence)) => sentence,
        other => panic!("not refused: {other:?}"),
    }
}

/// One change with everything owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub table: String,
    /// `r`, `c`, `u`, `d`, `t`.
    pub op: char,
    /// The new row, or what is left of the old one.
    pub row: Vec<Option<String>>,
    pub commit_lsn: Lsn,
    pub ordinal: u64,
    pub marker: SnapshotMarker,
    pub last_commit_lsn: Option<Lsn>,
}

impl Seen {
    pub fn of(table: &Table, change: &Change<'_>) -> Seen {
        use rowcast_event::OldRow;
        let (op, cells): (char, &[Cell<'_>]) = match change.operation {
            Operation::Read(row) => ('r', row),
            Operation::Insert(row) => ('c', row),
            Operation::Update { new, .. } => ('u', new),
            Operation::Delete(OldRow::Key(row) | OldRow::Full(row)) => ('d', row),
            Operation::Truncate => ('t', &[]),
        };
        let text = |cell: &Cell<'_>| match cell {
            Cell::Null => None,
            Cell::Unchanged => Some("<unchanged>".to_owned()),
            Cell::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        };
        Seen {
            table: format!("{}.{}", table.description.schema, table.description.table),
            op,
            row: cells.iter().map(text).collect(),
            commit_lsn: change.position.commit_lsn,
            ordinal: change.position.ordinal,
            marker: change.origin.snapshot,
            last_commit_lsn: change.origin.last_commit_lsn,
        }
    }

    pub fn first(&self) -> &str {
        self.row[0].as_deref().unwrap_or("NULL")
    }
}

/// Reads a snapshot to its end: tables announced and rows in order.
pub async fn read_snapshot(reader: &mut SnapshotReader) -> (Vec<String>, Vec<Seen>, rowcast_event::TransactionMark) {
    let (mut tables, mut rows) = (Vec::new(), Vec::new());
    let mut current: Option<Arc<Table>> = None;
    loop {
        match tokio::time::timeout(PATIENCE, reader.next())
            .await
            .expect("no hang")
            .expect("a snapshot")
        {
            SnapshotEvent::Table(table) => {
                tables.push(format!("{}.{}", table.description.schema, table.description.table));
                current = Some(table);
            }
            SnapshotEvent::Row(change) => rows.push(Seen::of(current.as_ref().expect("a table first"), &change)),
            SnapshotEvent::End(mark) => return (tables, rows, mark),
        }
    }
}

/// What a transaction was.
#[derive(Debug, PartialEq, Eq)]
pub struct Transaction {
    pub changes: Vec<Seen>,
    pub mark: rowcast_event::TransactionMark,
}

/// The next whole transaction; keepalives and idleness are passed over.
pub async fn next_transaction(stream: &mut Stream) -> Transaction {
    tokio::time::timeout(PATIENCE, transaction(stream))
        .await
        .expect("no hang")
        .expect("a transaction")
}

async fn transaction(stream: &mut Stream) -> Result<Transaction, SourceError> {
    let mut changes = Vec::new();
    loop {
        match stream.next().await? {
            StreamEvent::Change(table, change) => changes.push(Seen::of(table, &change)),
            StreamEvent::Commit(mark) => return Ok(Transaction { changes, mark }),
            _ => {}
        }
    }
}
