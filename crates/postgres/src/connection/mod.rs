//! A conversation with a PostgreSQL server: startup, TLS, authentication, messages in and out.
//!
//! A normal SQL connection and a replication connection (`replication=database`) are the same type. Promises: nothing
//! the server sends makes us panic or allocate what has not arrived; opening takes [`OPEN_TIMEOUT`] at most; errors
//! carry the SQLSTATE. Knows nothing of slots, publications or rows: `query.rs`, `copy.rs` and `stream/` build on it.

mod authentication;
mod cancel;
pub(crate) mod error;
pub(crate) mod frame;
pub(crate) mod options;
mod socket;
mod tls;

use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use authentication::{Security, authenticate};
use cancel::BackendKey;
pub(crate) use cancel::CancelGuard;
use error::{ConnectionError, ServerError};
use frame::{Frame, Inbox};
use options::ConnectionOptions;
pub(crate) use socket::Socket;

use crate::config::SslMode;

/// Time from the first packet to ReadyForQuery. Generous for a continent away; short enough that a black hole or a
/// server that drips bytes does not hold a connector for the kernel's two minutes.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);

/// What the session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Ordinary SQL.
    Sql,
    /// A walsender that also takes SQL.
    Replication,
}

/// An open session.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    inbox: Inbox,
    /// The message handed out last; consumed at the next receive, so that its body stays valid until then.
    handed_out: Option<Frame>,
    /// What a request to cancel this session's query must name.
    key: Option<BackendKey>,
}

impl Connection {
    /// Opens a session as the options and the sslmode say.
    pub(crate) async fn open(options: &ConnectionOptions, purpose: Purpose) -> Result<Connection, ConnectionError> {
        let attempts: &[Encryption] = match options.tls.mode {
            SslMode::Disable => &[Encryption::Never],
            SslMode::Prefer => &[Encryption::IfOffered, Encryption::Never],
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => &[Encryption::Always],
        };
        let mut outcome = Err(ConnectionError::protocol("no way to connect was tried"));
        for &encryption in attempts {
            outcome = Self::attempt(options, purpose, encryption).await;
            if !outcome.as_ref().is_err_and(other_encryption_may_help) {
                break;
            }
        }
        outcome
    }

    async fn attempt(
        options: &ConnectionOptions,
        purpose: Purpose,
        encryption: Encryption,
    ) -> Result<Connection, ConnectionError> {
        tokio::time::timeout(OPEN_TIMEOUT, Box::pin(Self::start(options, purpose, encryption)))
            .await
            .unwrap_or(Err(ConnectionError::TimedOut(OPEN_TIMEOUT.as_secs())))
    }

    async fn start(
        options: &ConnectionOptions,
        purpose: Purpose,
        encryption: Encryption,
    ) -> Result<Connection, ConnectionError> {
        let socket = Socket::open(&options.host, options.port).await?;
        let (socket, security) = secure(socket, options, encryption).await?;
        let mut connection = Connection {
            socket,
            inbox: Inbox::new(),
            handed_out: None,
            key: None,
        };
        connection.send(&startup_message(options, purpose)?).await?;
        authenticate(&mut connection, options, security).await?;
        connection.inbox.trust();
        connection.wait_until_ready().await?;
        Ok(connection)
    }

    /// After authentication: parameters, the cancel key, ReadyForQuery.
    async fn wait_until_ready(&mut self) -> Result<(), ConnectionError> {
        loop {
            let frame = self.receive().await?;
            match frame.tag {
                b'K' => self.key = BackendKey::parse(self.body(frame)),
                b'v' => {}
                b'Z' => return Ok(()),
                tag => return Err(unexpected(tag, "startup")),
            }
        }
    }

    /// The server's process that serves this session; 0 if it did not say.
    pub(crate) fn process_id(&self) -> i32 {
        self.key.as_ref().map_or(0, |key| key.process_id)
    }

    /// Asks the server to cancel this session's query if the guard is dropped before it is disarmed. A closed connection
    /// alone would not do: a backend that waits for a lock does not look at its socket.
    pub(crate) fn cancel_when_dropped(&self, options: &ConnectionOptions) -> CancelGuard {
        CancelGuard {
            request: self.key.clone().map(|key| (key, options.clone())),
        }
    }

