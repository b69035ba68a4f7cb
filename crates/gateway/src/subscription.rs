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
    num::NonZeroU32,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rowcast_protocol::{ErrorCode, ResetReason};
use tokio::sync::oneshot;

use crate::{
    apart::{Apart, Meeting},
    encode::{Format, Voice},
    feed::{Feed, Membership},
    frames::{Frames, FramesBuilder},
    produced::{Announcement, Produced, Then},
    readers::Readers,
    ring::Slice,
    schemas::Shape,
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
    next_place: u64,
    /// What it has, where that is no place in the order that this gateway has seen.
    apart: Option<Box<Apart>>,
    /// The client keeps the table: after a reset the rows are sent again.
    wants_rows: bool,
    /// The topic's cuts when the client had the table, if it keeps one: changes tell the rest, unless there are more.
    cuts: Option<NonZeroU32>,
    /// When to say that the client has all there was.
    announcement: Announcement,
}

/// Where a subscription begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the rows.
    Rows,
    /// With whatever comes next.
    Now,
    /// After what the client had: the next offset of each partition.
    From(Vec<u64>),
    /// From the beginning, because the client's cursor is of no use.
    Anew(ResetReason),
}

enum Stage {
    /// The view is not complete yet, or the table's first snapshot has not ended.
    Building { told_below: u64 },
    /// A reader is at work for us.
    Waiting(oneshot::Receiver<Box<Produced>>),
    /// A block of our own is being sent.
    Sending(Box<Sending>),
    /// The ring has what we need next.
    Live { position: u64 },
    /// The feed has not come to our offset yet.
    Ahead { told_below: u64 },
    /// Nothing more comes.
    Ended,
}

