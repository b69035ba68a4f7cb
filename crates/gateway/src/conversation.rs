//! What a client has asked for: its subscriptions, and the answers to its messages.
//!
//! A client of `rowcast.v1` subscribes by name. One that named no subprotocol gets the values of every public topic
//! from now on, topics that appear later too, and what it says is ignored.

use std::{sync::Arc, task::Context, time::Instant};

use rowcast_protocol::{
    ClientMessage, Cursor, CursorError, ErrorCode, Failure, Ping, Pong, ProtocolError, ResetReason, ServerMessage,
    Subscribe, Subscribed, Unsubscribe, Unsubscribed,
};

use crate::{
    Gateway,
    encode::Format,
    readers::Readers,
    ring::Slice,
    session::Replies,
    signal::Signal,
    subscription::{Start, Subscription},
    topic::Topic,
};

/// See the module.
pub(crate) struct Conversation {
    speaks_v1: bool,
    subscriptions: Vec<Subscription>,
    /// Whose frames go first in the next write, so that a busy feed does not starve the others.
    first: usize,
    signal: Arc<Signal>,
    allowance: Allowance,
}

/// How much a client may still say: a bucket that fills with time.
#[derive(Debug)]
struct Allowance {
    left: u32,
    burst: u32,
    per_second: u32,
    filled: Instant,
}

