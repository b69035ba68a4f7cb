//! `docker-compose.yml`, started as processes: what it says must work, and go on when a gateway is killed.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use anyhow::{Context, Result, ensure};
use rowcast_tests::{
    changes::Row,
    client::{Follower, Seen},
    http,
    topology::{Front, Topology},
    until,
};
use tokio::{sync::watch, task::JoinHandle};
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
    let folder = tempfile::Builder::new()
        .prefix("rowcast-topology-")
        // PostgreSQL and the proxy's workers are other users than root.
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir()?;
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
