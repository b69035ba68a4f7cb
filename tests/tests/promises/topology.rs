//! `docker-compose.yml`, started as processes: what it says must work, and go on when a gateway is killed.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use rowcast_tests::{
    changes::Row,
    client::{Follower, Seen},
    http, process,
    topology::{Front, Topology},
    until,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::watch,
    task::JoinHandle,
};
use tokio_postgres::Client;

const TOPIC: &str = "orders.public.orders";
/// Rows that `database/init.sql` puts in.
const ROWS: u64 = 8;
/// Two at each of two gateways.
const CLIENTS: usize = 4;
/// Requests in a row, each on a connection of its own, so that every worker of the proxy gets some.
const REQUESTS: usize = 40;
/// Between two changes: some hundred are under way in each part of the test.
const PAUSE: Duration = Duration::from_millis(5);

/// The proxy once gave up a gateway that had refused one connection, for five seconds: when the other went down within
/// them, everybody got 502 ("no live upstreams") from a gateway that was there.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_goes_on_at_the_other_gateway_when_its_own_is_killed() -> Result<()> {
    let folder = folder()?;
    let mut topology = Topology::start(folder.path(), Front::Anywhere, |_| {}).await?;
    match live_through_kills(&mut topology).await {
        Ok(()) => topology.stop().await,
        Err(error) => Err(error.context(topology.log_text())),
    }
}

async fn live_through_kills(topology: &mut Topology) -> Result<()> {
    let proxy = topology.address()?;
    let gateways = topology.gateways();
    let [first, second] = &gateways[..] else {
        anyhow::bail!("two gateways, not {gateways:?}");
    };
    let mut followers = Vec::new();
    for _ in 0..CLIENTS {
        let follower = Follower::start_on(&proxy, TOPIC, true);
        follower.live().await?;
        followers.push(follower);
    }
    for gateway in [first, second] {
        let sessions = topology.sessions(gateway).await?;
        ensure!(sessions == 2, "{gateway} has {sessions} of {CLIENTS} clients");
    }
    let writer = Writer::start(topology.database().await?);

    writer.wrote_more().await?;
    topology.kill_dash_nine(first).await?;
    all_at(topology, second).await?;
    the_proxy_answers(&proxy).await.context("with one gateway")?;
    writer.wrote_more().await?;
    topology.start_again(first).await?;

    // At once, while a proxy could still remember that the first was away.
    topology.kill_dash_nine(second).await?;
    the_proxy_answers(&proxy)
        .await
        .context("with the gateway that came back")?;
    all_at(topology, first).await?;
    writer.wrote_more().await?;
    topology.start_again(second).await?;
    the_proxy_answers(&proxy).await.context("with both gateways again")?;

    let written = writer.stop().await?;
    for follower in followers {
        let all = follower.until("every change", |seen| seen.changes.len() as u64 >= written);
        all.await?;
        saw_each_once(&follower.stop(), written)?;
    }
    eprintln!("{CLIENTS} clients saw {written} changes over two kills");
    Ok(())
}

/// Ctrl-C is in order, and what it left is gone on with; SIGKILL leaves nobody to stop the others, and they stop all the same.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_the_demo_when_it_is_stopped_or_killed() -> Result<()> {
    let folder = folder()?;
    let mut lasting = None;
    for signal in ["INT", "KILL"] {
        let mut demo = tokio::process::Command::new(env!("CARGO_BIN_EXE_topology"))
            .arg("--dir")
            .arg(folder.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(demo.stdout.take().context("its output is piped")?).lines();
        let (mut page, mut gateways) = (String::new(), 0);
        loop {
            let line = lines.next_line().await?.context("the demo says when everything runs")?;
            if let Some((_, port)) = line.split_once("http://localhost:") {
                page = format!("127.0.0.1:{port}");
            }
            gateways += usize::from(line.contains("kill -9"));
            if line.contains("Ctrl-C stops everything") {
                break;
            }
        }
        ensure!(gateways == 2, "the demo names {gateways} gateways");
        let follower = Follower::start_on(&page, TOPIC, true);
        follower.live().await?;
        let rows = follower.stop().rows;
        ensure!(rows.len() as u64 == ROWS, "the demo shows {} rows", rows.len());
        ensure!(
            *lasting.get_or_insert(rows.clone()) == rows,
            "the second life has other rows"
        );
        ensure!(
            running_in(folder.path())?.len() > 5,
            "nobody is seen to run in the folder"
        );

        process::signal(demo.id().context("it runs")?, signal)?;
        let status = demo.wait().await?;
        ensure!(status.success() == (signal == "INT"), "SIG{signal}: {status}");
        if signal == "INT" {
            let left = running_in(folder.path())?;
            ensure!(left.is_empty(), "the demo has ended, and these run: {left:?}");
        }
        let gone = until("everybody to be gone", || async {
            Ok(running_in(folder.path())?.is_empty().then_some(()))
        });
        gone.await
            .with_context(|| format!("{:?} run still", running_in(folder.path())))?;
    }
    Ok(())
}

