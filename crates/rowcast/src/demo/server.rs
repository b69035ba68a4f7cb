//! Runs a private PostgreSQL, because the demo and the tests need a real one of their own.
//!
//! Promises: never runs as root; listens on the loopback address and on a socket in a short private folder only; a data
//! directory is either fully initialised or absent; what was left running by a killed predecessor is stopped first;
//! nothing is left running when the [`Server`] is dropped. Knows nothing of Rowcast: it could start any application's database.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use super::{account::Account, binaries::Binaries};

/// How long a start, with its crash recovery, or a stop may take before we give up on it.
///
/// Recovery replays at most `max_wal_size` (1 GB), some seconds on a slow disk; a minute is ten times that.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two attempts while the backends of a killed postmaster are still leaving.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// What `postgres` logs once it takes connections.
const READY_MESSAGE: &str = "database system is ready to accept connections";
/// What it logs while a killed predecessor's backends still hold the shared memory: goes away by itself.
const STILL_LEAVING_MESSAGE: &str = "pre-existing shared memory block";

/// How to run a server.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Which programs.
    pub binaries: Binaries,
    /// Made and filled when it does not exist. The server's log is written beside it, with the extension `log`.
    pub data_dir: PathBuf,
    /// TCP port on 127.0.0.1; see [`free_port`].
    pub port: u16,
    /// The superuser's name.
    pub user: String,
    /// With a password clients prove it by SCRAM-SHA-256; without, everyone on this machine is trusted.
    pub password: Option<String>,
    /// Created when the data directory is made.
    pub database: String,
    /// False loses committed data when the *machine* stops; a killed server loses nothing either way.
    pub fsync: bool,
    /// More settings, as in `postgresql.conf`; they win over ours.
    pub settings: Vec<(String, String)>,
}

/// PostgreSQL's three ways to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Sends all WAL to standbys and logical readers, disconnects everyone, writes a checkpoint.
    Fast,
    /// Stops at once; the next start recovers.
    Immediate,
    /// SIGKILL to the postmaster; its children notice and leave.
    Kill,
}

/// A running (or stopped) server. Dropping it stops the server.
#[derive(Debug)]
pub struct Server {
    options: ServerOptions,
    account: Account,
    socket_dir: PathBuf,
    postmaster: Option<Child>,
}

impl Server {
    /// Initialises the data directory if needed, starts the server and returns when it takes connections.
    pub fn start(options: ServerOptions) -> anyhow::Result<Server> {
        let mut options = options;
        options.data_dir = std::path::absolute(&options.data_dir)?;
        let account = Account::choose()?;
        account.check_reach(&options.data_dir)?;
        account.check_reach(&options.binaries.program("postgres"))?;
        let socket_dir = make_socket_dir(account)?;
        let mut server = Server {
            options,
            account,
            socket_dir,
            postmaster: None,
        };
        server.initialise()?;
        server.stop_predecessor()?;
        server.start_again()?;
        Ok(server)
    }

