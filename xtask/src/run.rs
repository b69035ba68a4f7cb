//! Runs other programs, because that is all that xtask does.
//!
//! Promises: every program starts in the repository's root; a program that is missing or fails becomes an error that
//! names it. Knows nothing of what the programs do.

use std::{
    env,
    ffi::OsStr,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use anyhow::{Context, bail};

/// A command that runs in the repository's root.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(crate::root());
    command
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => crate::root().join(dir),
        None => crate::root().join("target"),
    }
}

/// Runs with the terminal's own output, after one line saying what, and one line after it saying how long.
pub(crate) fn loud(what: &str, command: &mut Command) -> anyhow::Result<()> {
    eprintln!("==> {what}");
    let started = Instant::now();
    let status = command.status().with_context(|| missing(command))?;
    if !status.success() {
        bail!("{what} failed ({status}): {}", line_of(command));
    }
    eprintln!("    {what}: {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// Runs silently; its output is part of the error when it fails.
pub(crate) fn quiet(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| missing(command))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{} failed ({})\n{}{}",
            line_of(command),
            output.status,
            stdout.trim_end(),
            stderr.trim_end()
        );
    }
    Ok(stdout)
}

/// Runs with its output shown as it comes and kept: whether it succeeded, and all it said.
pub(crate) fn heard(command: &mut Command) -> anyhow::Result<(bool, String)> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| missing(command))?;
    let stdout = child.stdout.take().context("its stdout was piped")?;
    let stderr = child.stderr.take().context("its stderr was piped")?;
    let other = thread::spawn(move || copy_lines(stderr));
    let mut said = copy_lines(stdout);
    said.push_str(&other.join().unwrap_or_default());
    Ok((child.wait()?.success(), said))
}

/// Shows each line at once, and returns them all.
fn copy_lines(source: impl std::io::Read) -> String {
    let mut said = String::new();
    for line in BufReader::new(source).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        let _ = writeln!(std::io::stderr(), "{line}");
        said.push_str(&line);
        said.push('\n');
    }
    said
}

/// True when `program --version` can be run.
pub(crate) fn exists(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success())
}

fn missing(command: &Command) -> String {
    format!(
        "{} could not be started; is it installed?",
        command.get_program().to_string_lossy()
    )
}

/// The command as a person would type it.
fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
