//! `rowcast health`: asks a health page and says by the exit code what it said, so that a container needs no other program
//! for its health check.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, Uri, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The operator listener's page, which every role has.
pub const READY_URL: &str = "http://127.0.0.1:9464/health/ready";

/// How long the answer may take: the pages answer from memory.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of an answer that are looked at: the sentences are short.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// The page's words, or an error that holds them when its status is not 200.
pub async fn health(url: &str) -> Result<String> {
    let asked = tokio::time::timeout(PATIENCE, ask(url)).await;
    let (status, body) = asked
        .unwrap_or_else(|_| bail!("no answer within {} s", PATIENCE.as_secs()))
        .with_context(|| format!("asking {url}"))?;
    if status != StatusCode::OK {
        bail!("{url} answers {status}: {}", body.trim());
    }
    Ok(body)
}

async fn ask(url: &str) -> Result<(StatusCode, String)> {
    let url: Uri = url.parse().context("not a URL")?;
    let (Some("http"), Some(authority)) = (url.scheme_str(), url.authority()) else {
        bail!("give a URL such as {READY_URL}");
    };
    let place = (
        authority.host().trim_matches(['[', ']']),
        authority.port_u16().unwrap_or(80),
    );
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host(place).await?.collect();
    let stream = TcpStream::connect(&*addresses).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(url.path())
        .header(header::HOST, authority.as_str())
        .body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
