//! A gateway on Kafka at its beginning, and when what it goes by is taken away: it says what it does not know yet, and goes
//! on by itself.

use anyhow::{Context, Result, ensure};
use rowcast_tests::{
    client::{Connection, Follower},
    http,
    kafka::Kafka,
    postgres::{Postgres, Version},
    process::{Rowcast, topic},
    until, workload,
};
use serde_json::Value;

/// What a gateway says to a client that asks for a topic.
async fn asked(gateway: &Rowcast, topic: &str) -> Result<Value> {
    let mut client = Connection::open(gateway.address()).await?;
    client.subscribe_to(topic, true, None).await?;
    client.next().await?.context("an answer")
}

/// Whoever asks for a topic before the gateway has heard which there are would take "unknown" for the last word.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_does_not_know_its_topics_yet_says_try_again() -> Result<()> {
    let mut kafka = Kafka::start().await?;
    kafka.topics().create("orders", 1, &[]).await?;
    kafka.kill_dash_nine().await?;
    let mut gateway = Rowcast::gateway(&kafka.address(), &["orders".to_owned()])?;
    gateway.start().await?;
    for topic in ["orders", "nowhere"] {
        let page = http::get(gateway.address(), &format!("/sse?topic={topic}")).await?;
        ensure!(page.status == 503, "{page:?}");
        ensure!(page.head.to_lowercase().contains("\r\nretry-after: "), "{page:?}");
        let answer = asked(&gateway, topic).await?;
        ensure!(answer["code"] == "not_ready", "{answer}");
    }
    kafka.restart().await?;
    gateway.ready().await?;
    ensure!(asked(&gateway, "orders").await?["type"] == "subscribed");
    let page = http::get(gateway.address(), "/sse?topic=nowhere").await?;
    ensure!(page.status == 404, "{page:?}");
    let answer = asked(&gateway, "nowhere").await?;
    ensure!(answer["code"] == "unknown_topic", "{answer}");
    Ok(())
}

/// A broker that takes connections and says nothing is not there either.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_started_while_the_broker_hangs_listens_and_goes_on_when_it_does() -> Result<()> {
    let kafka = Kafka::start().await?;
    kafka.topics().create("orders", 1, &[]).await?;
    kafka.pause()?;
    let mut gateway = Rowcast::gateway(&kafka.address(), &["orders".to_owned()])?;
    let started = tokio::time::timeout(LISTENS_MAX, gateway.start()).await;
    started.context("nothing listens while the broker hangs")??;
    // At once, and when it has been given up for now.
    let page = http::get(gateway.address(), "/health/ready").await?;
    ensure!(
        page.status == 503 && page.body.contains("waiting for Kafka"),
        "{page:?}"
    );
    ensure!(http::get(gateway.address(), "/health/live").await?.status == 200);
    let page = http::get(gateway.address(), "/sse?topic=orders").await?;
    ensure!(page.status == 503, "{page:?}");
    let waiting = format!("waiting for Kafka at {}", kafka.address());
    gateway.unready(|reason| reason.contains(&waiting)).await?;
    kafka.resume()?;
    gateway.ready().await?;
    ensure!(asked(&gateway, "orders").await?["type"] == "subscribed");
    Ok(())
}

/// Far more than a process needs to listen, far less than it waits for a broker's answers.
const LISTENS_MAX: std::time::Duration = std::time::Duration::from_secs(8);

/// The topics in which captures say what they write are a topic like any other: somebody may delete them.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_whose_list_of_topics_is_deleted_serves_what_new_connectors_write() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = workload::watched_tables(&postgres).await?;
    database
        .batch_execute("CREATE TABLE late (id bigint PRIMARY KEY); INSERT INTO late VALUES (1)")
        .await?;
    let kafka = Kafka::start().await?;
    let mut capture = Rowcast::capture(&postgres, &workload::include_list(), &kafka.address())?;
    capture.start_ready().await?;
    let mut gateway = Rowcast::gateway(&kafka.address(), &[])?;
    gateway.start_ready().await?;
    let followers = workload::follow_tables_live(gateway.address()).await?;
    for topic in ["__rowcast_connectors", "__rowcast_schemas"] {
        kafka.topics().delete(topic).await?;
    }
    let mut other = Rowcast::capture(&postgres, "public.late", &kafka.address())?;
    let mut config = rowcast_tests::process::connector(&postgres, "public.late");
    for (property, value) in [
        ("topic.prefix", "other"),
        ("slot.name", "other"),
        ("publication.name", "other"),
    ] {
        config.insert(property.to_owned(), value.into());
    }
    other.configure("other-connector", config);
    other.start_ready().await?;
    let late = Follower::start_on(gateway.address(), "other.public.late", true);
    late.row(1).await.with_context(|| gateway.log_text())?;
    eprintln!("topics of a new connector are served");
    // Once more, with nobody who makes them again, and a gateway that is started then.
    workload::write_marker(&database, -1).await?;
    for (table, follower) in &followers {
        follower.row(-1).await?;
        ensure!(asked(&gateway, &topic(table)).await?["type"] == "subscribed");
    }
    for topic in ["__rowcast_connectors", "__rowcast_schemas"] {
        kafka.topics().delete(topic).await?;
    }
    until("the gateway to notice", || async {
        let gone = |line: &&str| line.contains("__rowcast_schemas") && line.contains("is gone from Kafka");
        Ok((gateway.log_text().lines().filter(gone).count() > 0).then_some(()))
    })
    .await?;
    gateway.kill().await?;
    gateway.start().await?;
    workload::write_marker(&database, -2).await?;
    for (table, follower) in followers {
        follower.row(-2).await.with_context(|| table.to_owned())?;
        let seen = follower.stop();
        ensure!(seen.resets.is_empty(), "{table}: {:?}", seen.resets);
    }
    Ok(())
}
