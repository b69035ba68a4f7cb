//! Answers at the listeners while the log is still being opened: a broker that takes connections and says nothing, or files
//! that are read anew after a crash, can hold that up for many seconds, and whoever keeps the process running wants to know.
//!
//! Promises: alive, not ready, and why; every connection is closed after its answer, so that none outlives the opening. Knows
//! nothing of what is opened.

use std::{convert::Infallible, future::Future, io, pin::pin, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// How long an opening may take before it is answered for: less than anybody waits, more than it usually takes.
pub(crate) const QUICK: Duration = Duration::from_secs(2);

/// For a client to send its request.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);

/// Connections at once; more are closed. Who asks is a health check, or a client that comes back.
const CONNECTIONS_MAX: usize = 64;

/// How long nobody is let in when the system has no descriptor for a connection.
const REST_AFTER_ERROR: Duration = Duration::from_millis(100);

/// Seconds after which it is worth to come again.
pub(crate) const AGAIN_SECONDS: &str = "2";

/// A listener, and why it is not ready.
pub(crate) type Door<'a> = (&'a TcpListener, &'static str);

/// Answers at the listeners until what is opened is.
pub(crate) async fn answer_until<T>(
    operators: Door<'_>,
    public: Option<Door<'_>>,
    opened: impl Future<Output = T>,
) -> T {
    let mut answering = JoinSet::new();
    let mut opened = pin!(opened);
    loop {
        let accepted = tokio::select! {
            biased;
            opened = &mut opened => return opened,
            Some(_) = answering.join_next() => continue,
            accepted = accept(Some(operators)) => accepted,
            accepted = accept(public) => accepted,
        };
        match accepted {
            Ok((socket, why)) if answering.len() < CONNECTIONS_MAX => {
                answering.spawn(answer(socket, why));
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection; trying again");
                tokio::time::sleep(REST_AFTER_ERROR).await;
            }
        }
    }
}

async fn accept(door: Option<Door<'_>>) -> io::Result<(TcpStream, &'static str)> {
    match door {
        Some((listener, why)) => listener.accept().await.map(|(socket, _)| (socket, why)),
        None => std::future::pending().await,
    }
}

async fn answer(socket: TcpStream, why: &'static str) {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(response(&request, why)) });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_PATIENCE)
        .keep_alive(false)
        .serve_connection(TokioIo::new(socket), service);
    // Whoever goes away without its answer has none.
    let _ = connection.await;
}

fn response(request: &Request<Incoming>, why: &str) -> Response<Full<Bytes>> {
    let (status, kind, body) = match request.uri().path() {
        "/health/live" => (StatusCode::OK, "application/json", json!({ "live": true }).to_string()),
        "/health/ready" => {
            let body = json!({ "ready": false, "reason": why }).to_string();
            (StatusCode::SERVICE_UNAVAILABLE, "application/json", body)
        }
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            "text/plain; charset=utf-8",
            format!("not ready yet: {why}"),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(body + "\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static(AGAIN_SECONDS));
    }
    response
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::oneshot,
    };

    use super::*;

    async fn get(address: std::net::SocketAddr, path: &str) -> String {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn each_listener_answers_until_it_is_opened_and_keeps_no_connection() {
        let doors = [
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        ];
        let addresses = doors.each_ref().map(|door| door.local_addr().unwrap());
        let (open, opened) = oneshot::channel();
        let asking = tokio::spawn(async move {
            for (address, why) in addresses.into_iter().zip(["one", "two"]) {
                let ready = get(address, "/health/ready").await;
                assert!(
                    ready.starts_with("HTTP/1.1 503 ") && ready.contains(&format!("{why:?}")),
                    "{ready}"
                );
                assert!(get(address, "/health/live").await.starts_with("HTTP/1.1 200 "));
                let page = get(address, "/ws").await;
                assert!(
                    page.starts_with("HTTP/1.1 503 ") && page.contains("retry-after: 2"),
                    "{page}"
                );
            }
            open.send(7).unwrap();
        });
        let opened = answer_until((&doors[0], "one"), Some((&doors[1], "two")), opened).await;
        assert_eq!(opened, Ok(7));
        asking.await.unwrap();
    }
}
