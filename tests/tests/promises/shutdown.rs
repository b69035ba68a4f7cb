//! SIGTERM is not an accident: clients are told to come back, the log is synced, the slot is free, within 10 s.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::StreamExt;
use rowcast_tests::{
    client::Follower,
    postgres::{Postgres, Version},
    process::{Rowcast, SLOT},
    random::Random,
    until,
    workload::{self, Load},
};
use tokio_tungstenite::tungstenite::Message;

/// What the operator was promised.
const STOP_MAX: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_process_tells_its_clients_to_reconnect_and_frees_the_slot() -> Result<()> {
    let mut random = Random::from_environment("a_terminated_process_tells_its_clients_to_reconnect_and_frees_the_slot");
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    workload::create_tables(&database).await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.start_ready().await?;
    let follower = Follower::start(rowcast.address(), "ledger", true);
    follower.live().await?;
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{}/ws", rowcast.address())).await?;
    let load = Load::start(postgres.port(), 2, &mut random);
    load.wrote(50).await?;

    let asked = Instant::now();
    rowcast.signal("TERM")?;
    let close = loop {
        if let Message::Close(frame) = socket.next().await.context("a close frame comes before the end")?? {
            break frame.context("the close frame has a code")?;
        }
    };
    let status = rowcast.exited().await?;
    assert!(asked.elapsed() < STOP_MAX, "it took {:?}", asked.elapsed());
    assert!(status.success(), "{status}; it logged:\n{}", rowcast.log_text());
    let code = u16::from(close.code);
    assert!(
        [1001, 1012].contains(&code),
        "close code {code} does not say \"reconnect\""
    );
    until("the slot to be free", || async {
        let row = database
            .query_one("SELECT active FROM pg_replication_slots WHERE slot_name = $1", &[&SLOT])
            .await?;
        Ok((!row.get::<_, bool>(0)).then_some(()))
    })
    .await?;

    load.stop().await?;
    rowcast.start_ready().await?;
    workload::write_marker(&database, -1).await?;
    follower.row(-1).await?;
    assert_eq!(follower.stop().resets, Vec::<String>::new());
    Ok(())
}

/// A second process on the same data directory would write the same files.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_data_directory_is_refused() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    workload::create_tables(&postgres.connect().await?).await?;
    let mut rowcast = Rowcast::new(&postgres, &workload::include_list())?;
    rowcast.start_ready().await?;
    let output = tokio::process::Command::new(rowcast_tests::process::binary()?)
        .args([
            "run",
            "--listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
            "--data-dir",
        ])
        .arg(rowcast.data_dir())
        .output()
        .await?;
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains(&*rowcast.data_dir().to_string_lossy()),
        "the error names the directory: {said}"
    );
    rowcast.ready().await
}
