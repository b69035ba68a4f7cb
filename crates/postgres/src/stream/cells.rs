//! Puts a tuple's cells side by side without an allocation per row.
//!
//! In an arena, because an event lends both the cells and the buffer they point into.

use bumpalo::Bump;
use rowcast_event::{Cell, OldRow};

use crate::pgoutput::{Old, Tuple};

/// The arena of the current row.
pub(super) struct Cells<'a> {
    pub(super) arena: &'a Bump,
}

impl<'a> Cells<'a> {
    pub(super) fn of(&self, tuple: &Tuple<'a>) -> &'a [Cell<'a>] {
        self.arena.alloc_slice_fill_iter(tuple.iter())
    }

    pub(super) fn of_old(&self, old: &Old<'a>) -> OldRow<'a> {
        match old {
            Old::Key(tuple) => OldRow::Key(self.of(tuple)),
            Old::Full(tuple) => OldRow::Full(self.of(tuple)),
        }
    }
}
