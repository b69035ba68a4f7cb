//! When to stop, and who is told.

use anyhow::Result;
use tokio::sync::watch;

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
