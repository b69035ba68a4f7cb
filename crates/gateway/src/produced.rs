//! What readers make for one subscription, because reading the log may take longer than a session's thread may wait.
//!
//! Promises: each block says what follows it, a log that cannot be read included. Knows nothing of where the subscription
//! is or of who sends.

use std::sync::Arc;

use rowcast_log::LogError;
use rowcast_protocol::{ErrorCode, ResetReason};

use crate::{apart::Apart, encode::Voice, feed::Feed, frames::Frames, snapshot::Snapshot, topic::Topic};

/// What a reader has made.
pub(crate) struct Produced {
    pub(crate) frames: Arc<Frames>,
    pub(crate) from: usize,
    pub(crate) rows: usize,
    pub(crate) then: Then,
}

/// What follows a block.
pub(crate) enum Then {
    Page(Arc<Snapshot>, usize),
    /// The tail, from the ring if it has it and from the log if not.
    Tail {
        next_place: u64,
        announcement: Announcement,
    },
    /// The log no longer has what we need.
    Lost(ResetReason),
    /// More of what the client lacks of this gateway's order.
    Apart(Box<Apart>),
    /// The rows again.
    Rows {
        told_below: u64,
    },
    End,
}

/// Whether `live` is still to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Announcement {
    Made,
    /// Once the tail is reached.
    Due,
    /// Once all that the ring had when the tail was reached is sent.
    At {
        position: u64,
    },
}

impl Produced {
    /// The table's rows as they are now; their pages follow.
    pub(crate) fn snapshot(topic: &Topic, voice: &Voice, told_below: u64) -> Produced {
        let snapshot = Snapshot::of(topic);
        // The shape may have changed since the client was told.
        topic.shared.schemas.catch_up();
        let schemas = &topic.shared.schemas;
        let shape = schemas.newer(&topic.name, told_below, snapshot.next_place);
        let frames = voice.block(0, |voice, out| {
            shape.iter().for_each(|shape| voice.schema(shape, out));
            voice.complaint(topic.complaint(), out);
        });
        Produced::whole(Arc::new(frames), Then::Page(snapshot, 0))
    }

    /// One page of the rows.
    pub(crate) fn page(topic: &Topic, voice: &Voice, snapshot: Arc<Snapshot>, first: usize) -> Produced {
        match snapshot.page(topic, voice, first) {
            Ok(page) => Produced {
                frames: page.frames,
                from: 0,
                rows: page.rows,
                then: match page.next {
                    Some(next) => Then::Page(snapshot, next),
                    None => Then::Tail {
                        next_place: snapshot.next_place,
                        announcement: Announcement::Made,
                    },
                },
            },
            Err(error) => Produced::failed(topic, voice, &error, ResetReason::Expired),
        }
    }

    /// A part of the log, for who is not on the ring.
    pub(crate) fn replay(topic: &Topic, voice: &Voice, feed: &Feed, from: u64, announcement: Announcement) -> Produced {
        // Where the ring was when the client left it means nothing when it comes back.
        let (announcement, lost) = match announcement {
            Announcement::Made => (Announcement::Made, ResetReason::FellBehind),
            Announcement::Due | Announcement::At { .. } => (Announcement::Due, ResetReason::Expired),
        };
        match feed.replayed.read(topic, voice, from) {
            Ok(part) => Produced {
                frames: part.frames,
                from: part.from,
                rows: 0,
                then: Then::Tail {
                    next_place: part.next_place,
                    announcement,
                },
            },
            Err(error) => Produced::failed(topic, voice, &error, lost),
        }
    }

    /// What the client lacks, where what it has is no place in this gateway's order.
    pub(crate) fn apart(topic: &Topic, voice: &Voice, mut apart: Box<Apart>) -> Produced {
        match apart.read(topic, voice) {
            Ok(frames) => Produced::whole(Arc::new(frames), Then::Apart(apart)),
            Err(error) => Produced::failed(topic, voice, &error, ResetReason::Expired),
        }
    }

    fn whole(frames: Arc<Frames>, then: Then) -> Produced {
        Produced {
            frames,
            from: 0,
            rows: 0,
            then,
        }
    }

    fn failed(topic: &Topic, voice: &Voice, error: &LogError, lost: ResetReason) -> Produced {
        if matches!(error, LogError::OutOfRange { .. }) {
            return Produced::whole(Arc::default(), Then::Lost(lost));
        }
        tracing::error!(topic = %topic.name, %error, "a subscription ends: its log cannot be read");
        let why = "the server could not read its log; subscribe again, with the last cursor".to_owned();
        let frames = voice.block(0, |voice, out| voice.end(ErrorCode::Internal, why, out));
        Produced::whole(Arc::new(frames), Then::End)
    }
}
