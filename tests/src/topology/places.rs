//! Where each service's ports and folders are on this machine, since processes share one network and one file system.
//!
//! Promises: `SERVICE:PORT` is the same place wherever a file says it; nothing else of a text is changed. Knows nothing of
//! what the services are.

use std::collections::BTreeMap;

use anyhow::Context;
use serde_json::Value;

use crate::kafka::free_port;

/// Names by which a container means itself, or all of its own addresses.
const ITSELF: [&str; 3] = ["0.0.0.0", "127.0.0.1", "localhost"];

/// The services' ports on 127.0.0.1.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// By service and by the port in its container.
    ports: BTreeMap<(String, u16), u16>,
    services: Vec<String>,
}

impl Places {
    pub(crate) fn new<'a>(services: impl IntoIterator<Item = &'a String>) -> Places {
        Places {
            ports: BTreeMap::new(),
            services: services.into_iter().cloned().collect(),
        }
    }

    /// Puts a service's port where it is asked for.
    pub(crate) fn put(&mut self, service: &str, port: u16, at: u16) {
        self.ports.insert((service.to_owned(), port), at);
    }

    /// The port of this machine that stands for a service's port: a free one when it is first asked for.
    pub(crate) fn port(&mut self, service: &str, port: u16) -> anyhow::Result<u16> {
        let key = (service.to_owned(), port);
        if let Some(known) = self.ports.get(&key) {
            return Ok(*known);
        }
        let mut free = free_port()?;
        while self.ports.values().any(|taken| *taken == free) {
            free = free_port()?;
        }
        self.ports.insert(key, free);
        Ok(free)
    }

    /// The same as `127.0.0.1:port`.
    pub(crate) fn address(&mut self, service: &str, port: u16) -> anyhow::Result<String> {
        Ok(format!("127.0.0.1:{}", self.port(service, port)?))
    }

    /// A text of `own`'s with every service's place in it as it is on this machine.
    pub(crate) fn translate(&mut self, own: &str, text: &str) -> anyhow::Result<String> {
        let mut translated = String::new();
        let mut rest = text;
        while let Some(colon) = rest.find(':') {
            let (before, after) = (&rest[..colon], &rest[colon + 1..]);
            let digits = &after[..after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len())];
            let host = &before[before.rfind(|c| !is_of_a_name(c)).map_or(0, |at| at + 1)..];
            match (self.meant(own, before, host), digits.parse()) {
                (Some(service), Ok(port)) => {
                    translated += &before[..before.len() - host.len()];
                    translated += &self.address(&service, port)?;
                }
                _ => translated += &rest[..colon + 1 + digits.len()],
            }
            rest = &after[digits.len()..];
        }
        Ok(translated + rest)
    }

    /// A connector's file, which has host and port apart.
    pub(crate) fn translate_connector(&mut self, text: &str) -> anyhow::Result<String> {
        let mut connector: Value = serde_json::from_str(text).context("a connector's file is JSON")?;
        let config = &mut connector["config"];
        let host = config["database.hostname"].as_str().unwrap_or_default().to_owned();
        let port = config["database.port"].as_str().unwrap_or("5432").parse();
        if self.services.contains(&host) {
            config["database.hostname"] = "127.0.0.1".into();
            config["database.port"] = self.port(&host, port?)?.to_string().into();
        }
        Ok(format!("{connector:#}\n"))
    }

    /// Which service a host in `own`'s text is. No name at all (`//:9092`, "on all addresses") is itself.
    fn meant(&self, own: &str, before: &str, host: &str) -> Option<String> {
        if ITSELF.contains(&host) || host.is_empty() && before.ends_with("//") {
            return Some(own.to_owned());
        }
        self.services.iter().find(|service| *service == host).cloned()
    }
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_places_of_services_are_translated() {
        let mut places = Places::new(&["kafka".to_owned(), "gateway-1".to_owned()]);
        places.put("kafka", 9092, 1);
        places.put("kafka", 9093, 2);
        places.put("gateway-1", 3000, 3);
        for (text, expected) in [
            (
                "BROKER://:9092,CONTROLLER://:9093",
                "BROKER://127.0.0.1:1,CONTROLLER://127.0.0.1:2",
            ),
            ("1@kafka:9093", "1@127.0.0.1:2"),
            ("server gateway-1:3000 max_fails=0;", "server 127.0.0.1:3 max_fails=0;"),
            ("BROKER:PLAINTEXT", "BROKER:PLAINTEXT"),
            ("not-kafka:9092 kafka: kafka", "not-kafka:9092 kafka: kafka"),
            ("http://localhost:9092/x?at=12:30", "http://127.0.0.1:1/x?at=12:30"),
        ] {
            assert_eq!(places.translate("kafka", text).expect("translates"), expected);
        }
    }

    #[test]
    fn a_place_stays_where_it_is_and_is_nobody_elses() {
        let mut places = Places::new(&["a".to_owned(), "b".to_owned()]);
        let (a, b) = (places.port("a", 1).expect("free"), places.port("b", 1).expect("free"));
        assert_ne!(a, b);
        assert_eq!(places.port("a", 1).expect("known"), a);
    }
}
