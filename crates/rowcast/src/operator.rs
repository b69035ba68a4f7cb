//! The operator listener: `/metrics` for Prometheus and `/health` for whoever keeps the process running, on the loopback
//! address unless told otherwise. A capture has no other.

use std::{convert::Infallible, sync::Arc};

use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::{net::TcpListener, sync::watch};

use bytes::Bytes;

use crate::{ready::Readiness, stop::told_to_stop};

/// The type that Prometheus asks for.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves until `stop` turns true.
pub async fn serve(
    listener: TcpListener,
    registry: Arc<Registry>,
    readiness: Arc<Readiness>,
    mut stop: watch::Receiver<bool>,
) -> Result<()> {
    loop {
        let (socket, _) = tokio::select! {
            () = told_to_stop(&mut stop) => return Ok(()),
            accepted = listener.accept() => accepted.context("operator listener")?,
        };
        let (registry, readiness) = (registry.clone(), readiness.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let answer = answer(&request, &registry, &readiness);
                async { Ok::<_, Infallible>(answer) }
            });
            if let Err(error) = http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await
            {
                tracing::debug!("operator connection ended: {error}");
            }
        });
    }
}

fn answer(request: &Request<Incoming>, registry: &Registry, readiness: &Readiness) -> Response<Full<Bytes>> {
    match request.uri().path() {
        "/metrics" => metrics(registry),
        "/health/live" => text(StatusCode::OK, "application/json", "{\"live\":true}\n".to_owned()),
        "/health/ready" => {
            let (is_ready, body) = readiness.report();
            let status = match is_ready {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            text(status, "application/json", format!("{body}\n"))
        }
        _ => text(
            StatusCode::NOT_FOUND,
            "text/plain; charset=utf-8",
            "not found; /metrics, /health/live and /health/ready are here\n".to_owned(),
        ),
    }
}

fn metrics(registry: &Registry) -> Response<Full<Bytes>> {
    let mut encoded = String::new();
    match encode(&mut encoded, registry) {
        Ok(()) => text(StatusCode::OK, OPENMETRICS, encoded),
        Err(_) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "text/plain; charset=utf-8",
            "metrics could not be encoded\n".to_owned(),
        ),
    }
}

fn text(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    answer
}
