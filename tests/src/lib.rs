//! The kit that promise tests are written with: a PostgreSQL, the built `rowcast` binary, a client, a load, an oracle;
//! an Apache Kafka and a Debezium beside them.
//!
//! Promises: everything starts on ports and folders of its own, and is gone when the test ends; everything random comes
//! from one printed seed. Knows nothing of the product's insides: it sees what a user sees, the command line, the log as
//! `rowcast tail` prints it, the wire protocol.

pub mod changes;
pub mod checker;
mod child;
pub mod client;
pub mod debezium;
pub mod http;
mod java;
pub mod kafka;
mod lines;
pub mod oidc;
pub mod oracle;
pub mod postgres;
pub mod process;
pub mod random;
pub mod stall;
pub mod topology;
pub mod workload;

use std::{future::Future, time::Duration};

use anyhow::bail;

/// The overall guard against waiting for ever: ten times what the slowest wait takes on a busy two-core machine.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at something that cannot notify us (a catalogue view, a health page).
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How often to repeat: the sample that every run makes, or the full count when `ROWCAST_LONG=1`.
pub fn repetitions(sample: usize, full: usize) -> usize {
    if std::env::var_os("ROWCAST_LONG").is_some() {
        full
    } else {
        sample
    }
}

/// Looks until `look` finds something.
pub async fn until<T, F: Future<Output = anyhow::Result<Option<T>>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> anyhow::Result<T> {
    let give_up_at = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if tokio::time::Instant::now() > give_up_at {
            bail!("gave up after {} s waiting for {what}", PATIENCE.as_secs());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
