//! Every bound of the gateway, declared once with its reason.
//!
//! A limit that clients can run into is named in the error or the close code they get; the rest only shapes memory.

use std::time::Duration;

use crate::AllowedHosts;

/// What the gateway allows. [`GatewayOptions::default`] is what we run with.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// Origins (`https://shop.example`) that may connect besides the one that served the page (same host and port as
    /// the request's `Host`). Compared as browsers send them: lower case, no trailing slash.
    pub allowed_origins: Vec<String>,
    /// The names under which this server answers, at any port; another `Host` gets 421.
    pub allowed_hosts: AllowedHosts,
    /// Open connections of any kind; one more gets 503 with `Retry-After`.
    ///
    /// 15,000 leaves room below the usual limit of 20,000 descriptors for the log's files and everything else.
    pub connections_max: usize,
    /// Bytes of one message from a client (all fragments together); beyond it the session is closed with 1009.
    ///
    /// The longest thing a client says is a subscription with a predicate: 64 KiB is generous.
    pub message_bytes_max: usize,
    /// Fragments of one message; our own client sends one. A flood of empty fragments costs CPU and says nothing.
    pub message_fragments_max: usize,
    /// Subscriptions of one connection. A page with 128 live tables is a design question, not a limit to raise.
    pub subscriptions_max: usize,
    /// Messages and control frames that a connection may send at once.
    pub message_burst: u32,
    /// Messages and control frames a second, on average, beyond the burst.
    pub messages_per_second: u32,
    /// How long a client may take to send its request head.
    pub handshake_timeout: Duration,
    /// Bytes of a request head.
    pub head_bytes_max: usize,
    /// Silence after which a client is pinged. Proxies cut idle connections after 30 to 60 s.
    pub ping_after: Duration,
    /// Silence after which a client is given up: two pings went unanswered.
    pub dead_after: Duration,
    /// How long a client may accept not one byte while data waits for it. Then it is closed with a code that says
    /// "reconnect with your cursor": it costs a socket and at most one frame until then.
    pub stalled_after: Duration,
    /// How long sessions may take to send what is on its way when the gateway stops.
    pub drain_timeout: Duration,
    /// Bytes of recent frames that a feed keeps for its sessions.
    ///
    /// 4 MiB is about two seconds of our busiest table at 2 MB/s; a session further behind reads the log.
    pub ring_bytes_max: usize,
    /// Threads that read the log for snapshots and for sessions behind the ring; the live tail never waits for them.
    /// One on a small machine: a replay from offset 0 then takes at most one core from the tail.
    pub reader_threads: usize,
}

impl Default for GatewayOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        GatewayOptions {
            allowed_origins: Vec::new(),
            allowed_hosts: AllowedHosts::loopback(),
            connections_max: 15_000,
            message_bytes_max: 64 * 1024,
            message_fragments_max: 1_024,
            subscriptions_max: 128,
            message_burst: 256,
            messages_per_second: 50,
            handshake_timeout: Duration::from_secs(10),
            head_bytes_max: 16 * 1024,
            ping_after: Duration::from_secs(20),
            dead_after: Duration::from_secs(45),
            stalled_after: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(8),
            ring_bytes_max: 4 * 1024 * 1024,
            reader_threads: (cores / 2).max(1),
        }
    }
}

/// Bytes of the log that are read at once, by followers and for sessions behind the ring: a few of the log's batches
/// (below 64 KiB each), so that a session far behind holds little and takes turns with the others.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// Bytes of a follower's read of the tail: one transaction as a rule; a backlog goes out in blocks that fit a socket.
pub(crate) const FOLLOW_BYTES: usize = 256 * 1024;

/// Bytes of a follower's read while it builds a view at start.
pub(crate) const SCAN_BYTES: usize = 1024 * 1024;

/// Bytes of rows after which a `rows` frame is closed: small enough to paint soon, large enough to amortise its frame.
pub(crate) const ROWS_FRAME_BYTES: usize = 32 * 1024;

/// Bytes of the log that one page of a snapshot may read before it takes its turn again, whatever it found: sparse
/// views would otherwise hold a reader for long.
pub(crate) const PAGE_READ_BYTES_MAX: usize = 1024 * 1024;

/// Snapshots of one topic that are kept apart at once (8 bytes a row each). Whoever comes while all are in use shares
/// the newest: its cursor is older, the tail from there brings the client up to date.
pub(crate) const SNAPSHOTS_AT_ONCE_MAX: usize = 4;

/// Bytes of encoded snapshot pages that a snapshot keeps for the sessions that share it: a thousand clients that
/// reconnect together then cost one encoding.
pub(crate) const SNAPSHOT_PAGES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Rest of a half-written frame that is copied for a slow session; a longer one is kept by reference.
pub(crate) const PARTIAL_COPY_BYTES_MAX: usize = 64 * 1024;

/// Bytes of replies (pongs, errors) that may wait for a client before we stop reading from it.
pub(crate) const REPLIES_BYTES_MAX: usize = 128 * 1024;

/// Slices of one vectored write; Linux takes 1,024, but a ring's chunks are merged and 64 of them are megabytes.
pub(crate) const WRITE_SLICES_MAX: usize = 64;

/// Bytes offered to the socket in one vectored write: about what a socket buffer takes.
pub(crate) const WRITE_BYTES_MAX: usize = 1024 * 1024;