    /// Writes whole messages.
    pub(crate) async fn send(&mut self, messages: &[u8]) -> Result<(), ConnectionError> {
        self.socket.write_all(messages).await?;
        Ok(self.socket.flush().await?)
    }

    /// The next message that is meant for the caller. Notices, parameters and notifications are dealt with here; an
    /// ErrorResponse becomes an error. Cancel-safe. The body is valid until the next call.
    pub(crate) async fn receive(&mut self) -> Result<Frame, ConnectionError> {
        loop {
            if let Some(frame) = self.handed_out.take() {
                self.inbox.consume(frame);
            }
            let Some(frame) = self.inbox.frame()? else {
                self.inbox.fill(&mut self.socket).await?;
                continue;
            };
            self.handed_out = Some(frame);
            match frame.tag {
                b'N' | b'A' | b'S' => {}
                b'E' => return Err(ConnectionError::Server(ServerError::parse(self.inbox.body(frame)))),
                _ => return Ok(frame),
            }
        }
    }

    /// The body of the message that [`Connection::receive`] returned last.
    pub(crate) fn body(&self, frame: Frame) -> &[u8] {
        self.inbox.body(frame)
    }

    /// Gives up the session's shape for the replication stream, which reads and writes at the same time.
    pub(crate) fn into_parts(mut self) -> (Socket, Inbox) {
        if let Some(frame) = self.handed_out.take() {
            self.inbox.consume(frame);
        }
        (self.socket, self.inbox)
    }

    /// Says goodbye. Errors do not matter any more.
    pub(crate) async fn close(mut self) {
        let mut message = BytesMut::new();
        frontend::terminate(&mut message);
        if self.send(&message).await.is_ok() {
            let _ = self.socket.shutdown().await;
        }
    }
}

/// Whether this attempt at a connection asks for TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encryption {
    Never,
    IfOffered,
    Always,
}

/// `prefer` tries again without TLS when the server does not want us with it: libpq does so when `pg_hba.conf` has no
/// line for it (28000), or when TLS itself fails.
fn other_encryption_may_help(error: &ConnectionError) -> bool {
    matches!(error, ConnectionError::Tls(_)) || error.sqlstate() == Some("28000")
}

/// Asks for TLS where wanted. Unix sockets are never encrypted, as with libpq.
async fn secure(
    socket: Socket,
    options: &ConnectionOptions,
    encryption: Encryption,
) -> Result<(Socket, Security), ConnectionError> {
    let mut stream = match (socket, encryption) {
        (Socket::Tcp(stream), Encryption::IfOffered | Encryption::Always) => stream,
        (socket, _) => {
            let private = matches!(socket, Socket::Unix(_));
            return Ok((
                socket,
                Security {
                    private,
                    end_point: None,
                },
            ));
        }
    };
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    stream.write_all(&request).await?;
    // One byte only: anything behind it was put there by someone in between, and TLS itself will refuse it.
    match stream.read_u8().await? {
        b'S' => {
            let stream = tls::handshake(options, stream).await?;
            let end_point = tls::server_end_point(&stream);
            Ok((
                Socket::Tls(Box::new(stream)),
                Security {
                    private: true,
                    end_point,
                },
            ))
        }
        b'N' if encryption == Encryption::IfOffered => Ok((
            Socket::Tcp(stream),
            Security {
                private: false,
                end_point: None,
            },
        )),
        b'N' => Err(ConnectionError::Tls(format!(
            "the server at {}:{} does not offer TLS, which database.sslmode asks for: set ssl = on there, or \
             database.sslmode=prefer here",
            options.host, options.port
        ))),
        other => Err(ConnectionError::protocol(format!(
            "byte {other:#04x} as answer to the TLS request"
        ))),
    }
}

fn startup_message(options: &ConnectionOptions, purpose: Purpose) -> Result<BytesMut, ConnectionError> {
    let mut parameters = vec![
        ("user", options.user.as_str()),
        ("database", options.database.as_str()),
        ("client_encoding", "UTF8"),
        ("application_name", options.application_name.as_str()),
    ];
    if purpose == Purpose::Replication {
        parameters.push(("replication", "database"));
    }
    let mut message = BytesMut::new();
    frontend::startup_message(parameters, &mut message)?;
    Ok(message)
}

/// A message that has no place here.
pub(crate) fn unexpected(tag: u8, place: &str) -> ConnectionError {
    ConnectionError::protocol(format!("message {:?} during {place}", char::from(tag)))
}
