//! Keeps account of which records the brokers have acknowledged, so that it is known what is durable and when to wait.
//!
//! Pure counting: told of appends and flushes by the appender, and of acknowledgements by [`super::producer`]. Promises: a
//! flush is durable only when all before it is; after a failure nothing becomes durable. Knows nothing of librdkafka.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
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
    /// One for each flush that is not durable yet, and behind them the one that is being filled.
    groups: VecDeque<Group>,
    /// Of each partition: the offset behind its last durable record, once there is one.
    floors: Vec<(TopicPartition, Option<Offset>)>,
    durable: Option<watch::Sender<FlushSeq>>,
    failure: Option<Failure>,
    closing: bool,
}

/// The records of one flush.
#[derive(Default)]
struct Group {
    first_append: u64,
    waiting: u64,
    flushed: Option<FlushSeq>,
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
    Away(String),
}

impl From<Failure> for LogError {
    fn from(failure: Failure) -> LogError {
        match failure {
            Failure::Refused { partition, append, why } => LogError::Refused { partition, append, why },
            Failure::Unknown(partition) => LogError::UnknownPartition(partition),
            Failure::Fenced(why) => LogError::Fenced(why),
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
                floors: Vec::new(),
                durable: Some(durable),
                failure: None,
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
        let known = account.floors.iter();
        known.filter_map(|(id, floor)| Some((id.clone(), (*floor)?))).collect()
    }

    /// Whether the next record may have to wait.
    pub(crate) fn is_overdrawn(&self) -> bool {
        self.account.lock().is_at(OVERDRAFT)
    }

    /// A partition is about to be written to.
    pub(crate) fn place(&self, id: &TopicPartition) {
        self.account.lock().floors.push((id.clone(), None));
    }

    /// The partition ends here, and nothing of ours is on the way to it.
    pub(crate) fn floor(&self, place: u16, offset: Offset) {
        let mut account = self.account.lock();
        let floor = &mut account.floors[place as usize].1;
        *floor = (*floor).max(Some(offset));
    }

    /// The offset behind what was acknowledged last in a partition, after waiting for everything that was sent.
    pub(crate) fn quiet_end(&self, place: u16) -> Result<Option<Offset>, LogError> {
        self.wait_quiet()?;
        let account = self.account.lock();
        let newest = account.groups.iter().rev().find_map(|group| group.ends.get(&place));
        Ok(newest.copied().or(account.floors[place as usize].1))
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

    /// Counts a record that is about to be sent. Waits only if the writer has ignored [`Ledger::has_room`] for long.
    pub(crate) fn sent(&self, append: u64, bytes: usize) -> Result<(), LogError> {
        let mut account = self.account.lock();
        if account.failure.is_some() || account.is_at(OVERDRAFT) {
            drop(account);
            self.wait(|account| !account.is_at(OVERDRAFT))?;
            account = self.account.lock();
        }
        account.waiting_records += 1;
        account.waiting_bytes += bytes + RECORD_BYTES;
        let group = account.groups.back_mut().expect("one is being filled");
        debug_assert!(append >= group.first_append);
        group.waiting += 1;
        if account.is_at(1) {
            self.tell_room(false);
        }
        Ok(())
    }

    /// Takes back what [`Ledger::sent`] counted.
    pub(crate) fn unsent(&self, bytes: usize) {
        let mut account = self.account.lock();
        account.waiting_records -= 1;
        account.waiting_bytes -= bytes + RECORD_BYTES;
        account.groups.back_mut().expect("one is being filled").waiting -= 1;
    }

    /// Ends a flush; `next_append` is the number of the append after it.
    pub(crate) fn flushed(&self, seq: FlushSeq, next_append: u64) {
        let mut account = self.account.lock();
        account.groups.back_mut().expect("one is being filled").flushed = Some(seq);
        account.groups.push_back(Group {
            first_append: next_append,
            ..Group::default()
        });
        if self.by_acks {
            account.settle(None);
        }
    }

    /// Everything up to a flush is committed.
    pub(crate) fn committed(&self, seq: FlushSeq) {
        self.account.lock().settle(Some(seq));
    }

    pub(super) fn acknowledged(&self, append: u64, place: u16, offset: Offset, bytes: usize) {
        let mut account = self.account.lock();
        account.answered(append, bytes, |group| {
            let end = group.ends.entry(place).or_default();
            *end = (*end).max(Offset(offset.0 + 1));
        });
        if self.by_acks {
            account.settle(None);
        }
        if account.waiting_bytes <= ROOM_BELOW_BYTES {
            self.tell_room(true);
        }
        self.changed.notify_all();
    }

    fn tell_room(&self, has_room: bool) {
        self.room
            .send_if_modified(|told| std::mem::replace(told, has_room) != has_room);
    }

    /// A record will not be in the log.
    pub(super) fn lost(&self, append: u64, bytes: usize, failure: Failure) {
        let mut account = self.account.lock();
        account.answered(append, bytes, |_| {});
        account.fail(failure);
        self.changed.notify_all();
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
    fn is_at(&self, times: usize) -> bool {
        self.waiting_bytes >= times * UNDER_WAY_BYTES_MAX
    }

    /// A record was answered for: its group waits for one less.
    fn answered(&mut self, append: u64, bytes: usize, note: impl FnOnce(&mut Group)) {
        self.waiting_records -= 1;
        self.waiting_bytes -= bytes + RECORD_BYTES;
        let after = self.groups.partition_point(|group| group.first_append <= append);
        let group = after.checked_sub(1).and_then(|place| self.groups.get_mut(place));
        let group = group.expect("a group stays while a record of it waits");
        group.waiting -= 1;
        note(group);
    }

    /// Tells how far everything is durable: up to `seq`, or up to the first flush that waits.
    fn settle(&mut self, seq: Option<FlushSeq>) {
        let mut durable = None;
        while let Some(flushed) = self.groups.front().and_then(|group| group.flushed) {
            let is_durable = match seq {
                Some(seq) => flushed <= seq,
                None => self.groups[0].waiting == 0,
            };
            if !is_durable || self.failure.is_some() {
                break;
            }
            let group = self.groups.pop_front().expect("seen above");
            for (place, end) in group.ends {
                let floor = &mut self.floors[place as usize].1;
                *floor = (*floor).max(Some(end));
            }
            durable = Some(flushed);
        }
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
