//! Finds the latest record of each key: an index over a topic's log, rebuilt by a scan.
//!
//! "The log is the table": the index holds no keys and no rows, only where they lie. It promises that two keys are
//! never taken for one in practice: keys are told apart by 128 bits of SipHash under a random key of this process, so
//! nobody who chooses keys can make them collide. Knows nothing of tombstones: the caller says `remove`.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
};

use hashbrown::{HashTable, hash_table::Entry};
use siphasher::sip128::SipHasher13;

use crate::Offset;

/// Key bytes to the offset of the key's latest record.
///
/// 25 bytes a slot, and between 7/16 and 7/8 of the slots are in use: 29 to 58 bytes a row, whatever the key's size;
/// for a moment half as much again while the table grows. [`ViewIndex::memory_bytes`] tells; a test measures it.
///
/// ```
/// use rowcast_log::{Offset, ViewIndex};
/// let mut view = ViewIndex::new();
/// assert_eq!(view.put(b"{\"id\":7}", Offset(3)), None);
/// assert_eq!(view.put(b"{\"id\":7}", Offset(9)), Some(Offset(3)));
/// assert_eq!(view.get(b"{\"id\":7}"), Some(Offset(9)));
/// ```
#[derive(Clone, Debug)]
pub struct ViewIndex {
    places: HashTable<Place>,
    hasher: SipHasher13,
}

/// Two words of hash instead of one `u128`, whose alignment would cost eight bytes a row.
#[derive(Clone, Copy, Debug)]
struct Place {
    hash: [u64; 2],
    offset: Offset,
}

impl Default for ViewIndex {
    fn default() -> Self {
        Self::new()
    }
}

impl ViewIndex {
    /// An empty index under a hash key of its own.
    pub fn new() -> Self {
        let random = || RandomState::new().build_hasher().finish();
        ViewIndex {
            places: HashTable::new(),
            hasher: SipHasher13::new_with_keys(random(), random()),
        }
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        let hash = self.hasher.hash(key);
        [hash.h1, hash.h2]
    }

    /// Sets where the key's latest record lies, and tells where the one before it did.
    pub fn put(&mut self, key: &[u8], offset: Offset) -> Option<Offset> {
        let hash = self.hash(key);
        match self
            .places
            .entry(hash[0], |place| place.hash == hash, |place| place.hash[0])
        {
            Entry::Occupied(mut found) => Some(std::mem::replace(&mut found.get_mut().offset, offset)),
            Entry::Vacant(slot) => {
                slot.insert(Place { hash, offset });
                None
            }
        }
    }

    /// Forgets the key, and tells where its latest record lay.
    pub fn remove(&mut self, key: &[u8]) -> Option<Offset> {
        let hash = self.hash(key);
        let found = self.places.find_entry(hash[0], |place| place.hash == hash).ok()?;
        Some(found.remove().0.offset)
    }

    /// Where the key's latest record lies.
    pub fn get(&self, key: &[u8]) -> Option<Offset> {
        let hash = self.hash(key);
        self.places
            .find(hash[0], |place| place.hash == hash)
            .map(|place| place.offset)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// True without keys.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Forgets all keys (the table was truncated) and gives the memory back.
    pub fn clear(&mut self) {
        self.places = HashTable::new();
    }

    /// Forgets the keys whose latest record lies elsewhere than `keep` says.
    pub fn retain(&mut self, keep: impl Fn(Offset) -> bool) {
        self.places.retain(|place| keep(place.offset));
        self.places.shrink_to_fit(|place| place.hash[0]);
    }

    /// The places of all rows in the order of the log, for [`crate::read_at`]: eight bytes a row.
    pub fn offsets_sorted(&self) -> Vec<Offset> {
        let mut offsets: Vec<Offset> = self.places.iter().map(|place| place.offset).collect();
        offsets.sort_unstable();
        offsets
    }

    /// Bytes of memory that the index holds.
    pub fn memory_bytes(&self) -> usize {
        self.places.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(steps in proptest::collection::vec((any::<bool>(), 0u8..20, 0u64..1000), 0..200)) {
            let mut view = ViewIndex::new();
            let mut model = HashMap::new();
            for (put, key, offset) in steps {
                let (key, offset) = ([key], Offset(offset));
                if put {
                    prop_assert_eq!(view.put(&key, offset), model.insert(key, offset));
                } else {
                    prop_assert_eq!(view.remove(&key), model.remove(&key));
                }
                prop_assert_eq!(view.len(), model.len());
                prop_assert_eq!(view.get(&key), model.get(&key).copied());
            }
            let mut offsets: Vec<Offset> = model.into_values().collect();
            offsets.sort();
            prop_assert_eq!(view.offsets_sorted(), offsets);
        }
    }

    #[test]
    fn a_row_costs_what_the_documentation_says() {
        let mut view = ViewIndex::new();
        for row in 0..300_000u64 {
            view.put(&row.to_be_bytes(), Offset(row));
            if row > 10_000 {
                let per_row = view.memory_bytes() as f64 / (row + 1) as f64;
                assert!((28.0..58.1).contains(&per_row), "{per_row} bytes a row at {row} rows");
            }
        }
        view.clear();
        assert_eq!((view.memory_bytes(), view.len()), (0, 0));
    }
}
