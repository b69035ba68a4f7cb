//! Serves a subscription as Server-Sent Events: `GET /sse?topic=…&snapshot=true|false`, going on from `Last-Event-ID`
//! or `cursor=…`.
//!
//! The same rows, changes and cursors as over WebSocket, from the same ring and log; hyper writes them. Pulled, never
//! pushed: nothing is taken from the ring before the client has room for it.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::{
    Method, Response, StatusCode,
    body::{Body, Frame},
    header::{self, HeaderMap, HeaderValue},
    http::request::Parts,
};

use crate::{
    Gateway,
    conversation::start_of,
    encode::Format,
    handshake::{Refused, check_origin},
    missing::Missing,
    registry::Registration,
    signal::{Reason, Signal},
    subscription::Subscription,
};

/// Bytes handed to hyper at once, up to the end of a frame: what a slow client may pin of the ring.
const PIECE_BYTES: usize = 32 * 1024;

/// Slices of the ring taken at once.
const SLICES_MAX: usize = 4;

/// What a silent stream is kept open with: a comment.
const KEEP_ALIVE: &[u8] = b":\n\n";

/// Tells the browser's EventSource to come back in a second, and that is all.
const RECONNECT: &[u8] = b"retry: 1000\n\n";

/// One event stream: the body of a response.
pub(crate) struct EventStream {
    gateway: Arc<Gateway>,
    registration: Registration,
    subscription: Subscription,
    ready: VecDeque<Bytes>,
    ended: bool,
}

