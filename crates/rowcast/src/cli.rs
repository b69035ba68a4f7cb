//! The command line. Settings become flags by themselves; see `settings.rs`.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::{
    demo::show::traffic_arg,
    health::READY_URL,
    settings::{Layer, Role, Setting, settings_of},
};

/// The whole command line.
pub fn command() -> Command {
    Command::new("rowcast")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Every change in your PostgreSQL tables, in every browser, the moment it commits")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(ROLES.map(role_command))
        .subcommand(demo_command())
        .subcommand(tail_command())
        .subcommand(health_command())
}

/// What each role is, in a line and at length.
const ROLES: [(Role, &str, &str); 3] = [
    (
        Role::Run,
        "Runs everything in one process: capture, log, gateway, live page",
        "The log is in a directory of this process, or, with --kafka, on Apache Kafka, beside other captures and gateways.",
    ),
    (
        Role::Capture,
        "Runs connectors that write to Apache Kafka, and nothing else",
        "It has no public listener: /health/live and /health/ready are beside /metrics. Needs --kafka and --connector.",
    ),
    (
        Role::Gateway,
        "Serves clients what is on Apache Kafka: gateway and live page, no connectors",
        "It keeps copies of the topics that it serves, and shares nothing with other gateways but Kafka: start as many as \
         you like. /health/ready says 503 and how far it is until everything is copied; after that 200, with \"stale since\" \
         while Kafka is away. Needs --kafka.",
    ),
];

fn role_command((role, about, more): (Role, &'static str, &'static str)) -> Command {
    Command::new(role.name())
        .about(about)
        .long_about(format!(
            "{about}.\n\n{more}\n\nFlags override the environment (ROWCAST_KAFKA for --kafka, and so on), which overrides \
             the file given with --config, whose keys are the flags' names with underscores; one file may serve all roles."
        ))
        .arg(config_arg())
        .args(settings_of(role).map(setting_arg))
}

fn config_arg() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .help("A TOML file with any of the settings below")
}

fn demo_command() -> Command {
    Command::new("demo")
        .about("Starts a private PostgreSQL with a shop's orders table and shows it live")
        .arg(traffic_arg())
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
        .arg(config_arg())
        .args(settings_of(Role::Tail).map(setting_arg))
}

fn health_command() -> Command {
    Command::new("health")
        .about("Asks a running rowcast whether it is ready, for a container's health check")
        .long_about(
            "Asks a running rowcast whether it is ready, for a container's health check. Prints what the page says; exits \
             with 0 if its status is 200, and with 1 otherwise.",
        )
        .arg(
            Arg::new("url")
                .value_name("URL")
                .default_value(READY_URL)
                .help("The page: /health/ready or /health/live, of either listener"),
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
pub fn flags(role: Role, matches: &ArgMatches) -> Layer {
    settings_of(role).fold(Layer::default(), |layer, setting| {
        match matches.get_many::<String>(setting.key) {
            Some(values) => layer.with(setting.key, values.cloned().collect()),
            None => layer,
        }
    })
}
