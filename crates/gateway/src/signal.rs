//! Wakes one session, for whatever reason, as cheaply as possible.
//!
//! A feed signals thousands of sessions for each change: a session that was signalled and has not run yet costs one
//! load. No reason is ever lost: what was signalled before [`Signal::take`] is in its answer or wakes the session again.

use std::{
    sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering},
    task::Waker,
    time::Instant,
};

use futures_util::task::AtomicWaker;

/// Why a session is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Reason {
    /// A feed has more, or a topic became ready.
    News = 1,
    /// The client was silent for long: ask whether it is there.
    Ping = 2,
    /// The gateway stops: say so and go.
    Drain = 4,
    /// The client does not answer or does not read: give it up.
    GiveUp = 8,
    /// Topics came or went.
    Topics = 16,
}

/// The reasons since the last look.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reasons(u8);

impl Reasons {
    pub(crate) fn contains(self, reason: Reason) -> bool {
        self.0 & reason as u8 != 0
    }
}

/// One session's door bell, and what the sweeper needs to know of it.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    waker: AtomicWaker,
    reasons: AtomicU8,
    /// Seconds of the [`Clock`] at which the client was last heard.
    pub(crate) heard_s: AtomicU32,
    /// Seconds of the [`Clock`] since which data waits and the client accepts none; 0 if none waits.
    pub(crate) stalled_s: AtomicU32,
    /// Seconds of the [`Clock`] at which our close frame was queued; 0 while the session is open.
    pub(crate) closing_s: AtomicU32,
    /// Seconds of the [`Clock`] at which the sweeper last asked whether the client is there.
    pub(crate) asked_s: AtomicU32,
    /// The sweeper has given the session up.
    pub(crate) given_up: AtomicBool,
}

impl Signal {
    /// Wakes the session for this reason, unless it is about to run for it anyway.
    pub(crate) fn wake(&self, reason: Reason) {
        let bit = reason as u8;
        // Whoever signals has published what the session will look at under a lock that the session takes after
        // `take`: a bit seen here as set will be taken after that.
        if self.reasons.load(Ordering::Acquire) & bit == 0 && self.reasons.fetch_or(bit, Ordering::AcqRel) & bit == 0 {
            self.waker.wake();
        }
    }

    /// Leaves the waker, then takes the reasons so far.
    pub(crate) fn take(&self, waker: &Waker) -> Reasons {
        self.waker.register(waker);
        Reasons(self.reasons.swap(0, Ordering::AcqRel))
    }
}

/// Whole seconds since the gateway started, from 1, in four bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock(Instant::now())
    }

    pub(crate) fn seconds(self) -> u32 {
        u32::try_from(self.0.elapsed().as_secs() + 1).unwrap_or(u32::MAX)
    }
}
