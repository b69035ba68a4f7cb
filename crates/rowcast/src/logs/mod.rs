//! Opens the log that a role writes to and the one that it serves: one and the same in a process of its own, Kafka and
//! copies of its topics otherwise.

#[cfg(feature = "kafka")]
mod on_kafka;
#[cfg(not(feature = "kafka"))]
mod without_kafka;

use std::sync::Arc;

use anyhow::{Result, bail};
use prometheus_client::{collector::Collector, encoding::EncodeMetric, metrics::gauge::ConstGauge, registry::Registry};
use rowcast_log::{EmbeddedLog, EmbeddedOptions, Log};
use rowcast_postgres::ConnectorConfig;

#[cfg(feature = "kafka")]
use self::on_kafka as kafka;
#[cfg(feature = "kafka")]
pub(crate) use self::on_kafka::options as kafka_options;
#[cfg(not(feature = "kafka"))]
use self::without_kafka as kafka;
use crate::{
    ready::Awaited,
    settings::{Role, Settings},
};

/// What the binary that was built without Kafka says.
#[cfg(not(feature = "kafka"))]
pub(crate) const WITHOUT_KAFKA: &str =
    "this rowcast was built without Kafka; build it with the cargo feature `kafka`, or leave --kafka out";

/// The logs of one process.
pub(crate) struct Logs {
    /// Where connectors write.
    pub(crate) written: Option<Arc<dyn Log>>,
    /// What clients are served from.
    pub(crate) served: Option<Served>,
}

/// The log that clients are served from.
pub(crate) struct Served {
    pub(crate) log: Arc<dyn Log>,
    /// What must be in it first.
    pub(crate) awaited: Awaited,
}

/// Opens what the role needs. Kafka may be away, and is waited for then.
pub(crate) fn open(role: Role, settings: &Settings, connectors: &[ConnectorConfig]) -> Result<Logs> {
    if connectors.is_empty() && role.captures() {
        match role {
            Role::Run => tracing::warn!("no connector was given (--connector FILE.json): serving what the log holds"),
            _ => bail!("no connector was given; name its file with --connector FILE.json"),
        }
    }
    match (&settings.kafka, role) {
        (Some(address), _) => kafka::open(role, settings, address, connectors),
        (None, Role::Run) if settings.topics.is_empty() => embedded(settings),
        (None, Role::Run) => bail!("--topic chooses among Kafka's topics; say where Kafka is with --kafka HOST:PORT"),
        (None, role) => bail!(
            "rowcast {} works with Apache Kafka; say where it is with --kafka HOST:PORT. `rowcast run` needs none",
            role.name()
        ),
    }
}

fn embedded(settings: &Settings) -> Result<Logs> {
    let log: Arc<dyn Log> = EmbeddedLog::open(&settings.data_dir, EmbeddedOptions::default())?;
    Ok(Logs {
        written: Some(log.clone()),
        served: Some(Served {
            log,
            awaited: Awaited::default(),
        }),
    })
}

impl Logs {
    /// Shows the size of what is kept here.
    pub(crate) fn register(&self, registry: &mut Registry) {
        if let Some(served) = &self.served {
            registry.register_collector(Box::new(LogSize(served.log.clone())));
        }
    }
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
