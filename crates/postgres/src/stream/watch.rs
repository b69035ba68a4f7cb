//! Looks at the publication while WAL goes by, so that a table that was taken out of it is noticed within seconds.
//!
//! The stream itself says nothing of it: such a table's changes just do not come. A task with an SQL session of its own
//! asks the catalog, so that a slow catalog holds up no change; it is paced by the server's WAL, so idle costs nothing.
//! A fault ends the stream, and since the caller remembers [`Published`], every later start is refused as well.

use std::time::Duration;

use rowcast_event::Lsn;
use tokio::{sync::watch, time::Instant};

use crate::{
    ConnectorConfig, SourceError,
    connection::{Connection, Purpose, error::ConnectionError, options::ConnectionOptions},
    published::{Look, Published},
    server,
};

/// Least time between two looks.
///
/// A look is one question of about a millisecond: at most a thousandth of one of the server's cores while it is busy.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// How long a look may take before its session is given up.
const LOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// The stream's side.
#[derive(Debug)]
pub(crate) struct Watch {
    progress: watch::Sender<Lsn>,
    fault: watch::Receiver<Option<String>>,
}

/// What is watched.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    /// `server_version_num`.
    pub(crate) version: u32,
    /// The captured tables as they were published when the source was opened.
    pub(crate) published: Published,
}

impl Watch {
    /// Starts the task. It ends when this is dropped.
    pub(crate) fn start(config: &ConnectorConfig, watched: Watched, start: Lsn) -> Watch {
        let (progress, seen) = watch::channel(start);
        let (found, fault) = watch::channel(None);
        let task = Task {
            options: ConnectionOptions::of(config),
            publication: config.publication_name.clone(),
            watched,
            session: None,
            whole_at: start,
        };
        tokio::spawn(task.run(seen, found));
        Watch { progress, fault }
    }

    /// The server's WAL has come to here.
    pub(crate) fn saw(&self, lsn: Lsn) {
        self.progress.send_if_modified(|seen| {
            let forward = lsn > *seen;
            *seen = lsn.max(*seen);
            forward
        });
    }

    /// The fault, if one was found.
    pub(crate) fn check(&self) -> Result<(), SourceError> {
        match &*self.fault.borrow() {
            Some(fault) => Err(SourceError::Refused(fault.clone())),
            None => Ok(()),
        }
    }

    /// Waits for a fault. Cancel-safe.
    pub(crate) async fn fault(&mut self) -> SourceError {
        let fault = match self.fault.wait_for(Option::is_some).await {
            Ok(fault) => fault.clone(),
            Err(_) => None,
        };
        match fault {
            Some(fault) => SourceError::Refused(fault),
            None => std::future::pending().await,
        }
    }
}

struct Task {
    options: ConnectionOptions,
    publication: String,
    watched: Watched,
    session: Option<Connection>,
    whole_at: Lsn,
}

impl Task {
    async fn run(mut self, mut seen: watch::Receiver<Lsn>, found: watch::Sender<Option<String>>) {
        let mut warned = false;
        while seen.changed().await.is_ok() {
            let begun = Instant::now();
            let lsn = *seen.borrow_and_update();
            match tokio::time::timeout(LOOK_TIMEOUT, self.look()).await {
                Ok(Ok(look)) => {
                    warned = false;
                    if let Some(refusal) = look.refusal(&self.publication, &self.watched.published) {
                        found.send_replace(Some(format!("{refusal} (it was whole at {})", self.whole_at)));
                        break;
                    }
                    self.whole_at = lsn;
                }
                // Nothing is wrong with what was captured: the next WAL brings the next look, or the next start does.
                failed => {
                    self.session = None;
                    let reason = match failed {
                        Ok(Err(error)) => error.to_string(),
                        _ => format!("no answer within {} s", LOOK_TIMEOUT.as_secs()),
                    };
                    if !std::mem::replace(&mut warned, true) {
                        tracing::warn!(
                            publication = self.publication,
                            "the publication could not be looked at: {reason}"
                        );
                    }
                }
            }
            let rest = tokio::time::sleep_until(begun + LOOK_INTERVAL);
            tokio::select! {
                () = rest => {}
                () = found.closed() => break,
            }
        }
        if let Some(session) = self.session {
            session.close().await;
        }
    }

    async fn look(&mut self) -> Result<Look, ConnectionError> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => {
                let mut session = Connection::open(&self.options, Purpose::Sql).await?;
                server::prepare_session(&mut session).await?;
                session
            }
        };
        let Watched { version, published } = &self.watched;
        let look = Look::take(&mut session, &self.publication, *version, &published.tables()).await?;
        self.session = Some(session);
        Ok(look)
    }
}
