//! HOW CHANGES REACH BROWSERS. Views, feeds, subscriptions, sessions; WebSocket and Server-Sent Events.
//!
//! ```text
//! log -> topic (view, follower) -> feed (ring of frames, encoded once) -> session -> socket
//!          \-> snapshot (rows as of one offset) ---readers---------------^
//! ```
//!
//! A [`Gateway`] promises: a subscription is the table, then every change to it, without a gap or a repeat; a client
//! that comes back with its cursor goes on from there, however long it was away, or is told to begin anew; a slow
//! client costs a cursor and never slows another; idle costs nothing. It reads the log and writes sockets: it never
//! writes the log, and knows nothing of PostgreSQL.

use std::{
    collections::HashMap,
    fmt, io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use rowcast_log::{Log, LogError};
use tokio::{net::TcpListener, sync::watch, task::AbortHandle};

mod apart;
mod connect_schema;
mod conversation;
mod door;
mod encode;
mod envelope;
mod feed;
mod follower;
pub mod frame;
mod frames;
mod handshake;
mod hosts;
mod json;
mod key_changes;
mod keys;
mod metrics;
mod missing;
mod options;
mod placed;
mod produced;
mod readers;
mod reading;
mod registry;
mod repeats;
mod replay;
mod ring;
mod schemas;
mod sequence;
mod session;
mod shapes;
mod signal;
mod snapshot;
mod sse;
mod subscription;
mod toast;
mod topic;
mod truncates;
mod unreadable;
mod view;
mod wrapping;

pub use door::Pages;
pub use hosts::AllowedHosts;
pub use metrics::GatewayMetrics;
pub use options::GatewayOptions;
pub use repeats::Repeats;

use crate::{
    door::Place,
    frame::DecoderLimits,
    frames::Frames,
    missing::Missing,
    readers::Readers,
    registry::Registry,
    schemas::Schemas,
    signal::Reason,
    topic::{Shared, Topic},
};

/// Serves a log's public topics to clients. See the crate.
pub struct Gateway {
    options: GatewayOptions,
    metrics: GatewayMetrics,
    shared: Arc<Shared>,
    topics: Mutex<HashMap<Arc<str>, Arc<Topic>>>,
    registry: Arc<Registry>,
    readers: Readers,
    connections: AtomicUsize,
    draining: AtomicBool,
    /// True once the log holds what it is to be served for; see [`Gateway::expect_topics`].
    topics_known: OnceLock<watch::Receiver<bool>>,
    /// Followers, the sweeper, the watch for topics: they end with the gateway.
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.tasks.lock().iter().for_each(AbortHandle::abort);
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("sessions", &self.registry.count())
            .finish_non_exhaustive()
    }
}

impl Gateway {
    /// Begins to follow every public topic of `log`, now and as they come; on the current tokio runtime.
    pub fn start(log: Arc<dyn Log>, options: GatewayOptions) -> Arc<Gateway> {
        let metrics = GatewayMetrics::default();
        let shared = Arc::new(Shared {
            log: log.clone(),
            schemas: Schemas::new(log.clone()),
            metrics: metrics.clone(),
            ring_bytes_max: options.ring_bytes_max,
            next_sub: AtomicU32::new(1),
        });
        let gateway = Arc::new(Gateway {
            readers: Readers::start(options.reader_threads),
            registry: Arc::new(Registry::new(metrics.clone())),
            topics: Mutex::default(),
            connections: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            topics_known: OnceLock::new(),
            tasks: Mutex::default(),
            options,
            metrics,
            shared,
        });
        let mut changed = log.topics_changed();
        changed.mark_unchanged();
        gateway.meet_topics();
        gateway.spawn(gateway.registry.clone().sweep(gateway.options.clone()));
        let follower = Arc::downgrade(&gateway);
        gateway.spawn(async move {
            while changed.changed().await.is_ok() {
                let Some(gateway) = follower.upgrade() else {
                    return;
                };
                if gateway.meet_topics() {
                    gateway.registry.wake_all(Reason::Topics);
                }
            }
        });
        gateway
    }

    /// Until `known` says true, topics may be there that the log does not show yet: clients that ask for one are told to
    /// ask again, and not that there is none. Said once, before [`Gateway::serve`]; without it the log shows all there are.
    pub fn expect_topics(&self, known: watch::Receiver<bool>) {
        let _ = self.topics_known.set(known);
    }

