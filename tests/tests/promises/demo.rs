//! `rowcast demo` is the first thing anybody sees: a row changed with psql's own protocol must move the page.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result};
use rowcast_tests::{client::Connection, process};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

/// Over all; initdb and the first start take a second or two on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The demo's table was once made in single-user mode, which PostgreSQL never publishes: rows changed, no page moved.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_changed_in_the_demo_reaches_every_open_page() -> Result<()> {
    tokio::time::timeout(PATIENCE, change_a_row()).await?
}

async fn change_a_row() -> Result<()> {
    let dir = tempfile::Builder::new().prefix("rowcast-test-").tempdir()?;
    let mut demo = Command::new(process::binary()?)
        .args([
            "demo",
            "--listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
            "--dir",
        ])
        .arg(dir.path().join("demo"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(demo.stdout.take().context("its output is piped")?).lines();
    let (mut page, mut database) = (None, None);
    while page.is_none() || database.is_none() {
        let line = lines.next_line().await?.context("the demo says where everything is")?;
        let mut words = line.split_whitespace();
        match words.next() {
            Some("WebSocket") => page = words.next().and_then(port_of),
            Some("PostgreSQL") => {
                database = words
                    .skip_while(|word| *word != "-p")
                    .nth(1)
                    .and_then(|p| p.parse().ok())
            }
            _ => {}
        }
    }
    let (page, database): (u16, u16) = (page.context("a port")?, database.context("a port")?);
    let address = format!("127.0.0.1:{page}");
    rowcast_tests::until("the orders to be served", || async {
        let topics = rowcast_tests::http::get(&address, "/topics.json").await?;
        Ok(topics.body.contains("orders.public.orders").then_some(()))
    })
    .await?;

    let mut client = Connection::open_silent(&address).await?;
    let parameters = format!("host=127.0.0.1 port={database} user=postgres password=password dbname=orders_db");
    let (session, connection) = tokio_postgres::connect(&parameters, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    session
        .execute("UPDATE orders SET status = 'shipped by hand' WHERE id = 1", &[])
        .await?;
    loop {
        let event = client.next_text().await.context("the change is pushed")?;
        if event.contains("shipped by hand") {
            break;
        }
        // A client that was quicker than the first snapshot is sent its rows.
        assert!(event.contains(r#""op":"r""#), "{event}");
    }

    // The demo stops its own PostgreSQL when it is told to go.
    let pid = demo.id().context("it runs")?;
    Command::new("kill").args(["-TERM", &pid.to_string()]).status().await?;
    assert!(demo.wait().await?.success());
    Ok(())
}

fn port_of(url: &str) -> Option<u16> {
    url.rsplit_once(':')?.1.split('/').next()?.parse().ok()
}
