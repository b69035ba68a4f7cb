//! The topology of `docker-compose.yml` as plain processes: PostgreSQL, Kafka, a capture, gateways, a proxy.
//!
//! Promises: what runs is what the file says: its services, in the order of their dependencies, with their commands,
//! settings and mounted files; only places are others, since containers have networks and file systems of their own.
//! Everything listens on 127.0.0.1. Nothing is left running when the value is dropped or its owner is killed.
//!
//! Absent: the images. PostgreSQL, Java and nginx are this machine's, `rowcast` is the built one, and what an image adds by
//! itself (a user, a limit of memory) is not here. Nothing starts again by itself: [`Topology::ended`] says what should.

mod compose;
mod nginx;
mod places;
mod program;
mod services;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use futures_util::future::{pending, select_all};
use rowcast::demo::server::{Server, StopMode, free_port};
use tokio_postgres::Client;

use self::{
    compose::{Compose, Restart},
    places::Places,
    program::Program,
};
use crate::{child::Watcher, http, kafka::Kafka};

/// Where the proxy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// On any port, for tests that run side by side.
    Anywhere,
    /// On the port that the file publishes, or the next free one if it is taken.
    AsPublished,
}

/// The services, running or not, and where they are.
#[derive(Debug)]
pub struct Topology {
    compose: Compose,
    places: Places,
    /// Volumes, translated files, logs.
    folder: PathBuf,
    /// In the order of their start.
    services: Vec<(String, Running)>,
}

#[derive(Debug)]
enum Running {
    /// The server stops by its value's end; for the end of ours it has a watcher.
    Postgres(Box<Server>, Watcher),
    Kafka(Box<Kafka>),
    Program(Box<Program>),
}

impl Topology {
    /// Starts what the repository's `docker-compose.yml` says, one service after another, each when those that it depends on
    /// are healthy. Volumes and logs are in `folder`; what is there is gone on with. `about_to` hears what starts next.
    pub async fn start(folder: &Path, front: Front, about_to: impl Fn(&str)) -> anyhow::Result<Topology> {
        let compose = Compose::read(&root().join("docker-compose.yml"))?;
        let mut topology = Topology {
            places: Places::new(compose.services.keys()),
            compose,
            folder: std::path::absolute(folder)?,
            services: Vec::new(),
        };
        if front == Front::AsPublished {
            topology.put_where_published()?;
        }
        for name in topology.compose.order()? {
            about_to(&name);
            let running = topology.run(&name).await.with_context(|| format!("starting {name}"))?;
            topology.services.push((name, running));
        }
        Ok(topology)
    }

    fn put_where_published(&mut self) -> anyhow::Result<()> {
        for (name, service) in &self.compose.services {
            for (outside, inside) in service.published()? {
                self.places.put(name, inside, free_port(outside)?);
            }
        }
        Ok(())
    }

    /// The one address that clients know, `127.0.0.1:port`.
    pub fn address(&mut self) -> anyhow::Result<String> {
        for (name, service) in &self.compose.services {
            if let Some((_, inside)) = service.published()?.first() {
                return self.places.address(name, *inside);
            }
        }
        bail!("no service of docker-compose.yml has an open port")
    }

    /// The gateways' names.
    pub fn gateways(&self) -> Vec<String> {
        self.compose.of_command("gateway").map(str::to_owned).collect()
    }

    /// WebSocket and SSE sessions of this gateway, as its metrics tell.
    pub async fn sessions(&self, gateway: &str) -> anyhow::Result<u64> {
        let running = self.services.iter().find(|(name, _)| name == gateway);
        let Some((_, Running::Program(program))) = running else {
            bail!("there is no gateway {gateway}");
        };
        // The operator's listener has both pages.
        let metrics = http::get(program.health_page()?.0, "/metrics").await?.body;
        let mut lines = metrics.lines();
        let number = lines.find_map(|line| line.strip_prefix("rowcast_gateway_sessions "));
        number
            .and_then(|number| number.trim().parse().ok())
            .with_context(|| format!("{gateway} tells no sessions"))
    }

