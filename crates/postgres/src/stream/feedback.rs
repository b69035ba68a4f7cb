//! Decides how far PostgreSQL may forget, and keeps telling it that we are alive.
//!
//! PostgreSQL discards WAL up to the LSN we confirm, even beyond its own end, so a confirmation never exceeds what this
//! walsender has sent, and never moves back. A thread of its own has the sending half of the socket: the stream's reader may
//! wait for a slow disk, and with it the runtime's worker and every task that was to run there next; this still answers, so
//! the server does not take us for dead.

use std::{
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::{BufMut, BytesMut};
use postgres_protocol::message::frontend;
use rowcast_event::Lsn;
use tokio::{
    io::{AsyncWriteExt, WriteHalf},
    sync::{oneshot, watch},
    time::Instant,
};

use crate::{SourceError, connection::Socket, pgoutput::replication::StandbyStatusUpdate};

/// What the thread should have sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    confirmed: Lsn,
    /// Counts requests to answer now, even with the same LSN.
    answers: u64,
    /// Send CopyDone and stop.
    close: bool,
}

/// The stream's side.
#[derive(Debug)]
pub(crate) struct Feedback {
    /// End of what this walsender has sent.
    sent: Lsn,
    /// Closed when the thread has ended.
    wanted: watch::Sender<Wanted>,
    ended: oneshot::Receiver<io::Result<WriteHalf<Socket>>>,
}

impl Feedback {
    /// Starts the thread, which speaks at least every third of the timeout, and every `status_interval`. It ends with [`Feedback::close`], when the connection breaks, or when this is dropped.
    pub(crate) fn start(
        writer: WriteHalf<Socket>,
        start: Lsn,
        wal_sender_timeout: Option<Duration>,
        status_interval: Option<Duration>,
    ) -> io::Result<Feedback> {
        let (wanted, receiver) = watch::channel(Wanted {
            confirmed: start,
            answers: 0,
            close: false,
        });
        let interval = match (wal_sender_timeout.map(|timeout| timeout / 3), status_interval) {
            (Some(needed), Some(asked)) => Some(needed.min(asked)),
            (needed, asked) => needed.or(asked),
        };
        let (end, ended) = oneshot::channel();
        // Only a clock: the socket stays with the runtime that opened it.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        std::thread::Builder::new()
            .name("wal-feedback".to_owned())
            .spawn(move || {
                // Nobody hears the end of a stream that was dropped.
                let _ = end.send(runtime.block_on(send_status(writer, receiver, interval)));
            })?;
        Ok(Feedback {
            sent: start,
            wanted,
            ended,
        })
    }

    /// The walsender has sent everything up to here.
    pub(crate) fn saw(&mut self, lsn: Lsn) {
        self.sent = self.sent.max(lsn);
    }

    /// The server asks for an answer at once.
    pub(crate) fn answer(&self) {
        self.wanted.send_modify(|wanted| wanted.answers += 1);
    }

    /// Confirms `lsn`, or as much of it as may be confirmed.
    pub(crate) fn confirm(&self, lsn: Lsn) -> Result<(), SourceError> {
        let lsn = lsn.min(self.sent);
        self.wanted.send_if_modified(|wanted| {
            let forward = lsn > wanted.confirmed;
            wanted.confirmed = wanted.confirmed.max(lsn);
            forward
        });
        match self.wanted.is_closed() {
            true => Err(SourceError::Gone(
                "the server closed the replication connection".to_owned(),
            )),
            false => Ok(()),
        }
    }

    /// What was confirmed last.
    pub(crate) fn confirmed(&self) -> Lsn {
        self.wanted.borrow().confirmed
    }

    /// Sends the last confirmation and CopyDone, and gives back the socket's half, if the connection still stands.
    pub(crate) async fn close(self) -> Option<WriteHalf<Socket>> {
        self.wanted.send_modify(|wanted| wanted.close = true);
        self.ended.await.ok()?.ok()
    }
}

