//! One WebSocket client: a task over the bare socket that holds no buffer while nothing happens.
//!
//! ```text
//! socket -> Decoder -> Conversation (what the client asked for) -> replies, subscriptions
//! subscriptions (ring, log, rows) + replies -> one vectored write -> socket
//! ```
//!
//! Promises: everything unsent goes out in one vectored write, straight from the blocks that all sessions share;
//! replies come between frames, never inside one; a client that does not read keeps at most one block of its own and
//! the rest of one frame. Knows nothing of topics or rows.

use std::{
    cell::RefCell,
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use bytes::Bytes;
use rowcast_protocol::CloseCode;
use tokio::{io::AsyncWrite, net::TcpStream};

use crate::{
    Gateway,
    conversation::Conversation,
    frame::{self, Decoder, Message, Opcode},
    options::{PARTIAL_COPY_BYTES_MAX, REPLIES_BYTES_MAX, WRITE_BYTES_MAX, WRITE_SLICES_MAX},
    registry::Registration,
    ring::Slice,
    signal::{Reason, Reasons},
};

/// Writes before another session gets its turn; each takes all that the socket accepts.
const WRITES_PER_TURN: usize = 8;

/// Reads before another session gets its turn.
const READS_PER_TURN: usize = 8;

/// Bytes read at once. The buffer belongs to the thread: an idle session has none.
const READ_BUFFER_BYTES: usize = 16 * 1024;

thread_local! {
    static READ_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BUFFER_BYTES]);
    static PARTS: RefCell<Vec<Part>> = const { RefCell::new(Vec::new()) };
}

/// See the module.
pub(crate) struct Session {
    stream: TcpStream,
    registration: Registration,
    decoder: Decoder,
    conversation: Conversation,
    replies: Replies,
    /// The rest of a frame that the socket took a part of; goes first.
    partial: Bytes,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Our close frame is queued behind what is half sent; nothing else follows it.
    Closing,
    /// It was sent, and so was our end of the connection: the client goes, or the sweeper ends it.
    Lingering,
    /// Both sides have said so: done when it is sent.
    Agreed,
}

/// Replies to this client alone, each a whole frame.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    frames: Vec<Bytes>,
    bytes: usize,
    /// Only the latest ping is answered: a flood of them costs one answer.
    pong: Option<Box<[u8]>>,
}

/// A piece of the write under way.
struct Part {
    owner: Owner,
    slice: Slice,
    reply: Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Partial,
    Reply,
    Subscription(usize),
}

impl Part {
    fn bytes(&self) -> &[u8] {
        match self.owner {
            Owner::Partial | Owner::Reply => &self.reply,
            Owner::Subscription(_) => &self.slice.frames.bytes[self.slice.from..],
        }
    }
}

impl Replies {
    pub(crate) fn push_text(&mut self, text: &str) {
        self.push(frame::encode(Opcode::Text, text.as_bytes()));
    }

    fn push(&mut self, frame: Vec<u8>) {
        self.bytes += frame.len();
        self.frames.push(frame.into());
    }

    fn take_pong(&mut self) {
        if let Some(payload) = self.pong.take() {
            self.push(frame::encode(Opcode::Pong, &payload));
        }
    }

    fn sent(&mut self, count: usize) {
        self.bytes -= self.frames.drain(..count).map(|frame| frame.len()).sum::<usize>();
        if self.frames.is_empty() {
            self.frames = Vec::new();
        }
    }
}

/// Serves one client until it is gone. `early` are bytes that came right behind its request.
pub(crate) async fn run(
    gateway: Arc<Gateway>,
    stream: TcpStream,
    registration: Registration,
    speaks_v1: bool,
    mut early: Vec<u8>,
) {
    let signal = registration.signal().clone();
    let mut session = Session {
        stream,
        registration,
        decoder: Decoder::default(),
        conversation: Conversation::new(&gateway, speaks_v1, signal),
        replies: Replies::default(),
        partial: Bytes::new(),
        state: State::Open,
    };
    session.hear(&gateway, &mut early);
    drop(early);
    poll_fn(|cx| session.poll(&gateway, cx)).await;
}