/// The command lines of the processes that name this folder, or whose working directory is in it.
fn running_in(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for process in fs::read_dir("/proc")? {
        let process = process?.path();
        // It may end while it is looked at.
        let Ok(words) = fs::read(process.join("cmdline")) else {
            continue;
        };
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        let at = fs::read_link(process.join("cwd"));
        if words.contains(&*folder.to_string_lossy()) || at.is_ok_and(|at| at.starts_with(folder)) {
            found.push(words);
        }
    }
    Ok(found)
}

fn folder() -> Result<TempDir> {
    Ok(tempfile::Builder::new()
        .prefix("rowcast-topology-")
        // PostgreSQL and the proxy's workers are other users than root.
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir()?)
}

/// Waits until every client is at this gateway.
async fn all_at(topology: &Topology, gateway: &str) -> Result<()> {
    let what = format!("every client to come to {gateway}");
    until(&what, || async {
        let sessions = topology.sessions(gateway).await?;
        Ok((sessions == CLIENTS as u64).then_some(()))
    })
    .await
}

async fn the_proxy_answers(proxy: &str) -> Result<()> {
    for request in 0..REQUESTS {
        let response = http::get(proxy, "/health/ready").await?;
        ensure!(
            response.status == 200,
            "request {request} was answered {}: {}",
            response.status,
            response.body
        );
    }
    Ok(())
}

fn saw_each_once(seen: &Seen, written: u64) -> Result<()> {
    ensure!(seen.resets.is_empty(), "a client was reset: {:?}", seen.resets);
    ensure!(seen.connections >= 2, "a client was never disturbed");
    let numbers: Vec<u64> = seen
        .changes
        .iter()
        .map(|change| number(&change.after))
        .collect::<Result<_>>()?;
    let expected: Vec<u64> = (1..=written).collect();
    ensure!(numbers == expected, "a client saw {numbers:?} of 1 to {written}");
    ensure!(
        seen.rows.len() as u64 == ROWS,
        "a client shows {} rows",
        seen.rows.len()
    );
    Ok(())
}

fn number(row: &Row) -> Result<u64> {
    row["status"]
        .as_str()
        .and_then(|status| status.parse().ok())
        .context("the writer's status is a number")
}

/// Writes one numbered change after another, each a transaction.
struct Writer {
    stop: watch::Sender<bool>,
    written: watch::Receiver<u64>,
    task: JoinHandle<Result<()>>,
}

impl Writer {
    fn start(database: Client) -> Writer {
        let (stop, told) = watch::channel(false);
        let (tell, written) = watch::channel(0);
        let task = tokio::spawn(async move {
            for number in 1_u64.. {
                if *told.borrow() {
                    break;
                }
                let id = 1 + number % ROWS;
                let sql = format!("UPDATE orders SET status = '{number}', updated_at = now() WHERE id = {id}");
                database.batch_execute(&sql).await?;
                tell.send_replace(number);
                tokio::time::sleep(PAUSE).await;
            }
            Ok(())
        });
        Writer { stop, written, task }
    }

    /// Waits until a hundred more are committed.
    async fn wrote_more(&self) -> Result<()> {
        let mut written = self.written.clone();
        let wanted = *written.borrow() + 100;
        written
            .wait_for(|written| *written >= wanted)
            .await
            .context("the writer has ended")?;
        Ok(())
    }

    /// Ends, and says how many changes are committed.
    async fn stop(self) -> Result<u64> {
        self.stop.send_replace(true);
        self.task.await??;
        Ok(*self.written.borrow())
    }
}