struct Sending {
    frames: Arc<Frames>,
    from: usize,
    then: Then,
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
            next_place: 0,
            apart: None,
            wants_rows,
            cuts: None,
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
        // The client is told the shape once we exist; the follower may know of a later one by the time we begin.
        let told_below = self.topic.published();
        match start {
            Start::Rows => {
                self.wants_rows = true;
                self.stage = Stage::Building { told_below };
            }
            Start::From(next_offsets) => {
                let cuts = self.topic.cuts.number();
                let found = self.topic.sequence.read().find(&next_offsets);
                self.next_place = found.unwrap_or_default();
                self.apart = found.is_none().then(|| Box::new(Apart::new(next_offsets)));
                if self.wants_rows {
                    self.cuts = cuts;
                    if found.is_some_and(|place| place < self.topic.cuts.place()) {
                        return self.reset(ResetReason::Truncated);
                    }
                }
                self.stage = Stage::Ahead { told_below };
            }
            Start::Now => {
                self.next_place = if self.topic.is_ready() {
                    self.feed().end().place
                } else {
                    self.topic.end_place()
                };
                self.stage = Stage::Ahead { told_below };
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

    /// The shape of the rows where this subscription begins.
    pub(crate) fn shape(&self) -> Option<Arc<Shape>> {
        let schemas = &self.topic.shared.schemas;
        schemas.catch_up();
        let place = match self.stage {
            Stage::Ahead { .. } if self.apart.is_none() => self.next_place,
            _ => self.topic.end_place(),
        };
        schemas.at(&self.topic.name, place)
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
                _ if self.cuts.is_some() && self.cuts != self.topic.cuts.number() => {
                    self.reset(ResetReason::Truncated);
                    true
                }
                Stage::Live { position } => {
                    let position = *position;
                    match self.announcement {
                        Announcement::At { position: due } if position >= due => self.announce(readers),
                        _ => return self.membership.feed().has_news(position),
                    }
                }
                &mut Stage::Building { told_below } => self.begin_rows(readers, told_below),
                Stage::Waiting(result) => match Pin::new(result).poll(cx) {
                    Poll::Pending => false,
                    Poll::Ready(Ok(produced)) => self.take(*produced, readers),
                    Poll::Ready(Err(_)) => self.fail("the log could not be read"),
                },
                &mut Stage::Ahead { told_below } => self.seek(readers, told_below),
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
                self.next_place = slice.frames.ends[frame].next_place;
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

    fn begin_rows(&mut self, readers: &Readers, told_below: u64) -> bool {
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
        self.take_snapshot(readers, told_below);
        true
    }

    /// Finds `next_place` in the ring, or has it read from the log.
    fn seek(&mut self, readers: &Readers, told_below: u64) -> bool {
        if self.apart.is_some() && !self.meet(readers) {
            return !matches!(self.stage, Stage::Ahead { .. });
        }
        let next_place = self.next_place;
        if next_place <= self.feed().end().place
            && let Some(shape) = self.topic.shape_before(next_place, told_below)
        {
            // Once: from here on each shape comes with its first change.
            let tell = |voice: &Voice, out: &mut FramesBuilder| voice.schema(&shape, out);
            let frames = Arc::new(self.feed().voice.block(next_place, tell));
            let announcement = self.announcement;
            self.go_on_after(frames, next_place, announcement, readers);
            return true;
        }
        let feed = self.membership.feed();
        match feed.seek(self.next_place) {
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
            None if self.next_place > feed.end().place => false,
            None => {
                self.replay(readers);
                true
            }
        }
    }

    /// Looks whether what the client has is a place of ours by now; if it can become one, the rest is on its way.
    fn meet(&mut self, readers: &Readers) -> bool {
        let Some(apart) = self.apart.as_ref().filter(|_| self.topic.is_ready()) else {
            return false;
        };
        if self.wants_rows && !apart.has_passed(&self.topic.cuts.offsets.lock()) {
            self.reset(ResetReason::Truncated);
            return false;
        }
        let meeting = apart.meet(&self.topic.sequence.read());
        match meeting {
            Meeting::At(place) => {
                self.next_place = place;
                self.apart = None;
                return true;
            }
            Meeting::NotYet => {}
            Meeting::After(ahead) => self.catch_up_apart(readers, ahead),
        }
        false
    }

    /// "From here on it is live"; before it what was left out, unless the rows had that with them.
    fn announce(&mut self, readers: &Readers) -> bool {
        let next_place = self.next_place;
        // A place in the ring is never too long ago to be known.
        let next_offsets = self.topic.offsets(next_place).unwrap_or_default();
        let stale_since_ms = *self.topic.stale_since_ms.lock();
        let complaint = self.topic.complaint();
        let frames = self.feed().voice.block(next_place, |voice, out| {
            voice.complaint(complaint, out);
            voice.live(&next_offsets, out);
            if stale_since_ms.is_some() {
                voice.freshness(stale_since_ms, out);
            }
        });
        self.go_on_after(Arc::new(frames), next_place, Announcement::Made, readers);
        true
    }

    fn go_on_after(&mut self, frames: Arc<Frames>, next_place: u64, announcement: Announcement, readers: &Readers) {
        let then = Then::Tail {
            next_place,
            announcement,
        };
        self.send(frames, 0, then, readers);
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
            Then::Page(snapshot, first) => {
                self.cuts = snapshot.cuts;
                self.page(readers, snapshot, first);
            }
            Then::Tail {
                next_place,
                announcement,
            } => {
                self.next_place = next_place;
                self.announcement = announcement;
                self.stage = Stage::Ahead { told_below: next_place };
            }
            Then::Apart(apart) => {
                let told_below = self.topic.published();
                self.apart = Some(apart);
                self.stage = Stage::Ahead { told_below };
            }
            Then::Lost(reason) => self.reset(reason),
            Then::Rows { told_below } => self.stage = Stage::Building { told_below },
            Then::End => self.stage = Stage::Ended,
        }
    }

    /// Says why the client must begin anew; then come its rows, or only what is new.
    fn reset(&mut self, reason: ResetReason) {
        self.apart = None;
        self.cuts = None;
        self.topic.shared.metrics.resets.inc();
        let (told_below, end_place) = (self.topic.published(), self.topic.end_place());
        let shape = self.topic.shared.schemas.at(&self.topic.name, end_place);
        let frames = self.feed().voice.block(end_place, |voice, out| {
            voice.reset(reason, out);
            if let Some(shape) = shape {
                voice.schema(&shape, out);
            }
        });
        let then = match self.wants_rows {
            true => Then::Rows { told_below },
            false => Then::Tail {
                next_place: end_place,
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
            .block(self.next_place, |voice, out| voice.end(code, why, out));
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

    fn take_snapshot(&mut self, readers: &Readers, told_below: u64) {
        self.produce(readers, move |topic, voice| {
            Produced::snapshot(topic, voice, told_below)
        });
    }

    fn page(&mut self, readers: &Readers, snapshot: Arc<Snapshot>, first: usize) {
        self.produce(readers, move |topic, voice| {
            Produced::page(topic, voice, snapshot, first)
        });
    }

    fn replay(&mut self, readers: &Readers) {
        let (feed, from, announcement) = (self.feed().clone(), self.next_place, self.announcement);
        self.produce(readers, move |topic, voice| {
            Produced::replay(topic, voice, &feed, from, announcement)
        });
    }

    fn catch_up_apart(&mut self, readers: &Readers, apart: Box<Apart>) {
        self.produce(readers, move |topic, voice| Produced::apart(topic, voice, apart));
    }

    fn produce(&mut self, readers: &Readers, work: impl FnOnce(&Topic, &Voice) -> Produced + Send + 'static) {
        let (topic, feed) = (self.topic.clone(), self.feed().clone());
        self.stage = Stage::Waiting(readers.run(move || Box::new(work(&topic, &feed.voice))));
    }
}
