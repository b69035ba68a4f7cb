//! `cargo xtask demo --kafka`: the topology of `docker-compose.yml` for a person to look at, page and all, until Ctrl-C.
//!
//! Owns the order: everything starts as the file says, then (if asked) the shop; Ctrl-C stops it the other way round. A
//! second start goes on with the same data. What is killed meanwhile is started again, as a container engine would.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use clap::{Arg, Command, value_parser};
use rowcast::{
    demo::show::{self, traffic_arg},
    stop::{stop_signal, told_to_stop},
};
use rowcast_tests::topology::{Front, Topology};
use tokio::sync::watch;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Command::new("cargo xtask demo --kafka")
        .about("Starts what docker-compose.yml says, as plain processes: PostgreSQL, Kafka, a capture, two gateways, a proxy")
        .arg(traffic_arg())
        .arg(
            Arg::new("dir")
                .long("dir")
                .value_name("DIR")
                .value_parser(value_parser!(std::path::PathBuf))
                .default_value("./rowcast-demo-kafka")
                .help("Where volumes and logs are; a second start goes on with them"),
        )
        .get_matches();
    let traffic = show::traffic(&arguments)?;
    let dir = arguments
        .get_one::<std::path::PathBuf>("dir")
        .context("it has a default")?;
    fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    demo(dir, traffic, stop_signal()?).await
}

async fn demo(dir: &Path, traffic: f64, mut stop: watch::Receiver<bool>) -> Result<()> {
    let mut told = stop.clone();
    let mut topology = tokio::select! {
        started = Topology::start(dir, Front::AsPublished, |name| println!("Starting {name} ...")) => started?,
        // What has been started is stopped with the value that is dropped here.
        () = told_to_stop(&mut told) => return Ok(()),
    };
    greet(&mut topology, dir, traffic)?;
    tokio::spawn(show::play_shop(topology.connector()?, traffic, stop.clone()));
    let outcome = keep_up(&mut topology, &mut stop).await;
    println!("Stopping ...");
    topology.stop().await?;
    outcome
}

/// Starts again what ends, until `stop`.
async fn keep_up(topology: &mut Topology, stop: &mut watch::Receiver<bool>) -> Result<()> {
    loop {
        let ended = tokio::select! {
            () = told_to_stop(stop) => return Ok(()),
            name = topology.ended() => name.to_owned(),
        };
        println!("{ended} has ended; it is started again, as its `restart:` says ...");
        tokio::select! {
            () = told_to_stop(stop) => return Ok(()),
            started = topology.start_again(&ended) => started?,
        }
        println!(
            "{ended} is back: process {}",
            topology.process_id(&ended).unwrap_or_default()
        );
    }
}

fn greet(topology: &mut Topology, dir: &Path, traffic: f64) -> Result<()> {
    let address = topology.address()?;
    let port = address.rsplit(':').next().unwrap_or_default();
    let psql = topology.psql_line()?;
    println!("\n  Live page    http://localhost:{port}");
    println!("  WebSocket    ws://localhost:{port}/ws");
    println!("  PostgreSQL   {psql}");
    println!("  Logs         {}", dir.display());
    println!("\n{}\n", show::invitation(&psql, traffic));
    println!("Kill a gateway; the page goes on at the other:\n");
    for gateway in topology.gateways() {
        let id = topology.process_id(&gateway).context("it runs")?;
        println!("  kill -9 {id}    # {gateway}");
    }
    println!(
        "\nCtrl-C stops everything; the next start goes on with {}.\n",
        dir.display()
    );
    Ok(())
}