/// Sends a status whenever one is wanted, and at the latest after `interval` of silence.
///
/// The interval is no poll: the server ends a connection that it has not heard of for `wal_sender_timeout`, and it asks
/// (half-way through) on the very path that is blocked while our reader is. A third of it leaves room for one lost try.
async fn send_status(
    mut writer: WriteHalf<Socket>,
    mut wanted: watch::Receiver<Wanted>,
    interval: Option<Duration>,
) -> io::Result<WriteHalf<Socket>> {
    loop {
        let deadline = interval.map(|interval| Instant::now() + interval);
        // A request first: it carries the newer LSN, and resets the deadline too.
        tokio::select! {
            biased;
            changed = wanted.changed() => if changed.is_err() { return Ok(writer) },
            () = sleep_until(deadline) => {}
        }
        let now = *wanted.borrow_and_update();
        writer.write_all(&status(now.confirmed)).await?;
        if now.close {
            let mut message = BytesMut::new();
            frontend::copy_done(&mut message);
            writer.write_all(&message).await?;
        }
        writer.flush().await?;
        if now.close {
            return Ok(writer);
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// One LSN for all three positions: we never claim to have written what we have not made durable, since a server that
/// lists us in synchronous_standby_names would believe it.
fn status(confirmed: Lsn) -> BytesMut {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let update = StandbyStatusUpdate {
        written: confirmed,
        flushed: confirmed,
        applied: confirmed,
        client_time_us: i64::try_from(now.as_micros()).unwrap_or(i64::MAX),
        reply_requested: false,
    };
    let body = update.encode();
    let mut message = BytesMut::with_capacity(5 + body.len());
    message.put_u8(b'd');
    message.put_u32(4 + StandbyStatusUpdate::BYTES as u32);
    message.put_slice(&body);
    message
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncReadExt, net::UnixStream};

    use super::*;

    /// The flushed LSN of the next status on the wire; `None` for CopyDone.
    async fn next_status(peer: &mut UnixStream) -> Option<Lsn> {
        let mut header = [0; 5];
        peer.read_exact(&mut header).await.expect("a message");
        if header[0] == b'c' {
            return None;
        }
        let mut body = [0; StandbyStatusUpdate::BYTES];
        peer.read_exact(&mut body).await.expect("its body");
        Some(Lsn(u64::from_be_bytes(body[9..17].try_into().expect("eight bytes"))))
    }

    fn feedback(start: u64, timeout: Option<Duration>) -> (Feedback, UnixStream) {
        let (ours, peer) = UnixStream::pair().expect("a pair of sockets");
        let (_, writer) = tokio::io::split(Socket::Unix(ours));
        let feedback = Feedback::start(writer, Lsn(start), timeout, None).expect("a thread");
        (feedback, peer)
    }

    #[tokio::test]
    async fn nothing_is_confirmed_beyond_what_was_sent_or_backwards() {
        let (mut feedback, mut peer) = feedback(100, None);
        feedback.saw(Lsn(200));
        feedback.confirm(Lsn(5000)).expect("connected");
        assert_eq!(next_status(&mut peer).await, Some(Lsn(200)));
        feedback.confirm(Lsn(150)).expect("connected");
        feedback.answer();
        assert_eq!(next_status(&mut peer).await, Some(Lsn(200)));
        assert_eq!(feedback.confirmed(), Lsn(200));
        feedback.close().await.expect("the socket's half");
        assert_eq!(next_status(&mut peer).await, Some(Lsn(200)));
        assert_eq!(next_status(&mut peer).await, None);
    }

    #[tokio::test]
    async fn a_reader_that_waits_for_its_disk_does_not_look_dead() {
        let timeout = Duration::from_millis(300);
        let (_feedback, peer) = feedback(100, Some(timeout));
        let (mut peer, start) = (peer.into_std().expect("a socket"), Instant::now());
        peer.set_nonblocking(false).expect("a socket that waits");
        // The only thread of the reader's runtime is blocked from here on.
        let mut status = [0; 5 + StandbyStatusUpdate::BYTES];
        for _ in 0..3 {
            std::io::Read::read_exact(&mut peer, &mut status).expect("a status");
        }
        assert!(start.elapsed() >= timeout * 9 / 10, "{:?}", start.elapsed());
    }
}
