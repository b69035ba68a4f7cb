//! The least that any server between PostgreSQL and a client must do: read a row from the walsender, write it to a socket.
//!
//! One blocking thread that decodes, keeps and promises nothing. What it takes over the bare reader is the cost of one more
//! process-to-process wake-up on this machine, so it is the floor under every figure of a product that serves clients.

use std::{
    convert::Infallible,
    io::Write as _,
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    thread::JoinHandle,
};

use anyhow::Result;

use crate::{bench::Database, subscriber::Subscriber, walsender::Walsender, websocket};

/// A relay with its one client.
pub(crate) struct Relay {
    pub(crate) client: Subscriber,
    walsender: TcpStream,
    thread: Option<JoinHandle<Result<Infallible>>>,
}

impl Relay {
    pub(crate) fn start(database: &Database) -> Result<Relay> {
        let mut walsender = Walsender::start(database, "bare_relay")?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        let (mut server, _) = listener.accept()?;
        server.set_nodelay(true)?;
        let socket = walsender.socket()?;
        let relay = move || walsender.relay(|row| Ok(server.write_all(&websocket::server_frame(row))?));
        Ok(Relay {
            client: Subscriber::over(client),
            walsender: socket,
            thread: Some(std::thread::spawn(relay)),
        })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.walsender.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            // It ends with the error that its walsender is gone.
            let _ = thread.join();
        }
    }
}
