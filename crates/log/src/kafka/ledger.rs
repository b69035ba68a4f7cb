//! Tells threads how far the brokers have acknowledged what was appended, and lets them wait for it.
//!
//! Told of appends and flushes by the appender, and of acknowledgements by [`super::producer`]; what follows from them is
//! counted by [`super::account`]. Knows nothing of librdkafka.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

pub(crate) use super::account::Failure;
use super::account::{Account, ROOM_BELOW_BYTES, UNDER_WAY_BYTES_MAX};
use crate::{FlushSeq, LogError, Offset, TopicPartition};

/// What has been appended, handed over and acknowledged.
pub(crate) struct Ledger {
    account: Mutex<Account>,
    /// Something was acknowledged, or failed, or the appender goes.
    changed: Condvar,
    durable: watch::Receiver<FlushSeq>,
    room: watch::Sender<bool>,
}

impl Ledger {
    /// `by_acks`: acknowledged is durable; otherwise only what is committed.
    pub(crate) fn new(by_acks: bool) -> Ledger {
        let (durable, receiver) = watch::channel(FlushSeq(0));
        Ledger {
            account: Mutex::new(Account::new(by_acks, durable)),
            changed: Condvar::new(),
            durable: receiver,
            room: watch::Sender::new(true),
        }
    }

    /// False while too much is under way.
    pub(crate) fn has_room(&self) -> watch::Receiver<bool> {
        self.room.subscribe()
    }

    pub(crate) fn durable(&self) -> watch::Receiver<FlushSeq> {
        self.durable.clone()
    }

    pub(crate) fn failure(&self) -> Option<LogError> {
        self.account.lock().failure.clone().map(LogError::from)
    }

    pub(crate) fn floors(&self) -> Vec<(TopicPartition, Offset)> {
        self.account.lock().floors()
    }

    /// Whether the next record of a partition may have to wait.
    pub(crate) fn must_wait(&self, place: u16) -> bool {
        !self.account.lock().takes(place)
    }

    /// A partition is about to be written to.
    pub(crate) fn place(&self, id: &TopicPartition) {
        self.account.lock().add(id);
    }

    /// The first record of a partition is to lie at this offset.
    pub(crate) fn expect(&self, place: u16, end: Offset) {
        self.account.lock().expect(place, end);
    }

    /// The partition ends here, and nothing of ours is on the way to it.
    pub(crate) fn floor(&self, place: u16, offset: Offset) {
        self.account.lock().floor(place, offset);
    }

    /// The offset behind what was acknowledged last in a partition, after waiting for everything that was sent.
    pub(crate) fn quiet_end(&self, place: u16) -> Result<Option<Offset>, LogError> {
        self.wait(Account::is_quiet)?;
        Ok(self.account.lock().end(place))
    }

    /// Waits until everything up to a flush is acknowledged.
    pub(crate) fn wait_flushed(&self, seq: FlushSeq) -> Result<(), LogError> {
        self.wait(|account| account.has_answers_up_to(seq))
    }

    /// Counts a record that is about to be sent. Waits only if the writer has ignored [`Ledger::has_room`].
    pub(crate) fn sent(&self, append: u64, place: u16, bytes: usize) -> Result<(), LogError> {
        let mut account = self.account.lock();
        if account.failure.is_some() || !account.takes(place) {
            drop(account);
            self.wait(|account| account.takes(place))?;
            account = self.account.lock();
        }
        account.sent(append, place, bytes);
        if !account.has_room(UNDER_WAY_BYTES_MAX) {
            self.tell_room(false);
        }
        Ok(())
    }

    /// Takes back what [`Ledger::sent`] counted.
    pub(crate) fn unsent(&self, place: u16, bytes: usize) {
        self.account.lock().unsent(place, bytes);
    }

    /// Ends a flush; `next_append` is the number of the append after it.
    pub(crate) fn flushed(&self, seq: FlushSeq, next_append: u64) {
        self.account.lock().flushed(seq, next_append);
    }

    /// A source transaction is whole; `next_append` is the number of the append after it.
    pub(crate) fn transaction_ends(&self, next_append: u64) {
        self.account.lock().transaction_ends(next_append);
    }

    /// Everything up to a flush is committed.
    pub(crate) fn committed(&self, seq: FlushSeq) {
        self.account.lock().committed(seq);
    }

    pub(super) fn acknowledged(&self, append: u64, place: u16, offset: Offset, bytes: usize) {
        let mut account = self.account.lock();
        account.acknowledged(append, place, offset, bytes);
        if account.has_room(ROOM_BELOW_BYTES + 1) {
            self.tell_room(true);
        }
        self.changed.notify_all();
    }

    fn tell_room(&self, has_room: bool) {
        self.room
            .send_if_modified(|told| std::mem::replace(told, has_room) != has_room);
    }

    /// A record will not be in the log.
    pub(super) fn lost(&self, append: u64, place: u16, bytes: usize, failure: Failure) {
        let mut account = self.account.lock();
        account.lost(append, place, bytes);
        account.fail(failure);
        self.changed.notify_all();
    }

