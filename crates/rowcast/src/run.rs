//! Composes the parts into one process and takes them down in order.
//!
//! The order of the way down: no new clients and a "reconnect" to those that are here, then the connectors (their rows
//! durable, their slots free), then the log.

use std::{fs, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use prometheus_client::{collector::Collector, encoding::EncodeMetric, metrics::gauge::ConstGauge, registry::Registry};
use rowcast_connect::{ConnectMetrics, Connectors, RunningConnector};
use rowcast_gateway::{AllowedHosts, Gateway, GatewayOptions};
use rowcast_log::{EmbeddedLog, EmbeddedOptions, Log};
use rowcast_postgres::ConnectorConfig;
use tokio::{net::TcpListener, sync::watch};

use crate::{files, operator, pages::PublicPages, settings::Settings};

/// How long everything may take to stop, as promised; after that the process ends anyway. Nothing is lost by that: what
/// was not durable was not confirmed.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Runs until `stop` turns true. `started` is called once, with the addresses, when the listeners are open.
pub async fn run(settings: Settings, stop: watch::Receiver<bool>, started: impl FnOnce(&Addresses)) -> Result<()> {
    let configs = read_connectors(&settings)?;
    let files_max = files::raise_limit();
    let log: Arc<dyn Log> = EmbeddedLog::open(&settings.data_dir, EmbeddedOptions::default())?;
    let public = bind("listen", settings.listen).await?;
    let operators = bind("metrics_listen", settings.metrics_listen).await?;
    let addresses = Addresses {
        public: public.local_addr()?,
        metrics: operators.local_addr()?,
    };

    let metrics = ConnectMetrics::default();
    let gateway = Gateway::start(log.clone(), gateway_options(&settings, files_max));
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    gateway.metrics().register(&mut registry);
    registry.register_collector(Box::new(LogSize(log.clone())));

    let (stop_connectors, connectors_stop) = watch::channel(false);
    let connectors = Connectors::new(log.clone(), metrics);
    let running: Vec<RunningConnector> = configs
        .into_iter()
        .map(|config| connectors.start(config, connectors_stop.clone()))
        .collect();
    let (views, views_ready) = watch::channel(false);
    let watched = gateway.clone();
    tokio::spawn(async move {
        watched.ready().await;
        views.send_replace(true);
    });
    let statuses = running.iter().map(|connector| connector.status.clone()).collect();
    let pages = Arc::new(PublicPages::new(log.clone(), statuses, views_ready));
    tokio::spawn(operator::serve(operators, Arc::new(registry), stop.clone()));
    started(&addresses);
    tracing::info!(listen = %addresses.public, metrics = %addresses.metrics, data_dir = %settings.data_dir.display(), "rowcast is up");

    gateway.serve(public, pages, stop).await.context("public listener")?;
    stop_connectors.send_replace(true);
    let connectors_end = async {
        for connector in running {
            connector.join().await;
        }
    };
    if tokio::time::timeout(STOP_PATIENCE, connectors_end).await.is_err() {
        tracing::warn!(
            "a connector did not stop within {} s; its slot is freed when the connection closes",
            STOP_PATIENCE.as_secs()
        );
    }
    tracing::info!("stopped");
    Ok(())
}

/// Where the process listens.
pub struct Addresses {
    /// Page and streams.
    pub public: std::net::SocketAddr,
    /// `/metrics`.
    pub metrics: std::net::SocketAddr,
}

/// Returns when `stop` turns true, or when nobody can turn it any more.
pub async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    // The guard that `wait_for` lends must not live across another await.
    let _ = stop.wait_for(|&stop| stop).await.map(|_| ());
}

/// Turns true at the first SIGTERM or SIGINT; a second one ends the process at once.
pub fn stop_signal() -> Result<watch::Receiver<bool>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        for attempt in 0.. {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if attempt > 0 {
                std::process::exit(130);
            }
            tracing::info!("stopping; a second signal stops at once");
            sender.send_replace(true);
        }
    });
    Ok(receiver)
}