impl Session {
    /// What the sweeper and the gateway want first, then what the client says, then as much as the client takes.
    fn poll(&mut self, gateway: &Arc<Gateway>, cx: &mut Context<'_>) -> Poll<()> {
        let reasons = self.registration.signal().take(cx.waker());
        if reasons.contains(Reason::GiveUp) {
            return self.give_up();
        }
        self.obey(gateway, reasons);
        if self.poll_read(gateway, cx).is_err() {
            return Poll::Ready(());
        }
        match self.poll_write(gateway, cx) {
            Ok(()) => Poll::Pending,
            Err(_) => Poll::Ready(()),
        }
    }

    fn give_up(&mut self) -> Poll<()> {
        // A last word, if the socket happens to take it; mid-frame it would be taken for data.
        if self.partial.is_empty() && self.state == State::Open {
            let stalled = self.registration.signal().stalled_s.load(Ordering::Relaxed) != 0;
            let code = if stalled {
                CloseCode::FELL_BEHIND
            } else {
                CloseCode::PING_TIMEOUT
            };
            let _ = self.stream.try_write(&frame::encode_close(code.0, code.name()));
        }
        Poll::Ready(())
    }

    fn obey(&mut self, gateway: &Gateway, reasons: Reasons) {
        if self.state != State::Open {
            return;
        }
        if reasons.contains(Reason::Drain) {
            self.close(CloseCode::SERVICE_RESTART, "the server restarts; reconnect");
        } else if reasons.contains(Reason::Ping) {
            self.replies.push(frame::encode(Opcode::Ping, b""));
        }
        if reasons.contains(Reason::Topics) {
            self.conversation.topics_changed(gateway);
        }
    }

    fn close(&mut self, code: CloseCode, reason: &str) {
        if self.state == State::Open {
            self.state = State::Closing;
            self.replies.pong = None;
            self.replies.push(frame::encode_close(code.0, reason));
            self.registration.closing();
        }
    }

