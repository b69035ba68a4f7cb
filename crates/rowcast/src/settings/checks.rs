//! Says of a value what is wrong with it, before anything is started with it.
//!
//! What a setting cannot be is better refused here, by its name, than met later by who uses it: a topic that Kafka cannot
//! have would stop all copying, an origin that no browser sends would let nobody in.

use anyhow::{Result, bail};

/// Kafka's bound for the name of a topic.
const TOPIC_NAME_MAX: usize = 249;

/// What librdkafka and Kafka take before an address. Which one holds is said by `security.protocol`.
const KAFKA_PROTOCOLS: [&str; 4] = ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];

/// A topic's name, or the beginning of one with a `*` behind it.
pub(super) fn topic(name: &str) -> Result<()> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let beginning = name.strip_suffix('*');
    let letters = beginning.unwrap_or(name);
    match letters {
        "" if beginning.is_none() => {
            bail!(
                "--topic takes a topic's name, as shop.public.orders, not \"\"; leave it out to serve every topic that a capture \
                 writes"
            )
        }
        _ if letters.starts_with("__") => bail!(
            "--topic {name:?}: topics whose names begin with __ are Kafka's and Rowcast's own, and are never served"
        ),
        "." | ".." if beginning.is_none() => bail!("--topic {name:?}: Kafka has no topic of this name"),
        _ if letters.len() > TOPIC_NAME_MAX => {
            bail!(
                "--topic {name:?}: the name of a topic has at most {TOPIC_NAME_MAX} characters, not {}",
                letters.len()
            )
        }
        _ if !letters.chars().all(is_allowed) => bail!(
            "--topic {name:?}: the name of a topic holds only ASCII letters, digits, '.', '_' and '-'; a '*' may stand at its \
             end, for all whose names begin so"
        ),
        _ => Ok(()),
    }
}

/// Brokers' addresses with commas between. A port that is left out is Kafka's usual one.
pub(super) fn kafka(addresses: &str) -> Result<()> {
    addresses.split(',').map(str::trim).try_for_each(|address| {
        let host = match address.split_once("://") {
            Some((protocol, host)) if KAFKA_PROTOCOLS.contains(&protocol.to_ascii_lowercase().as_str()) => host,
            Some(_) => "",
            None => address,
        };
        match is_host_and_port(host) {
            true => Ok(()),
            false => bail!(
                "--kafka takes HOST:PORT, as localhost:9092, or several with commas between, not {address:?}; TLS and passwords \
                 are said by security.protocol and sasl.* under [log.kafka]"
            ),
        }
    })
}

/// `host`, `host:9092`, `[::1]:9092`.
fn is_host_and_port(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or("no port"))),
        None => text
            .rsplit_once(':')
            .map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let is_bracketed = text.starts_with('[');
    let is_letter =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') || is_bracketed && matches!(c, ':' | '%');
    !host.is_empty() && host.chars().all(is_letter) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// An origin as browsers send it: compared byte for byte, so any other form would never be met.
pub(super) fn origin(origin: &str) -> Result<()> {
    let is_letter =
        |c: char| c.is_ascii_graphic() && !c.is_ascii_uppercase() && !matches!(c, '/' | '*' | '?' | '#' | '@');
    let parts = origin.split_once("://");
    let is_one = parts.is_some_and(|(scheme, host)| {
        !scheme.is_empty() && !host.is_empty() && scheme.chars().chain(host.chars()).all(is_letter)
    });
    match is_one {
        true => Ok(()),
        false => bail!(
            "--allowed-origin takes an origin as browsers send it: scheme, host, and port if it is not the scheme's own, in \
             lower case and with nothing behind, as https://shop.example or http://localhost:8080, not {origin:?}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(checked: Result<()>) -> String {
        checked.expect_err("it is refused").to_string()
    }

    fn taken(check: fn(&str) -> Result<()>, values: &[&str]) {
        values.iter().for_each(|value| check(value).expect(value));
    }

    fn refused(check: fn(&str) -> Result<()>, values: &[&str], help: &str) {
        for value in values {
            let said = refusal(check(value));
            assert!(said.contains(help), "{said}");
        }
    }

    #[test]
    fn a_topic_that_kafka_cannot_have_is_refused_with_the_characters_that_it_may() {
        taken(topic, &["shop.public.orders", "shop.*", "*", "A-1_b", "_x"]);
        for bad in ["a*b", "**", "a b", "größe", "a/b", "*a"] {
            let said = refusal(topic(bad));
            assert!(said.contains(bad) && said.contains("ASCII letters, digits"), "{said}");
        }
        assert!(refusal(topic("")).contains("takes a topic's name"));
        assert!(refusal(topic(&"x".repeat(250))).contains("at most 249"));
        for own in ["__rowcast_x", "__rowcast_*", "__consumer_offsets"] {
            assert!(refusal(topic(own)).contains("never served"), "{own}");
        }
    }

    #[test]
    fn kafka_is_a_host_and_a_port() {
        let good = [
            "k:1",
            "k",
            "kafka-1.shop.example:9092,kafka_2:9092",
            "k:1, k:2",
            "[::1]:9092",
            "127.0.0.1:9092",
            "SASL_SSL://k:9093",
        ];
        taken(kafka, &good);
        let bad = [
            "http://k:9092",
            "kafka://k:9092",
            "k:port",
            ":9092",
            "k:1,,k:2",
            "k:9092/x",
            "k:70000",
            "::1",
        ];
        refused(kafka, &bad, "HOST:PORT");
    }

    #[test]
    fn an_origin_that_no_browser_sends_is_refused() {
        let good = [
            "https://shop.example",
            "http://localhost:8080",
            "http://[::1]:3000",
            "capacitor://localhost",
        ];
        taken(origin, &good);
        let bad = [
            "shop.example",
            "",
            "*",
            "https://",
            "https://shop.example/",
            "https://Shop.example",
            "https://*.shop.example",
            "null",
        ];
        refused(origin, &bad, "as https://shop.example");
    }
}
