//! Runs the Java programs that stand beside ours (Kafka's broker, Kafka Connect), from the jars that `cargo xtask prepare`
//! fetches.
//!
//! Promises: ready is a line of its log, never a clock. Knows nothing of what the programs do.

use std::{
    env,
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};

use crate::{
    child::{Child, Farewell},
    lines::Lines,
};

/// Heap of one program. A broker and a Connect with one connector are at rest with 60 MB; this leaves room for batches.
const HEAP: &str = "-Xmx256m";
/// For a life of seconds the second compiler costs more than it gives: 1.8 s instead of 2.6 s to a broker's start.
const SHORT_LIFE: [&str; 2] = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];
/// The driver sets its sessions to the JVM's zone, which shows in the text of `tstzrange`: the same on every machine.
const ZONE: &str = "-Duser.timezone=UTC";

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
    /// Java's own options, such as `-Dname=value`.
    pub(crate) options: &'a [String],
    /// log4j lines beside the usual: warnings only.
    pub(crate) loggers: &'a str,
    /// Part of the line that it logs when others may come.
    pub(crate) ready: &'a str,
}

/// Starts the program with its classes already parsed, and returns when it is ready.
///
/// The first start on a machine is made twice, the first time to write the archive of parsed classes (50 MB), which
/// halves the time of all others: 1.0 s instead of 1.8 s for a broker.
pub(crate) async fn start(program: &Program<'_>, lines: &Lines) -> anyhow::Result<Child> {
    let archive = home()?.join(format!("{}.jsa", program.name));
    {
        let lock = File::create(archive.with_extension("lock")).context("locking the archive of classes")?;
        lock.lock()?;
        if !is_fresh(&archive) {
            let unfinished = archive.with_extension("unfinished");
            let option = format!("-XX:ArchiveClassesAtExit={}", unfinished.display());
            let from = lines.len();
            launch(program, &option, lines).await?.terminate(lines, from).await?;
            fs::rename(&unfinished, &archive).context("java wrote no archive of its classes")?;
        }
    }
    launch(program, &format!("-XX:SharedArchiveFile={}", archive.display()), lines).await
}

async fn launch(program: &Program<'_>, option: &str, lines: &Lines) -> anyhow::Result<Child> {
    let log_config = program.folder.join(format!("{}-log.properties", program.name));
    fs::write(&log_config, format!("{LOG_CONFIG}{}", program.loggers))?;
    let mut java = Command::new(java()?);
    java.args([HEAP, ZONE, option, "-Xshare:auto"])
        .args(SHORT_LIFE)
        .args(program.options);
    java.arg(format!("-Dlog4j2.configurationFile={}", log_config.display()));
    java.arg("-cp")
        .arg(class_path()?)
        .arg(program.main)
        .arg(&program.properties);
    java.current_dir(program.folder);
    let from = lines.len();
    let log = program.folder.join(format!("{}.log", program.name));
    let mut java = Child::spawn(java, &log, lines, Farewell::Kill)?;
    let line = lines
        .wait_from(from, |line| line.contains(program.ready) || line == Lines::END)
        .await?;
    if line == Lines::END {
        let status = java.wait()?;
        bail!(
            "{} ended at its start ({status}):\n{}",
            program.main,
            lines.text_from(from)
        );
    }
    Ok(java)
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
