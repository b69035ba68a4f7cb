//! Stands between the brokers and their clients and counts the bytes that the brokers send.
//!
//! Brokers tell clients where they are, so the broker must be started to name this one ([`Broker::start_behind`]).
//! Knows nothing of Kafka's protocol.
//!
//! [`Broker::start_behind`]: crate::broker::Broker::start_behind

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use anyhow::Result;

/// One read of a connection; the broker's largest answers are a megabyte.
const READ_BYTES: usize = 256 * 1024;

/// A listener whose connections lead to the broker. Its threads end with their connections, the listener with the process.
pub(crate) struct ByteCounter {
    listener: TcpListener,
    port: u16,
    sent: Arc<AtomicU64>,
}

impl ByteCounter {
    /// Takes a port.
    pub(crate) fn bind() -> Result<ByteCounter> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(ByteCounter {
            port: listener.local_addr()?.port(),
            listener,
            sent: Arc::default(),
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Bytes that the broker has sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Leads every connection to the broker at `port`.
    pub(crate) fn lead_to(&self, port: u16) -> Result<()> {
        let (listener, sent) = (self.listener.try_clone()?, self.sent.clone());
        thread::Builder::new().name("byte-counter".into()).spawn(move || {
            for client in listener.incoming().flatten() {
                if let Err(error) = pair(client, port, &sent) {
                    eprintln!("a connection to the broker: {error}");
                }
            }
        })?;
        Ok(())
    }
}

fn pair(client: TcpStream, port: u16, sent: &Arc<AtomicU64>) -> Result<()> {
    let broker = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let (client_too, broker_too, sent) = (client.try_clone()?, broker.try_clone()?, sent.clone());
    thread::spawn(move || copy(client_too, broker_too, &AtomicU64::new(0)));
    thread::spawn(move || copy(broker, client, &sent));
    Ok(())
}

/// Until either end closes.
fn copy(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64) {
    let mut buffer = vec![0; READ_BYTES];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        count.fetch_add(read as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
