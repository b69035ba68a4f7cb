//! How each image's service is run without its container.
//!
//! Promises: an image does here what its own documentation says of variables, commands and mounted files; an image that is
//! not known is an error. The four: `postgres` and `apache/kafka` and `nginx` of Docker Hub, and ours, of the `Dockerfile`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use rowcast::{
    demo::{
        binaries::{Binaries, Wanted},
        server::{Server, ServerOptions},
    },
    health::READY_URL,
    settings::SETTINGS,
};
use tokio_postgres::{Client, NoTls};

use super::{
    Running, Topology,
    compose::{Mount, Service},
    nginx,
    program::{Program, Recipe},
    root,
};
use crate::{
    child::{Farewell, Watcher},
    kafka::{Kafka, SMALL_HEAP},
    process,
};

/// Where PostgreSQL listens in its container.
pub(super) const POSTGRES_PORT: u16 = 5432;
/// Where its image keeps the data, and where it looks for SQL to begin with.
const POSTGRES_DATA: &str = "/var/lib/postgresql/data";
const POSTGRES_INIT: &str = "/docker-entrypoint-initdb.d/";
/// What the launcher sets for tests, as PostgreSQL itself has it: the file must say what Rowcast needs.
const POSTGRES_DEFAULTS: [(&str, &str); 3] = [
    ("wal_level", "replica"),
    ("max_wal_senders", "10"),
    ("max_replication_slots", "10"),
];
/// Where the proxy's image reads its configuration.
const NGINX_CONFIGURATION: &str = "/etc/nginx/nginx.conf";

impl Topology {
    /// Starts one service and returns when it is healthy.
    pub(super) async fn run(&mut self, name: &str) -> anyhow::Result<Running> {
        let service = self.compose.services[name].clone();
        let mounted = self.mount(name, &service)?;
        match service.image_name() {
            "postgres" => {
                let server = self.run_postgres(name, &service, &mounted).await?;
                let watcher = watch_postgres(&server)?;
                Ok(Running::Postgres(Box::new(server), watcher))
            }
            "apache/kafka" => Ok(Running::Kafka(Box::new(
                self.run_kafka(name, &service, &mounted).await?,
            ))),
            "rowcast" => {
                let recipe = self.rowcast(name, &service, &mounted)?;
                Ok(Running::Program(Box::new(Program::start(name, recipe).await?)))
            }
            "nginx" => {
                let recipe = self.nginx(name, &service, &mounted)?;
                Ok(Running::Program(Box::new(Program::start(name, recipe).await?)))
            }
            other => bail!("nobody has said how the image {other} runs as a process"),
        }
    }

    async fn run_postgres(&mut self, name: &str, service: &Service, mounted: &Mounted) -> anyhow::Result<Server> {
        let data_dir = mounted
            .path(POSTGRES_DATA)
            .context("PostgreSQL's data is in a volume")?;
        // A data directory that exists wants the major version that made it.
        let major = fs::read_to_string(data_dir.join("PG_VERSION")).ok();
        let mut settings = POSTGRES_DEFAULTS
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        settings.extend(postgres_settings(&service.command)?);
        let server = Server::start(ServerOptions {
            binaries: Binaries::find(&Wanted {
                major: major.and_then(|major| major.trim().parse().ok()),
                ..Wanted::default()
            })?,
            data_dir,
            port: self.places.port(name, POSTGRES_PORT)?,
            user: service.variable("POSTGRES_USER")?.to_owned(),
            password: Some(service.variable("POSTGRES_PASSWORD")?.to_owned()),
            database: service.variable("POSTGRES_DB")?.to_owned(),
            fsync: true,
            settings,
        })?;
        // The image does it once. It may be done again, and so a first start that was cut short needs nothing else.
        let client = connect(service, server.port()).await?;
        for (_, file) in mounted.0.iter().filter(|(target, _)| target.starts_with(POSTGRES_INIT)) {
            client.batch_execute(&fs::read_to_string(file)?).await?;
        }
        Ok(server)
    }

    async fn run_kafka(&mut self, name: &str, service: &Service, mounted: &Mounted) -> anyhow::Result<Kafka> {
        let mut properties = BTreeMap::from([(SMALL_HEAP.0.to_owned(), SMALL_HEAP.1.to_owned())]);
        for (variable, value) in &service.environment {
            let Some(property) = kafka_property(variable) else {
                continue;
            };
            properties.insert(property, self.value(name, mounted, value)?);
        }
        let advertised = properties
            .get("advertised.listeners")
            .context("Kafka advertises a listener")?;
        let address = advertised.rsplit('/').next().unwrap_or_default().to_owned();
        Kafka::start_as(address, properties, self.folder_of(name)?).await
    }

    fn rowcast(&mut self, name: &str, service: &Service, mounted: &Mounted) -> anyhow::Result<Recipe> {
        let mut environment = BTreeMap::new();
        // A container's loopback is its own; here each needs a port of its own on the only one.
        for setting in SETTINGS.iter().filter(|setting| setting.key.ends_with("listen")) {
            let listen = self.places.translate(name, setting.default)?;
            environment.insert(setting.environment_name(), listen);
        }
        for (variable, value) in &service.environment {
            environment.insert(variable.clone(), self.value(name, mounted, value)?);
        }
        Ok(Recipe {
            program: process::binary()?,
            arguments: service.command.clone(),
            environment,
            folder: self.folder_of(name)?,
            log: self.folder.join(format!("{name}.log")),
            // `rowcast health`, as the image's health check runs it, asks this.
            health_url: self.places.translate(name, READY_URL)?,
            farewell: Farewell::Kill,
        })
    }

