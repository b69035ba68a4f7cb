//! Lends a row's cells for as long as its event lives, without allocating for each row.

use bumpalo::Bump;
use rowcast_event::{Cell, OldRow};

use crate::pgoutput::{Old, Tuple};

/// Puts tuples' cells into the arena. An arena, because an event lends both the cells and the buffer they point into.
pub(super) struct Cells<'a> {
    arena: &'a Bump,
    /// Places of the columns that are delivered; all, if there are none.
    kept: Option<&'a [usize]>,
}

impl<'a> Cells<'a> {
    pub(super) fn new(arena: &'a Bump, kept: Option<&'a [usize]>) -> Cells<'a> {
        Cells { arena, kept }
    }

    /// The tuple has as many columns as its table: the caller has counted.
    pub(super) fn of(&self, tuple: &Tuple<'a>) -> &'a [Cell<'a>] {
        let all: &[Cell<'a>] = self.arena.alloc_slice_fill_iter(tuple.iter());
        match self.kept {
            None => all,
            Some(kept) => {
                let cell = |&place: &usize| all.get(place).copied().unwrap_or(Cell::Null);
                self.arena.alloc_slice_fill_iter(kept.iter().map(cell))
            }
        }
    }

    pub(super) fn of_old(&self, old: &Old<'a>) -> OldRow<'a> {
        match old {
            Old::Key(tuple) => OldRow::Key(self.of(tuple)),
            Old::Full(tuple) => OldRow::Full(self.of(tuple)),
        }
    }
}
