//! Lets connections in, one by one, and shows each to where it wants to go: a WebSocket, an event stream or a page.
//!
//! Promises: no more connections than allowed, the rest are told to come again; running out of descriptors slows the
//! door down and never stops it; a request head is bounded in bytes and time. When asked to stop it lets nobody in,
//! tells every session to reconnect and waits a bounded time for them to go.

use std::{convert::Infallible, future::Future, io, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    http::request::Parts,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rowcast_protocol::SUBPROTOCOL;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::{
    Gateway, handshake,
    handshake::Refused,
    hosts, session,
    signal::{Reason, Signal},
    sse::{self, EventStream},
};

/// Everything that is not `/ws` or `/sse`: static pages, health.
pub trait Pages: Send + Sync + 'static {
    /// Answers at once, from memory.
    fn respond(&self, request: &Parts) -> Response<Bytes>;
}

/// How long the door rests when the system has no descriptor for a new connection.
const REST_WITHOUT_DESCRIPTORS: Duration = Duration::from_millis(100);

/// Header lines of one request (reliability.md, S19).
const HEADERS_MAX: usize = 64;

const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Seconds after which a topic that is not known yet may be asked for again: a gateway that begins takes about so long.
const NOT_YET_SECONDS: &str = "2";

type Body = Either<Full<Bytes>, EventStream>;

/// See [`Gateway::serve`].
pub(crate) async fn serve(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    pages: Arc<dyn Pages>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    loop {
        tokio::select! {
            biased;
            // Stopping goes first: a flood of connections must not hold it up.
            _ = stopped(&mut stop) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => let_in(&gateway, stream, &pages, &stop),
                Err(error) => rest_after(&error).await,
            },
        }
    }
    drop(listener);
    gateway.drain().await;
    Ok(())
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone cannot ask us to go on either.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A connection that was gone before we took it is no trouble; without descriptors a new try would fail at once.
async fn rest_after(error: &io::Error) {
    if matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    ) {
        return;
    }
    tracing::warn!(%error, "cannot take a connection; trying again (is the limit of open files too low?)");
    tokio::time::sleep(REST_WITHOUT_DESCRIPTORS).await;
}

fn let_in(gateway: &Arc<Gateway>, stream: TcpStream, pages: &Arc<dyn Pages>, stop: &watch::Receiver<bool>) {
    let Some(place) = gateway.take_place() else {
        gateway.metrics.connections_refused.inc();
        tokio::spawn(refuse(stream));
        return;
    };
    let _ = stream.set_nodelay(true);
    let connection = Connection {
        gateway: gateway.clone(),
        pages: pages.clone(),
        place: Arc::new(place),
    };
    tokio::spawn(connection.serve(stream, stop.clone()));
}

async fn refuse(mut stream: TcpStream) {
    let _ = tokio::time::timeout(Duration::from_secs(1), async {
        stream.write_all(BUSY).await?;
        stream.shutdown().await
    })
    .await;
}

/// One of the connections that may be open; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) gateway: Arc<Gateway>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gateway.give_place_back();
    }
}

struct Connection {
    gateway: Arc<Gateway>,
    pages: Arc<dyn Pages>,
    place: Arc<Place>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, mut stop: watch::Receiver<bool>) {
        let options = self.gateway.options.clone();
        // The event stream of this connection, for the sweeper to end it.
        let streaming = Arc::new(std::sync::OnceLock::new());
        let service = service_fn(|request| {
            let response = self.respond(request, &streaming);
            async { Ok::<_, Infallible>(response) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(options.handshake_timeout)
            .max_buf_size(options.head_bytes_max)
            .max_headers(HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let mut stop = pin!(stopped(&mut stop));
        let mut stopping = false;
        let finished = std::future::poll_fn(|cx| {
            let given_up = |signal: &Arc<Signal>| signal.given_up.load(std::sync::atomic::Ordering::Acquire);
            if streaming.get().is_some_and(given_up) {
                return std::task::Poll::Ready(());
            }
            if !stopping && stop.as_mut().poll(cx).is_ready() {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            connection.as_mut().poll(cx).map(drop)
        });
        finished.await;
    }

    fn respond(&self, mut request: Request<Incoming>, streaming: &std::sync::OnceLock<Arc<Signal>>) -> Response<Body> {
        let upgrade = hyper::upgrade::on(&mut request);
        let (head, _) = request.into_parts();
        if let Err(refused) = handshake::check_host(&head) {
            return refusal(refused);
        }
        if let Err(refused) = hosts::check(&head, &self.gateway.options.allowed_hosts) {
            return refusal(refused);
        }
        match head.uri.path() {
            "/ws" => match handshake::check(&head, &self.gateway.options.allowed_origins) {
                Ok(accepted) => self.open_session(accepted, upgrade),
                Err(refused) => refusal(refused),
            },
            "/sse" => match sse::open(&self.gateway, &head) {
                Ok((response, signal)) => {
                    let _ = streaming.set(signal);
                    response.map(Either::Right)
                }
                Err(refused) => refusal(refused),
            },
            _ => self.pages.respond(&head).map(|body| Either::Left(Full::new(body))),
        }
    }

    fn open_session(&self, accepted: handshake::Accepted, upgrade: hyper::upgrade::OnUpgrade) -> Response<Body> {
        let (gateway, place) = (self.gateway.clone(), self.place.clone());
        let registration = gateway.registry.register();
        if gateway.is_draining() {
            registration.signal().wake(Reason::Drain);
        }
        tokio::spawn(async move {
            let Some((stream, early)) = bare(upgrade).await else {
                return;
            };
            session::run(gateway, stream, registration, accepted.speaks_v1, early).await;
            drop(place);
        });
        let mut response = Response::new(Either::Left(Full::default()));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        let accept = HeaderValue::from_str(&accepted.accept).expect("base64 is a header value");
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        if accepted.speaks_v1 {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        }
        response
    }
}

/// The socket behind an upgraded connection and the bytes that were read too far: copied, because even an empty slice
/// of hyper's buffer would keep its 8 KiB for as long as the session lives.
async fn bare(upgrade: hyper::upgrade::OnUpgrade) -> Option<(TcpStream, Vec<u8>)> {
    let parts = upgrade.await.ok()?.downcast::<TokioIo<TcpStream>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf.to_vec()))
}

fn refusal(refused: Refused) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(Bytes::from(refused.message + "\n"))));
    *response.status_mut() = refused.status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    if refused.status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static(NOT_YET_SECONDS));
    }
    if refused.status == StatusCode::UPGRADE_REQUIRED {
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    }
    response
}