/// Answers a request for an event stream.
pub(crate) fn open(gateway: &Arc<Gateway>, request: &Parts) -> Result<(Response<EventStream>, Arc<Signal>), Refused> {
    check_origin(&request.headers, &gateway.options.allowed_origins)?;
    if request.method != Method::GET {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "an event stream begins with GET");
    }
    let asked = Asked::parse(request.uri.query().unwrap_or_default(), &request.headers)?;
    let topic = gateway.topic(&asked.topic);
    let topic = topic.ok_or_else(|| {
        let missing = gateway.missing(&asked.topic);
        Refused {
            status: match missing {
                Missing::Unknown => StatusCode::NOT_FOUND,
                Missing::NotYet => StatusCode::SERVICE_UNAVAILABLE,
            },
            message: missing.sentence(&asked.topic),
        }
    })?;
    let start = start_of(&topic, asked.snapshot, asked.cursor.as_deref());
    let start = start.map_err(|error| Refused {
        status: StatusCode::BAD_REQUEST,
        message: error.to_string(),
    })?;
    let registration = gateway.registry.register();
    let signal = registration.signal().clone();
    if gateway.is_draining() {
        signal.wake(Reason::Drain);
    }
    let subscription = Subscription::new(topic, Format::Sse, start, asked.snapshot, signal.clone());
    let shape = subscription.shape();
    let voice = &subscription.feed().voice;
    let schema = shape.map(|shape| voice.block(0, |voice, out| voice.schema(&shape, out)).bytes);
    let ready = [Bytes::from_static(RECONNECT)].into_iter().chain(schema).collect();
    let stream = EventStream {
        gateway: gateway.clone(),
        registration,
        subscription,
        ready,
        ended: false,
    };
    let mut response = Response::new(stream);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("X-Accel-Buffering", HeaderValue::from_static("no"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok((response, signal))
}

fn refuse<T>(status: StatusCode, message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused {
        status,
        message: message.into(),
    })
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let reasons = self.registration.signal().take(cx.waker());
        // hyper asks only when it has room: the client is there.
        self.registration.heard();
        self.registration.accepted();
        if reasons.contains(Reason::Drain) || reasons.contains(Reason::GiveUp) {
            self.ended = true;
        }
        if reasons.contains(Reason::Ping) {
            self.ready.push_back(Bytes::from_static(KEEP_ALIVE));
        }
        match self.next_piece(cx) {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None if self.ended || self.subscription.has_ended() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl EventStream {
    fn next_piece(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        let piece = self.ready.pop_front();
        if piece.is_some() || self.ended {
            return piece;
        }
        while self.ready.is_empty() && self.subscription.advance(&self.gateway.readers, cx) {
            self.take_slices();
        }
        self.ready.pop_front()
    }

    fn take_slices(&mut self) {
        let EventStream {
            gateway,
            subscription,
            ready,
            ..
        } = self;
        let mut slices = Vec::new();
        subscription.slices(&gateway.readers, &mut |slice| {
            slices.push(slice);
            slices.len() < SLICES_MAX
        });
        let mut left = PIECE_BYTES;
        for slice in slices.into_iter().filter(|slice| !slice.frames.is_empty()) {
            if left == 0 {
                break;
            }
            let wanted = (slice.from + left).min(slice.frames.bytes.len());
            let frame = slice.frames.frame_at(wanted - 1);
            let to = slice.frames.ends[frame].end as usize;
            left = left.saturating_sub(to - slice.from);
            ready.push_back(slice.frames.bytes.slice(slice.from..to));
            let delivered = frame + 1 - slice.frames.frame_at(slice.from);
            gateway.metrics.deliveries.inc_by(delivered as u64);
            let whole = to == slice.frames.bytes.len();
            if let Some(from) = subscription.sent(&slice, to, &gateway.readers) {
                gateway.measure(&slice.frames, from, to);
            }
            if !whole {
                break;
            }
        }
    }
}

/// What the request asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    topic: String,
    snapshot: bool,
    cursor: Option<String>,
}

impl Asked {
    fn parse(query: &str, headers: &HeaderMap) -> Result<Asked, Refused> {
        let mut asked = Asked {
            snapshot: true,
            ..Asked::default()
        };
        for (name, value) in query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        {
            match name {
                "topic" => asked.topic = percent_decoded(value),
                "cursor" => asked.cursor = Some(percent_decoded(value)),
                "snapshot" if value == "true" || value == "false" => asked.snapshot = value == "true",
                "snapshot" => return refuse(StatusCode::BAD_REQUEST, "snapshot is true or false"),
                "where" | "columns" | "mode" => {
                    let message = format!("{name:?} is not supported by this server yet; leave it out");
                    return refuse(StatusCode::BAD_REQUEST, message);
                }
                _ => return refuse(StatusCode::BAD_REQUEST, "the query takes topic, snapshot and cursor"),
            }
        }
        if asked.topic.is_empty() {
            return refuse(StatusCode::BAD_REQUEST, "name a topic: /sse?topic=orders.public.orders");
        }
        // The browser's own word is newer than the page's.
        if let Some(last) = headers.get("Last-Event-ID").filter(|last| !last.is_empty()) {
            asked.cursor = Some(String::from_utf8_lossy(last.as_bytes()).into_owned());
        }
        Ok(asked)
    }
}

/// Topics and cursors need no escapes, but clients may escape anything. A wrong escape stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = tail.get(..2).filter(|_| *first == b'%');
        let escaped = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_read_strictly_and_the_last_event_wins() {
        let mut headers = HeaderMap::new();
        let asked = Asked::parse("topic=a%2Eb&snapshot=false&cursor=x", &headers);
        let expected = Asked {
            topic: "a.b".into(),
            snapshot: false,
            cursor: Some("x".into()),
        };
        assert_eq!(asked, Ok(expected));
        headers.insert("Last-Event-ID", HeaderValue::from_static("y"));
        assert_eq!(
            Asked::parse("topic=a&cursor=x", &headers).map(|asked| asked.cursor),
            Ok(Some("y".into()))
        );
        for query in [
            "",
            "topic=",
            "topic=a&snapshot=yes",
            "topic=a&where=b",
            "topic=a&topics=b",
        ] {
            assert!(Asked::parse(query, &headers).is_err(), "{query}");
        }
    }

    #[test]
    fn wrong_escapes_stay_as_they_are() {
        assert_eq!(percent_decoded("a%zz%4"), "a%zz%4");
        assert_eq!(percent_decoded("%C3%A9%"), "é%");
    }
}