    /// The `psql` command line that a person can paste.
    pub fn psql_line(&self) -> anyhow::Result<String> {
        let server = self.services.iter().find_map(|(_, running)| match running {
            Running::Postgres(server, _) => Some(server.psql_line()),
            _ => None,
        });
        server.context("no service of docker-compose.yml is a PostgreSQL")
    }

    /// A connection to the database; it lives as long as the client.
    pub async fn database(&mut self) -> anyhow::Result<Client> {
        let (name, service) = self.compose.of_image("postgres")?;
        services::connect(service, self.places.port(name, services::POSTGRES_PORT)?).await
    }

    /// The connector's file as the capture reads it here.
    pub fn connector(&self) -> anyhow::Result<String> {
        let capture = self
            .compose
            .of_command("capture")
            .next()
            .context("there is a capture")?;
        let target = self.compose.services[capture].variable("ROWCAST_CONNECTOR")?;
        let file = self
            .folder
            .join(capture)
            .join(Path::new(target).file_name().unwrap_or_default());
        fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
    }

    /// SIGKILL to a service; returns when it is gone.
    pub async fn kill_dash_nine(&mut self, name: &str) -> anyhow::Result<()> {
        self.program(name)?.kill().await
    }

    /// Starts a service that was killed or has ended, in the same place, and returns when it is healthy.
    pub async fn start_again(&mut self, name: &str) -> anyhow::Result<()> {
        self.program(name)?.start_again().await
    }

    /// Waits until a service ends that was not told to, and says which. Of those that a container engine would now start
    /// again (`restart:`), as [`Topology::start_again`] does.
    pub async fn ended(&self) -> &str {
        let programs = self.services.iter().filter_map(|(name, running)| match running {
            Running::Program(program) if program.is_running() => Some((name, program)),
            _ => None,
        });
        let restarting = programs.filter(|(name, _)| self.compose.services[*name].restart == Restart::UnlessStopped);
        let ends: Vec<_> = restarting.map(|(_, program)| Box::pin(program.ended())).collect();
        match ends.is_empty() {
            true => pending().await,
            false => select_all(ends).await.0,
        }
    }

    /// The number of a service's process, while it runs.
    pub fn process_id(&self, name: &str) -> Option<u32> {
        match self.services.iter().find(|(service, _)| service == name) {
            Some((_, Running::Program(program))) => program.id(),
            Some((_, Running::Kafka(kafka))) => kafka.id(),
            _ => None,
        }
    }

    /// Stops everything in order, the last first.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        while let Some((name, running)) = self.services.pop() {
            let stopped = match running {
                Running::Program(mut program) => program.terminate().await,
                Running::Kafka(mut kafka) => kafka.stop().await,
                Running::Postgres(mut server, _watcher) => server.stop(StopMode::Fast),
            };
            stopped.with_context(|| format!("stopping {name}"))?;
        }
        Ok(())
    }

    /// What the services logged so far.
    pub fn log_text(&self) -> String {
        let mut text = String::new();
        for (_, running) in &self.services {
            match running {
                Running::Program(program) => text += &program.log_text(),
                Running::Kafka(kafka) => text += &kafka.log_text(),
                Running::Postgres(..) => continue,
            }
            text.push('\n');
        }
        text
    }

    fn program(&mut self, name: &str) -> anyhow::Result<&mut Program> {
        let found = self.services.iter_mut().find(|(service, _)| service == name);
        match found {
            Some((_, Running::Program(program))) => Ok(program),
            _ => bail!("{name} is no program of docker-compose.yml that could be killed here"),
        }
    }
}

impl Drop for Topology {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log_text());
        }
        // The last first: nobody shall see the end of what they depend on.
        while self.services.pop().is_some() {}
    }
}

/// The repository's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests lie in the root")
}
