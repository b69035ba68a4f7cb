//! What one session gets of one feed, from its first row to the live tail, as blocks of frames to send.
//!
//! ```text
//!             rows                       log                    ring
//! Building -> Waiting <-> Sending -> Waiting <-> Sending -> Live --+
//!                                       ^         (Ahead: not yet) |
//!                                       +--- fell off the ring ----+
//! ```
//!
//! Promises: frames come in order, each once, whichever of the three they come from; `live` is said once, after the
//! rows or after what was missed. Knows nothing of sockets: who sends reports how far it got, always at the end of a
//! frame. Small, because there may be a hundred on a connection: what only a slow or starting client needs is boxed.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rowcast_log::LogError;
use rowcast_protocol::{ErrorCode, ResetReason};
use tokio::sync::oneshot;

use crate::{
    encode::{Format, Voice},
    feed::{Feed, Membership},
    frames::Frames,
    readers::Readers,
    ring::Slice,
    signal::Signal,
    snapshot::Snapshot,
    topic::Topic,
};

/// See the module.
pub(crate) struct Subscription {
    membership: Membership,
    topic: Arc<Topic>,
    stage: Stage,
    /// What the client has, it has up to here.
    next_offset: u64,
    /// After a reset the rows are sent again.
    wants_rows: bool,
    /// When to say that the client has all there was.
    announcement: Announcement,
}

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the rows.
    Rows,
    /// With whatever comes next.
    Now,
    /// After what the client had.
    From(u64),
    /// From the beginning, because the client's cursor is of no use.
    Anew(ResetReason),
}

/// Whether `live` is still to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Announcement {
    Made,
    /// Once the tail is reached.
    Due,
    /// Once all that the ring had when the tail was reached is sent.
    At {
        position: u64,
    },
}

enum Stage {
    /// The view is not complete yet, or the table's first snapshot has not ended.
    Building,
    /// A reader is at work for us.
    Waiting(oneshot::Receiver<Box<Produced>>),
    /// A block of our own is being sent.
    Sending(Box<Sending>),
    /// The ring has what we need next.
    Live { position: u64 },
    /// The feed has not come to our offset yet.
    Ahead,
    /// Nothing more comes.
    Ended,
}

struct Sending {
    frames: Arc<Frames>,
    from: usize,
    then: Then,
}

/// What a reader has made.
struct Produced {
    frames: Arc<Frames>,
    from: usize,
    rows: usize,
    then: Then,
}

/// What follows a block.
enum Then {
    Page(Arc<Snapshot>, usize),
    /// The tail, from the ring if it has it and from the log if not.
    Tail {
        next_offset: u64,
        announcement: Announcement,
    },
    /// The log no longer has what we need.
    Lost(ResetReason),
    /// The rows again.
    Rows {
        told_shape_offset: u64,
    },
    End,
}

impl Subscription {
    pub(crate) fn new(
        topic: Arc<Topic>,
        format: Format,
        start: Start,
        wants_rows: bool,
        signal: Arc<Signal>,
    ) -> Subscription {
        let membership = Membership::join(topic.feed(format), signal);
        let mut subscription = Subscription {
            membership,
            topic,
            stage: Stage::Ended,
            next_offset: 0,
            wants_rows,
            announcement: Announcement::Made,
        };
        subscription.begin(start);
        subscription
    }

    fn begin(&mut self, start: Start) {
        self.announcement = match self.feed().voice.format {
            Format::Raw => Announcement::Made,
            Format::V1 | Format::Sse => Announcement::Due,
        };
        match start {
            Start::Rows => {
                self.wants_rows = true;
                self.stage = Stage::Building;
            }
            Start::From(next_offset) => {
                self.next_offset = next_offset;
                self.stage = Stage::Ahead;
            }
            Start::Now => {
                self.next_offset = if self.topic.is_ready() {
                    self.feed().end().offset
                } else {
                    self.topic.end_offset()
                };
                self.stage = Stage::Ahead;
            }
            Start::Anew(reason) => self.reset(reason),
        }
    }

    pub(crate) fn feed(&self) -> &Arc<Feed> {
        self.membership.feed()
    }

    pub(crate) fn topic(&self) -> &Arc<Topic> {
        &self.topic
    }

    pub(crate) fn sub(&self) -> u32 {
        self.feed().voice.sub
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }

    /// Goes on as far as possible without sending anything; true when there is something to send.
    pub(crate) fn advance(&mut self, readers: &Readers, cx: &mut Context<'_>) -> bool {
        loop {
            let moved = match &mut self.stage {
                Stage::Sending(_) => return true,
                Stage::Ended => return false,
                _ if self.topic.is_gone() => self.end_with_topic(),
                Stage::Live { position } => {
                    let position = *position;
                    match self.announcement {
                        Announcement::At { position: due } if position >= due => self.announce(readers),
                        _ => return self.membership.feed().has_news(position),
                    }
                }
                Stage::Building => self.begin_rows(readers),
                Stage::Waiting(result) => match Pin::new(result).poll(cx) {
                    Poll::Pending => false,
                    Poll::Ready(Ok(produced)) => self.take(*produced, readers),
                    Poll::Ready(Err(_)) => self.fail("the log could not be read"),
                },
                Stage::Ahead => self.seek(readers),
            };
            if !moved {
                return false;
            }
        }
    }

