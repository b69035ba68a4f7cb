//! What the files of the deployment name must exist: subcommands, flags, variables, and what is mounted.

use std::{fs, path::PathBuf};

use rowcast::settings::{Role, SETTINGS, Setting, settings_of};

const ROLES: [Role; 4] = [Role::Run, Role::Capture, Role::Gateway, Role::Tail];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The lines below one that begins so, while they are deeper.
fn block<'a>(compose: &'a str, head: &str) -> Vec<&'a str> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let mut lines = compose.lines().skip_while(|line| !line.starts_with(head));
    let first = lines
        .next()
        .unwrap_or_else(|| panic!("docker-compose.yml has no {head}"));
    lines
        .take_while(|line| line.is_empty() || depth(line) > depth(first))
        .collect()
}

/// The variables and the subcommand of one kind of service.
fn process(compose: &str, head: &str) -> (Vec<String>, Vec<(String, String)>) {
    let lines = block(compose, head);
    let command = lines.iter().find_map(|line| line.trim().strip_prefix("command: "));
    let command: Vec<String> = serde_json::from_str(command.expect("a command")).expect("a list of words");
    let variables = lines.iter().filter_map(|line| line.trim().split_once(": "));
    let variables = variables.filter(|(name, _)| name.starts_with("ROWCAST_"));
    (
        command,
        variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    )
}

#[test]
fn docker_compose_names_only_settings_that_the_subcommand_takes() {
    let compose = text("docker-compose.yml");
    for head in ["  capture:", "x-gateway:"] {
        let (command, variables) = process(&compose, head);
        let role = ROLES.into_iter().find(|role| role.name() == command[0]);
        let role = role.unwrap_or_else(|| panic!("{head} runs {command:?}"));
        let takes: Vec<String> = settings_of(role).map(Setting::environment_name).collect();
        assert!(!variables.is_empty(), "{head} has no variables");
        for (name, _) in &variables {
            assert!(takes.contains(name), "{head}: rowcast {} takes no {name}", role.name());
        }
        let arguments = ["rowcast".to_owned()].into_iter().chain(command);
        rowcast::cli::command()
            .try_get_matches_from(arguments)
            .expect("a valid command line");
        let layer = rowcast::settings::from_environment(|asked| {
            variables
                .iter()
                .find(|(name, _)| name == asked)
                .map(|(_, value)| value.clone())
        });
        let settings = rowcast::settings::resolve(&[layer]).expect("valid values");
        assert!(settings.kafka.is_some(), "{head} has no Kafka");
    }
    let declared: Vec<String> = SETTINGS.iter().map(Setting::environment_name).collect();
    let words = compose.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    for word in words.filter(|word| word.starts_with("ROWCAST_")) {
        assert!(declared.iter().any(|name| name == word), "no setting is called {word}");
    }
}

#[test]
fn what_docker_compose_mounts_is_there() {
    let compose = text("docker-compose.yml");
    let mounted = compose.lines().filter_map(|line| line.trim().strip_prefix("- ./"));
    let mut count = 0;
    for mount in mounted {
        let file = mount.split(':').next().expect("a path");
        assert!(root().join(file).is_file(), "{file} is mounted and is not there");
        count += 1;
    }
    assert_eq!(count, 3, "init.sql, the connector and the proxy's configuration");
}

#[test]
fn the_connector_reaches_the_services_that_docker_compose_starts() {
    let config = rowcast_postgres::ConnectorConfig::from_json(&text("deploy/orders-connector.json")).expect("valid");
    assert_eq!(config.topic_prefix, "orders");
    let json: serde_json::Value = serde_json::from_str(&text("deploy/orders-connector.json")).expect("JSON");
    let postgres = block(&text("docker-compose.yml"), "  postgres:").join("\n");
    for (property, variable) in [
        ("database.user", "POSTGRES_USER"),
        ("database.password", "POSTGRES_PASSWORD"),
        ("database.dbname", "POSTGRES_DB"),
    ] {
        let value = json["config"][property].as_str().expect("text");
        assert!(
            postgres.contains(&format!("{variable}: {value}")),
            "{property} is not {variable}"
        );
    }
    assert_eq!(json["config"]["database.hostname"], "postgres");
    assert!(postgres.contains("wal_level=logical"));
}

#[test]
fn the_proxy_knows_the_gateways_and_passes_upgrades_on() {
    let (compose, proxy) = (text("docker-compose.yml"), text("deploy/nginx.conf"));
    for line in proxy.lines().filter_map(|line| line.trim().strip_prefix("server ")) {
        let Some((host, port)) = line.split_whitespace().next().and_then(|place| place.split_once(':')) else {
            continue;
        };
        assert!(!block(&compose, &format!("  {host}:")).is_empty(), "no service {host}");
        assert!(
            compose.contains(&format!("ROWCAST_LISTEN: 0.0.0.0:{port}")),
            "{host} does not listen on {port}"
        );
    }
    assert!(proxy.contains("proxy_set_header Upgrade $http_upgrade"));
    assert_eq!(proxy.matches('{').count(), proxy.matches('}').count());
}

#[test]
fn the_image_is_its_own_health_check() {
    let image = text("Dockerfile");
    let check = image
        .lines()
        .find(|line| line.starts_with("HEALTHCHECK"))
        .expect("a health check");
    let (_, words) = check.split_once("CMD ").expect("a command");
    let words: Vec<String> = serde_json::from_str(words).expect("a list of words");
    rowcast::cli::command()
        .try_get_matches_from(words)
        .expect("a valid command line");
    assert!(image.lines().any(|line| line.starts_with("USER ")), "not root");
    let rust = text("rust-toolchain.toml");
    let channel = rust
        .lines()
        .find_map(|line| line.strip_prefix("channel = "))
        .expect("a channel");
    let minor = channel.trim_matches('"').rsplit_once('.').expect("three numbers").0;
    assert!(
        image.contains(&format!("FROM rust:{minor}-")),
        "the image builds with Rust {minor}"
    );
}
