//! Keeps account of which records the brokers have acknowledged, so that it is known what is durable and when to wait.
//!
//! Pure counting: told of appends and flushes by the appender, and of acknowledgements by [`super::producer`]. Promises: a
//! flush is durable only when all before it is; after a failure nothing becomes durable. Knows nothing of librdkafka.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::{FlushSeq, LogError, Offset, TopicPartition};

/// Bytes under way, not acknowledged yet, from which on the writer is asked to wait.
///
/// 32 MiB is 0.3 s of the fastest append that one broker takes; more only costs memory, and makes a restart read further
/// back. This is what a drain costs in memory, in both modes, however large the backlog or a transaction is.
const UNDER_WAY_BYTES_MAX: usize = 32 << 20;

/// Where the writer may go on: not at each acknowledgement.
const ROOM_BELOW_BYTES: usize = UNDER_WAY_BYTES_MAX / 2;

/// What a record costs librdkafka and us beside its own bytes.
const RECORD_BYTES: usize = 256;

/// A writer that does not wait is made to at so many times the bound.
const OVERDRAFT: usize = 2;

/// How long after an acknowledgement a broker is sure to know the writer's last record in that partition.
///
/// It forgets writers after `producer.id.expiration.ms`, one day unless it is told otherwise. To be too careful costs one
/// round trip, for the second record after such a rest.
const KNOWN_FOR: Duration = Duration::from_mins(1);

/// What has been appended, handed over and acknowledged.
pub(crate) struct Ledger {
    account: Mutex<Account>,
    /// Something was acknowledged, or failed, or the appender goes.
    changed: Condvar,
    durable: watch::Receiver<FlushSeq>,
    /// Acknowledged is durable; otherwise only what is committed.
    by_acks: bool,
    room: watch::Sender<bool>,
}

struct Account {
    waiting_records: u64,
    waiting_bytes: usize,
    /// Cut at each flush and, by acknowledgements, at each end of a source transaction; the last one is being filled.
    groups: VecDeque<Group>,
    /// Acknowledged, of the source transaction that is not whole yet, and of those that are while their flush is not durable:
    /// what is written down of a partition must not lie behind records that may come again.
    partial: HashMap<u16, Offset>,
    whole: HashMap<u16, Offset>,
    places: Vec<Place>,
    /// How many of the places are opening.
    opening: usize,
    durable: Option<watch::Sender<FlushSeq>>,
    failure: Option<Failure>,
    /// Told where nothing that is still under way gives the cause.
    consequence: Option<Failure>,
    closing: bool,
}

/// A partition that is written to.
struct Place {
    id: TopicPartition,
    /// The offset behind its last durable record, once there is one.
    floor: Option<Offset>,
    waiting: u64,
    guard: Guard,
    /// Until the first record is acknowledged: where the partition ended when the writer looked at what it holds.
    expected: Option<Offset>,
}

/// Whether a record may be sent while the one before it is under way.
///
/// A broker refuses a batch whose number does not follow on the writer's last one, but only while it has a record of that
/// writer in the partition. A first batch that is refused would not keep the second, sent behind it, out of the topic: the
/// topic would lie about what it holds. So the first goes alone.
enum Guard {
    /// A refused record takes the whole transaction with it.
    NotNeeded,
    Unknown,
    /// The first record is under way.
    Opening,
    /// The broker knows the writer, and did at this time.
    Known(Instant),
}

impl Place {
    fn takes(&self) -> bool {
        !matches!(self.guard, Guard::Opening)
    }
}

/// Records between two cuts.
#[derive(Default)]
struct Group {
    first_append: u64,
    waiting: u64,
    /// The flush that ends here.
    flushed: Option<FlushSeq>,
    /// A source transaction ends here.
    is_whole: bool,
    /// By the partition's place: the offset behind its last acknowledged record.
    ends: HashMap<u16, Offset>,
}

/// Why nothing more becomes durable.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    Refused {
        partition: String,
        append: u64,
        why: String,
    },
    Unknown(String),
    Fenced(String),
    Overtaken(String),
    Away(String),
}

impl From<Failure> for LogError {
    fn from(failure: Failure) -> LogError {
        match failure {
            Failure::Refused { partition, append, why } => LogError::Refused { partition, append, why },
            Failure::Unknown(partition) => LogError::UnknownPartition(partition),
            Failure::Fenced(why) => LogError::Fenced(why),
            Failure::Overtaken(partition) => LogError::Overtaken(partition),
            Failure::Away(why) => LogError::Away(why),
        }
    }
}