    /// Hands out what is to be sent next until `each` has enough. Call after [`Subscription::advance`] said yes.
    pub(crate) fn slices(&mut self, readers: &Readers, each: &mut dyn FnMut(Slice) -> bool) {
        let is_kept = match &self.stage {
            Stage::Sending(sending) => {
                each(Slice {
                    frames: sending.frames.clone(),
                    from: sending.from,
                });
                true
            }
            Stage::Live { position } => self.membership.feed().read(*position, each),
            _ => true,
        };
        if !is_kept {
            self.topic.shared.metrics.ring_misses.inc();
            self.replay(readers);
        }
    }

    /// A slice was sent up to `to`, the end of one of its frames. Tells from where on this session was the feed's first
    /// to send it, if it was.
    pub(crate) fn sent(&mut self, slice: &Slice, to: usize, readers: &Readers) -> Option<usize> {
        match &mut self.stage {
            Stage::Live { position } => {
                *position += (to - slice.from) as u64;
                let position = *position;
                let frame = slice.frames.frame_at(to - 1);
                self.next_offset = slice.frames.ends[frame].next_offset;
                let measured = self.membership.feed().first_to(position)?;
                let unmeasured = position.saturating_sub(measured) as usize;
                Some(to.saturating_sub(unmeasured).max(slice.from))
            }
            Stage::Sending(sending) => {
                sending.from = to;
                if to == sending.frames.bytes.len() {
                    let then = std::mem::replace(&mut sending.then, Then::End);
                    self.go_on(then, readers);
                }
                None
            }
            _ => None,
        }
    }

    fn begin_rows(&mut self, readers: &Readers) -> bool {
        if !self.topic.is_ready() {
            return false;
        }
        if self.topic.view.lock().is_keyless() {
            let why = format!(
                "the records of {} have no key, so there are no rows to keep; subscribe with \"snapshot\": false",
                self.topic.name
            );
            return self.end_with(ErrorCode::NoKey, why);
        }
        self.take_snapshot(readers, self.topic.end_offset());
        true
    }

    /// Finds `next_offset` in the ring, or has it read from the log.
    fn seek(&mut self, readers: &Readers) -> bool {
        let feed = self.membership.feed();
        match feed.seek(self.next_offset) {
            Some(place) => {
                if self.announcement == Announcement::Due {
                    self.announcement = Announcement::At {
                        position: feed.end().position,
                    };
                }
                self.stage = Stage::Live {
                    position: place.position,
                };
                true
            }
            None if self.next_offset > feed.end().offset => false,
            None => {
                self.replay(readers);
                true
            }
        }
    }

    fn announce(&mut self, readers: &Readers) -> bool {
        let next_offset = self.next_offset;
        let frames = self
            .feed()
            .voice
            .block(next_offset, |voice, out| voice.live(next_offset, out));
        self.send(
            Arc::new(frames),
            0,
            Then::Tail {
                next_offset,
                announcement: Announcement::Made,
            },
            readers,
        );
        true
    }

    fn take(&mut self, produced: Produced, readers: &Readers) -> bool {
        self.topic.shared.metrics.snapshot_rows.inc_by(produced.rows as u64);
        self.send(produced.frames, produced.from, produced.then, readers);
        true
    }

    fn send(&mut self, frames: Arc<Frames>, from: usize, then: Then, readers: &Readers) {
        if from == frames.bytes.len() {
            self.go_on(then, readers);
        } else {
            self.stage = Stage::Sending(Box::new(Sending { frames, from, then }));
        }
    }

    fn go_on(&mut self, then: Then, readers: &Readers) {
        match then {
            Then::Page(snapshot, first) => self.page(readers, snapshot, first),
            Then::Tail {
                next_offset,
                announcement,
            } => {
                self.next_offset = next_offset;
                self.announcement = announcement;
                self.stage = Stage::Ahead;
            }
            Then::Lost(reason) => self.reset(reason),
            Then::Rows { told_shape_offset } => {
                if self.topic.is_ready() {
                    self.take_snapshot(readers, told_shape_offset);
                } else {
                    self.stage = Stage::Building;
                }
            }
            Then::End => self.stage = Stage::Ended,
        }
    }

