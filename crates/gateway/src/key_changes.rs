//! Brings the two halves of key changes together: Debezium writes a delete of the old key and a create of the new one, and
//! what the update left alone is known only from the old row.
//!
//! The halves share their source block, whatever their keys look like. In a topic of many partitions they lie in two of
//! them, and either may be seen first.

use std::collections::VecDeque;

/// Halves that are kept until the other one comes. In one partition they are neighbours; in two, as many may lie between them as
/// one is read ahead of the other. Those beyond are forgotten: their left-out values are told as unknown, which they are.
const HALVES_MAX: usize = 4_096;

/// Halves whose other half was not seen yet: `T` of a delete, `U` of a create.
#[derive(Debug)]
pub(crate) struct KeyChanges<T, U> {
    deletes: Halves<T>,
    creates: Halves<U>,
}

#[derive(Debug)]
struct Halves<T>(VecDeque<(Box<[u8]>, T)>);

impl<T, U> Default for KeyChanges<T, U> {
    fn default() -> Self {
        KeyChanges {
            deletes: Halves(VecDeque::new()),
            creates: Halves(VecDeque::new()),
        }
    }
}

impl<T, U> KeyChanges<T, U> {
    /// A delete half was seen. Gives it back with its create, if that came before.
    pub(crate) fn delete(&mut self, source: &[u8], half: T) -> Option<(T, U)> {
        match self.creates.take(source) {
            Some(create) => Some((half, create)),
            None => {
                self.deletes.keep(source, half);
                None
            }
        }
    }

    /// A create half was seen. Gives what its delete half left, or waits for that.
    pub(crate) fn create(&mut self, source: &[u8], half: U) -> Option<T> {
        let delete = self.deletes.take(source);
        if delete.is_none() {
            self.creates.keep(source, half);
        }
        delete
    }

    pub(crate) fn clear(&mut self) {
        self.deletes.0.clear();
        self.creates.0.clear();
    }
}

impl<T> Halves<T> {
    fn keep(&mut self, source: &[u8], half: T) {
        if self.0.len() == HALVES_MAX {
            self.0.pop_front();
        }
        self.0.push_back((source.into(), half));
    }

    fn take(&mut self, source: &[u8]) -> Option<T> {
        // The newest first: neighbours are the rule.
        let place = self.0.iter().rposition(|(kept, _)| **kept == *source)?;
        self.0.remove(place).map(|(_, half)| half)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_meet_in_either_order_and_only_their_own() {
        let mut changes = KeyChanges::default();
        assert_eq!(changes.delete(b"1", 'a'), None);
        assert_eq!(changes.create(b"2", 'B'), None);
        assert_eq!(changes.create(b"1", 'A'), Some('a'));
        assert_eq!(changes.delete(b"2", 'b'), Some(('b', 'B')));
        assert_eq!(changes.create(b"1", 'A'), None, "each meets once");
    }

    #[test]
    fn those_that_never_meet_are_bounded() {
        let mut changes: KeyChanges<usize, ()> = KeyChanges::default();
        for number in 0..=HALVES_MAX {
            changes.delete(number.to_string().as_bytes(), number);
        }
        assert_eq!(changes.create(b"0", ()), None);
        assert_eq!(changes.create(b"1", ()), Some(1));
    }
}
