//! A program that runs beside a test: its output is kept, its end is noticed, and it outlives nobody.
//!
//! Promises: gone when the value is dropped, and also when its owner is killed; Ctrl-C in the terminal is for its owner to
//! hear first. Knows nothing of what the program does.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use anyhow::Context;

use crate::{PATIENCE, lines::Lines, process};

/// How a program must be told that it has no owner any more.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Farewell {
    /// SIGKILL: nothing can hold it up.
    Kill,
    /// SIGTERM, to one with children of its own, which nobody else would stop.
    Terminate,
}

/// A running program.
#[derive(Debug)]
pub(crate) struct Child {
    child: std::process::Child,
    _watcher: Watcher,
    farewell: Farewell,
}

/// Sends a signal to a process when our end of its input is closed, as it is by any death of ours, and not when it is
/// dropped.
#[derive(Debug)]
pub(crate) struct Watcher(std::process::Child);

impl Child {
    /// Starts the command; what it prints goes to `lines`, with [`Lines::END`] after it, and is appended to the file `log`.
    pub(crate) fn spawn(mut command: Command, log: &Path, lines: &Lines, farewell: Farewell) -> anyhow::Result<Child> {
        let (output, input) = std::io::pipe()?;
        command.stdin(Stdio::null()).process_group(0);
        command.stdout(input.try_clone()?).stderr(input);
        let child = command
            .spawn()
            .with_context(|| format!("starting {}", command.get_program().display()))?;
        // The command holds the pipe's other end; the reader must see the end when the program dies.
        drop(command);
        listen(output, log, lines.clone())?;
        Ok(Child {
            _watcher: Watcher::start(child.id(), farewell.signal())?,
            child,
            farewell,
        })
    }

    /// The process's number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Any signal, by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) -> anyhow::Result<()> {
        process::signal(self.child.id(), name)
    }

    /// How it ended, once it has.
    pub(crate) fn wait(&mut self) -> anyhow::Result<std::process::ExitStatus> {
        Ok(self.child.wait()?)
    }

    /// Waits until the program has ended by itself.
    pub(crate) async fn ended(mut self) -> anyhow::Result<()> {
        let ended = tokio::task::spawn_blocking(move || self.wait());
        let ended = tokio::time::timeout(PATIENCE, ended).await;
        ended.context("the program goes on")??.map(|_| ())
    }

    /// SIGTERM; returns when the program has ended by itself. The lines of its life begin at `from`.
    pub(crate) async fn terminate(mut self, lines: &Lines, from: usize) -> anyhow::Result<()> {
        self.signal("TERM")?;
        lines.wait_from(from, |line| line == Lines::END).await?;
        self.child.wait()?;
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

impl Drop for Child {
    fn drop(&mut self) {
        // The number of one that has ended may be somebody else's by now.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.signal(self.farewell.signal());
            let _ = self.child.wait();
        }
    }
}

impl Farewell {
    /// The signal's name without `SIG`.
    fn signal(self) -> &'static str {
        match self {
            Farewell::Kill => "KILL",
            Farewell::Terminate => "TERM",
        }
    }
}

/// Reads what the program prints, for those who wait and into its log file.
fn listen(output: impl std::io::Read + Send + 'static, log: &Path, lines: Lines) -> anyhow::Result<()> {
    let file = File::options().create(true).append(true).open(log);
    let mut file = file.with_context(|| format!("opening {}", log.display()))?;
    thread::Builder::new().name("child-log".into()).spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            let _ = writeln!(file, "{line}");
            lines.push(line);
        }
        lines.push(Lines::END.to_owned());
    })?;
    Ok(())
}

impl Watcher {
    /// Watches over a process, which is sent the signal of this name.
    pub(crate) fn start(id: u32, signal: &str) -> anyhow::Result<Watcher> {
        let shell = Command::new("sh")
            .args(["-c", &format!("read -r _; kill -{signal} {id}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C is for our owner, who closes our input.
            .process_group(0)
            .spawn();
        Ok(Watcher(shell.context("starting sh")?))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
