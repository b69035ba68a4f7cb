//! Whether a tombstone is there a second time. It says nothing of its place, so it is told by its delete.
//!
//! A writer sends a delete and its tombstone together, with one timestamp, so a tombstone goes with the delete before it.
//! Only where one capture's delete was the last thing to arrive and its successor wrote the tombstone, the late capture's
//! own tombstone still comes, without a delete. It has the delete's timestamp, which the successor's has not.

use std::collections::{HashMap, VecDeque};

/// Deletes whose tombstones are awaited. Those follow at once, if there are any, but what a late capture had on its way
/// may come in between.
const AWAITED_MAX: usize = 4096;

/// Deletes whose tombstones somebody else wrote. There is one for each time that a capture took over, and seldom that.
const PARTED_MAX: usize = 64;

/// Those of one partition.
#[derive(Default)]
pub(super) struct Tombstones {
    /// By the key's hash.
    awaited: HashMap<u64, Awaited>,
    /// Keys and numbers of what is awaited, the oldest first; or was, for its tombstone has come.
    order: VecDeque<(u64, u64)>,
    deletes: u64,
    parted: VecDeque<Parted>,
}

/// What a key's tombstones belong to.
struct Awaited {
    number: u64,
    /// The delete's timestamp, until its tombstone has come.
    first_ms: Option<i64>,
    /// Repeats of the delete.
    repeats: u32,
}

/// A delete, and a tombstone that is not its writer's.
#[derive(PartialEq)]
struct Parted {
    key: u64,
    timestamp_ms: i64,
}

impl Tombstones {
    /// A change of the key's row came, perhaps again.
    pub(super) fn change(&mut self, key: u64, is_delete: bool, is_repeat: bool, timestamp_ms: i64) {
        if is_repeat {
            if is_delete {
                self.awaited(key).repeats += 1;
            }
            return;
        }
        self.awaited.remove(&key);
        if is_delete {
            self.awaited(key).first_ms = Some(timestamp_ms);
        }
    }

    /// Whether this tombstone of the key came before.
    pub(super) fn is_repeat(&mut self, key: u64, timestamp_ms: i64) -> bool {
        let tombstone = Parted { key, timestamp_ms };
        let Some(awaited) = self.awaited.get_mut(&key) else {
            let late = self.parted.iter().position(|parted| *parted == tombstone);
            return late.is_some_and(|late| self.parted.remove(late).is_some());
        };
        let first_ms = awaited.first_ms.take();
        if first_ms.is_none() {
            awaited.repeats -= 1;
        }
        if awaited.repeats == 0 {
            self.awaited.remove(&key);
        }
        if let Some(timestamp_ms) = first_ms.filter(|first_ms| *first_ms != timestamp_ms) {
            if self.parted.len() == PARTED_MAX {
                self.parted.pop_front();
            }
            self.parted.push_back(Parted { key, timestamp_ms });
        }
        first_ms.is_none()
    }

    /// What is awaited for the key, which is forgotten after [`AWAITED_MAX`] others.
    fn awaited(&mut self, key: u64) -> &mut Awaited {
        self.deletes += 1;
        let number = self.deletes;
        self.order.push_back((key, number));
        if self.order.len() > AWAITED_MAX
            && let Some((oldest, number)) = self.order.pop_front()
            && self
                .awaited
                .get(&oldest)
                .is_some_and(|awaited| awaited.number == number)
        {
            self.awaited.remove(&oldest);
        }
        let awaited = self.awaited.entry(key).or_insert(Awaited {
            number,
            first_ms: None,
            repeats: 0,
        });
        awaited.number = number;
        awaited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: u64 = u64::MAX;

    #[test]
    fn what_a_late_capture_had_left_is_known_by_its_deletes_time() {
        let mut tombstones = Tombstones::default();
        tombstones.change(KEY, true, false, 100);
        assert!(!tombstones.is_repeat(KEY, 900), "the successor's");
        tombstones.change(KEY, false, false, 901);
        assert!(
            tombstones.is_repeat(KEY, 100),
            "the late one's, behind the key's next life"
        );
        assert!(!tombstones.is_repeat(KEY, 100), "and no other");
    }

    #[test]
    fn a_tombstone_that_somebody_writes_by_hand_counts() {
        let mut tombstones = Tombstones::default();
        tombstones.change(KEY, true, false, 100);
        assert!(!tombstones.is_repeat(KEY, 100));
        assert!(!tombstones.is_repeat(KEY, 100), "nobody else wrote the delete's");
        tombstones.change(KEY, true, false, 200);
        assert!(!tombstones.is_repeat(KEY, 900));
        assert!(!tombstones.is_repeat(KEY, 1000), "of another time than the delete");
    }

    #[test]
    fn as_many_tombstones_are_left_out_as_deletes() {
        let mut tombstones = Tombstones::default();
        tombstones.change(KEY, true, false, 100);
        tombstones.change(KEY, true, true, 100);
        tombstones.change(KEY, true, true, 100);
        let found: Vec<_> = (0..4).map(|_| tombstones.is_repeat(KEY, 100)).collect();
        assert_eq!(found, [false, true, true, false]);
    }

    #[test]
    fn deletes_without_tombstones_are_forgotten() {
        let mut tombstones = Tombstones::default();
        for key in 0..3 * AWAITED_MAX as u64 {
            tombstones.change(key, true, key % 2 == 0, 100);
            tombstones.change(KEY, true, true, 100);
        }
        assert!(tombstones.awaited.len() <= AWAITED_MAX && tombstones.order.len() <= AWAITED_MAX);
        assert!(tombstones.is_repeat(KEY, 100), "the latest are not");
    }
}
