//! Lends a row's cells for as long as its event lives, without allocating for each row.

use bumpalo::Bump;
use rowcast_event::{Cell, OldRow};

use crate::pgoutput::{Old, Tuple};

/// Puts tuples' cells into the arena. An arena, because an event lends both the cells and the buffer they point into.
pub(super) struct Cells<'a> {
    arena: &'a Bump,
}

impl<'a> Cells<'a> {
    pub(super) fn new(arena: &'a Bump) -> Cells<'a> {
        Cells { arena }
    }

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
