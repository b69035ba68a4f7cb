//! `rowcast demo`: a private PostgreSQL, the shop's table, and everything else of Rowcast around it, in one command.
//!
//! Owns the order: server first, then capture and page, then (if asked) the shop; Ctrl-C takes them down the other way
//! round. A second start goes on with the same data.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::ArgMatches;
use rowcast_postgres::{ConnectorConfig, Session};
use tokio::runtime::Runtime;

use super::{
    binaries::{Binaries, Wanted},
    server::{self, Server, ServerOptions, StopMode},
    show,
};
use crate::{
    run,
    settings::{self, Role},
    stop,
};

/// The shop's table and a few rows, as every user of the demo gets them.
const INIT_SQL: &str = include_str!("../../../../database/init.sql");
/// The connector's configuration, as a user would register it with Kafka Connect.
const CONNECTOR_JSON: &str = include_str!("../../../../register-orders-connector.json");
/// The database that both of them name.
const DATABASE: &str = "orders_db";
/// Names and password in `register-orders-connector.json`: a private server on the loopback address.
const USER: &str = "postgres";
const PASSWORD: &str = "password";

/// What the command line asked for.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Changes a second; 0 plays nothing.
    pub traffic: f64,
    /// Database and log live here.
    pub dir: PathBuf,
    /// PostgreSQL's programs, if the user knows better.
    pub pg_bin: Option<PathBuf>,
    /// Wanted port; the next free one otherwise.
    pub pg_port: u16,
    /// Public listener.
    pub listen: String,
    /// Operator listener.
    pub metrics_listen: String,
}

impl DemoOptions {
    /// From clap's matches.
    pub fn from_arguments(arguments: &ArgMatches) -> Result<DemoOptions> {
        let text = |name: &str| arguments.get_one::<String>(name).cloned().unwrap_or_default();
        Ok(DemoOptions {
            traffic: show::traffic(arguments)?,
            dir: text("dir").into(),
            pg_bin: arguments.get_one::<String>("pg-bin").map(PathBuf::from),
            pg_port: arguments.get_one("pg-port").copied().unwrap_or(5432),
            listen: text("listen"),
            metrics_listen: text("metrics-listen"),
        })
    }
}

/// Runs the demo until Ctrl-C.
pub fn demo(options: DemoOptions, runtime: Runtime) -> Result<()> {
    let dir = std::path::absolute(&options.dir)?;
    fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    let mut server = start_server(&options, &dir)?;
    let settings = settings(&options, &dir, server.port())?;
    let psql = server.psql_line();
    let outcome = runtime.block_on(async {
        let stop = stop::stop_signal()?;
        let connector = fs::read_to_string(&settings.connectors[0])?;
        let config = ConnectorConfig::from_json(&connector)?;
        Session::open(&config, "rowcast demo").await?.execute(INIT_SQL).await?;
        tokio::spawn(show::play_shop(connector, options.traffic, stop.clone()));
        run::run(Role::Run, settings, stop, |addresses| greet(addresses, &psql, &options)).await
    });
    println!("Stopping PostgreSQL ...");
    server.stop(StopMode::Fast)?;
    outcome
}

fn start_server(options: &DemoOptions, dir: &Path) -> Result<Server> {
    // A data directory that exists wants the major version that made it.
    let data_dir = dir.join("postgres");
    let major = fs::read_to_string(data_dir.join("PG_VERSION"))
        .ok()
        .and_then(|version| version.trim().parse().ok());
    let binaries = Binaries::find(&Wanted {
        bin_dir: options.pg_bin.clone(),
        major,
        ..Wanted::default()
    })?;
    println!("Starting {binaries} ...");
    Server::start(ServerOptions {
        binaries,
        data_dir,
        port: server::free_port(options.pg_port)?,
        user: USER.into(),
        password: Some(PASSWORD.into()),
        database: DATABASE.into(),
        fsync: true,
        settings: vec![],
    })
}

/// The settings of `rowcast run`, with a connector file that names the private server's port.
fn settings(options: &DemoOptions, dir: &Path, pg_port: u16) -> Result<settings::Settings> {
    let mut connector: serde_json::Value =
        serde_json::from_str(CONNECTOR_JSON).context("register-orders-connector.json")?;
    connector["config"]["database.hostname"] = "127.0.0.1".into();
    connector["config"]["database.port"] = pg_port.to_string().into();
    connector["config"]["publication.autocreate.mode"] = "filtered".into();
    let file = dir.join("orders-connector.json");
    fs::write(&file, format!("{connector:#}\n")).with_context(|| format!("writing {}", file.display()))?;
    let given = |text: &str| vec![text.to_owned()];
    settings::resolve(&[settings::Layer::default()
        .with("connector", given(&file.to_string_lossy()))
        .with("data_dir", given(&dir.join("log").to_string_lossy()))
        .with("listen", given(&options.listen))
        .with("metrics_listen", given(&options.metrics_listen))])
}

fn greet(addresses: &run::Addresses, psql: &str, options: &DemoOptions) {
    if let Some(public) = addresses.public {
        println!("\n  Live page    http://localhost:{}", public.port());
        println!("  WebSocket    ws://localhost:{}/ws", public.port());
    }
    println!("  Metrics      http://{}/metrics", addresses.metrics);
    println!("  PostgreSQL   {psql}");
    println!("\n{}", show::invitation(psql, options.traffic));
    println!(
        "Ctrl-C stops everything; the next start goes on with {}.\n",
        options.dir.display()
    );
}