    /// Waits until the views of all topics that exist now are complete.
    pub async fn ready(&self) {
        for topic in self.topics() {
            topic.caught_up().await;
        }
    }

    /// Serves `listener` until `stop` says true, then tells every session to reconnect and waits for what is on its
    /// way, at most [`GatewayOptions::drain_timeout`].
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        pages: Arc<dyn Pages>,
        stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        door::serve(self, listener, pages, stop).await
    }

    /// What to show under `/metrics`.
    pub fn metrics(&self) -> &GatewayMetrics {
        &self.metrics
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock();
        tasks.retain(|task| !task.is_finished());
        tasks.push(tokio::spawn(task).abort_handle());
    }

    /// Starts to follow topics that are new, forgets those that are gone. True when there were any.
    fn meet_topics(&self) -> bool {
        let Ok(infos) = self.shared.log.find_topics().inspect_err(not_told) else {
            return false;
        };
        let mut topics = self.topics.lock();
        let before = topics.len();
        topics.retain(|_, topic| {
            !topic.is_gone()
                && infos
                    .iter()
                    .any(|info| info.name == topic.name && info.epoch == topic.epoch)
        });
        let mut changed = topics.len() < before;
        for info in infos.iter().filter(|info| !info.name.starts_with("__")) {
            if let Some(known) = topics.get(&info.name) {
                known.grow(info);
                continue;
            }
            let topic = Arc::new(Topic::new(info, self.shared.clone()));
            self.spawn(follower::follow(topic.clone()));
            topics.insert(info.name.clone(), topic);
            changed = true;
        }
        changed
    }

    /// The public topic of this name. One that was made a moment ago is met here and now.
    fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        let known = |topics: &HashMap<Arc<str>, Arc<Topic>>| topics.get(name).filter(|topic| !topic.is_gone()).cloned();
        let found = known(&self.topics.lock());
        if found.is_some() || name.starts_with("__") || !self.has(name) {
            return found;
        }
        if self.meet_topics() {
            self.registry.wake_all(Reason::Topics);
        }
        known(&self.topics.lock())
    }

    /// What there is to say of a topic that [`Gateway::topic`] does not give.
    fn missing(&self, name: &str) -> Missing {
        let is_known = self.topics_known.get().is_none_or(|known| *known.borrow());
        match name.starts_with("__") || is_known && self.shared.log.away().is_none() {
            true => Missing::Unknown,
            false => Missing::NotYet,
        }
    }

    /// Whether the log holds a topic of this name now.
    fn has(&self, name: &str) -> bool {
        let found = self.shared.log.find_topic(name).inspect_err(not_told);
        found.is_ok_and(|found| found.is_some())
    }

    fn topics(&self) -> Vec<Arc<Topic>> {
        self.topics.lock().values().cloned().collect()
    }

    fn decoder_limits(&self) -> DecoderLimits {
        DecoderLimits {
            message_bytes_max: self.options.message_bytes_max,
            fragments_max: self.options.message_fragments_max,
        }
    }

    fn take_place(self: &Arc<Self>) -> Option<Place> {
        let taken = self.connections.fetch_add(1, Ordering::AcqRel);
        self.metrics.connections.inc();
        let place = Place { gateway: self.clone() };
        (taken < self.options.connections_max).then_some(place)
    }

    fn give_place_back(&self) {
        self.connections.fetch_sub(1, Ordering::AcqRel);
        self.metrics.connections.dec();
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    async fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.registry.wake_all(Reason::Drain);
        if tokio::time::timeout(self.options.drain_timeout, self.registry.empty())
            .await
            .is_err()
        {
            tracing::warn!(
                sessions = self.registry.count(),
                "sessions did not go in time; they are cut off"
            );
            self.registry.give_up_all();
            let _ = tokio::time::timeout(Duration::from_secs(1), self.registry.empty()).await;
        }
    }

    /// Some session was the first to have these frames written.
    fn measure(&self, frames: &Frames, from: usize, to: usize) {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_micros() as i64;
        let first = frames.frame_at(from);
        for frame in frames.ends[first..].iter().take_while(|frame| frame.end as usize <= to) {
            if frame.commit_ts_us > 0 {
                let seconds = (now - frame.commit_ts_us).max(0) as f64 / 1e6;
                self.metrics.commit_to_socket.observe(seconds);
            }
        }
    }
}

/// A log that does not say what there is leaves everything as it was known; it is asked again when it changes.
fn not_told(error: &LogError) {
    tracing::warn!(%error, "the log does not say which topics there are");
}
