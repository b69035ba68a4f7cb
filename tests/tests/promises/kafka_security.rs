//! Kafka behind TLS and SASL: the properties are librdkafka's own, and who is refused is told which one to look at, never
//! what is secret.

use std::fs;

use anyhow::{Context, Result, ensure};
use rowcast_tests::{
    client::Follower,
    kafka::security::{PASSWORD, SecuredKafka, USER},
    oidc::{SCOPE, SECRET},
    postgres::{Postgres, Version},
    process::{Rowcast, topic},
};
use tempfile::NamedTempFile;
use tokio_postgres::Client;

/// Properties below `[log.kafka]`.
type Properties = Vec<(&'static str, String)>;

/// A configuration file with them.
fn config_file(properties: &Properties) -> Result<NamedTempFile> {
    let file = tempfile::Builder::new().suffix(".toml").tempfile()?;
    let lines: String = properties
        .iter()
        .map(|(name, value)| format!("{name} = {value:?}\n"))
        .collect();
    fs::write(file.path(), format!("[log.kafka]\n{lines}"))?;
    Ok(file)
}

fn with_config(mut process: Rowcast, file: &NamedTempFile) -> Rowcast {
    process.argument("--config");
    process.argument(&file.path().display().to_string());
    process
}

/// How the broker's own certificate is checked.
fn authority(kafka: &SecuredKafka, name: &str) -> (&'static str, String) {
    ("ssl.ca.location", kafka.certificate(name).display().to_string())
}

fn sasl(protocol: &str, mechanism: &str, password: &str) -> Properties {
    vec![
        ("security.protocol", protocol.to_owned()),
        ("sasl.mechanism", mechanism.to_owned()),
        ("sasl.username", USER.to_owned()),
        ("sasl.password", password.to_owned()),
    ]
}

fn oauthbearer(protocol: &str) -> Properties {
    vec![
        ("security.protocol", protocol.to_owned()),
        ("sasl.mechanism", "OAUTHBEARER".to_owned()),
        ("sasl.oauthbearer.config", format!("principal={USER}")),
        ("enable.sasl.oauthbearer.unsecure.jwt", "true".to_owned()),
    ]
}

/// Tokens of the provider's, for a client of this name.
fn tokens(kafka: &SecuredKafka, client: &str) -> Properties {
    let (endpoint, authority) = (kafka.provider.tokens_url(), kafka.certificate("authority.pem"));
    let text = str::to_owned;
    vec![
        ("security.protocol", text("sasl_ssl")),
        ("sasl.mechanism", text("OAUTHBEARER")),
        ("sasl.oauthbearer.method", text("oidc")),
        ("sasl.oauthbearer.client.id", text(client)),
        ("sasl.oauthbearer.client.secret", text(SECRET)),
        ("sasl.oauthbearer.scope", text(SCOPE)),
        (
            "sasl.oauthbearer.extensions",
            text("logicalCluster=lkc-1,identityPoolId=pool-1"),
        ),
        ("sasl.oauthbearer.token.endpoint.url", endpoint),
        ("https.ca.location", authority.display().to_string()),
        ("ssl.ca.location", authority.display().to_string()),
    ]
}

/// The same with another value for one of them.
fn but(properties: Properties, name: &'static str, value: &str) -> Properties {
    let mut properties = properties;
    properties.retain(|(other, _)| *other != name);
    properties.push((name, value.to_owned()));
    properties
}

fn client_certificate(kafka: &SecuredKafka) -> Properties {
    let file = |name: &str| kafka.certificate(name).display().to_string();
    vec![
        ("security.protocol", "ssl".to_owned()),
        ("ssl.certificate.location", file("client.pem")),
        ("ssl.key.location", file("client.key")),
    ]
}

/// Every way in.
fn ways(kafka: &SecuredKafka) -> Vec<(&'static str, String, Properties)> {
    let checked = |properties: Properties| [properties, vec![authority(kafka, "authority.pem")]].concat();
    let (tls, both, open) = (kafka.tls(), kafka.sasl_tls(), kafka.sasl_open());
    vec![
        ("a client certificate", tls, checked(client_certificate(kafka))),
        ("PLAIN", both.clone(), checked(sasl("sasl_ssl", "PLAIN", PASSWORD))),
        (
            "SCRAM-SHA-256",
            both.clone(),
            checked(sasl("sasl_ssl", "SCRAM-SHA-256", PASSWORD)),
        ),
        ("SCRAM-SHA-512", open, sasl("sasl_plaintext", "SCRAM-SHA-512", PASSWORD)),
        ("OAUTHBEARER", both, checked(oauthbearer("sasl_ssl"))),
    ]
}

/// A server with a table, and a broker that asks who is there.
async fn table_and_broker() -> Result<(Postgres, Client, SecuredKafka)> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    database
        .batch_execute("CREATE TABLE orders (id int PRIMARY KEY)")
        .await?;
    Ok((postgres, database, SecuredKafka::start().await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn capture_and_gateway_work_behind_tls_and_every_sasl_mechanism() -> Result<()> {
    let (postgres, database, secured) = table_and_broker().await?;
    for (id, (name, address, properties)) in ways(&secured).into_iter().enumerate() {
        let file = config_file(&properties)?;
        let mut capture = with_config(Rowcast::capture(&postgres, "public.orders", &address)?, &file);
        capture.set(
            "exactly.once.support",
            if id % 2 == 0 { "requested" } else { "required" },
        );
        capture.start_ready().await.context(name)?;
        database
            .execute("INSERT INTO orders VALUES ($1)", &[&(id as i32)])
            .await?;
        let mut gateway = with_config(Rowcast::gateway(&address, &[topic("orders")])?, &file);
        gateway.start_ready().await.context(name)?;
        let follower = Follower::start(gateway.address(), "orders", true);
        follower.row(id as i64).await.context(name)?;
        for log in [capture.log_text(), gateway.log_text()] {
            ensure!(!log.contains(PASSWORD), "{name}: the password is in the log:\n{log}");
        }
        capture.kill().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_is_told_which_property_to_look_at() -> Result<()> {
    let secured = SecuredKafka::start().await?;
    let (tls, both, open) = (secured.tls(), secured.sasl_tls(), secured.sasl_open());
    let ours = || authority(&secured, "authority.pem");
    let checked = |properties: Properties| [properties, vec![ours()]].concat();
    let wrong = format!("{PASSWORD}-not");
    for (name, address, properties, told) in [
        (
            "PLAIN",
            &both,
            checked(sasl("sasl_ssl", "PLAIN", &wrong)),
            "sasl.username and sasl.password",
        ),
        (
            "SCRAM",
            &open,
            sasl("sasl_plaintext", "SCRAM-SHA-256", &wrong),
            "sasl.username and sasl.password",
        ),
        (
            "no such mechanism",
            &open,
            oauthbearer("sasl_plaintext"),
            "sasl.mechanism",
        ),
        (
            "a stranger's authority",
            &both,
            [
                sasl("sasl_ssl", "PLAIN", PASSWORD),
                vec![authority(&secured, "stranger.pem")],
            ]
            .concat(),
            "ssl.ca.location",
        ),
        (
            "no client certificate",
            &tls,
            vec![("security.protocol", "ssl".to_owned()), ours()],
            "ssl.certificate.location",
        ),
        ("no security", &tls, vec![], "security.protocol"),
        (
            "no TLS",
            &both,
            sasl("sasl_plaintext", "PLAIN", PASSWORD),
            "security.protocol",
        ),
        (
            "TLS where there is none",
            &open,
            checked(sasl("sasl_ssl", "PLAIN", PASSWORD)),
            "security.protocol",
        ),
    ] {
        let file = config_file(&properties)?;
        let mut gateway = with_config(Rowcast::gateway(address, &[topic("orders")])?, &file);
        let said = match gateway.start().await {
            // Refused: that does not change by itself.
            Err(ended) => format!("{ended:#}"),
            // No answer that can be understood: there may be one yet.
            Ok(()) => gateway.unready(|reason| told_in(reason).contains(told)).await?,
        };
        eprintln!("{name}: {}", told_in(&said));
        ensure!(told_in(&said).contains(told), "{name}: not {told}:\n{said}");
        ensure!(!said.contains(PASSWORD), "{name}: the password is in the log:\n{said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_tokens_are_renewed_while_capture_and_gateway_work() -> Result<()> {
    let (postgres, database, secured) = table_and_broker().await?;
    let address = secured.sasl_tokens();
    let [ours, theirs] = ["capture", "gateway"].map(|client| config_file(&tokens(&secured, client)));
    let (ours, theirs) = (ours?, theirs?);
    let mut capture = with_config(Rowcast::capture(&postgres, "public.orders", &address)?, &ours);
    capture.set("exactly.once.support", "required");
    capture.start_ready().await?;
    database.execute("INSERT INTO orders VALUES (1)", &[]).await?;
    let mut gateway = with_config(Rowcast::gateway(&address, &[topic("orders")])?, &theirs);
    gateway.start_ready().await?;
    let follower = Follower::start(gateway.address(), "orders", true);
    follower.row(1).await?;
    // The broker has disconnected by now who has not shown a newer token.
    for client in ["capture", "gateway"] {
        secured.provider.outlived(client).await?;
    }
    database.execute("INSERT INTO orders VALUES (2)", &[]).await?;
    follower.row(2).await?;
    for log in [capture.log_text(), gateway.log_text()] {
        ensure!(!tells_a_secret(&log), "a secret is in the log:\n{log}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gets_no_token_is_told_which_property_to_look_at() -> Result<()> {
    let secured = SecuredKafka::start().await?;
    let usual = || tokens(&secured, "gateway");
    let (wrong, stranger) = (format!("{SECRET}-not"), secured.certificate("stranger.pem"));
    for (name, properties, told) in [
        (
            "a wrong secret",
            but(usual(), "sasl.oauthbearer.client.secret", &wrong),
            "sasl.oauthbearer.client.id and sasl.oauthbearer.client.secret",
        ),
        (
            "no such scope",
            but(usual(), "sasl.oauthbearer.scope", "everything"),
            "sasl.oauthbearer.scope",
        ),
        (
            "a stranger's authority",
            but(usual(), "https.ca.location", &stranger.display().to_string()),
            "https.ca.location",
        ),
        (
            "nobody there",
            but(
                usual(),
                "sasl.oauthbearer.token.endpoint.url",
                "https://127.0.0.1:1/token",
            ),
            "sasl.oauthbearer.token.endpoint.url",
        ),
        (
            "no provider's token",
            [oauthbearer("sasl_ssl"), vec![authority(&secured, "authority.pem")]].concat(),
            "sasl.oauthbearer.*",
        ),
    ] {
        let file = config_file(&properties)?;
        let mut gateway = with_config(Rowcast::gateway(&secured.sasl_tokens(), &[topic("orders")])?, &file);
        let said = match gateway.start().await {
            Err(ended) => format!("{ended:#}"),
            Ok(()) => gateway.unready(|reason| told_in(reason).contains(told)).await?,
        };
        eprintln!("{name}: {said}");
        ensure!(told_in(&said).contains(told), "{name}: not {told}:\n{said}");
        let log = gateway.log_text();
        ensure!(
            !tells_a_secret(&said) && !tells_a_secret(&log),
            "{name}: a secret is in the log:\n{log}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_is_waited_for() -> Result<()> {
    let secured = SecuredKafka::start().await?;
    secured.kafka.topics().create(&topic("orders"), 1, &[]).await?;
    secured.provider.set_away(true);
    let file = config_file(&tokens(&secured, "gateway"))?;
    let mut gateway = with_config(Rowcast::gateway(&secured.sasl_tokens(), &[topic("orders")])?, &file);
    gateway.start().await?;
    let told = "sasl.oauthbearer.token.endpoint.url";
    gateway.unready(|reason| told_in(reason).contains(told)).await?;
    secured.provider.set_away(false);
    gateway.ready().await
}

/// The client's secret, or a token: `{"` is how its parts begin, in base64.
fn tells_a_secret(text: &str) -> bool {
    text.contains(SECRET) || text.contains("eyJ")
}

/// What an operator is told to check.
fn told_in(text: &str) -> &str {
    let (_, check) = text.split_once("; check ").unwrap_or_default();
    check.lines().next().unwrap_or_default()
}
