//! The command line. Settings become flags by themselves; see `settings.rs`.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::settings::{Layer, SETTINGS, Setting};

/// The whole command line.
pub fn command() -> Command {
    Command::new("rowcast")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Every change in your PostgreSQL tables, in every browser, the moment it commits")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(run_command())
        .subcommand(demo_command())
        .subcommand(tail_command())
}

fn run_command() -> Command {
    Command::new("run")
        .about("Runs everything in one process: capture, log, gateway, live page")
        .long_about(
            "Runs everything in one process: capture, log, gateway, live page.\n\nFlags override the environment \
             (ROWCAST_LISTEN for --listen, and so on), which overrides the file given with --config, whose keys are the \
             flags' names with underscores.",
        )
        .arg(Arg::new("config").long("config").value_name("FILE").help("A TOML file with any of the settings below"))
        .args(SETTINGS.iter().map(setting_arg))
}

fn demo_command() -> Command {
    Command::new("demo")
        .about("Starts a private PostgreSQL with a shop's orders table and shows it live")
        .arg(
            Arg::new("traffic")
                .long("traffic")
                .value_name("N")
                .value_parser(value_parser!(f64))
                .num_args(0..=1)
                .default_value("0")
                .default_missing_value("1")
                .help("Plays a believable shop at N changes a second (1 if N is left out)"),
        )
        .arg(path(
            "dir",
            "DIR",
            "./rowcast-demo",
            "Where the demo keeps its database and its log; a second start goes on with them",
        ))
        .arg(
            Arg::new("pg-bin")
                .long("pg-bin")
                .value_name("DIR")
                .env("ROWCAST_PG_BIN")
                .help("The folder with PostgreSQL's programs; searched for if left out"),
        )
        .arg(
            Arg::new("pg-port")
                .long("pg-port")
                .value_name("PORT")
                .value_parser(value_parser!(u16))
                .default_value("5432")
                .help("Where the private PostgreSQL listens; the next free port if it is taken"),
        )
        .arg(text(
            "listen",
            "ADDR:PORT",
            "127.0.0.1:3000",
            "Where the live page is served",
        ))
        .arg(text(
            "metrics-listen",
            "ADDR:PORT",
            "127.0.0.1:9464",
            "Where /metrics is served",
        ))
}

fn tail_command() -> Command {
    Command::new("tail")
        .about("Prints a topic's records as JSON lines, and goes on as they come")
        .arg(
            Arg::new("topic")
                .value_name("TOPIC")
                .required(true)
                .help("As <topic.prefix>.<schema>.<table>: orders.public.orders"),
        )
        .arg(text("from", "beginning|end|OFFSET", "beginning", "Where to start"))
        .arg(
            Arg::new("count")
                .long("count")
                .value_name("N")
                .value_parser(value_parser!(u64))
                .help("Stops after N records"),
        )
        .arg(
            Arg::new("exit-at-end")
                .long("exit-at-end")
                .action(ArgAction::SetTrue)
                .help("Stops at the end of the log instead of waiting for more"),
        )
        .arg(
            Arg::new("raw")
                .long("raw")
                .action(ArgAction::SetTrue)
                .help("Prints key and value as JSON strings (or null) that hold their exact text"),
        )
        .arg(
            path(
                "data-dir",
                "DIR",
                "./rowcast-data",
                "The log's directory; `rowcast run` may hold it meanwhile",
            )
            .env("ROWCAST_DATA_DIR"),
        )
}

fn text(name: &'static str, value_name: &'static str, default: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value_name)
        .default_value(default)
        .help(help)
}

fn path(name: &'static str, value_name: &'static str, default: &'static str, help: &'static str) -> Arg {
    text(name, value_name, default, help)
}

fn setting_arg(setting: &'static Setting) -> Arg {
    let help = if setting.default.is_empty() {
        format!("{} [env: {}]", setting.help, setting.environment_name())
    } else {
        format!(
            "{} [default: {}] [env: {}]",
            setting.help,
            setting.default,
            setting.environment_name()
        )
    };
    let action = if setting.many {
        ArgAction::Append
    } else {
        ArgAction::Set
    };
    Arg::new(setting.key)
        .long(setting.flag())
        .value_name(setting.value_name)
        .action(action)
        .help(help)
}

/// The layer of the flags that were given.
pub fn flags(matches: &ArgMatches) -> Layer {
    let given = |setting: &'static Setting| {
        let values: Vec<String> = matches.get_many::<String>(setting.key)?.cloned().collect();
        Some((setting.key, values))
    };
    SETTINGS.iter().filter_map(given).collect()
}