    fn nginx(&mut self, name: &str, service: &Service, mounted: &Mounted) -> anyhow::Result<Recipe> {
        let configuration = mounted
            .path(NGINX_CONFIGURATION)
            .context("the proxy has a configuration")?;
        let folder = self.folder_of(name)?;
        let text = fs::read_to_string(root().join(&configuration))?;
        let translated = folder.join("nginx.conf");
        fs::write(&translated, nginx::translate(&mut self.places, name, &text, &folder)?)?;
        let mut check = service.healthcheck.iter().flat_map(|check| &check.test);
        let url = check.find(|word| word.starts_with("http://"));
        Ok(Recipe {
            program: nginx::program()?,
            arguments: nginx::arguments(&translated, &folder),
            environment: service.environment.clone(),
            log: self.folder.join(format!("{name}.log")),
            health_url: self
                .places
                .translate(name, url.context("the proxy has a health check")?)?,
            folder,
            // Its workers are its own to stop.
            farewell: Farewell::Terminate,
        })
    }

    /// A variable's value, with paths and places as they are here.
    fn value(&mut self, name: &str, mounted: &Mounted, value: &str) -> anyhow::Result<String> {
        match mounted.path(value) {
            Some(path) => Ok(path.display().to_string()),
            None => self.places.translate(name, value),
        }
    }

    /// Makes what a service finds in its file system: a folder for a volume, a translated copy of a connector's file.
    fn mount(&mut self, name: &str, service: &Service) -> anyhow::Result<Mounted> {
        let mut mounted = Mounted::default();
        for mount in service.mounts()? {
            let (target, path) = match mount {
                // The server makes its own, as its own user.
                Mount::Volume { name, target } => (target, self.folder.join("volumes").join(name)),
                Mount::File { file, target } if file.ends_with(".json") => {
                    let text = fs::read_to_string(root().join(file)).with_context(|| format!("reading {file}"))?;
                    let copy = self
                        .folder_of(name)?
                        .join(Path::new(target).file_name().context("a file has a name")?);
                    fs::write(&copy, self.places.translate_connector(&text)?)?;
                    (target, copy)
                }
                Mount::File { file, target } => (target, root().join(file)),
            };
            mounted.0.push((target.to_owned(), path));
        }
        Ok(mounted)
    }

    /// A folder for what is the service's alone and is made anew at each start.
    fn folder_of(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(folder)
    }
}

/// Paths in a container, and what stands for them here.
#[derive(Debug, Default)]
struct Mounted(Vec<(String, PathBuf)>);

impl Mounted {
    fn path(&self, target: &str) -> Option<PathBuf> {
        let found = self.0.iter().find(|(mounted, _)| mounted == target);
        found.map(|(_, path)| path.clone())
    }
}

/// For the case that we are killed: SIGINT is PostgreSQL's fast shutdown.
fn watch_postgres(server: &Server) -> anyhow::Result<Watcher> {
    let file = server.options().data_dir.join("postmaster.pid");
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let id = text.lines().next().and_then(|line| line.trim().parse().ok());
    Watcher::start(id.context("postmaster.pid begins with a number")?, "INT")
}

/// A connection to the service's database; it lives as long as the client.
pub(super) async fn connect(service: &Service, port: u16) -> anyhow::Result<Client> {
    let mut target = tokio_postgres::Config::new();
    target.host("127.0.0.1").port(port);
    target.user(service.variable("POSTGRES_USER")?);
    target.password(service.variable("POSTGRES_PASSWORD")?);
    target.dbname(service.variable("POSTGRES_DB")?);
    let (client, connection) = target.connect(NoTls).await.context("connecting to PostgreSQL")?;
    tokio::spawn(async move {
        // Ends with an error when the server stops; the client's next call says so.
        let _ = connection.await;
    });
    Ok(client)
}

/// `postgres -c name=value ...`
fn postgres_settings(command: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    if words.first().is_some_and(|program| *program != "postgres") {
        bail!("PostgreSQL's command is {words:?}");
    }
    let setting = |pair: &[&str]| match pair {
        ["-c", setting] => {
            let (name, value) = setting.split_once('=').context("a setting has a value")?;
            Ok((name.to_owned(), value.to_owned()))
        }
        other => bail!("PostgreSQL's arguments have {other:?}"),
    };
    words.get(1..).unwrap_or_default().chunks(2).map(setting).collect()
}

/// As the image does it: `KAFKA_NODE_ID` is `node.id`; two underscores are one, three are a dash.
fn kafka_property(variable: &str) -> Option<String> {
    let name = variable.strip_prefix("KAFKA_")?.to_lowercase();
    let parts = name.split("___").map(|part| {
        let parts = part.split("__").map(|part| part.replace('_', "."));
        parts.collect::<Vec<_>>().join("_")
    });
    Some(parts.collect::<Vec<_>>().join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_the_brokers_properties() {
        for (variable, property) in [
            ("KAFKA_NODE_ID", Some("node.id")),
            ("KAFKA_A__B___C_D", Some("a_b-c.d")),
            ("CLUSTER_ID", None),
        ] {
            assert_eq!(kafka_property(variable).as_deref(), property);
        }
    }
}
