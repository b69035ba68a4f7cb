//! What a connector counts, for Prometheus.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Counters, gauges and the commit-to-log histogram of all connectors of a process.
#[derive(Clone, Debug)]
pub struct ConnectMetrics {
    /// Seconds from PostgreSQL's commit time to the moment the log shows the change to readers.
    pub commit_to_log: Histogram,
    /// WAL bytes between the server's end and what was confirmed.
    pub slot_lag_bytes: Gauge<u64, AtomicU64>,
    /// Records appended.
    pub records: Counter,
    /// Transactions committed to the log.
    pub transactions: Counter,
    /// Rows read by snapshots.
    pub snapshot_rows: Counter,
    /// Times the source was lost and looked for again.
    pub reconnects: Counter,
    /// 1 while streaming.
    pub streaming: Gauge,
}

/// Histogram buckets in seconds: 0.1 ms to 30 s, 3 a decade.
pub(crate) fn latency_buckets() -> impl Iterator<Item = f64> {
    [
        0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
    ]
    .into_iter()
}

impl Default for ConnectMetrics {
    fn default() -> Self {
        ConnectMetrics {
            commit_to_log: Histogram::new(latency_buckets()),
            slot_lag_bytes: Gauge::default(),
            records: Counter::default(),
            transactions: Counter::default(),
            snapshot_rows: Counter::default(),
            reconnects: Counter::default(),
            streaming: Gauge::default(),
        }
    }
}

impl ConnectMetrics {
    /// Puts all of them under `rowcast_…`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "rowcast_commit_to_log",
            "From PostgreSQL's commit time until the log shows the change to readers",
            Unit::Seconds,
            self.commit_to_log.clone(),
        );
        registry.register_with_unit(
            "rowcast_slot_lag",
            "WAL between the server's end and the position confirmed to it",
            Unit::Bytes,
            self.slot_lag_bytes.clone(),
        );
        registry.register(
            "rowcast_records",
            "Records appended to the log by connectors",
            self.records.clone(),
        );
        registry.register(
            "rowcast_transactions",
            "Transactions committed to the log",
            self.transactions.clone(),
        );
        registry.register(
            "rowcast_snapshot_rows",
            "Rows read by snapshots",
            self.snapshot_rows.clone(),
        );
        registry.register(
            "rowcast_source_reconnects",
            "Times a source was lost",
            self.reconnects.clone(),
        );
        registry.register(
            "rowcast_streaming",
            "Connectors that are streaming",
            self.streaming.clone(),
        );
    }
}
