//! A row's values where they lie in the message: checked once when the message is decoded, read when they are wanted.

use rowcast_event::Cell;

use super::{
    error::{DecodeError, Expected},
    reader::Reader,
};

/// The most columns a row can have.
///
/// PostgreSQL's `MaxHeapAttributeNumber`; a tuple header has no room for many more.
pub(super) const COLUMNS_MAX: usize = 1600;

/// One row. Its lengths are known to be right, its values were not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuple<'a> {
    columns: u16,
    values: &'a [u8],
}

impl<'a> Tuple<'a> {
    /// How many columns PostgreSQL sent: as many as its Relation message has.
    pub fn columns(&self) -> u16 {
        self.columns
    }

    /// Appends the row's cells to `out`, in column order.
    pub fn cells(&self, out: &mut Vec<Cell<'a>>) {
        out.extend(self.iter());
    }

    /// The row's cells, in column order.
    pub fn iter(&self) -> Cells<'a> {
        Cells {
            left: self.columns,
            values: self.values,
        }
    }

    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let start = reader.position();
        let columns = reader.u16()?;
        if usize::from(columns) > COLUMNS_MAX {
            return Err(reader.error_at(start, Expected::AtMost(COLUMNS_MAX)));
        }
        let start = reader.position();
        for _ in 0..columns {
            check_value(reader)?;
        }
        Ok(Self {
            columns,
            values: reader.since(start),
        })
    }
}

fn check_value(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let start = reader.position();
    match reader.u8()? {
        b'n' | b'u' => Ok(()),
        b't' => {
            let length = reader.length()?;
            reader.take(length).map(drop)
        }
        b'b' => Err(reader.error_at(start, Expected::TextValue)),
        _ => Err(reader.error_at(start, Expected::Kind("a value kind (n, u or t)"))),
    }
}

/// See [`Tuple::iter`].
#[derive(Clone, Debug)]
pub struct Cells<'a> {
    left: u16,
    values: &'a [u8],
}

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    /// The lengths were checked by `Tuple::decode`; were one wrong all the same, the row would end here.
    fn next(&mut self) -> Option<Cell<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (kind, values) = self.values.split_first()?;
        self.values = values;
        Some(match kind {
            b'n' => Cell::Null,
            b'u' => Cell::Unchanged,
            _ => {
                let (length, values) = self.values.split_first_chunk::<4>()?;
                let (text, values) = values.split_at_checked(u32::from_be_bytes(*length) as usize)?;
                self.values = values;
                Cell::Text(text)
            }
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left.into(), Some(self.left.into()))
    }
}

impl ExactSizeIterator for Cells<'_> {}