impl Ledger {
    pub(crate) fn new(by_acks: bool) -> Ledger {
        let (durable, receiver) = watch::channel(FlushSeq(0));
        Ledger {
            account: Mutex::new(Account {
                waiting_records: 0,
                waiting_bytes: 0,
                groups: VecDeque::from([Group::default()]),
                partial: HashMap::new(),
                whole: HashMap::new(),
                places: Vec::new(),
                opening: 0,
                durable: Some(durable),
                failure: None,
                consequence: None,
                closing: false,
            }),
            changed: Condvar::new(),
            durable: receiver,
            by_acks,
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
        let account = self.account.lock();
        let known = account.places.iter();
        known
            .filter_map(|place| Some((place.id.clone(), place.floor?)))
            .collect()
    }

    /// Whether the next record of a partition may have to wait.
    pub(crate) fn must_wait(&self, place: u16) -> bool {
        !self.account.lock().takes(place)
    }

    /// A partition is about to be written to.
    pub(crate) fn place(&self, id: &TopicPartition) {
        self.account.lock().places.push(Place {
            id: id.clone(),
            floor: None,
            waiting: 0,
            guard: match self.by_acks {
                true => Guard::Unknown,
                false => Guard::NotNeeded,
            },
            expected: None,
        });
    }

    /// The first record of a partition is to lie at this offset.
    pub(crate) fn expect(&self, place: u16, end: Offset) {
        self.account.lock().places[place as usize].expected = Some(end);
    }

    /// The partition ends here, and nothing of ours is on the way to it.
    pub(crate) fn floor(&self, place: u16, offset: Offset) {
        let mut account = self.account.lock();
        let place = &mut account.places[place as usize];
        // What came behind the place that was looked at is not known yet.
        let known = place.expected.map_or(offset, |expected| expected.min(offset));
        place.floor = place.floor.max(Some(known));
    }

    /// The offset behind what was acknowledged last in a partition, after waiting for everything that was sent.
    pub(crate) fn quiet_end(&self, place: u16) -> Result<Option<Offset>, LogError> {
        self.wait_quiet()?;
        let account = self.account.lock();
        let under_way = account.groups.iter().rev().map(|group| &group.ends);
        let newest = under_way
            .chain([&account.partial, &account.whole])
            .find_map(|ends| ends.get(&place));
        Ok(newest.copied().or(account.places[place as usize].floor))
    }

    /// Waits until everything that was sent is acknowledged.
    fn wait_quiet(&self) -> Result<(), LogError> {
        self.wait(|account| account.waiting_records == 0)
    }

    /// Waits until everything up to a flush is acknowledged.
    pub(crate) fn wait_flushed(&self, seq: FlushSeq) -> Result<(), LogError> {
        self.wait(|account| {
            let of_it = |group: &&Group| group.flushed.is_some_and(|flushed| flushed <= seq);
            account.groups.iter().take_while(of_it).all(|group| group.waiting == 0)
        })
    }

    /// Counts a record that is about to be sent. Waits only if the writer has ignored [`Ledger::has_room`].
    pub(crate) fn sent(&self, append: u64, place: u16, bytes: usize) -> Result<(), LogError> {
        let mut account = self.account.lock();
        if account.failure.is_some() || !account.takes(place) {
            drop(account);
            self.wait(|account| account.takes(place))?;
            account = self.account.lock();
        }
        account.waiting_records += 1;
        account.waiting_bytes += bytes + RECORD_BYTES;
        account.sends_to(place);
        let group = account.groups.back_mut().expect("one is being filled");
        debug_assert!(append >= group.first_append);
        group.waiting += 1;
        if !account.has_room(UNDER_WAY_BYTES_MAX) {
            self.tell_room(false);
        }
        Ok(())
    }

    /// Takes back what [`Ledger::sent`] counted.
    pub(crate) fn unsent(&self, place: u16, bytes: usize) {
        let mut account = self.account.lock();
        account.waiting_records -= 1;
        account.waiting_bytes -= bytes + RECORD_BYTES;
        account.takes_back(place);
        account.groups.back_mut().expect("one is being filled").waiting -= 1;
    }

    /// Ends a flush; `next_append` is the number of the append after it.
    pub(crate) fn flushed(&self, seq: FlushSeq, next_append: u64) {
        let mut account = self.account.lock();
        account.cut(next_append, |group| group.flushed = Some(seq));
        if self.by_acks {
            account.settle();
        }
    }

    /// A source transaction is whole; `next_append` is the number of the append after it.
    pub(crate) fn transaction_ends(&self, next_append: u64) {
        if self.by_acks {
            self.account.lock().cut(next_append, |group| group.is_whole = true);
        }
    }

    /// Everything up to a flush is committed.
    pub(crate) fn committed(&self, seq: FlushSeq) {
        self.account.lock().commit(seq);
    }

    pub(super) fn acknowledged(&self, append: u64, place: u16, offset: Offset, bytes: usize) {
        let mut account = self.account.lock();
        account.knows(place);
        account.compares(place, offset);
        account.answered(append, place, bytes, |group| {
            let end = group.ends.entry(place).or_default();
            *end = (*end).max(Offset(offset.0 + 1));
        });
        if self.by_acks {
            account.settle();
        }
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
        account.answered(append, place, bytes, |_| {});
        account.fail(failure);
        self.changed.notify_all();
    }

    /// A record will not be in the log because of what befell another one, which may not have been told yet.
    pub(super) fn lost_with_others(&self, append: u64, place: u16, bytes: usize, consequence: Failure) {
        let mut account = self.account.lock();
        account.answered(append, place, bytes, |_| {});
        self.fail_after_all(&mut account, consequence);
        self.changed.notify_all();
    }

    /// The client has stopped for a reason that an answer under way may tell. Waits for it.
    pub(crate) fn stopped(&self, consequence: Failure) -> LogError {
        self.fail_after_all(&mut self.account.lock(), consequence);
        self.changed.notify_all();
        let failed = self.wait(|_| false);
        failed.expect_err("what is waited for is never so")
    }

    /// Fails for this reason, unless an answer that is under way tells a better one.
    fn fail_after_all(&self, account: &mut Account, consequence: Failure) {
        match self.by_acks && account.waiting_records > 0 {
            true => drop(account.consequence.get_or_insert(consequence)),
            // With transactions what waits for the next one is never answered.
            false => account.fail(consequence),
        }
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
        let waits = |account: &mut Account| account.waiting_records > 0;
        self.changed.wait_while_for(&mut account, waits, patience);
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

impl Account {
    /// Whether the writer may go on without waiting.
    fn has_room(&self, below_bytes: usize) -> bool {
        self.waiting_bytes < below_bytes && self.opening == 0
    }

    /// Whether the next record of a partition may be sent at all.
    fn takes(&self, place: u16) -> bool {
        self.waiting_bytes < OVERDRAFT * UNDER_WAY_BYTES_MAX && self.places[place as usize].takes()
    }

    fn sends_to(&mut self, place: u16) {
        let place = &mut self.places[place as usize];
        let rested = |known: &Instant| place.waiting == 0 && known.elapsed() > KNOWN_FOR;
        if matches!(&place.guard, Guard::Unknown) || matches!(&place.guard, Guard::Known(known) if rested(known)) {
            place.guard = Guard::Opening;
            self.opening += 1;
        }
        place.waiting += 1;
    }

    fn takes_back(&mut self, place: u16) {
        let place = &mut self.places[place as usize];
        place.waiting -= 1;
        if place.waiting == 0 && !place.takes() {
            place.guard = Guard::Unknown;
            self.opening -= 1;
        }
    }

    /// The first record must lie where it was expected to: or else others came in between that nobody has looked at.
    fn compares(&mut self, place: u16, offset: Offset) {
        let place = &mut self.places[place as usize];
        if place.expected.take().is_some_and(|expected| expected != offset) {
            let partition = place.id.to_string();
            self.fail(Failure::Overtaken(partition));
        }
    }

    /// The broker has taken a record in this partition.
    fn knows(&mut self, place: u16) {
        let place = &mut self.places[place as usize];
        match place.guard {
            Guard::Opening => self.opening -= 1,
            // Asked for only when nothing is under way.
            Guard::Unknown | Guard::Known(_) if place.waiting == 1 => {}
            _ => return,
        }
        place.guard = Guard::Known(Instant::now());
    }

    /// A record was answered for: its group waits for one less.
    fn answered(&mut self, append: u64, place: u16, bytes: usize, note: impl FnOnce(&mut Group)) {
        self.waiting_records -= 1;
        self.waiting_bytes -= bytes + RECORD_BYTES;
        self.places[place as usize].waiting -= 1;
        let after = self.groups.partition_point(|group| group.first_append <= append);
        let group = after.checked_sub(1).and_then(|place| self.groups.get_mut(place));
        let group = group.expect("a group stays while a record of it waits");
        group.waiting -= 1;
        note(group);
        if self.waiting_records == 0
            && let Some(consequence) = self.consequence.take()
        {
            self.fail(consequence);
        }
    }

    /// Ends the group that is being filled.
    fn cut(&mut self, next_append: u64, mark: impl FnOnce(&mut Group)) {
        mark(self.groups.back_mut().expect("one is being filled"));
        self.groups.push_back(Group {
            first_append: next_append,
            ..Group::default()
        });
    }

    /// Tells how far everything is durable: up to the first group that waits.
    fn settle(&mut self) {
        let mut durable = None;
        while self.groups.len() > 1 && self.groups[0].waiting == 0 && self.failure.is_none() {
            let group = self.groups.pop_front().expect("seen above");
            self.partial.extend(group.ends);
            if group.is_whole {
                self.whole.extend(self.partial.drain());
            }
            if group.flushed.is_some() {
                durable = group.flushed;
                self.raise_floors();
            }
        }
        self.tell(durable);
    }

    /// Everything up to a flush is committed.
    fn commit(&mut self, seq: FlushSeq) {
        let mut durable = None;
        while let Some(flushed) = self.groups[0].flushed.filter(|flushed| *flushed <= seq)
            && self.failure.is_none()
        {
            let group = self.groups.pop_front().expect("seen above");
            self.whole.extend(group.ends);
            durable = Some(flushed);
        }
        self.raise_floors();
        self.tell(durable);
    }

    fn raise_floors(&mut self) {
        for (place, end) in self.whole.drain() {
            let floor = &mut self.places[place as usize].floor;
            *floor = (*floor).max(Some(end));
        }
    }

    fn tell(&self, durable: Option<FlushSeq>) {
        if let (Some(told), Some(seq)) = (&self.durable, durable) {
            told.send_replace(seq);
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
        // Whoever waits hears that there is nothing to wait for.
        self.durable = None;
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