    /// Starts a server that was stopped, on the same port and data.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        let give_up_at = Instant::now() + PATIENCE;
        loop {
            match self.launch() {
                Err(error) if format!("{error:#}").contains(STILL_LEAVING_MESSAGE) && Instant::now() < give_up_at => {
                    thread::sleep(RETRY_PAUSE);
                }
                other => return other,
            }
        }
    }

    /// Stops the server and returns when it is gone. A server that is not running stays so.
    pub fn stop(&mut self, mode: StopMode) -> anyhow::Result<()> {
        let Some(mut postmaster) = self.postmaster.take() else {
            return Ok(());
        };
        match mode {
            StopMode::Fast => self.pg_ctl_stop("fast")?,
            StopMode::Immediate => self.pg_ctl_stop("immediate")?,
            StopMode::Kill => postmaster.kill()?,
        }
        postmaster.wait()?;
        Ok(())
    }

    /// True between a start and a stop, unless the server has died.
    pub fn is_running(&mut self) -> bool {
        self.postmaster
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// How it was asked to run.
    pub fn options(&self) -> &ServerOptions {
        &self.options
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.options.port
    }

    /// The folder of its Unix socket, for `host=`.
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// The server's log file.
    pub fn log_file(&self) -> PathBuf {
        self.options.data_dir.with_extension("log")
    }

    /// The `psql` command line that a person can paste.
    pub fn psql_line(&self) -> String {
        let ServerOptions {
            port,
            user,
            password,
            database,
            ..
        } = &self.options;
        let password = password
            .as_ref()
            .map(|word| format!("PGPASSWORD={word} "))
            .unwrap_or_default();
        format!("{password}psql -h 127.0.0.1 -p {port} -U {user} {database}")
    }

    /// Runs `initdb` and makes the database, both beside the final place: a data directory that exists under its own
    /// name is whole. Tables are not made here: single-user mode gives them oids below 16384, which PostgreSQL never
    /// publishes.
    fn initialise(&self) -> anyhow::Result<()> {
        let data_dir = &self.options.data_dir;
        if let Ok(version) = fs::read_to_string(data_dir.join("PG_VERSION")) {
            let (found, ours) = (version.trim(), self.options.binaries.major.to_string());
            if found != ours {
                bail!(
                    "{} was made by PostgreSQL {found}, and this is {}; point --pg-bin at PostgreSQL {found}, or choose another --data-dir",
                    data_dir.display(),
                    self.options.binaries
                );
            }
            return Ok(());
        }
        let parent = data_dir.parent().context("a data directory needs a name")?;
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        let unfinished = data_dir.with_extension("unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).with_context(|| format!("removing {}", unfinished.display()))?;
        }
        fs::create_dir(&unfinished).with_context(|| format!("making {}", unfinished.display()))?;
        fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o700))?;
        self.account.own(&unfinished)?;
        self.run_initdb(&unfinished)?;
        if self.options.database != "postgres" {
            self.run_single_user(
                &unfinished,
                "postgres",
                &format!("CREATE DATABASE {}", quoted(&self.options.database)),
            )?;
        }
        fs::rename(&unfinished, data_dir).with_context(|| format!("renaming {}", unfinished.display()))
    }

    fn run_initdb(&self, data_dir: &Path) -> anyhow::Result<()> {
        let mut initdb = self.command("initdb");
        initdb
            .arg("-D")
            .arg(data_dir)
            .args(["-U", &self.options.user, "-E", "UTF8", "--locale=C"]);
        if !self.options.fsync {
            initdb.arg("--no-sync");
        }
        let password_file = self.socket_dir.join("password");
        match &self.options.password {
            None => initdb.args(["-A", "trust"]),
            Some(password) => {
                fs::write(&password_file, password)?;
                fs::set_permissions(&password_file, fs::Permissions::from_mode(0o600))?;
                self.account.own(&password_file)?;
                initdb.args(["-A", "scram-sha-256", "--pwfile"]).arg(&password_file)
            }
        };
        let output = initdb.stdin(Stdio::null()).output().context("running initdb")?;
        if self.options.password.is_some() {
            fs::remove_file(&password_file)?;
        }
        if !output.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Runs SQL without a client program (not every build of PostgreSQL brings `psql`).
    fn run_single_user(&self, data_dir: &Path, database: &str, sql: &str) -> anyhow::Result<()> {
        let mut backend = self.command("postgres");
        // -j: a statement may have many lines; it ends with `;` and an empty line, or with the input.
        backend.args(["--single", "-j", "-D"]).arg(data_dir).arg(database);
        if !self.options.fsync {
            backend.args(["-c", "fsync=off"]);
        }
        let mut child = backend
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut input = child.stdin.take().context("its input was piped")?;
        let text = format!("{sql}\n");
        let writer = thread::spawn(move || input.write_all(text.as_bytes()));
        let output = child.wait_with_output()?;
        let _ = writer.join();
        let said = String::from_utf8_lossy(&output.stderr);
        // Single-user mode goes on after an error and exits with success, so its words decide.
        match said
            .lines()
            .find(|line| ["ERROR:", "FATAL:", "PANIC:"].iter().any(|word| line.contains(word)))
        {
            Some(line) => bail!("initial SQL in database {database} failed: {line}"),
            None if output.status.success() => Ok(()),
            None => bail!("initial SQL in database {database} failed: {}", said.trim()),
        }
    }

    /// A `rowcast demo` that was killed leaves its server running; two postmasters on one data directory cannot be.
    fn stop_predecessor(&self) -> anyhow::Result<()> {
        if !self.options.data_dir.join("postmaster.pid").exists() {
            return Ok(());
        }
        let mut status = self.command("pg_ctl");
        let status = status.arg("status").arg("-D").arg(&self.options.data_dir).output()?;
        if status.status.success() {
            self.pg_ctl_stop("fast")
        } else {
            Ok(())
        }
    }

    fn pg_ctl_stop(&self, mode: &str) -> anyhow::Result<()> {
        let mut pg_ctl = self.command("pg_ctl");
        pg_ctl
            .args(["stop", "-w", "-m", mode, "-t"])
            .arg(PATIENCE.as_secs().to_string())
            .arg("-D")
            .arg(&self.options.data_dir);
        let output = pg_ctl.output().context("running pg_ctl stop")?;
        // A server that went down on its own in the meantime is stopped, too.
        if !output.status.success() && self.options.data_dir.join("postmaster.pid").exists() {
            bail!(
                "stopping PostgreSQL failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }

    fn launch(&mut self) -> anyhow::Result<()> {
        let mut postgres = self.command("postgres");
        postgres
            .arg("-D")
            .arg(&self.options.data_dir)
            .args(["-h", "127.0.0.1", "-p"])
            .arg(self.options.port.to_string());
        postgres.arg("-k").arg(&self.socket_dir);
        for (name, value) in self.settings() {
            postgres.arg("-c").arg(format!("{name}={value}"));
        }
        // Its own process group: Ctrl-C in the terminal is for us to hear first, and to pass on in order.
        postgres
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = postgres
            .spawn()
            .with_context(|| format!("starting {}", self.options.binaries))?;
        let stderr = child.stderr.take().context("its stderr was piped")?;
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_file());
        let mut log = log.with_context(|| format!("opening {}", self.log_file().display()))?;
        let (lines, heard) = mpsc::channel();
        thread::Builder::new().name("postgres-log".into()).spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                let _ = writeln!(log, "{line}");
                let _ = lines.send(line);
            }
        })?;
        match wait_until_ready(&heard) {
            Ok(()) => {
                self.postmaster = Some(child);
                Ok(())
            }
            Err(error) => {
                let _ = child.kill();
                child.wait()?;
                Err(error.context(format!(
                    "PostgreSQL did not start; its log is {}",
                    self.log_file().display()
                )))
            }
        }
    }

    fn settings(&self) -> Vec<(String, String)> {
        let fsync = if self.options.fsync { "on" } else { "off" };
        let ours = [
            ("wal_level", "logical"),
            ("max_wal_senders", "20"),
            ("max_replication_slots", "20"),
            ("unix_socket_permissions", "0777"),
            ("logging_collector", "off"),
            ("fsync", fsync),
        ];
        let ours = ours
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        ours.chain(self.options.settings.iter().cloned()).collect()
    }

    /// One of PostgreSQL's programs, as the server's own user, in a folder that this user may enter, speaking English
    /// (we read its log).
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.options.binaries.program(program));
        self.account.apply(&mut command);
        for name in ["PGDATA", "PGPORT", "PGHOST", "PGUSER", "PGOPTIONS"] {
            command.env_remove(name);
        }
        command.current_dir("/").env("LC_ALL", "C");
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mode = if self.options.fsync {
            StopMode::Fast
        } else {
            StopMode::Immediate
        };
        if self.stop(mode).is_err() {
            let _ = self.stop(StopMode::Kill);
        }
        let _ = fs::remove_dir_all(&self.socket_dir);
    }
}

