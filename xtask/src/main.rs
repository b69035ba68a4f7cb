//! The one door: what a person or CI does with this repository, as `cargo xtask demo | test | check | bench`.
//!
//! Promises: each command prepares what it needs on a machine that has only Rust, prints what it does and how long it
//! took, and does nothing twice. Knows nothing of Rowcast's insides: it runs programs and reads what they say.

mod advisories;
mod check;
mod containers;
mod counts;
mod direction;
mod kafka;
mod machine;
mod nginx;
mod npm;
mod run;
mod seeded;
mod size;
mod stages;
mod test;
mod web;

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
};

use clap::{Parser, Subcommand};

use crate::run::command;

/// Chooses the demo with Kafka.
const KAFKA_FLAG: &str = "--kafka";

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Demo, tests, checks and benchmarks of Rowcast",
    disable_version_flag = true
)]
struct Arguments {
    #[command(subcommand)]
    door: Door,
}

#[derive(Subcommand)]
enum Door {
    /// Build everything and start the demo: a private PostgreSQL, the pipeline, the live page
    Demo {
        /// Instead: what docker-compose.yml says, as plain processes: Kafka, a capture, two gateways, a proxy
        #[arg(long)]
        kafka: bool,
        /// Handed to the demo as they are: `--traffic [N]`, `--dir DIR`, `--help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run every test: crates, promises on real PostgreSQL, pages in Chromium
    Test {
        /// The full counts (200 kills, 50 crashes of PostgreSQL, …): about two hours
        #[arg(long)]
        long: bool,
        /// Instead: plant known bugs (those whose name contains WORD) and demand that their tests fail
        #[arg(long, value_name = "WORD", num_args = 0..=1, default_missing_value = "", conflicts_with = "long")]
        seeded: Option<String>,
    },
    /// Format, lints, docs, licences, advisories, direction of crates: under two minutes when warm
    Check,
    /// Fetch what tests and benchmarks need (Debian packages, Kafka's jars, npm packages), and run nothing
    Prepare,
    /// Build in release and measure, each number beside its peer from the same run
    Bench {
        /// Handed to the bench program as they are
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().door {
        Door::Demo { kafka, mut arguments } => {
            // Behind the demo's own arguments it is one of them.
            let behind = arguments.extract_if(.., |argument| argument == KAFKA_FLAG).count() > 0;
            if kafka || behind {
                demo_kafka(&arguments)
            } else {
                demo(&arguments)
            }
        }
        Door::Test { seeded: Some(only), .. } => seeded::seeded(&only),
        Door::Test { long, .. } => test::test(long),
        Door::Check => check::check(),
        Door::Prepare => machine::prepare_tests(),
        Door::Bench { arguments } => bench(&arguments),
    }
}

/// The repository's root: every path that xtask names is below it.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the root")
}

/// Where xtask keeps the tools that it fetched.
fn tools_dir() -> PathBuf {
    root().join("target/tools")
}

fn demo(arguments: &[String]) -> anyhow::Result<()> {
    machine::prepare_build()?;
    web::build()?;
    run::loud(
        "build rowcast",
        command("cargo").args(["build", "--release", "--package", "rowcast", "--bin", "rowcast"]),
    )?;
    let mut rowcast = command(run::target_dir().join("release/rowcast"));
    // This process becomes the demo, so that Ctrl-C and exit codes are the demo's own.
    Err(rowcast.arg("demo").args(arguments).exec().into())
}

fn demo_kafka(arguments: &[String]) -> anyhow::Result<()> {
    machine::prepare_build()?;
    machine::prepare_servers()?;
    web::build()?;
    let mut cargo = command("cargo");
    cargo.args([
        "build",
        "--release",
        "--package",
        "rowcast",
        "--package",
        "rowcast-tests",
    ]);
    run::loud(
        "build rowcast and the topology",
        cargo.args(["--bin", "rowcast", "--bin", "topology"]),
    )?;
    let mut topology = command(run::target_dir().join("release/topology"));
    // As above: Ctrl-C and exit codes are the demo's own.
    Err(topology.args(arguments).exec().into())
}

fn bench(arguments: &[String]) -> anyhow::Result<()> {
    machine::prepare_bench()?;
    web::build()?;
    let mut cargo = command("cargo");
    run::loud(
        "build rowcast",
        cargo.args([
            "build",
            "--release",
            "--package",
            "rowcast",
            "--package",
            "rowcast-bench",
        ]),
    )?;
    let mut bench = command("cargo");
    Err(bench
        .args(["run", "--release", "--quiet", "--package", "rowcast-bench", "--"])
        .args(arguments)
        .exec()
        .into())
}
