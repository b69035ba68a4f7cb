//! `cargo xtask test`: every promise, from a crate's units to a browser on a real PostgreSQL.
//!
//! Promises: runs all stages, whatever fails before; ends with the plain line `N passed, N failed`; under 40 minutes on
//! two cores. Knows nothing of what the tests test.

use std::{fs, path::PathBuf};

use anyhow::{Context, bail};

use crate::{
    counts::Counts,
    machine, root,
    run::{self, command},
    stages::Stages,
    web,
};

/// Tells the tests to run their full counts.
const LONG_VARIABLE: &str = "ROWCAST_LONG";
/// Tells the tests which binary to start.
const BINARY_VARIABLE: &str = "ROWCAST_BIN";

/// Runs every test and prints the table.
pub(crate) fn test(long: bool) -> anyhow::Result<()> {
    let mut stages = Stages::default();
    stages.run("machine", machine::prepare_tests);
    stages.run("pages", web::build);
    stages.run("build", || {
        run::loud(
            "cargo build",
            command("cargo").args(["build", "--quiet", "--workspace", "--bins", "--tests"]),
        )
    });
    stages.run_counted("crates", || nextest("not package(rowcast-tests)", long));
    stages.run_counted("examples in docs", || {
        counted(&["test", "--quiet", "--doc", "--workspace"])
    });
    stages.run_counted("promises on real PostgreSQL", || {
        nextest("package(rowcast-tests)", long)
    });
    if web::has_script("test") {
        stages.run_counted("pages: units", || {
            let (succeeded, said) = web::script("test")?;
            outcome(succeeded, &said)
        });
    }
    if web::exists() {
        stages.run_counted("pages: in Chromium", || browser(long));
    }
    stages.print();
    println!("{}", stages.total());
    if stages.succeeded() {
        Ok(())
    } else {
        bail!("tests failed")
    }
}

/// Runs Rust tests, each in its own process; `.config/nextest.toml` says which may run beside others.
fn nextest(which: &str, long: bool) -> anyhow::Result<Option<Counts>> {
    let mut nextest = command(machine::rust_tool("cargo-nextest")?);
    nextest.args([
        "nextest",
        "run",
        "--workspace",
        "--no-fail-fast",
        "--no-tests",
        "pass",
        "--color",
        "never",
        "-E",
        which,
    ]);
    environment(&mut nextest, long);
    let (succeeded, said) = run::heard(&mut nextest)?;
    outcome(succeeded, &said)
}

fn counted(arguments: &[&str]) -> anyhow::Result<Option<Counts>> {
    let (succeeded, said) = run::heard(command("cargo").args(arguments))?;
    outcome(succeeded, &said)
}

/// Runs each file in `tests/browser` by Node's own test runner, one after another: each has a browser and a server.
fn browser(long: bool) -> anyhow::Result<Option<Counts>> {
    let folder = root().join("tests/browser");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .flatten()
        .map(|e| e.path())
        .collect();
    files.retain(|file| file.to_string_lossy().ends_with(".test.mjs"));
    files.sort();
    let mut node = command("node");
    node.args(["--test", "--test-concurrency=1", "--test-reporter=spec"])
        .args(files);
    node.env("CHROMIUM", machine::chromium().context("Chromium is not installed")?);
    environment(&mut node, long);
    let (succeeded, said) = run::heard(&mut node)?;
    outcome(succeeded, &said)
}

fn environment(command: &mut std::process::Command, long: bool) {
    command.env(BINARY_VARIABLE, run::target_dir().join("debug/rowcast"));
    if long {
        command.env(LONG_VARIABLE, "1");
    }
}

/// A runner that failed without naming a failed test did not get as far as its tests.
fn outcome(succeeded: bool, said: &str) -> anyhow::Result<Option<Counts>> {
    let counts = Counts::read(said);
    if !succeeded && counts.failed == 0 {
        bail!("the tests could not be run; see above");
    }
    Ok(Some(counts))
}
