//! One stream of frames for everyone who asked for the same: a ring of recent frames and the sessions to wake.
//!
//! Encoded once, by the topic's follower; sessions come and go without its knowledge. A feed without sessions keeps no
//! frames and costs nothing.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use parking_lot::Mutex;

use crate::{
    encode::Voice,
    frames::Frames,
    replay::Replayed,
    ring::{Point, Ring, Slice},
    signal::{Reason, Signal},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) voice: Voice,
    /// For those behind the ring.
    pub(crate) replayed: Replayed,
    ring: Mutex<Ring>,
    /// The ring's end position, for a look without the lock.
    end_position: AtomicU64,
    /// Position up to which some session has written: the first to pass a frame measures it.
    measured: AtomicU64,
    members: Mutex<Members>,
    member_count: AtomicUsize,
}

#[derive(Debug, Default)]
struct Members {
    slots: Vec<Option<Arc<Signal>>>,
    free: Vec<usize>,
}

impl Feed {
    pub(crate) fn new(voice: Voice, next_place: u64, ring_bytes_max: usize) -> Feed {
        Feed {
            voice,
            replayed: Replayed::default(),
            ring: Mutex::new(Ring::new(next_place, ring_bytes_max)),
            end_position: AtomicU64::new(0),
            measured: AtomicU64::new(0),
            members: Mutex::default(),
            member_count: AtomicUsize::new(0),
        }
    }

    pub(crate) fn has_members(&self) -> bool {
        self.member_count.load(Ordering::Acquire) > 0
    }

    /// Adds the frames of the records from `first_place` to `next_place` and wakes everyone.
    pub(crate) fn publish(&self, first_place: u64, frames: Frames, next_place: u64) {
        let mut ring = self.ring.lock();
        ring.push(first_place, frames, next_place);
        self.end_position.store(ring.end().position, Ordering::Release);
        drop(ring);
        self.wake_all();
    }

    /// Goes on from `next_place` without frames: nobody listens, or the view was built first.
    pub(crate) fn skip_to(&self, next_place: u64) {
        let mut ring = self.ring.lock();
        if ring.end().place != next_place {
            ring.skip_to(next_place);
            self.end_position.store(ring.end().position, Ordering::Release);
        }
    }

    pub(crate) fn wake_all(&self) {
        for signal in self.members.lock().slots.iter().flatten() {
            signal.wake(Reason::News);
        }
    }

    /// Whether a session at `position` has something to send, or has fallen off the ring.
    pub(crate) fn has_news(&self, position: u64) -> bool {
        self.end_position.load(Ordering::Acquire) != position
    }

    pub(crate) fn end(&self) -> Point {
        self.ring.lock().end()
    }

    /// See [`Ring::seek`].
    pub(crate) fn seek(&self, place: u64) -> Option<Point> {
        self.ring.lock().seek(place)
    }

    /// See [`Ring::read`].
    pub(crate) fn read(&self, position: u64, each: impl FnMut(Slice) -> bool) -> bool {
        self.ring.lock().read(position, each)
    }

    /// True for the first session that gets to `position`; then everything from the answer on is new.
    pub(crate) fn first_to(&self, position: u64) -> Option<u64> {
        // Most sessions are not the first: they must not write to a cache line that all share.
        if self.measured.load(Ordering::Relaxed) >= position {
            return None;
        }
        let before = self.measured.fetch_max(position, Ordering::Relaxed);
        (before < position).then_some(before)
    }
}

/// A session's place among those that a feed wakes; ends when dropped.
#[derive(Debug)]
pub(crate) struct Membership {
    feed: Arc<Feed>,
    slot: usize,
}

impl Membership {
    pub(crate) fn join(feed: Arc<Feed>, signal: Arc<Signal>) -> Membership {
        let mut members = feed.members.lock();
        let slot = match members.free.pop() {
            Some(slot) => slot,
            None => {
                members.slots.push(None);
                members.slots.len() - 1
            }
        };
        members.slots[slot] = Some(signal);
        feed.member_count.fetch_add(1, Ordering::AcqRel);
        drop(members);
        Membership { feed, slot }
    }

    pub(crate) fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut members = self.feed.members.lock();
        members.slots[self.slot] = None;
        members.free.push(self.slot);
        if self.feed.member_count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.feed.replayed.clear();
        }
    }
}