impl Allowance {
    fn take_one(&mut self) -> bool {
        if self.left == 0 {
            let elapsed = self.filled.elapsed().as_secs_f64();
            self.left = self.burst.min((elapsed * f64::from(self.per_second)) as u32);
            self.filled = Instant::now();
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

impl Conversation {
    pub(crate) fn new(gateway: &Gateway, speaks_v1: bool, signal: Arc<Signal>) -> Conversation {
        let options = &gateway.options;
        let allowance = Allowance {
            left: options.message_burst,
            burst: options.message_burst,
            per_second: options.messages_per_second,
            filled: Instant::now(),
        };
        let mut conversation = Conversation {
            speaks_v1,
            subscriptions: Vec::new(),
            first: 0,
            signal,
            allowance,
        };
        if !speaks_v1 {
            conversation.follow_topics(gateway, &Start::Now);
        }
        conversation
    }

    /// Whether another message is within what the client may say.
    pub(crate) fn may_speak(&mut self) -> bool {
        self.allowance.take_one()
    }

    /// Topics came or went: all that a new one holds is news to a client that gets everything.
    pub(crate) fn topics_changed(&mut self, gateway: &Gateway) {
        if self.speaks_v1 {
            return;
        }
        self.subscriptions
            .retain(|subscription| !subscription.topic().is_gone());
        self.follow_topics(gateway, &Start::From(Vec::new()));
    }

    fn follow_topics(&mut self, gateway: &Gateway, start: &Start) {
        for topic in gateway.topics() {
            if !self
                .subscriptions
                .iter()
                .any(|subscription| Arc::ptr_eq(subscription.topic(), &topic))
            {
                self.subscriptions.push(Subscription::new(
                    topic,
                    Format::Raw,
                    start.clone(),
                    false,
                    self.signal.clone(),
                ));
            }
        }
    }

    /// Answers one message.
    pub(crate) fn hear(&mut self, gateway: &Gateway, text: &str, replies: &mut Replies) {
        if !self.speaks_v1 {
            return;
        }
        let answer = match ClientMessage::parse(text) {
            Ok(ClientMessage::Subscribe(subscribe)) => self.subscribe(gateway, subscribe),
            Ok(ClientMessage::Unsubscribe(unsubscribe)) => self.unsubscribe(unsubscribe),
            Ok(ClientMessage::Ping(Ping { r#ref })) => Ok(ServerMessage::Pong(Pong { r#ref })),
            Err(refused) => Err(refused),
        };
        let answer = answer.unwrap_or_else(
            |ProtocolError {
                 code,
                 message,
                 reference,
             }| {
                ServerMessage::Error(Failure {
                    code,
                    message,
                    sub: None,
                    topic: None,
                    r#ref: reference,
                })
            },
        );
        replies.push_text(&answer.to_json());
    }

    fn subscribe(&mut self, gateway: &Gateway, subscribe: Subscribe) -> Result<ServerMessage, ProtocolError> {
        let refuse = |code, message: String| ProtocolError {
            code,
            message,
            reference: subscribe.r#ref.clone(),
        };
        if let Some(member) = subscribe.unsupported() {
            let message = format!("\"{member}\" is not supported by this server yet; leave it out");
            return Err(refuse(ErrorCode::Unsupported, message));
        }
        let limit = gateway.options.subscriptions_max;
        self.subscriptions.retain(|subscription| !subscription.has_ended());
        if self.subscriptions.len() >= limit {
            let message = format!("this connection has {limit} subscriptions, as many as it may; unsubscribe first");
            return Err(refuse(ErrorCode::TooManySubscriptions, message));
        }
        let topic = gateway.topic(&subscribe.topic);
        let topic = topic.ok_or_else(|| {
            let missing = gateway.missing(&subscribe.topic);
            refuse(missing.code(), missing.sentence(&subscribe.topic))
        })?;
        let sub = topic.feed(Format::V1).voice.sub;
        if self.subscriptions.iter().any(|subscription| subscription.sub() == sub) {
            let message = format!("this connection has this subscription already, as number {sub}");
            return Err(refuse(ErrorCode::AlreadySubscribed, message));
        }
        let start = start_of(&topic, subscribe.snapshot, subscribe.cursor.as_deref());
        let start = start.map_err(|error| refuse(ErrorCode::BadCursor, error.to_string()))?;
        let subscription = Subscription::new(topic, Format::V1, start, subscribe.snapshot, self.signal.clone());
        let schema = subscription.shape().map(|shape| shape.schema.clone());
        // Most clients have one: room for four, as a vector would take, is memory for nothing.
        self.subscriptions.reserve_exact(1);
        self.subscriptions.push(subscription);
        Ok(ServerMessage::Subscribed(Subscribed {
            sub,
            topic: subscribe.topic,
            r#ref: subscribe.r#ref,
            schema,
        }))
    }

    fn unsubscribe(&mut self, Unsubscribe { sub }: Unsubscribe) -> Result<ServerMessage, ProtocolError> {
        let index = self
            .subscriptions
            .iter()
            .position(|subscription| subscription.sub() == sub);
        let Some(index) = index else {
            let message = format!("this connection has no subscription of number {sub}");
            return Err(ProtocolError {
                code: ErrorCode::NotSubscribed,
                message,
                reference: None,
            });
        };
        self.subscriptions.swap_remove(index);
        Ok(ServerMessage::Unsubscribed(Unsubscribed { sub }))
    }

    /// Collects what the subscriptions have to send until `each` has enough.
    pub(crate) fn gather(
        &mut self,
        readers: &Readers,
        cx: &mut Context<'_>,
        each: &mut dyn FnMut(usize, Slice) -> bool,
    ) {
        let count = self.subscriptions.len();
        self.first = if self.first + 1 < count { self.first + 1 } else { 0 };
        for index in (self.first..count).chain(0..self.first.min(count)) {
            let subscription = &mut self.subscriptions[index];
            let mut wants_more = true;
            // Twice at most: a subscription that has just fallen off the ring waits for a reader then.
            while subscription.advance(readers, cx) {
                let mut gave = false;
                subscription.slices(readers, &mut |slice| {
                    gave = true;
                    wants_more = each(index, slice);
                    wants_more
                });
                if gave {
                    break;
                }
            }
            if !wants_more {
                return;
            }
        }
    }

    /// A subscription's slice was sent up to the end of one of its frames.
    pub(crate) fn sent(&mut self, gateway: &Gateway, index: usize, slice: &Slice, to: usize) {
        let subscription = &mut self.subscriptions[index];
        if let Some(from) = subscription.sent(slice, to, &gateway.readers) {
            gateway.measure(&slice.frames, from, to);
        }
    }
}

/// Where a subscription begins: at the client's cursor if it is of use.
pub(crate) fn start_of(topic: &Topic, snapshot: bool, cursor: Option<&str>) -> Result<Start, CursorError> {
    let Some(cursor) = cursor else {
        return Ok(if snapshot { Start::Rows } else { Start::Now });
    };
    match Cursor::decode(cursor, &topic.cursor_key) {
        Ok(Cursor { next_offsets }) => Ok(Start::From(next_offsets)),
        Err(CursorError::OtherTopic) => Ok(Start::Anew(ResetReason::OtherTopic)),
        Err(CursorError::OtherEpoch) => Ok(Start::Anew(ResetReason::OtherEpoch)),
        Err(error) => Err(error),
    }
}
