//! Asks the product's HTTP pages, with nothing between the test and the bytes.

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A response: its status and its body as text.
#[derive(Debug)]
pub struct Response {
    /// 200, 503, …
    pub status: u16,
    /// Status line and headers as they came.
    pub head: String,
    /// What follows the empty line.
    pub body: String,
}

/// `GET path`, on a connection of its own.
pub async fn get(address: &str, path: &str) -> anyhow::Result<Response> {
    request("GET", address, path, "").await
}

/// Any request with a JSON body, on a connection of its own.
pub async fn request(method: &str, address: &str, path: &str, body: &str) -> anyhow::Result<Response> {
    let mut stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("connecting to {address}"))?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text
        .split_once("\r\n\r\n")
        .context("a response has an empty line after its head")?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .context("a status line has a number")?;
    Ok(Response {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}
