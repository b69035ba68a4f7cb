//! Knows every session, so that one task can look after all of them: no session has a timer of its own.
//!
//! The sweeper runs once a second while there are sessions and sleeps while there are none. It asks silent clients
//! whether they are there, gives up those that do not answer or do not read, and ends closings that take too long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    metrics::GatewayMetrics,
    options::GatewayOptions,
    signal::{Clock, Reason, Signal},
};

/// How often the sweeper looks.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How long a client may take to end a connection whose close frame it was sent.
const CLOSING_S_MAX: u32 = 5;

/// See the module.
#[derive(Debug)]
pub(crate) struct Registry {
    sessions: Mutex<Sessions>,
    clock: Clock,
    metrics: GatewayMetrics,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Sessions {
    slots: Vec<Option<Arc<Signal>>>,
    free: Vec<usize>,
    count: usize,
}

/// A session's entry; ends when dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    registry: Arc<Registry>,
    signal: Arc<Signal>,
    slot: usize,
}

impl Registry {
    pub(crate) fn new(metrics: GatewayMetrics) -> Registry {
        Registry {
            sessions: Mutex::default(),
            clock: Clock::start(),
            metrics,
            changed: Notify::new(),
        }
    }

    pub(crate) fn register(self: &Arc<Self>) -> Registration {
        let signal = Arc::new(Signal::default());
        signal.heard_s.store(self.clock.seconds(), Ordering::Relaxed);
        let mut sessions = self.sessions.lock();
        let slot = match sessions.free.pop() {
            Some(slot) => slot,
            None => {
                sessions.slots.push(None);
                sessions.slots.len() - 1
            }
        };
        sessions.slots[slot] = Some(signal.clone());
        sessions.count += 1;
        drop(sessions);
        self.metrics.sessions.inc();
        self.changed.notify_waiters();
        Registration {
            registry: self.clone(),
            signal,
            slot,
        }
    }

    /// Wakes every session.
    pub(crate) fn wake_all(&self, reason: Reason) {
        self.sessions
            .lock()
            .slots
            .iter()
            .flatten()
            .for_each(|signal| signal.wake(reason));
    }

    /// Ends every session at once.
    pub(crate) fn give_up_all(&self) {
        self.sessions.lock().slots.iter().flatten().for_each(|signal| {
            give_up(signal);
        });
    }

    pub(crate) fn count(&self) -> usize {
        self.sessions.lock().count
    }

    /// Waits until no session is left.
    pub(crate) async fn empty(&self) {
        self.wait_for(|count| count == 0).await;
    }

    async fn wait_for(&self, right: impl Fn(usize) -> bool) {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if right(self.count()) {
                return;
            }
            changed.await;
        }
    }

    /// Looks after the sessions for ever.
    pub(crate) async fn sweep(self: Arc<Self>, options: GatewayOptions) {
        loop {
            self.wait_for(|count| count > 0).await;
            tokio::time::sleep(SWEEP_INTERVAL).await;
            let now = self.clock.seconds();
            for signal in self.sessions.lock().slots.iter().flatten() {
                match check(signal, now, &options) {
                    Check::Fine => {}
                    Check::Ask => signal.wake(Reason::Ping),
                    Check::GiveUp => {
                        // A session may take its time to end.
                        if give_up(signal) {
                            self.metrics.sessions_given_up.inc();
                        }
                    }
                }
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Check {
    Fine,
    Ask,
    GiveUp,
}

fn check(signal: &Signal, now: u32, options: &GatewayOptions) -> Check {
    let age = |since: &AtomicU32| match since.load(Ordering::Relaxed) {
        0 => 0,
        since => now.saturating_sub(since),
    };
    let seconds = |duration: Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX).max(1);
    let silent = age(&signal.heard_s);
    if age(&signal.closing_s) >= CLOSING_S_MAX
        || age(&signal.stalled_s) >= seconds(options.stalled_after)
        || silent >= seconds(options.dead_after)
    {
        return Check::GiveUp;
    }
    let last_asked = signal.asked_s.load(Ordering::Relaxed);
    let asked_lately = last_asked != 0 && now.saturating_sub(last_asked) < seconds(options.ping_after);
    if silent < seconds(options.ping_after) || asked_lately {
        return Check::Fine;
    }
    signal.asked_s.store(now, Ordering::Relaxed);
    Check::Ask
}

/// Ends the session; false when it was told before.
fn give_up(signal: &Signal) -> bool {
    let told_before = signal.given_up.swap(true, Ordering::AcqRel);
    signal.wake(Reason::GiveUp);
    !told_before
}

impl Registration {
    pub(crate) fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    fn now(&self) -> u32 {
        self.registry.clock.seconds()
    }

    /// The client said something, or took something that it had not room for before.
    pub(crate) fn heard(&self) {
        self.signal.heard_s.store(self.now(), Ordering::Relaxed);
    }

    /// Whether the client took nothing when it was last offered something.
    pub(crate) fn is_stalled(&self) -> bool {
        self.signal.stalled_s.load(Ordering::Relaxed) != 0
    }

    /// Data waits and the client takes none.
    pub(crate) fn stalled(&self) {
        if self.signal.stalled_s.load(Ordering::Relaxed) == 0 {
            self.signal.stalled_s.store(self.now(), Ordering::Relaxed);
        }
    }

    /// The client took something.
    pub(crate) fn accepted(&self) {
        if self.signal.stalled_s.load(Ordering::Relaxed) != 0 {
            self.signal.stalled_s.store(0, Ordering::Relaxed);
            self.heard();
        }
    }

    /// Our close frame is on its way.
    pub(crate) fn closing(&self) {
        self.signal.closing_s.store(self.now(), Ordering::Relaxed);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut sessions = self.registry.sessions.lock();
        sessions.slots[self.slot] = None;
        sessions.free.push(self.slot);
        sessions.count -= 1;
        let empty = sessions.count == 0;
        drop(sessions);
        self.registry.metrics.sessions.dec();
        if empty {
            self.registry.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_client_is_asked_and_then_given_up() {
        let options = GatewayOptions::default();
        let signal = Signal::default();
        signal.heard_s.store(100, Ordering::Relaxed);
        let answers: Vec<(u32, Check)> = (100..150)
            .map(|now| (now, check(&signal, now, &options)))
            .filter(|(_, check)| *check != Check::Fine)
            .take(3)
            .collect();
        assert_eq!(answers, [(120, Check::Ask), (140, Check::Ask), (145, Check::GiveUp)]);
    }

    #[test]
    fn a_session_that_takes_its_time_to_end_is_counted_once() {
        let signal = Signal::default();
        assert_eq!([(); 3].map(|()| give_up(&signal)), [true, false, false]);
    }

    #[test]
    fn a_client_that_takes_nothing_is_given_up_though_it_speaks() {
        let options = GatewayOptions::default();
        let signal = Signal::default();
        signal.stalled_s.store(100, Ordering::Relaxed);
        signal.heard_s.store(129, Ordering::Relaxed);
        assert_eq!(check(&signal, 129, &options), Check::Fine);
        assert_eq!(check(&signal, 130, &options), Check::GiveUp);
    }
}
