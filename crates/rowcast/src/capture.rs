//! The connectors of a process: their files, their start, their end.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use prometheus_client::registry::Registry;
use rowcast_connect::{ConnectMetrics, ConnectorStatus, Connectors, RunningConnector};
use rowcast_log::Log;
use rowcast_postgres::ConnectorConfig;
use tokio::sync::watch;

/// How long everything may take to stop, as promised; after that the process ends anyway. Nothing is lost by that: what
/// was not durable was not confirmed.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Connectors at work.
pub(crate) struct Capture {
    running: Vec<RunningConnector>,
    stop: watch::Sender<bool>,
}

impl Capture {
    /// Starts each connector, writing to `log`.
    pub(crate) fn start(log: Arc<dyn Log>, configs: Vec<ConnectorConfig>, registry: &mut Registry) -> Capture {
        let metrics = ConnectMetrics::default();
        metrics.register(registry);
        let (stop, stopped) = watch::channel(false);
        let connectors = Connectors::new(log, metrics);
        let start = |config| connectors.start(config, stopped.clone());
        Capture {
            running: configs.into_iter().map(start).collect(),
            stop,
        }
    }

    /// What each is doing.
    pub(crate) fn statuses(&self) -> Vec<watch::Receiver<ConnectorStatus>> {
        self.running.iter().map(|connector| connector.status.clone()).collect()
    }

    /// Returns when their rows are durable and their slots are free.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        let all = async {
            for connector in self.running {
                connector.join().await;
            }
        };
        if tokio::time::timeout(STOP_PATIENCE, all).await.is_err() {
            tracing::warn!(
                "a connector did not stop within {} s; its slot is freed when the connection closes",
                STOP_PATIENCE.as_secs()
            );
        }
    }
}

/// Reads the connectors' files. Two of one name would share a place in their source; two prefixes of which one begins with
/// the other and a dot may name the same topic.
pub(crate) fn read(files: &[PathBuf]) -> Result<Vec<ConnectorConfig>> {
    let mut configs: Vec<ConnectorConfig> = Vec::new();
    for file in files {
        let json = fs::read_to_string(file).with_context(|| format!("connector file {}", file.display()))?;
        let config = ConnectorConfig::from_json(&json).with_context(|| format!("connector file {}", file.display()))?;
        if let Some(twin) = configs
            .iter()
            .find(|c| c.name == config.name || share_topics(&c.topic_start, &config.topic_start))
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
    Ok(configs)
}

/// Whether a topic that begins with one, delimiter included, may be one that begins with the other.
fn share_topics(one: &str, other: &str) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_share_topics_only_with_a_delimiter_between() {
        assert!(
            share_topics("shop.", "shop.") && share_topics("shop.", "shop.eu.") && share_topics("shop.eu.", "shop.")
        );
        assert!(!share_topics("shop.", "shopping.") && !share_topics("shop.eu.", "shop.us."));
        assert!(share_topics("shop_", "shop_eu.") && !share_topics("shop_", "shop."));
    }
}
