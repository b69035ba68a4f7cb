//! Cancels what a session is doing, from outside of it.
//!
//! Needed where a future may be dropped while the server works for it on something that would stay behind (a
//! replication slot). The request goes over a connection of its own, as the protocol asks.

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{OPEN_TIMEOUT, options::ConnectionOptions, socket::Socket};

/// BackendKeyData. Not a secret of the user's, but not for logs either: no `Debug` of the key.
#[derive(Clone)]
pub(crate) struct BackendKey {
    pub(crate) process_id: i32,
    secret: i32,
}

impl std::fmt::Debug for BackendKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {}", self.process_id)
    }
}

impl BackendKey {
    /// Protocol 3.0 has eight bytes; anything else cannot be used.
    pub(crate) fn parse(body: &[u8]) -> Option<BackendKey> {
        let (process_id, secret) = body.split_first_chunk::<4>()?;
        Some(BackendKey {
            process_id: i32::from_be_bytes(*process_id),
            secret: i32::from_be_bytes(secret.try_into().ok()?),
        })
    }
}

/// Cancels the session's query when dropped, unless disarmed before.
#[derive(Debug)]
pub(crate) struct CancelGuard {
    pub(super) request: Option<(BackendKey, ConnectionOptions)>,
}

impl CancelGuard {
    /// The query has ended.
    pub(crate) fn disarm(mut self) {
        self.request = None;
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        // Without a runtime the process is ending: what stays behind is found at the next start.
        if let (Some((key, options)), Ok(runtime)) = (self.request.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                if tokio::time::timeout(OPEN_TIMEOUT, send(key, &options)).await.is_err() {
                    tracing::warn!("a request to cancel was not answered");
                }
            });
        }
    }
}

/// Unencrypted, as libpq did for 25 years: the server takes it so whatever its settings, and the key dies with the
/// session.
async fn send(key: BackendKey, options: &ConnectionOptions) -> std::io::Result<()> {
    let mut socket = Socket::open(&options.host, options.port).await?;
    let mut message = BytesMut::new();
    frontend::cancel_request(key.process_id, key.secret, &mut message);
    socket.write_all(&message).await?;
    // The server closes when it has passed the request on.
    let mut nothing = [0; 1];
    let _ = socket.read(&mut nothing).await?;
    Ok(())
}