    /// Says why the client must begin anew; then come its rows, or only what is new.
    fn reset(&mut self, reason: ResetReason) {
        self.topic.shared.metrics.resets.inc();
        let end_offset = self.topic.end_offset();
        let shape = self.topic.shared.schemas.at(&self.topic.name, end_offset);
        let frames = self.feed().voice.block(end_offset, |voice, out| {
            voice.reset(reason, out);
            if let Some(shape) = shape {
                voice.schema(&shape, out);
            }
        });
        let then = match self.wants_rows {
            true => Then::Rows {
                told_shape_offset: end_offset,
            },
            false => Then::Tail {
                next_offset: end_offset,
                announcement: Announcement::Due,
            },
        };
        self.stage = Stage::Sending(Box::new(Sending {
            frames: Arc::new(frames),
            from: 0,
            then,
        }));
    }

    fn end_with_topic(&mut self) -> bool {
        let why = format!(
            "topic {} was deleted or cannot be read; subscribe again when it is back",
            self.topic.name
        );
        self.end_with(ErrorCode::UnknownTopic, why)
    }

    fn fail(&mut self, why: &str) -> bool {
        self.end_with(
            ErrorCode::Internal,
            format!("{why}; subscribe again, with the last cursor"),
        )
    }

    fn end_with(&mut self, code: ErrorCode, why: String) -> bool {
        let frames = self
            .feed()
            .voice
            .block(self.next_offset, |voice, out| voice.error(code, why, true, out));
        self.stage = match frames.is_empty() {
            true => Stage::Ended,
            false => Stage::Sending(Box::new(Sending {
                frames: Arc::new(frames),
                from: 0,
                then: Then::End,
            })),
        };
        true
    }

    fn take_snapshot(&mut self, readers: &Readers, told_shape_offset: u64) {
        self.produce(readers, move |topic, voice| {
            let snapshot = Snapshot::of(topic);
            // The shape may have changed since the client was told.
            topic.shared.schemas.catch_up();
            let schemas = &topic.shared.schemas;
            let newer = schemas.first_from(&topic.name, told_shape_offset + 1) <= snapshot.next_offset;
            let shape = newer.then(|| schemas.at(&topic.name, snapshot.next_offset)).flatten();
            let frames = shape.map(|shape| voice.block(0, |voice, out| voice.schema(&shape, out)));
            Produced {
                frames: Arc::new(frames.unwrap_or_default()),
                from: 0,
                rows: 0,
                then: Then::Page(snapshot, 0),
            }
        });
    }

    fn page(&mut self, readers: &Readers, snapshot: Arc<Snapshot>, first: usize) {
        self.produce(readers, move |topic, voice| match snapshot.page(topic, voice, first) {
            Ok(page) => Produced {
                frames: page.frames,
                from: 0,
                rows: page.rows,
                then: match page.next {
                    Some(next) => Then::Page(snapshot, next),
                    None => Then::Tail {
                        next_offset: snapshot.next_offset,
                        announcement: Announcement::Made,
                    },
                },
            },
            Err(error) => Produced::failed(topic, voice, &error, ResetReason::Expired),
        });
    }

    fn replay(&mut self, readers: &Readers) {
        let from = self.next_offset;
        // Where the ring was when we left it means nothing when we come back.
        let (announcement, lost) = match self.announcement {
            Announcement::Made => (Announcement::Made, ResetReason::FellBehind),
            Announcement::Due | Announcement::At { .. } => (Announcement::Due, ResetReason::Expired),
        };
        let feed = self.feed().clone();
        self.produce(readers, move |topic, voice| {
            match feed.replayed.read(topic, voice, from) {
                Ok(part) => {
                    let then = Then::Tail {
                        next_offset: part.next_offset,
                        announcement,
                    };
                    Produced {
                        frames: part.frames,
                        from: part.from,
                        rows: 0,
                        then,
                    }
                }
                Err(error) => Produced::failed(topic, voice, &error, lost),
            }
        });
    }

    fn produce(&mut self, readers: &Readers, work: impl FnOnce(&Topic, &Voice) -> Produced + Send + 'static) {
        let (topic, feed) = (self.topic.clone(), self.feed().clone());
        self.stage = Stage::Waiting(readers.run(move || Box::new(work(&topic, &feed.voice))));
    }
}

impl Produced {
    fn failed(topic: &Topic, voice: &Voice, error: &LogError, lost: ResetReason) -> Produced {
        if matches!(error, LogError::OutOfRange { .. }) {
            return Produced {
                frames: Arc::default(),
                from: 0,
                rows: 0,
                then: Then::Lost(lost),
            };
        }
        tracing::error!(topic = %topic.name, %error, "a subscription ends: its log cannot be read");
        let why = "the server could not read its log; subscribe again, with the last cursor".to_owned();
        let frames = voice.block(0, |voice, out| voice.error(ErrorCode::Internal, why, true, out));
        Produced {
            frames: Arc::new(frames),
            from: 0,
            rows: 0,
            then: Then::End,
        }
    }
}
