//! The operator listener: `/metrics` for Prometheus, on the loopback address unless told otherwise.

use std::{convert::Infallible, sync::Arc};

use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::{net::TcpListener, sync::watch};

use bytes::Bytes;

use crate::run::told_to_stop;

/// The type that Prometheus asks for.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves until `stop` turns true.
pub async fn serve(listener: TcpListener, registry: Arc<Registry>, mut stop: watch::Receiver<bool>) -> Result<()> {
    loop {
        let (socket, _) = tokio::select! {
            () = told_to_stop(&mut stop) => return Ok(()),
            accepted = listener.accept() => accepted.context("operator listener")?,
        };
        let registry = registry.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, registry.clone()));
            if let Err(error) = http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await
            {
                tracing::debug!("operator connection ended: {error}");
            }
        });
    }
}

async fn answer(request: Request<Incoming>, registry: Arc<Registry>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() != "/metrics" {
        let mut missing = Response::new(Full::from("not found; /metrics is here\n"));
        *missing.status_mut() = StatusCode::NOT_FOUND;
        return Ok(missing);
    }
    let mut text = String::new();
    let mut answer = match encode(&mut text, &registry) {
        Ok(()) => Response::new(Full::from(text)),
        Err(_) => Response::new(Full::from("metrics could not be encoded\n")),
    };
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(OPENMETRICS));
    Ok(answer)
}