fn read_connectors(settings: &Settings) -> Result<Vec<ConnectorConfig>> {
    let mut configs: Vec<ConnectorConfig> = Vec::new();
    for file in &settings.connectors {
        let json = fs::read_to_string(file).with_context(|| format!("connector file {}", file.display()))?;
        let config = ConnectorConfig::from_json(&json).with_context(|| format!("connector file {}", file.display()))?;
        if let Some(twin) = configs
            .iter()
            .find(|c| c.name == config.name || share_topics(&c.topic_prefix, &config.topic_prefix))
        {
            bail!(
                "{}: connector {:?} has the name or the topic.prefix of {:?}, or a prefix that begins with the other's and a \
                 dot; give each its own",
                file.display(),
                config.name,
                twin.name
            );
        }
        configs.push(config);
    }
    if configs.is_empty() {
        tracing::warn!("no connector was given (--connector FILE.json): serving what the log holds");
    }
    Ok(configs)
}

/// Whether a topic under one prefix may be one under the other.
fn share_topics(one: &str, other: &str) -> bool {
    let begins = |long: &str, short: &str| {
        long.strip_prefix(short)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    begins(one, other) || begins(other, one)
}

async fn bind(setting: &str, address: std::net::SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address}; is another rowcast running? Set {setting} to another address (--{})",
            setting.replace('_', "-")
        )
    })
}

fn gateway_options(settings: &Settings, files_max: Option<u64>) -> GatewayOptions {
    let connections_max = files::connections_that_fit(settings.connections_max, files_max, files::open_files());
    if connections_max < settings.connections_max {
        tracing::warn!(
            "connections_max is {connections_max} and not {}: this process may open {} files, and capture needs some of them; \
             raise its limit (ulimit -Hn, or LimitNOFILE= of its service)",
            settings.connections_max,
            files_max.unwrap_or_default()
        );
    }
    GatewayOptions {
        allowed_origins: settings.allowed_origins.clone(),
        allowed_hosts: allowed_hosts(settings),
        connections_max,
        message_bytes_max: settings.message_bytes_max,
        subscriptions_max: settings.subscriptions_max,
        handshake_timeout: settings.handshake_timeout,
        ping_after: settings.ping_after,
        dead_after: settings.dead_after,
        stalled_after: settings.stalled_after,
        ring_bytes_max: settings.ring_bytes_max,
        ..GatewayOptions::default()
    }
}

/// On a public address nobody but the operator knows the names that lead there, so none is refused until one is given.
fn allowed_hosts(settings: &Settings) -> AllowedHosts {
    let listen = settings.listen.ip();
    if settings.allowed_hosts.is_empty() && !listen.is_loopback() {
        return AllowedHosts::any();
    }
    let own = match listen.is_unspecified() {
        true => AllowedHosts::loopback(),
        false => AllowedHosts::loopback().and_address(listen),
    };
    settings
        .allowed_hosts
        .iter()
        .fold(own, |hosts, name| hosts.and_name(name))
}

/// The log's size, asked for when Prometheus asks.
struct LogSize(Arc<dyn Log>);

impl std::fmt::Debug for LogSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogSize")
    }
}

impl Collector for LogSize {
    fn encode(&self, mut encoder: prometheus_client::encoding::DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let size = ConstGauge::new(self.0.size_bytes() as i64);
        let metric = encoder.encode_descriptor(
            "rowcast_log_size_bytes",
            "Bytes of the log on disk",
            None,
            size.metric_type(),
        )?;
        size.encode(metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_share_topics_only_with_a_dot_between() {
        assert!(share_topics("shop", "shop") && share_topics("shop", "shop.eu") && share_topics("shop.eu", "shop"));
        assert!(!share_topics("shop", "shopping") && !share_topics("shop.eu", "shop.us"));
    }
}
