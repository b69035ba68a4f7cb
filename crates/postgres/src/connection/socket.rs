//! One socket type for TCP, TLS and Unix sockets, so that everything above is written once.
//!
//! Also opens them: no delay, keepalive. Knows nothing of PostgreSQL.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream, lookup_host},
};
use tokio_rustls::client::TlsStream;

use crate::config::refused_address;

/// After this much silence the kernel asks whether the peer still lives; three unanswered probes end the connection.
/// A firewall that forgets idle connections typically does so after five minutes or more.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// Time between the probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// A connection's bytes.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    /// Opens TCP, or the Unix socket `<host>/.s.PGSQL.<port>` when `host` is a directory, as libpq does.
    pub(crate) async fn open(host: &str, port: u16) -> io::Result<Socket> {
        if host.starts_with('/') {
            return Ok(Socket::Unix(
                UnixStream::connect(format!("{host}/.s.PGSQL.{port}")).await?,
            ));
        }
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in lookup_host((host, port)).await? {
            match open_tcp(address).await {
                Ok(stream) => return Ok(Socket::Tcp(stream)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// The address is checked after the name was resolved: a name may point to where no connector may go.
async fn open_tcp(address: SocketAddr) -> io::Result<TcpStream> {
    if let Some(needed) = refused_address(address.ip()) {
        let sentence = format!("database.hostname leads to {}, it takes {needed}", address.ip());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, sentence));
    }
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let probes = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(&stream).set_tcp_keepalive(&probes)?;
    Ok(stream)
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Socket::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Socket::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
