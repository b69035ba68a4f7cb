//! Whether a tombstone is there a second time. It says nothing of its place, so it is told by its delete.
//!
//! A writer sends a delete and its tombstone together, with one timestamp, so a tombstone goes with the delete before it.
//! Only where a capture took over between the two are there two tombstones for one delete, its own and the successor's, in
//! either order, and other records between them. The second says nothing of a key whose row is gone. If the key has a row
//! again, it is known by the delete's timestamp, which the successor's has not.

use std::collections::{HashMap, VecDeque};

use crate::reading::ECHO_OFFSETS_MAX;

/// Deletes that are remembered. What a late capture had on its way may come between a delete and its tombstones: some
/// megabytes (`max.in.flight.requests.per.connection` times `max.request.size`), of which not all are deletes.
const DELETED_MAX: usize = 16_384;

/// Deletes whose tombstones somebody else wrote. There is one for each time that a capture took over, and seldom that.
const PARTED_MAX: usize = 64;

/// Milliseconds from a delete to its tombstone. Our capture gives both one timestamp; Debezium's producer stamps each when it
/// is sent, and waits for at most this long between two (`max.block.ms`). A later tombstone tells something new: a snapshot
/// after a gap did not meet the row (decision 18).
const BEHIND_MS_MAX: i64 = 60_000;

/// Repeats of one key's delete that wait for their tombstones. Each is another capture that woke up late.
const REPEATS_MAX: usize = 16;

/// Those of one partition.
#[derive(Default)]
pub(super) struct Tombstones {
    /// By the key's hash.
    deleted: HashMap<u64, Deleted>,
    /// Keys and numbers of those, the oldest first; or of what they were before.
    order: VecDeque<(u64, u64)>,
    deletes: u64,
    parted: VecDeque<Parted>,
}

/// What a key's tombstones belong to.
#[derive(Default)]
struct Deleted {
    number: u64,
    row: Row,
    /// When repeats of a delete were written whose tombstones have not come.
    repeats: Vec<i64>,
}

/// What became of the key's row, as far as is remembered.
#[derive(Default)]
enum Row {
    /// It lives, or nothing is remembered.
    #[default]
    Unknown,
    /// Deleted with this timestamp at this offset; the tombstone has not come.
    Deleted(i64, u64),
    /// Deleted, and its tombstone is there.
    Gone,
}

/// A delete, and a tombstone that is not its writer's.
#[derive(PartialEq)]
struct Parted {
    key: u64,
    timestamp_ms: i64,
}

impl Deleted {
    /// Whether the tombstone is one of a repeat's, which has its tombstone then.
    fn take_repeat(&mut self, tombstone_ms: i64) -> bool {
        let behind = |deleted_ms: &i64| (0..=BEHIND_MS_MAX).contains(&tombstone_ms.saturating_sub(*deleted_ms));
        let its = self.repeats.iter().position(behind);
        its.map(|its| self.repeats.remove(its)).is_some()
    }
}

impl Tombstones {
    /// A change of the key's row came, perhaps again.
    pub(super) fn change(&mut self, key: u64, is_delete: bool, is_repeat: bool, (offset, timestamp_ms): (u64, i64)) {
        match (is_repeat, is_delete) {
            (true, true) => {
                let deleted = self.deleted(key);
                if deleted.repeats.len() == REPEATS_MAX {
                    deleted.repeats.remove(0);
                }
                deleted.repeats.push(timestamp_ms);
            }
            (true, false) => {}
            (false, true) => self.deleted(key).row = Row::Deleted(timestamp_ms, offset),
            (false, false) => {
                if let Some(deleted) = self.deleted.get_mut(&key) {
                    deleted.row = Row::Unknown;
                    if deleted.repeats.is_empty() {
                        self.deleted.remove(&key);
                    }
                }
            }
        }
    }

    /// Whether this tombstone of the key says nothing new: it came before, or is so far behind its delete, since another
    /// capture's records lie between the two, that no reader would know it for that delete's.
    pub(super) fn is_repeat(&mut self, key: u64, (offset, timestamp_ms): (u64, i64)) -> bool {
        let Some(deleted) = self.deleted.get_mut(&key) else {
            return self.is_of_parted(&Parted { key, timestamp_ms });
        };
        match deleted.row {
            Row::Deleted(deleted_ms, deleted_at) => {
                deleted.row = Row::Gone;
                if deleted_ms != timestamp_ms {
                    self.part(key, deleted_ms);
                }
                offset > deleted_at + ECHO_OFFSETS_MAX
            }
            Row::Gone => {
                deleted.take_repeat(timestamp_ms);
                true
            }
            Row::Unknown => {
                let is_of_repeat = deleted.take_repeat(timestamp_ms);
                if deleted.repeats.is_empty() {
                    self.deleted.remove(&key);
                }
                is_of_repeat || self.is_of_parted(&Parted { key, timestamp_ms })
            }
        }
    }

