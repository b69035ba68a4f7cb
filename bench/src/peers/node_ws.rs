//! Node's `ws` with nothing behind it: lines from a pipe to every client, the upper bound of a hand-written service.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{cache, run_to_end, source};
use crate::{
    bench::Bench,
    feed::LineFeed,
    generator::fan_out,
    process::{self, Running, wait_until},
    results::Figure,
    rows::fan_out::Shape,
    websocket::Endpoint,
};

pub(crate) fn fan_out_of(bench: &mut Bench, shape: Shape) -> Result<Vec<Figure>> {
    let cache = cache("node-ws")?;
    for file in ["package.json", "package-lock.json", "server.js"] {
        fs::copy(source(bench, "node-ws").join(file), cache.join(file))?;
    }
    let mut install = Command::new("npm");
    install
        .args(["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(&cache);
    run_to_end(&mut install, &bench.folder().join("npm.log"))?;
    let port = process::free_port()?;
    let mut command = Command::new("node");
    command
        .arg("server.js")
        .current_dir(&cache)
        .env("PORT", port.to_string())
        .stdin(Stdio::piped());
    let mut running = Running::start("node ws", &mut command, &bench.folder().join("node-ws.log"))?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let open = || TcpStream::connect(address).is_ok();
    wait_until(
        "its port",
        Duration::from_secs(30),
        Duration::from_millis(20),
        &mut running,
        open,
    )?;
    let mut feed = LineFeed::new(running.child().stdin.take().context("its input was piped")?);
    let endpoint = Endpoint {
        address,
        path: "/ws".to_owned(),
        subprotocol: None,
        hello: None,
    };
    let pace = shape.pace(bench);
    let found = fan_out(bench, &endpoint, shape.clients, &pace, &mut feed, running.pid())?;
    running.stop()?;
    Ok(found.figures())
}