    /// A record will not be in the log because of what befell another one, which may not have been told yet.
    pub(super) fn lost_with_others(&self, append: u64, place: u16, bytes: usize, consequence: Failure) {
        let mut account = self.account.lock();
        account.lost(append, place, bytes);
        account.fail_after_all(consequence);
        self.changed.notify_all();
    }

    /// The client has stopped for a reason that an answer under way may tell. Waits for it.
    pub(crate) fn stopped(&self, consequence: Failure) -> LogError {
        self.account.lock().fail_after_all(consequence);
        self.changed.notify_all();
        let failed = self.wait(|_| false);
        failed.expect_err("what is waited for is never so")
    }

    /// Nothing becomes durable any more; the first reason is the one that is told.
    pub(crate) fn fail(&self, failure: Failure) {
        self.account.lock().fail(failure);
        self.changed.notify_all();
    }

    /// The appender goes: whoever waits shall stop to.
    pub(crate) fn close(&self) {
        self.account.lock().closing = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.account.lock().closing
    }

    /// Waits until what is on its way has been answered for, at most so long.
    pub(super) fn wait_answers(&self, patience: Duration) {
        let mut account = self.account.lock();
        self.changed
            .wait_while_for(&mut account, |account| !account.is_quiet(), patience);
    }

    fn wait(&self, is_so: impl Fn(&Account) -> bool) -> Result<(), LogError> {
        let mut account = self.account.lock();
        self.changed.wait_while(&mut account, |account| {
            account.failure.is_none() && !account.closing && !is_so(account)
        });
        match &account.failure {
            Some(failure) => Err(failure.clone().into()),
            None if is_so(&account) => Ok(()),
            None => Err(LogError::Away("the appender was closed".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> TopicPartition {
        TopicPartition {
            topic: "t".into(),
            partition: 0,
        }
    }

    /// One record, which is acknowledged at `offset`.
    fn first_at(offset: u64) -> Ledger {
        let ledger = Ledger::new(true);
        ledger.place(&id());
        ledger.expect(0, Offset(7));
        ledger.sent(0, 0, 10).unwrap();
        ledger.transaction_ends(1);
        ledger.flushed(FlushSeq(1), 1);
        ledger.acknowledged(0, 0, Offset(offset), 10);
        ledger
    }

    /// Or a restart would look behind it, and write it again.
    #[test]
    fn a_floor_is_not_beyond_a_transaction_that_is_not_whole() {
        let ledger = Ledger::new(true);
        ledger.place(&id());
        // A transaction of one record, another's first, a flush, its second, and its end.
        for append in 0..2 {
            ledger.sent(append, 0, 10).unwrap();
            ledger.acknowledged(append, 0, Offset(append), 10);
            if append == 0 {
                ledger.transaction_ends(1);
                assert_eq!(ledger.floors(), [], "its flush is to come");
            }
        }
        ledger.flushed(FlushSeq(1), 2);
        assert_eq!(*ledger.durable().borrow(), FlushSeq(1));
        assert_eq!(ledger.floors(), [(id(), Offset(1))]);
        ledger.sent(2, 0, 10).unwrap();
        ledger.transaction_ends(3);
        ledger.flushed(FlushSeq(2), 3);
        assert_eq!(ledger.floors(), [(id(), Offset(1))]);
        ledger.acknowledged(2, 0, Offset(2), 10);
        assert_eq!(ledger.floors(), [(id(), Offset(3))]);
        assert_eq!(ledger.quiet_end(0).unwrap(), Some(Offset(3)));
    }

    #[test]
    fn a_first_record_that_lies_where_it_was_expected_is_durable() {
        let ledger = first_at(7);
        assert_eq!(*ledger.durable().borrow(), FlushSeq(1));
        assert_eq!(ledger.floors(), [(id(), Offset(8))]);
    }

    #[test]
    fn one_behind_records_that_nobody_looked_at_is_not() {
        let ledger = first_at(9);
        assert!(matches!(ledger.failure(), Some(LogError::Overtaken(_))));
        assert_eq!(*ledger.durable().borrow(), FlushSeq(0));
        assert_eq!(ledger.floors(), []);
    }

    #[test]
    fn a_floor_is_not_beyond_what_was_looked_at() {
        let ledger = Ledger::new(true);
        ledger.place(&id());
        ledger.expect(0, Offset(7));
        ledger.floor(0, Offset(9));
        assert_eq!(ledger.floors(), [(id(), Offset(7))]);
    }

    #[test]
    fn the_first_record_of_a_partition_goes_alone() {
        let ledger = Ledger::new(true);
        ledger.place(&id());
        assert!(!ledger.must_wait(0));
        ledger.sent(0, 0, 10).unwrap();
        assert!(ledger.must_wait(0) && !*ledger.has_room().borrow());
        ledger.acknowledged(0, 0, Offset(0), 10);
        assert!(!ledger.must_wait(0) && *ledger.has_room().borrow());
        ledger.sent(1, 0, 10).unwrap();
        assert!(!ledger.must_wait(0), "the broker knows the writer");
    }
}
