//! One Apache Kafka for our own rows: the broker of the replaced stack, as its script starts it, with nothing beside it.
//!
//! The same program, heap and settings as the peers have, so that a row's difference is not the broker's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    bench::Bench,
    interrupt,
    peers::{
        replaced_stack::{free_pair, jars},
        run_to_end, source,
    },
    process,
};

/// A running broker without topics.
pub(crate) struct Broker {
    script: PathBuf,
    jars: PathBuf,
    folder: PathBuf,
    port: u16,
    /// Where clients are sent to: the broker itself, or somebody who stands before it.
    advertised_port: u16,
    pid: u32,
}

impl Broker {
    pub(crate) fn start(bench: &Bench, name: &str) -> Result<Broker> {
        let port = free_pair()?;
        Broker::start_on(bench, name, port, port)
    }

    /// The same, telling its clients that it is at `advertised_port`.
    pub(crate) fn start_behind(bench: &Bench, name: &str, advertised_port: u16) -> Result<Broker> {
        Broker::start_on(bench, name, free_pair()?, advertised_port)
    }

    fn start_on(bench: &Bench, name: &str, port: u16, advertised_port: u16) -> Result<Broker> {
        let folder = bench.folder().join(format!("broker-{name}"));
        fs::create_dir_all(&folder)?;
        let mut broker = Broker {
            script: source(bench, "replaced-stack").join("stack.sh"),
            jars: jars(bench)?,
            folder,
            port,
            advertised_port,
            pid: 0,
        };
        broker.step("kafka")?;
        broker.pid = fs::read_to_string(broker.folder.join("kafka.pid"))?
            .trim()
            .parse()
            .context("kafka.pid holds no number")?;
        interrupt::remember(broker.pid);
        Ok(broker)
    }

    /// For clients.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.advertised_port)
    }

    /// The broker's own port, whoever stands before it.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// CPU used so far.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        process::cpu_seconds(self.pid)
    }

    fn step(&self, step: &str) -> Result<()> {
        let mut command = Command::new("bash");
        command.arg(&self.script).arg(step);
        command
            .env("JARS", &self.jars)
            .env("CACHE", &self.folder)
            .env("STACK", &self.folder);
        command.env("KAFKA_PORT", self.port.to_string());
        command.env("ADVERTISED_PORT", self.advertised_port.to_string());
        let log: &Path = &self.folder.join("stack.log");
        run_to_end(&mut command, log).with_context(|| format!("{}", self.script.display()))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Err(error) = self.step("down") {
            eprintln!("stopping the broker: {error:#}");
        }
        interrupt::forget(self.pid);
    }
}
