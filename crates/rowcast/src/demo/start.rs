//! `rowcast demo`: a private PostgreSQL, the shop's table, and everything else of Rowcast around it, in one command.
//!
//! Owns the order: server first, then capture and page, then (if asked) the shop; Ctrl-C takes them down the other way
//! round. A second start goes on with the same data.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use clap::ArgMatches;
use rowcast_postgres::{ConnectorConfig, Session};
use tokio::{runtime::Runtime, sync::watch};

use super::{
    binaries::{Binaries, Wanted},
    server::{self, Server, ServerOptions, StopMode},
    shop::{self, Dice},
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
        let traffic = arguments.get_one::<f64>("traffic").copied().unwrap_or_default();
        anyhow::ensure!(
            (0.0..=100_000.0).contains(&traffic),
            "--traffic takes changes a second, 0 to 100000"
        );
        Ok(DemoOptions {
            traffic,
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
        let config = ConnectorConfig::from_json(&fs::read_to_string(&settings.connectors[0])?)?;
        Session::open(&config, "rowcast demo").await?.execute(INIT_SQL).await?;
        if options.traffic > 0.0 {
            tokio::spawn(play_shop(config, options.traffic, stop.clone()));
        }
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
    println!("\nOpen the page, then change a row from anywhere:\n");
    println!("  {psql} -c \"UPDATE orders SET status = 'shipped', updated_at = now() WHERE id = 1\"");
    println!(
        "  {psql} -c \"INSERT INTO orders (customer_name, product_name, status) VALUES ('Ada Lovelace', 'Desk lamp', 'pending')\""
    );
    if options.traffic == 0.0 {
        println!("\n`--traffic` plays a shop by itself.");
    } else {
        println!("\nA shop is playing {} change(s) a second.", options.traffic);
    }
    println!(
        "Ctrl-C stops everything; the next start goes on with {}.\n",
        options.dir.display()
    );
}

/// Runs the shop's statements until `stop`. A lost connection ends the show, not the demo.
async fn play_shop(config: ConnectorConfig, changes_per_second: f64, mut stop: watch::Receiver<bool>) {
    if let Err(error) = play(config, changes_per_second, &mut stop).await {
        eprintln!("the shop has closed: {error:#}");
    }
}

async fn play(config: ConnectorConfig, changes_per_second: f64, stop: &mut watch::Receiver<bool>) -> Result<()> {
    let mut database = Session::open(&config, "rowcast demo shop").await?;
    let mut dice = Dice(std::process::id().into());
    let mut pace = tokio::time::interval(Duration::from_secs_f64(1.0 / changes_per_second));
    loop {
        tokio::select! {
            () = stop::told_to_stop(stop) => return Ok(()),
            _ = pace.tick() => database.execute(&shop::statement(dice.throw())).await?,
        };
    }
}
