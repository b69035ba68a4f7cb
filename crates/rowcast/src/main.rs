//! The `rowcast` binary: reads the command line and hands over to the library.

use std::{
    fs,
    io::{self, IsTerminal},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::ArgMatches;
use rowcast::{
    cli, demo, health, run,
    settings::{self, Role, Settings},
    stop, tail,
};
use tracing_subscriber::EnvFilter;

/// Small allocations are what capture and gateway make on the way; see `bench/README.md` for memory at 5,000 clients.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long calls that block are waited for once everything has stopped in its order: what still waits then waits for a
/// Kafka that does not answer, and nothing that was confirmed depends on it.
const LEFT_PATIENCE: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let matches = cli::command().get_matches();
    let outcome = match matches.subcommand() {
        Some(("run", arguments)) => role_command(Role::Run, arguments),
        Some(("capture", arguments)) => role_command(Role::Capture, arguments),
        Some(("gateway", arguments)) => role_command(Role::Gateway, arguments),
        Some(("demo", arguments)) => demo_command(arguments),
        Some(("tail", arguments)) => tail_command(arguments),
        Some(("health", arguments)) => health_command(arguments),
        _ => unreachable!("clap asks for a subcommand"),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rowcast: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn role_command(role: Role, arguments: &ArgMatches) -> Result<()> {
    let settings = read_settings(role, arguments)?;
    log_to_stderr(&settings.log_level, settings.log_json)?;
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        let stop = stop::stop_signal()?;
        run::run(role, settings, stop, |_| {}).await
    });
    runtime.shutdown_timeout(LEFT_PATIENCE);
    outcome
}

fn read_settings(role: Role, arguments: &ArgMatches) -> Result<Settings> {
    let mut layers = Vec::new();
    if let Some(file) = arguments.get_one::<String>("config") {
        let text = fs::read_to_string(file).with_context(|| format!("configuration file {file}"))?;
        layers.push(settings::from_file(&text).with_context(|| format!("configuration file {file}"))?);
    }
    layers.push(settings::from_environment(|name| std::env::var(name).ok()));
    layers.push(cli::flags(role, arguments));
    settings::resolve(&layers)
}

fn demo_command(arguments: &ArgMatches) -> Result<()> {
    let options = demo::start::DemoOptions::from_arguments(arguments)?;
    log_to_stderr("warn", false)?;
    demo::start::demo(options, runtime()?)
}

fn tail_command(arguments: &ArgMatches) -> Result<()> {
    let text = |name: &str| arguments.get_one::<String>(name).cloned().unwrap_or_default();
    let settings = read_settings(Role::Tail, arguments)?;
    let flags = cli::flags(Role::Tail, arguments);
    // Whoever names a directory means it, wherever Kafka may be.
    let means_directory = flags.get("data_dir").is_some() && flags.get("log.kafka").is_none();
    let place = match settings.kafka {
        Some(kafka) if !means_directory => tail::Place::Kafka(kafka),
        _ => tail::Place::Directory(settings.data_dir),
    };
    let options = tail::TailOptions {
        topic: text("topic"),
        from: text("from").parse()?,
        count: arguments.get_one("count").copied(),
        exit_at_end: arguments.get_flag("exit-at-end"),
        raw: arguments.get_flag("raw"),
        place,
    };
    runtime()?.block_on(tail::tail(options, io::stdout().lock()))
}

fn health_command(arguments: &ArgMatches) -> Result<()> {
    let url = arguments
        .get_one::<String>("url")
        .map_or(health::READY_URL, String::as_str);
    print!("{}", runtime()?.block_on(health::health(url))?);
    Ok(())
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

fn log_to_stderr(filter: &str, json: bool) -> Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("log_level {filter:?}"))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false);
    if json {
        subscriber.json().init();
    } else {
        subscriber.init();
    }
    Ok(())
}