    /// Reads what has come; an error is the end of the connection.
    fn poll_read(&mut self, gateway: &Arc<Gateway>, cx: &mut Context<'_>) -> io::Result<()> {
        for _ in 0..READS_PER_TURN {
            // A client that does not read its replies is not listened to either.
            if self.replies.bytes > REPLIES_BYTES_MAX {
                return Ok(());
            }
            if self.stream.poll_read_ready(cx)?.is_pending() {
                return Ok(());
            }
            READ_BUFFER.with_borrow_mut(|buffer| match self.stream.try_read(buffer) {
                Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.registration.heard();
                    self.hear(gateway, &mut buffer[..count]);
                    Ok(())
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
                Err(error) => Err(error),
            })?;
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn hear(&mut self, gateway: &Arc<Gateway>, mut bytes: &mut [u8]) {
        while self.state == State::Open {
            match self.decoder.decode(&mut bytes, &gateway.decoder_limits()) {
                Ok(None) => return,
                Ok(Some(message)) => self.answer(gateway, message),
                Err(violation) => self.close(CloseCode(violation.code), violation.reason),
            }
        }
    }

    fn answer(&mut self, gateway: &Arc<Gateway>, message: Message) {
        if !self.conversation.may_speak() {
            let reason = "too many messages a second; subscribe once and wait";
            return self.close(CloseCode::POLICY_VIOLATION, reason);
        }
        match message {
            Message::Text(text) => self.conversation.hear(gateway, &text, &mut self.replies),
            Message::Ping(payload) => self.replies.pong = Some(payload.into()),
            Message::Pong(_) => {}
            Message::Binary(_) => self.close(CloseCode::UNSUPPORTED_DATA, "messages are JSON text"),
            Message::Close(code) => {
                self.close(code.map_or(CloseCode::NORMAL, CloseCode), "");
                self.state = State::Agreed;
            }
        }
    }

    /// Writes until nothing is left or the client takes no more; an error is the end of the connection.
    fn poll_write(&mut self, gateway: &Gateway, cx: &mut Context<'_>) -> io::Result<()> {
        // A client that takes nothing costs nothing: what it has missed is looked at when it takes something again.
        if self.registration.is_stalled() && self.stream.poll_write_ready(cx)?.is_pending() {
            return Ok(());
        }
        for _ in 0..WRITES_PER_TURN {
            let written = PARTS.with_borrow_mut(|parts| {
                self.gather(gateway, parts, cx);
                let written = self.write(gateway, parts);
                parts.clear();
                written
            });
            match written {
                Ok(Written::Nothing) => return self.rest(cx),
                Ok(Written::Some) => self.registration.accepted(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.registration.stalled();
                    if self.stream.poll_write_ready(cx)?.is_pending() {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// All is sent. Behind our close frame goes the end of our side, so that the client's kernel does not throw the
    /// frame away for a reset.
    fn rest(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.state {
            State::Open | State::Lingering => Ok(()),
            State::Agreed => Err(io::ErrorKind::ConnectionAborted.into()),
            State::Closing => {
                self.state = State::Lingering;
                match Pin::new(&mut self.stream).poll_shutdown(cx) {
                    Poll::Ready(result) => result,
                    Poll::Pending => Ok(()),
                }
            }
        }
    }

    /// Collects what is to be written, in order.
    fn gather(&mut self, gateway: &Gateway, parts: &mut Vec<Part>, cx: &mut Context<'_>) {
        let mut bytes = 0;
        self.replies.take_pong();
        let partial = (!self.partial.is_empty()).then(|| (Owner::Partial, self.partial.clone()));
        let replies = self.replies.frames.iter().map(|frame| (Owner::Reply, frame.clone()));
        for (owner, reply) in partial.into_iter().chain(replies).take(WRITE_SLICES_MAX) {
            bytes += reply.len();
            parts.push(Part {
                owner,
                slice: Slice::default(),
                reply,
            });
        }
        if self.state == State::Open {
            self.conversation.gather(&gateway.readers, cx, &mut |index, slice| {
                if parts.len() >= WRITE_SLICES_MAX || bytes >= WRITE_BYTES_MAX {
                    return false;
                }
                bytes += slice.frames.bytes.len() - slice.from;
                parts.push(Part {
                    owner: Owner::Subscription(index),
                    slice,
                    reply: Bytes::new(),
                });
                true
            });
        }
    }

    fn write(&mut self, gateway: &Gateway, parts: &[Part]) -> io::Result<Written> {
        if parts.is_empty() {
            return Ok(Written::Nothing);
        }
        let mut slices = [IoSlice::new(&[]); WRITE_SLICES_MAX];
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part.bytes());
        }
        let written = self.stream.try_write_vectored(&slices[..parts.len()])?;
        self.account(gateway, parts, written);
        Ok(Written::Some)
    }

    /// Moves on by what the socket took. A frame that it took a part of becomes `partial`: to its owner it is sent.
    fn account(&mut self, gateway: &Gateway, parts: &[Part], written: usize) {
        let (mut left, mut replies_sent, mut delivered) = (written, 0, 0);
        for part in parts {
            if left == 0 {
                break;
            }
            let bytes = part.bytes();
            let taken = bytes.len().min(left);
            left -= taken;
            match part.owner {
                Owner::Partial => self.partial = keep_rest(&part.reply, taken, part.reply.len()),
                Owner::Reply => {
                    replies_sent += 1;
                    if taken < bytes.len() {
                        self.partial = keep_rest(&part.reply, taken, part.reply.len());
                    }
                }
                Owner::Subscription(index) => {
                    let slice = &part.slice;
                    let to = slice.from + taken;
                    let last = slice.frames.frame_at(to - 1);
                    let frame_end = slice.frames.ends[last].end as usize;
                    if to < frame_end {
                        self.partial = keep_rest(&slice.frames.bytes, to, frame_end);
                    }
                    delivered += last + 1 - slice.frames.frame_at(slice.from);
                    self.conversation.sent(gateway, index, slice, frame_end);
                }
            }
        }
        self.replies.sent(replies_sent);
        gateway.metrics.deliveries.inc_by(delivered as u64);
    }
}

enum Written {
    Some,
    Nothing,
}

/// What is left of a frame: copied if small, so that a stalled session holds no block of the ring.
fn keep_rest(bytes: &Bytes, from: usize, to: usize) -> Bytes {
    match to - from {
        0 => Bytes::new(),
        1..=PARTIAL_COPY_BYTES_MAX => Bytes::copy_from_slice(&bytes[from..to]),
        _ => bytes.slice(from..to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subscription::Subscription;

    /// What the future of a function with five arguments takes in its task.
    fn future_bytes<A, B, C, D, E, F: Future>(_: impl Fn(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_client_costs_little_memory() {
        assert!(size_of::<Session>() <= 400, "{} bytes a session", size_of::<Session>());
        assert!(
            size_of::<Subscription>() <= 80,
            "{} bytes a subscription",
            size_of::<Subscription>()
        );
        assert!(
            future_bytes(run) <= 640,
            "{} bytes a session's future",
            future_bytes(run)
        );
    }
}
