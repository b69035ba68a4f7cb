//! Decides how far PostgreSQL may forget.
//!
//! PostgreSQL discards WAL up to the LSN we confirm, so a commit is confirmed only once the flush that carried it is
//! durable in every partition. While idle, the server's own WAL end is confirmed, or another database's writes would
//! hold WAL back for ever; that position is first made durable in the log (see `state.rs`), so that a slot ahead of the
//! log always means that the log lost something. Knows nothing of sockets.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use rowcast_event::{Lsn, TransactionMark};
use rowcast_log::FlushSeq;

/// WAL that may pile up behind an idle connector before its position is written down and confirmed.
///
/// 16 MiB is one WAL segment: PostgreSQL removes whole segments, so confirming more finely frees nothing.
const IDLE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How often an idle position may be written down when little WAL is written.
///
/// Each takes a record and an fsync; the server offers one at least every half `wal_sender_timeout` (30 s).
const IDLE_INTERVAL: Duration = Duration::from_secs(10);

/// What a keepalive offers while nothing of ours is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdlePosition {
    pub(crate) wal_end: Lsn,
    /// The server waits for an answer.
    pub(crate) asked: bool,
}

/// Commits on their way to durability, and what was confirmed.
#[derive(Debug)]
pub(crate) struct Confirmation {
    /// (flush, the last commit in it), oldest first. Bounded by the log's own bound on unsynced flushes:
    /// flushes that share a sync are merged in [`Confirmation::flushed`].
    pending: VecDeque<(FlushSeq, TransactionMark)>,
    /// The last of the commits appended but not yet flushed.
    appended: Option<TransactionMark>,
    /// In the middle of a transaction nothing of the server's WAL end is ours to confirm.
    in_transaction: bool,
    confirmed: Lsn,
    last_idle: Option<Instant>,
}

/// Unsynced flushes that are told apart; beyond it the newest takes the place of the last one.
///
/// Confirming a little later is always safe, and 64 groups are a second of a slow disk.
const PENDING_MAX: usize = 64;

impl Confirmation {
    pub(crate) fn new(confirmed: Lsn) -> Confirmation {
        Confirmation {
            pending: VecDeque::new(),
            appended: None,
            in_transaction: false,
            confirmed,
            last_idle: None,
        }
    }

    pub(crate) fn begin(&mut self) {
        self.in_transaction = true;
    }

    pub(crate) fn commit(&mut self, mark: TransactionMark) {
        self.in_transaction = false;
        self.appended = Some(mark);
    }

    /// All that was appended went out with this flush.
    pub(crate) fn flushed(&mut self, flush: FlushSeq) {
        let Some(mark) = self.appended.take() else { return };
        if self.pending.len() == PENDING_MAX {
            self.pending.pop_back();
        }
        self.pending.push_back((flush, mark));
    }

    /// Everything up to this flush is durable: the commit up to whose end may be confirmed now, if that is news.
    pub(crate) fn durable(&mut self, flush: FlushSeq) -> Option<TransactionMark> {
        let mut news = None;
        while let Some(&(pending, mark)) = self.pending.front()
            && pending <= flush
        {
            self.pending.pop_front();
            news = Some(mark);
        }
        news.filter(|mark| mark.end_lsn > self.confirmed)
            .inspect(|mark| self.confirmed = mark.end_lsn)
    }

    /// The server's WAL end, offered in a keepalive: worth writing down and confirming? A server that asks gets its
    /// answer at once: one that shuts down waits for it.
    pub(crate) fn idle(&self, IdlePosition { wal_end, asked }: IdlePosition, now: Instant) -> bool {
        let quiet = !self.in_transaction && self.appended.is_none() && self.pending.is_empty();
        let behind = wal_end.0.saturating_sub(self.confirmed.0);
        let due = self
            .last_idle
            .is_none_or(|last| now.duration_since(last) >= IDLE_INTERVAL);
        quiet && behind > 0 && (asked || behind >= IDLE_BYTES_MAX || due)
    }

