//! The numbers, each beside its peer from the same run.
//!
//! `rowcast-bench` conducts: it starts a private PostgreSQL, `rowcast run`, the peers, and itself a second time as load
//! generator (`rowcast-bench load`). What every row means is in `bench/README.md`.

mod bench;
mod broker;
mod byte_counter;
mod client;
mod feed;
mod generator;
mod histogram;
mod interrupt;
mod load;
mod machine;
mod mark;
mod peers;
mod process;
mod product;
mod relay;
mod results;
mod rows;
mod subscriber;
mod walsender;
mod websocket;
mod wire;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Parser;

use bench::{Bench, Peers};
use results::Results;
use rows::{MEASUREMENTS, Measurement};

/// Measures Rowcast beside its peers; prints a table, writes target/bench.json and bench/README.md.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    /// Only measurements whose name begins so; may be repeated. `--list` names them.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Short runs that show whether everything works; their numbers go to target/bench-quick.json only.
    #[arg(long)]
    quick: bool,
    /// Who stands beside us.
    #[arg(long, value_enum, default_value = "light")]
    peers: Peers,
    /// A `rowcast` program to measure instead of building one.
    #[arg(long, value_name = "FILE")]
    rowcast: Option<PathBuf>,
    /// Keep the folder with logs and data.
    #[arg(long)]
    keep: bool,
    /// Name the measurements and stop.
    #[arg(long)]
    list: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(clap::Subcommand)]
enum Role {
    /// The load generator; started by the benchmark itself.
    #[command(hide = true)]
    Load(load::LoadArgs),
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    if let Some(Role::Load(args)) = &cli.role {
        return load::run(args);
    }
    if cli.list {
        MEASUREMENTS
            .iter()
            .for_each(|measurement| println!("{}", measurement.name));
        return Ok(());
    }
    let wanted = wanted(&cli.only)?;
    let mut bench = Bench::start(cli.quick, cli.peers, cli.rowcast)?;
    interrupt::stop_everything_when_told(bench.folder().to_owned())?;
    if cli.keep {
        bench.keep_folder();
        println!("logs and data stay in {}", bench.folder().display());
    }
    let failed = measure(&mut bench, &wanted)?;
    if failed > 0 {
        bail!("{failed} of {} measurements could not be made", wanted.len());
    }
    Ok(())
}

fn wanted(only: &[String]) -> Result<Vec<&'static Measurement>> {
    // A whole name means itself: `fan-out-1000` is not `fan-out-10000`.
    let is_name = |text: &str| MEASUREMENTS.iter().any(|measurement| measurement.name == text);
    let means = |text: &str, name: &str| {
        if is_name(text) {
            name == text
        } else {
            name.starts_with(text)
        }
    };
    let chosen = |name: &str| only.is_empty() || only.iter().any(|text| means(text, name));
    let wanted: Vec<_> = MEASUREMENTS
        .iter()
        .filter(|measurement| chosen(measurement.name))
        .collect();
    if wanted.is_empty() {
        bail!("no measurement begins with {}; --list names them", only.join(" or "));
    }
    Ok(wanted)
}

/// Runs them one after the other, writing what is known after each; returns how many could not be made.
fn measure(bench: &mut Bench, wanted: &[&Measurement]) -> Result<usize> {
    let file = bench.root.join(if bench.quick {
        "target/bench-quick.json"
    } else {
        "target/bench.json"
    });
    let mut results = Results::load(&file);
    results.machine = machine::facts(&bench.postgres_version);
    let order: Vec<&str> = MEASUREMENTS.iter().map(|measurement| measurement.name).collect();
    let mut failed = 0;
    for measurement in wanted {
        match (measurement.run)(bench) {
            Ok(mut row) => {
                row.measured_at = format!("{}, commit {}", machine::now(), machine::commit());
                row.command = command_line();
                println!("{row}");
                results.put(row);
            }
            Err(error) => {
                failed += 1;
                println!("{}: not measured: {error:#}\n", measurement.name);
            }
        }
        results.sort(&order);
        results.save(&file)?;
        if !bench.quick {
            results.write_readme(&bench.root.join("bench/README.md"))?;
        }
    }
    Ok(failed)
}

/// What was typed, as a person would type it again.
fn command_line() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    format!("cargo xtask bench {}", arguments.join(" "))
        .trim_end()
        .to_owned()
}
