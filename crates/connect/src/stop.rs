//! The signal to stop, as something to wait for.

use tokio::sync::watch;

/// Returns when the signal turns true, or when nobody can turn it any more.
pub(crate) async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    // The guard that `wait_for` lends must not live across another await.
    let _ = stop.wait_for(|&stop| stop).await.map(|_| ());
}