    /// An idle position was written down durably.
    pub(crate) fn idle_written(&mut self, wal_end: Lsn, now: Instant) {
        self.confirmed = self.confirmed.max(wal_end);
        self.last_idle = Some(now);
    }

    /// Whether a transaction has begun that has not ended.
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Whether a commit was appended that no flush has carried yet.
    pub(crate) fn has_unflushed_commit(&self) -> bool {
        self.appended.is_some()
    }

    /// The connection is new, its slot stands at `confirmed`: every commit after that comes again and is confirmed then.
    pub(crate) fn reconnected(&mut self, confirmed: Lsn) {
        *self = Confirmation {
            last_idle: self.last_idle,
            ..Confirmation::new(confirmed)
        };
    }

    pub(crate) fn confirmed(&self) -> Lsn {
        self.confirmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends_at(end: u64) -> TransactionMark {
        TransactionMark {
            commit_lsn: Lsn(end - 5),
            end_lsn: Lsn(end),
            changes: 1,
            ts_us: 0,
        }
    }

    fn offered(wal_end: Lsn) -> IdlePosition {
        IdlePosition { wal_end, asked: false }
    }

    #[test]
    fn t01_a_commit_is_confirmed_only_after_its_flush_is_durable() {
        let mut confirmation = Confirmation::new(Lsn(5));
        confirmation.begin();
        confirmation.commit(ends_at(10));
        assert_eq!(confirmation.durable(FlushSeq(9)), None, "not flushed yet");
        confirmation.flushed(FlushSeq(10));
        assert_eq!(confirmation.durable(FlushSeq(9)), None);
        assert_eq!(confirmation.durable(FlushSeq(10)), Some(ends_at(10)));
        assert_eq!(confirmation.durable(FlushSeq(11)), None);
    }

    #[test]
    fn t02_a_keepalive_confirms_nothing_while_a_commit_waits_for_its_sync() {
        let now = Instant::now();
        let mut confirmation = Confirmation::new(Lsn(5));
        assert!(confirmation.idle(offered(Lsn(50)), now));
        confirmation.begin();
        assert!(!confirmation.idle(offered(Lsn(50)), now), "inside a transaction");
        confirmation.commit(ends_at(10));
        assert!(!confirmation.idle(offered(Lsn(50)), now), "appended, not flushed");
        confirmation.flushed(FlushSeq(1));
        assert!(!confirmation.idle(offered(Lsn(50)), now), "flushed, not durable");
        confirmation.durable(FlushSeq(1));
        assert!(confirmation.idle(offered(Lsn(50)), now));
    }

    #[test]
    fn t03_an_idle_position_is_confirmed_at_once_when_a_segment_of_wal_waits() {
        let now = Instant::now();
        let mut confirmation = Confirmation::new(Lsn(5));
        confirmation.idle_written(Lsn(50), now);
        assert!(
            !confirmation.idle(offered(Lsn(51)), now),
            "a trickle waits for the interval"
        );
        assert!(
            confirmation.idle(
                IdlePosition {
                    wal_end: Lsn(51),
                    asked: true
                },
                now
            ),
            "a server that asks is answered"
        );
        assert!(confirmation.idle(offered(Lsn(51)), now + IDLE_INTERVAL));
        assert!(confirmation.idle(offered(Lsn(50 + IDLE_BYTES_MAX)), now));
        assert!(
            !confirmation.idle(offered(Lsn(50)), now + IDLE_INTERVAL),
            "never backwards, never for nothing"
        );
    }

    #[test]
    fn many_unsynced_flushes_are_confirmed_late_rather_than_never() {
        let mut confirmation = Confirmation::new(Lsn(0));
        for n in 1..=200 {
            confirmation.commit(ends_at(n * 10));
            confirmation.flushed(FlushSeq(n));
        }
        assert_eq!(confirmation.durable(FlushSeq(200)), Some(ends_at(2000)));
    }
}
