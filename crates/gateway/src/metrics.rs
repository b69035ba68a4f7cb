//! What the operator can know of deliveries, in Prometheus' words.

use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::{
    metrics::{
        counter::Counter,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// The gateway's metrics. Cheap to clone: all clones count together.
#[derive(Clone, Debug)]
pub struct GatewayMetrics {
    /// Open WebSocket and SSE sessions.
    pub sessions: Gauge<i64, AtomicI64>,
    /// Open connections of any kind.
    pub connections: Gauge<i64, AtomicI64>,
    /// Connections refused because there were as many as may be.
    pub connections_refused: Counter<u64, AtomicU64>,
    /// Changes written to sessions.
    pub deliveries: Counter<u64, AtomicU64>,
    /// Times that a live session had fallen off its feed's ring and went to the log.
    pub ring_misses: Counter<u64, AtomicU64>,
    /// Subscriptions that were told to begin anew.
    pub resets: Counter<u64, AtomicU64>,
    /// Rows sent in snapshots.
    pub snapshot_rows: Counter<u64, AtomicU64>,
    /// Feeds that exist.
    pub feeds: Gauge<i64, AtomicI64>,
    /// Sessions closed because they did not read, or did not answer.
    pub sessions_given_up: Counter<u64, AtomicU64>,
    /// From commit in PostgreSQL to the first session's socket, once per change and feed.
    pub commit_to_socket: Histogram,
}

impl Default for GatewayMetrics {
    fn default() -> Self {
        GatewayMetrics {
            sessions: Gauge::default(),
            connections: Gauge::default(),
            connections_refused: Counter::default(),
            deliveries: Counter::default(),
            ring_misses: Counter::default(),
            resets: Counter::default(),
            snapshot_rows: Counter::default(),
            feeds: Gauge::default(),
            sessions_given_up: Counter::default(),
            // 0.25 ms to 8 s.
            commit_to_socket: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
        }
    }
}

impl GatewayMetrics {
    /// Adds them to the registry that `/metrics` shows.
    pub fn register(&self, registry: &mut Registry) {
        let gateway = registry.sub_registry_with_prefix("rowcast_gateway");
        gateway.register("sessions", "Open WebSocket and SSE sessions", self.sessions.clone());
        gateway.register("connections", "Open connections of any kind", self.connections.clone());
        gateway.register(
            "connections_refused",
            "Connections refused at the limit",
            self.connections_refused.clone(),
        );
        gateway.register("deliveries", "Changes written to sessions", self.deliveries.clone());
        gateway.register(
            "ring_misses",
            "Live sessions that fell off their feed's ring and went to the log",
            self.ring_misses.clone(),
        );
        gateway.register("resets", "Subscriptions told to begin anew", self.resets.clone());
        gateway.register("snapshot_rows", "Rows sent in snapshots", self.snapshot_rows.clone());
        gateway.register("feeds", "Feeds that exist", self.feeds.clone());
        gateway.register(
            "sessions_given_up",
            "Sessions closed because they did not read or did not answer",
            self.sessions_given_up.clone(),
        );
        gateway.register_with_unit(
            "commit_to_socket",
            "From commit in PostgreSQL to the first session's socket",
            Unit::Seconds,
            self.commit_to_socket.clone(),
        );
    }
}