/// `preferred` if nobody listens there, else a port that the operating system picks.
///
/// Another process may take the port before the server does; the server's start then fails with the port's number.
pub fn free_port(preferred: u16) -> anyhow::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", preferred)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)));
    Ok(listener
        .context("looking for a free port on 127.0.0.1")?
        .local_addr()?
        .port())
}

/// Reads the log until the server takes connections or is gone.
fn wait_until_ready(heard: &mpsc::Receiver<String>) -> anyhow::Result<()> {
    let give_up_at = Instant::now() + PATIENCE;
    let mut said = Vec::new();
    loop {
        match heard.recv_timeout(give_up_at.saturating_duration_since(Instant::now())) {
            Ok(line) if line.contains(READY_MESSAGE) => return Ok(()),
            Ok(line) => said.push(line),
            Err(mpsc::RecvTimeoutError::Timeout) => bail!("not ready after {} s", PATIENCE.as_secs()),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let fatal = said
                    .iter()
                    .filter(|line| line.contains("FATAL:") || line.contains("HINT:") || line.contains("ERROR:"));
                bail!("{}", fatal.cloned().collect::<Vec<_>>().join("; "))
            }
        }
    }
}

/// A folder of our own for the socket: a socket's path may have 107 bytes, which a deep data directory exceeds.
fn make_socket_dir(account: Account) -> anyhow::Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let base = if Path::new("/tmp").is_dir() {
        PathBuf::from("/tmp")
    } else {
        env::temp_dir()
    };
    loop {
        let dir = base.join(format!(
            "rowcast-pg-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        match fs::create_dir(&dir) {
            Ok(()) => {
                fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))?;
                account.own(&dir)?;
                return Ok(dir);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("making {}", dir.display())),
        }
    }
}

/// An SQL identifier, quoted.
fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
