//! Counts which records the brokers have acknowledged, so that it is known what is durable and when to wait.
//!
//! Pure: no thread waits here and nobody is called but the watchers of what is durable. Promises: a flush is durable only
//! when all before it is; after a failure nothing becomes durable; no offset is given to look from after a restart behind
//! which a record of an unfinished source transaction may lie.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::{FlushSeq, LogError, Offset, TopicPartition};

/// Bytes under way, not acknowledged yet, from which on the writer is asked to wait.
///
/// 32 MiB is 0.3 s of the fastest append that one broker takes; more only costs memory, and makes a restart read further
/// back. This is what a drain costs in memory, in both modes, however large the backlog or a transaction is.
pub(super) const UNDER_WAY_BYTES_MAX: usize = 32 << 20;

/// Where the writer may go on: not at each acknowledgement.
pub(super) const ROOM_BELOW_BYTES: usize = UNDER_WAY_BYTES_MAX / 2;

/// What a record costs librdkafka and us beside its own bytes.
const RECORD_BYTES: usize = 256;

/// A writer that does not wait is made to at so many times the bound.
const OVERDRAFT: usize = 2;

/// How long after an acknowledgement a broker is sure to know the writer's last record in that partition.
///
/// It forgets writers after `producer.id.expiration.ms`, one day unless it is told otherwise. To be too careful costs one
/// round trip, for the second record after such a rest.
const KNOWN_FOR: Duration = Duration::from_mins(1);

/// What one appender has under way, and what has become of it.
pub(super) struct Account {
    /// Acknowledged is durable; otherwise only what is committed.
    by_acks: bool,
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
    pub(super) failure: Option<Failure>,
    /// Told where nothing that is still under way gives the cause.
    consequence: Option<Failure>,
    pub(super) closing: bool,
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

impl Account {
    pub(super) fn new(by_acks: bool, durable: watch::Sender<FlushSeq>) -> Account {
        Account {
            by_acks,
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
        }
    }

    pub(super) fn add(&mut self, id: &TopicPartition) {
        self.places.push(Place {
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

    pub(super) fn expect(&mut self, place: u16, end: Offset) {
        self.places[place as usize].expected = Some(end);
    }

    pub(super) fn floor(&mut self, place: u16, offset: Offset) {
        let place = &mut self.places[place as usize];
        // What came behind the place that was looked at is not known yet.
        let known = place.expected.map_or(offset, |expected| expected.min(offset));
        place.floor = place.floor.max(Some(known));
    }

    pub(super) fn floors(&self) -> Vec<(TopicPartition, Offset)> {
        let known = self.places.iter();
        known
            .filter_map(|place| Some((place.id.clone(), place.floor?)))
            .collect()
    }

    /// The offset behind what was acknowledged last in a partition.
    pub(super) fn end(&self, place: u16) -> Option<Offset> {
        let under_way = self.groups.iter().rev().map(|group| &group.ends);
        let newest = under_way
            .chain([&self.partial, &self.whole])
            .find_map(|ends| ends.get(&place));
        newest.copied().or(self.places[place as usize].floor)
    }

    /// Whether everything that was sent has been answered for.
    pub(super) fn is_quiet(&self) -> bool {
        self.waiting_records == 0
    }

    /// Whether everything up to a flush has been.
    pub(super) fn has_answers_up_to(&self, seq: FlushSeq) -> bool {
        let of_it = |group: &&Group| group.flushed.is_some_and(|flushed| flushed <= seq);
        self.groups.iter().take_while(of_it).all(|group| group.waiting == 0)
    }

    /// Whether the writer may go on without waiting.
    pub(super) fn has_room(&self, below_bytes: usize) -> bool {
        self.waiting_bytes < below_bytes && self.opening == 0
    }

    /// Whether the next record of a partition may be sent at all.
    pub(super) fn takes(&self, place: u16) -> bool {
        self.waiting_bytes < OVERDRAFT * UNDER_WAY_BYTES_MAX && self.places[place as usize].takes()
    }

    pub(super) fn sent(&mut self, append: u64, place: u16, bytes: usize) {
        self.waiting_records += 1;
        self.waiting_bytes += bytes + RECORD_BYTES;
        self.opens(place);
        self.places[place as usize].waiting += 1;
        let group = self.groups.back_mut().expect("one is being filled");
        debug_assert!(append >= group.first_append);
        group.waiting += 1;
    }

    pub(super) fn unsent(&mut self, place: u16, bytes: usize) {
        self.waiting_records -= 1;
        self.waiting_bytes -= bytes + RECORD_BYTES;
        self.groups.back_mut().expect("one is being filled").waiting -= 1;
        let place = &mut self.places[place as usize];
        place.waiting -= 1;
        if place.waiting == 0 && !place.takes() {
            place.guard = Guard::Unknown;
            self.opening -= 1;
        }
    }

    /// The first record of a partition that the broker may not know us in goes alone.
    fn opens(&mut self, place: u16) {
        let place = &mut self.places[place as usize];
        let is_known = match place.guard {
            Guard::NotNeeded | Guard::Opening => true,
            Guard::Unknown => false,
            Guard::Known(known) => place.waiting > 0 || known.elapsed() <= KNOWN_FOR,
        };
        if !is_known {
            place.guard = Guard::Opening;
            self.opening += 1;
        }
    }

    pub(super) fn acknowledged(&mut self, append: u64, place: u16, offset: Offset, bytes: usize) {
        self.knows(place);
        self.compares(place, offset);
        self.answered(append, place, bytes, |group| {
            let end = group.ends.entry(place).or_default();
            *end = (*end).max(Offset(offset.0 + 1));
        });
        if self.by_acks {
            self.settle();
        }
    }

    pub(super) fn lost(&mut self, append: u64, place: u16, bytes: usize) {
        self.answered(append, place, bytes, |_| {});
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

    pub(super) fn flushed(&mut self, seq: FlushSeq, next_append: u64) {
        self.cut(next_append, |group| group.flushed = Some(seq));
        if self.by_acks {
            self.settle();
        }
    }

    pub(super) fn transaction_ends(&mut self, next_append: u64) {
        if self.by_acks {
            self.cut(next_append, |group| group.is_whole = true);
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
    pub(super) fn committed(&mut self, seq: FlushSeq) {
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

    /// Fails for this reason, unless an answer that is under way tells a better one.
    pub(super) fn fail_after_all(&mut self, consequence: Failure) {
        match self.by_acks && !self.is_quiet() {
            true => drop(self.consequence.get_or_insert(consequence)),
            // With transactions what waits for the next one is never answered.
            false => self.fail(consequence),
        }
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
        // Whoever waits hears that there is nothing to wait for.
        self.durable = None;
    }
}
