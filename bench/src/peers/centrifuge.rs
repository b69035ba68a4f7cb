//! The Go program: pgoutput straight into centrifuge, no log behind it.

use std::{
    net::{SocketAddr, TcpStream},
    process::Command,
    time::Duration,
};

use anyhow::Result;

use super::{cache, run_to_end, source};
use crate::{
    bench::{Bench, Database},
    feed::TableFeed,
    generator::fan_out,
    process::{self, Running, wait_until},
    results::Figure,
    rows::{fan_out::Shape, latency},
    subscriber::Subscriber,
    websocket::Endpoint,
};

struct Centrifuge {
    running: Running,
    endpoint: Endpoint,
}

impl Centrifuge {
    fn start(bench: &Bench, database: &Database) -> Result<Centrifuge> {
        let program = cache("go-centrifuge")?.join("go-centrifuge");
        let mut build = Command::new("go");
        build
            .args(["build", "-mod=readonly", "-o"])
            .arg(&program)
            .arg(".")
            .current_dir(source(bench, "go-centrifuge"));
        run_to_end(&mut build, &bench.folder().join("go-build.log"))?;
        let port = process::free_port()?;
        let mut command = Command::new(program);
        command.env("PORT", port.to_string()).env("PUBLICATION", "bench");
        let url = format!(
            "postgres://postgres@{}/{}?replication=database&sslmode=disable",
            database.address, database.name
        );
        command.env("DATABASE_URL", url);
        let mut running = Running::start("go-centrifuge", &mut command, &bench.folder().join("go-centrifuge.log"))?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let open = || TcpStream::connect(address).is_ok();
        wait_until(
            "its port",
            Duration::from_secs(30),
            Duration::from_millis(20),
            &mut running,
            open,
        )?;
        // The JSON protocol's first command; the server subscribes the client by itself.
        let hello = Some(r#"{"id":1,"connect":{}}"#.to_owned());
        Ok(Centrifuge {
            running,
            endpoint: Endpoint {
                address,
                path: "/ws".to_owned(),
                subprotocol: None,
                hello,
            },
        })
    }
}

pub(crate) fn latency(bench: &mut Bench, commits: u64) -> Result<Vec<Figure>> {
    let database = bench.database()?;
    let peer = Centrifuge::start(bench, &database)?;
    let mut client = Subscriber::connect(&peer.endpoint)?;
    latency::attach(&database, &mut client)?;
    let found = latency::block(&database, 1, commits, &mut |sequence| client.receive(sequence))?;
    peer.running.stop()?;
    Ok(latency::Distribution::of(found).figures())
}

pub(crate) fn fan_out_of(bench: &mut Bench, shape: Shape) -> Result<Vec<Figure>> {
    let database = bench.database()?;
    let peer = Centrifuge::start(bench, &database)?;
    let mut feed = TableFeed::new(database.connect()?)?;
    let pace = shape.pace(bench);
    let found = fan_out(
        bench,
        &peer.endpoint,
        shape.clients,
        &pace,
        &mut feed,
        peer.running.pid(),
    )?;
    peer.running.stop()?;
    Ok(found.figures())
}
