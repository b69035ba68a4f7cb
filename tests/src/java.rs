//! Runs the Java programs that stand beside ours (Kafka's broker, Kafka Connect), from the jars that `cargo xtask prepare`
//! fetches.
//!
//! Promises: ready is a line of its log, never a clock; gone when the value is dropped, and also when the test itself is
//! killed. Knows nothing of what the programs do.

use std::{
    env,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context, bail};

use crate::{PATIENCE, lines::Lines, process};

/// Heap of one program. A broker and a Connect with one connector are at rest with 60 MB; this leaves room for batches.
const HEAP: &str = "-Xmx256m";
/// For a life of seconds the second compiler costs more than it gives: 1.8 s instead of 2.6 s to a broker's start.
const SHORT_LIFE: [&str; 2] = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

/// What to run.
pub(crate) struct Program<'a> {
    /// What its log is called: `<folder>/<name>.log`.
    pub(crate) name: &'static str,
    /// Its class.
    pub(crate) main: &'static str,
    /// Its one argument.
    pub(crate) properties: PathBuf,
    /// Where it runs and logs.
    pub(crate) folder: &'a Path,
    /// log4j lines beside the usual: warnings only.
    pub(crate) loggers: &'a str,
    /// Part of the line that it logs when others may come.
    pub(crate) ready: &'a str,
}

/// A running program.
#[derive(Debug)]
pub(crate) struct Java {
    child: Child,
    /// Kills the child when our end of its input is closed, as it is by any death of ours.
    watcher: Child,
}

impl Java {
    /// Starts the program with its classes already parsed, and returns when it is ready.
    ///
    /// The first start on a machine is made twice, the first time to write the archive of parsed classes (50 MB), which
    /// halves the time of all others: 1.0 s instead of 1.8 s for a broker.
    pub(crate) async fn start(program: &Program<'_>, lines: &Lines) -> anyhow::Result<Java> {
        let archive = home()?.join(format!("{}.jsa", program.name));
        {
            let lock = File::create(archive.with_extension("lock")).context("locking the archive of classes")?;
            lock.lock()?;
            if !is_fresh(&archive) {
                let unfinished = archive.with_extension("unfinished");
                let option = format!("-XX:ArchiveClassesAtExit={}", unfinished.display());
                Self::launch(program, &option, lines).await?.terminate(lines).await?;
                fs::rename(&unfinished, &archive).context("java wrote no archive of its classes")?;
            }
        }
        Self::launch(program, &format!("-XX:SharedArchiveFile={}", archive.display()), lines).await
    }

    async fn launch(program: &Program<'_>, option: &str, lines: &Lines) -> anyhow::Result<Java> {
        let log_config = program.folder.join(format!("{}-log.properties", program.name));
        fs::write(&log_config, format!("{LOG_CONFIG}{}", program.loggers))?;
        let (output, input) = std::io::pipe()?;
        let mut java = Command::new(java()?);
        java.args([HEAP, option, "-Xshare:auto"]).args(SHORT_LIFE);
        java.arg(format!("-Dlog4j2.configurationFile={}", log_config.display()));
        java.arg("-cp")
            .arg(class_path()?)
            .arg(program.main)
            .arg(&program.properties);
        java.current_dir(program.folder).stdin(Stdio::null());
        java.stdout(input.try_clone()?).stderr(input);
        let child = java.spawn().context("starting java")?;
        // The command holds the pipe's other end; the reader must see the end when the program dies.
        drop(java);
        let from = lines.len();
        let log = program.folder.join(format!("{}.log", program.name));
        listen(output, &log, lines.clone())?;
        let mut java = Java {
            watcher: watch(child.id())?,
            child,
        };
        let line = lines
            .wait_from(from, |line| line.contains(program.ready) || line == Lines::END)
            .await?;
        if line == Lines::END {
            let status = java.child.wait()?;
            bail!(
                "{} ended at its start ({status}):\n{}",
                program.main,
                lines.text_from(from)
            );
        }
        Ok(java)
    }

    /// The process's number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Any signal, by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) -> anyhow::Result<()> {
        process::signal(self.child.id(), name)
    }

    /// SIGTERM; returns when the program has ended by itself.
    pub(crate) async fn terminate(mut self, lines: &Lines) -> anyhow::Result<()> {
        let from = lines.len();
        self.signal("TERM")?;
        lines.wait_from(from, |line| line == Lines::END).await?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until the program has ended by itself.
    pub(crate) async fn ended(mut self) -> anyhow::Result<()> {
        let ended = tokio::task::spawn_blocking(move || self.child.wait());
        tokio::time::timeout(PATIENCE, ended)
            .await
            .context("the program goes on")???;
        Ok(())
    }

    /// SIGKILL; returns when the program is gone and all that it had printed is in `lines`.
    pub(crate) async fn kill(mut self, lines: &Lines) -> anyhow::Result<()> {
        let from = lines.len();
        self.child.kill()?;
        self.child.wait()?;
        lines.wait_from(from, |line| line == Lines::END).await?;
        Ok(())
    }
}

impl Drop for Java {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
    }
}

/// What every program logs: warnings, with the connector that they are about, if any.
const LOG_CONFIG: &str = "rootLogger.level=warn
rootLogger.appenderRef.a.ref=A
appender.a.type=Console
appender.a.name=A
appender.a.layout.type=PatternLayout
appender.a.layout.pattern=%d %p %c{1} %X{connector.context}%m%n
";

/// Where xtask keeps Kafka and Debezium.
pub(crate) fn home() -> anyhow::Result<PathBuf> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/kafka");
    home.canonicalize().with_context(|| {
        format!(
            "{} is missing; fetch Kafka and Debezium: cargo xtask prepare",
            home.display()
        )
    })
}

/// All jars, always in the same order: an archive of classes is only good for the class path that it was made with.
pub(crate) fn class_path() -> anyhow::Result<String> {
    let entries = fs::read_dir(home()?.join("libs"))?;
    let mut jars: Vec<String> = entries
        .map(|entry| Ok(entry?.path().display().to_string()))
        .collect::<anyhow::Result<_>>()?;
    jars.sort();
    Ok(jars.join(":"))
}

/// True when the archive was written after this Java was installed.
fn is_fresh(archive: &Path) -> bool {
    let (Ok(archive), Ok(java)) = (fs::metadata(archive), java().and_then(|java| Ok(fs::metadata(java)?))) else {
        return false;
    };
    archive.ctime() > java.ctime()
}

fn java() -> anyhow::Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .map(|dir| dir.join("java"))
        .find(|file| file.exists());
    let found = found.context("java is not on the PATH; install it: cargo xtask prepare")?;
    Ok(found.canonicalize()?)
}

/// Reads what the program prints, for those who wait and into its log file.
fn listen(output: impl std::io::Read + Send + 'static, log: &Path, lines: Lines) -> anyhow::Result<()> {
    let file = File::options().create(true).append(true).open(log);
    let mut file = file.with_context(|| format!("opening {}", log.display()))?;
    thread::Builder::new().name("java-log".into()).spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            let _ = writeln!(file, "{line}");
            lines.push(line);
        }
        lines.push(Lines::END.to_owned());
    })?;
    Ok(())
}

/// A shell that waits for the end of its input, which only our death or our will brings.
fn watch(id: u32) -> anyhow::Result<Child> {
    Command::new("sh")
        .args(["-c", "read -r _; kill -KILL \"$0\"", &id.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("starting sh")
}
