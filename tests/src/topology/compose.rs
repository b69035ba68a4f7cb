//! What `docker-compose.yml` says, as far as processes can follow it.
//!
//! Promises: a key that this does not know is an error, so that nothing in the file is passed over in silence; services come
//! in an order in which each finds what it depends on. Knows nothing of how a service is started.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

/// The file.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Compose {
    pub(crate) services: BTreeMap<String, Service>,
    volumes: BTreeMap<String, Option<serde::de::IgnoredAny>>,
}

/// One of its services.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    /// `name:tag`, by which it is known what runs there.
    pub(crate) image: String,
    /// The words after the image's own entry point.
    #[serde(default)]
    pub(crate) command: Vec<String>,
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
    #[serde(default)]
    volumes: Vec<String>,
    #[serde(default)]
    ports: Vec<String>,
    #[serde(default)]
    depends_on: BTreeMap<String, Dependency>,
    pub(crate) healthcheck: Option<Healthcheck>,
    /// What happens to a process that has ended.
    pub(crate) restart: Restart,
    // How an image is made, and how long it may take to stop, are questions of containers.
    #[serde(rename = "build")]
    _build: Option<String>,
    #[serde(rename = "stop_grace_period")]
    _stop_grace_period: Option<String>,
}

/// The one policy that the file has.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Restart {
    /// It is started again, whatever it ended of.
    UnlessStopped,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dependency {
    condition: Condition,
    /// Compose's own commands that replace the dependency restart this service, too. Processes keep their addresses.
    #[serde(default, rename = "restart")]
    _restart: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Condition {
    ServiceHealthy,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Healthcheck {
    /// `CMD` and the words.
    pub(crate) test: Vec<String>,
}

/// What a service finds in its file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mount<'a> {
    /// A file of the repository.
    File { file: &'a str, target: &'a str },
    /// A folder that outlives the service.
    Volume { name: &'a str, target: &'a str },
}

impl Compose {
    pub(crate) fn read(file: &Path) -> anyhow::Result<Compose> {
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        Self::parse(&text).with_context(|| format!("in {}", file.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Compose> {
        let compose: Compose = serde_saphyr::from_str(text)?;
        for (name, service) in &compose.services {
            for mount in service.mounts()? {
                if let Mount::Volume { name: volume, .. } = mount {
                    ensure!(
                        compose.volumes.contains_key(volume),
                        "{name} mounts {volume}, which is not declared"
                    );
                }
            }
        }
        Ok(compose)
    }

    /// The services' names, each after those that it depends on.
    pub(crate) fn order(&self) -> anyhow::Result<Vec<String>> {
        let mut order = Vec::new();
        let mut waiting: BTreeSet<&String> = self.services.keys().collect();
        while !waiting.is_empty() {
            let ready = |name: &&&String| {
                let dependencies = &self.services[**name].depends_on;
                // Dependencies are healthy before it starts; `condition` has no other value.
                dependencies
                    .values()
                    .all(|on| on.condition == Condition::ServiceHealthy)
                    && dependencies.keys().all(|on| order.contains(on))
            };
            let Some(next) = waiting.iter().find(ready).copied() else {
                bail!("these wait for each other, or for a service that is not there: {waiting:?}");
            };
            waiting.remove(next);
            order.push(next.clone());
        }
        Ok(order)
    }

    /// The names of the services that run this.
    pub(crate) fn of_command<'a>(&'a self, command: &'a str) -> impl Iterator<Item = &'a str> {
        let services = self.services.iter();
        services
            .filter(move |(_, service)| service.command.first().is_some_and(|word| word == command))
            .map(|(name, _)| name.as_str())
    }

    /// The one service of this image, whatever its tag.
    pub(crate) fn of_image(&self, image: &str) -> anyhow::Result<(&str, &Service)> {
        let mut found = self
            .services
            .iter()
            .filter(|(_, service)| service.image_name() == image);
        match (found.next(), found.next()) {
            (Some((name, service)), None) => Ok((name, service)),
            _ => bail!("docker-compose.yml has not exactly one service of the image {image}"),
        }
    }
}

impl Service {
    /// The image without its tag.
    pub(crate) fn image_name(&self) -> &str {
        self.image.split(':').next().unwrap_or(&self.image)
    }

    /// What it finds in its file system.
    pub(crate) fn mounts(&self) -> anyhow::Result<Vec<Mount<'_>>> {
        let mount = |text| {
            let mut parts = str::split(text, ':');
            match (parts.next(), parts.next()) {
                (Some(file), Some(target)) if file.starts_with("./") => Ok(Mount::File { file, target }),
                (Some(name), Some(target)) if !name.contains('/') => Ok(Mount::Volume { name, target }),
                _ => bail!("what does the volume {text} mean?"),
            }
        };
        self.volumes.iter().map(|text| mount(text)).collect()
    }

    /// `ADDRESS:PORT:CONTAINER_PORT`: the port of this machine behind which the container's port is, for each that is open.
    pub(crate) fn published(&self) -> anyhow::Result<Vec<(u16, u16)>> {
        let port = |text: &String| {
            let mut parts = text.rsplit(':').map(str::parse);
            match (parts.next(), parts.next()) {
                (Some(Ok(inside)), Some(Ok(outside))) => Ok((outside, inside)),
                _ => bail!("what does the port {text} mean?"),
            }
        };
        self.ports.iter().map(port).collect()
    }

    pub(crate) fn variable(&self, name: &str) -> anyhow::Result<&str> {
        let value = self.environment.get(name).map(String::as_str);
        value.with_context(|| format!("the service of {} has no {name}", self.image))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_what_it_merges_and_comes_after_what_it_depends_on() {
        let compose = Compose::parse(
            "
x-all: &all
  image: rowcast:latest
  restart: unless-stopped
x-gateway: &gateway
  <<: *all
  command: [gateway]
  environment: { NODE: \"1\" }
  depends_on: { store: { condition: service_healthy, restart: true } }
services:
  a:
    <<: *gateway
    ports: ['127.0.0.1:3000:80']
    volumes: ['kept:/var/lib/kept', './here.conf:/etc/there.conf:ro']
  store: { image: 'kafka:4', restart: unless-stopped }
volumes:
  kept:
",
        )
        .expect("valid");
        assert_eq!(compose.order().expect("an order"), ["store", "a"]);
        let service = &compose.services["a"];
        assert_eq!(
            (service.image_name(), service.command[0].as_str()),
            ("rowcast", "gateway")
        );
        assert_eq!(service.variable("NODE").expect("there"), "1");
        assert_eq!(service.published().expect("a port"), [(3000, 80)]);
        let volume = Mount::Volume {
            name: "kept",
            target: "/var/lib/kept",
        };
        let file = Mount::File {
            file: "./here.conf",
            target: "/etc/there.conf",
        };
        assert_eq!(service.mounts().expect("two"), [volume, file]);
    }

    #[test]
    fn what_processes_could_not_follow_is_refused() {
        for lines in ["privileged: true", "restart: always", "volumes: ['lost:/there']"] {
            let text = format!("services:\n  a:\n    image: x\n    {lines}\nvolumes:\n  kept:\n");
            assert!(Compose::parse(&text).is_err(), "{lines}");
        }
    }
}