    fn is_of_parted(&mut self, tombstone: &Parted) -> bool {
        let late = self.parted.iter().position(|parted| parted == tombstone);
        late.is_some_and(|late| self.parted.remove(late).is_some())
    }

    fn part(&mut self, key: u64, timestamp_ms: i64) {
        if self.parted.len() == PARTED_MAX {
            self.parted.pop_front();
        }
        self.parted.push_back(Parted { key, timestamp_ms });
    }

    /// What is remembered of the key, which is forgotten after [`DELETED_MAX`] others.
    fn deleted(&mut self, key: u64) -> &mut Deleted {
        self.deletes += 1;
        let number = self.deletes;
        self.order.push_back((key, number));
        if self.order.len() > DELETED_MAX
            && let Some((oldest, number)) = self.order.pop_front()
            && self
                .deleted
                .get(&oldest)
                .is_some_and(|deleted| deleted.number == number)
        {
            self.deleted.remove(&oldest);
        }
        let deleted = self.deleted.entry(key).or_default();
        deleted.number = number;
        deleted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: u64 = u64::MAX;

    #[test]
    fn what_a_late_capture_had_left_is_known_by_its_deletes_time() {
        let mut tombstones = Tombstones::default();
        tombstones.change(KEY, true, false, (0, 100));
        assert!(!tombstones.is_repeat(KEY, (0, 900)), "the successor's");
        tombstones.change(KEY, false, false, (0, 901));
        assert!(
            tombstones.is_repeat(KEY, (0, 100)),
            "the late one's, behind the key's next life"
        );
        assert!(!tombstones.is_repeat(KEY, (0, 100)), "and no other");
    }

    #[test]
    fn the_successors_may_come_last() {
        let mut tombstones = Tombstones::default();
        tombstones.change(KEY, true, false, (0, 100));
        assert!(!tombstones.is_repeat(KEY, (0, 100)), "the late one's");
        for key in 0..DELETED_MAX as u64 / 2 {
            tombstones.change(key, true, false, (0, 100));
            tombstones.is_repeat(key, (0, 100));
        }
        assert!(tombstones.is_repeat(KEY, (0, 900)), "the successor's");
    }

    #[test]
    fn a_tombstone_that_somebody_writes_by_hand_counts() {
        let mut tombstones = Tombstones::default();
        assert!(!tombstones.is_repeat(KEY, (0, 50)), "nothing is known of the key");
        tombstones.change(KEY, true, false, (0, 100));
        assert!(!tombstones.is_repeat(KEY, (0, 900)));
        tombstones.change(KEY, false, false, (0, 901));
        assert!(!tombstones.is_repeat(KEY, (0, 1000)), "of another time than the delete");
    }

    #[test]
    fn as_many_tombstones_are_left_out_as_deletes() {
        let mut tombstones = Tombstones::default();
        tombstones.change(KEY, true, true, (0, 100));
        tombstones.change(KEY, true, true, (0, 100));
        tombstones.change(KEY, false, false, (0, 200));
        let found: Vec<_> = (0..3).map(|_| tombstones.is_repeat(KEY, (0, 100))).collect();
        assert_eq!(found, [true, true, false]);
    }

    #[test]
    fn a_tombstone_that_comes_long_after_a_late_delete_is_another_ones() {
        let mut tombstones = Tombstones::default();
        tombstones.change(KEY, true, false, (0, 100));
        assert!(!tombstones.is_repeat(KEY, (0, 100)));
        tombstones.change(KEY, false, false, (0, 200));
        // Its writer was killed before it wrote the tombstone.
        tombstones.change(KEY, true, true, (0, 100));
        let found_gone = 100 + BEHIND_MS_MAX + 1;
        assert!(!tombstones.is_repeat(KEY, (0, found_gone)), "the row lives until here");
    }

    /// As two captures at war left it: the batch of one ended between the two, and the other's came there.
    #[test]
    fn one_far_behind_its_delete_is_left_out() {
        let mut tombstones = Tombstones::default();
        tombstones.change(KEY, true, false, (234_150, 100));
        assert!(tombstones.is_repeat(KEY, (234_572, 100)));
        tombstones.change(KEY, false, false, (240_000, 200));
        tombstones.change(KEY, true, false, (240_001, 300));
        assert!(!tombstones.is_repeat(KEY, (240_002, 300)), "its reader knows this one");
    }

    #[test]
    fn deletes_are_forgotten() {
        let mut tombstones = Tombstones::default();
        for key in 0..3 * DELETED_MAX as u64 {
            tombstones.change(key, true, key % 2 == 0, (0, 100));
            tombstones.change(KEY, true, true, (0, 100));
        }
        assert!(tombstones.deleted.len() <= DELETED_MAX && tombstones.order.len() <= DELETED_MAX);
        assert!(tombstones.is_repeat(KEY, (0, 100)), "the latest are not");
    }
}
