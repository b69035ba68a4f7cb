//! Rows of `COPY … TO STDOUT` in text form, taken apart into the cells that the stream has as well.
//!
//! Promises: a row without a backslash is split without copying; others are unescaped into one buffer that is never
//! larger than the row. Knows nothing of columns: how many there must be is the caller's to check.
//!
//! Format: PostgreSQL documentation, COPY, "Text Format".

use rowcast_event::Cell;

/// A row that COPY could not have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("COPY row from PostgreSQL is malformed at byte {position}: a backslash with nothing after it")]
pub struct CopyTextError {
    /// Where the backslash is, from 0.
    pub position: usize,
}

/// Appends the row's cells to `out`.
///
/// `line` is one CopyData, with or without its newline. `scratch` holds what had to be unescaped; its content before
/// the call is lost. An empty line is one empty text (or a table without columns: the line is the same).
///
/// ```
/// use rowcast_event::Cell;
/// use rowcast_postgres::copy_text::split_row;
///
/// let (mut scratch, mut cells) = (vec![], vec![]);
/// split_row(b"7\tline one\\nline two\t\\N\n", &mut scratch, &mut cells).unwrap();
/// assert_eq!(cells, [Cell::Text(b"7"), Cell::Text(b"line one\nline two"), Cell::Null]);
/// ```
pub fn split_row<'a>(line: &'a [u8], scratch: &'a mut Vec<u8>, out: &mut Vec<Cell<'a>>) -> Result<(), CopyTextError> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    scratch.clear();
    if memchr::memchr(b'\\', line).is_some() {
        return split_escaped(line, scratch, out);
    }
    out.extend(line.split(|&byte| byte == b'\t').map(Cell::Text));
    Ok(())
}

fn split_escaped<'a>(line: &'a [u8], scratch: &'a mut Vec<u8>, out: &mut Vec<Cell<'a>>) -> Result<(), CopyTextError> {
    scratch.resize(line.len(), 0);
    let mut free: &'a mut [u8] = scratch;
    let mut start = 0;
    loop {
        let (end, escaped) = cell_end(line, start)?;
        let cell = &line[start..end];
        out.push(match cell {
            b"\\N" => Cell::Null,
            _ if escaped => {
                let length = unescape(cell, free);
                let (text, rest) = free.split_at_mut(length);
                free = rest;
                Cell::Text(text)
            }
            _ => Cell::Text(cell),
        });
        if end == line.len() {
            return Ok(());
        }
        start = end + 1;
    }
}

/// Where the cell at `start` ends (its tab, or the line's end), and whether it has a backslash.
fn cell_end(line: &[u8], start: usize) -> Result<(usize, bool), CopyTextError> {
    let (mut place, mut escaped) = (start, false);
    while let Some(found) = memchr::memchr2(b'\t', b'\\', &line[place..]) {
        let position = place + found;
        if line[position] == b'\t' {
            return Ok((position, escaped));
        }
        if position + 1 == line.len() {
            return Err(CopyTextError { position });
        }
        (place, escaped) = (position + 2, true);
    }
    Ok((line.len(), escaped))
}

/// Writes `cell` without its escapes to the front of `to`, which is at least as long; returns how many bytes.
fn unescape(cell: &[u8], to: &mut [u8]) -> usize {
    let (mut from, mut length) = (0, 0);
    while from < cell.len() {
        let plain = memchr::memchr(b'\\', &cell[from..]).unwrap_or(cell.len() - from);
        to[length..length + plain].copy_from_slice(&cell[from..from + plain]);
        (from, length) = (from + plain, length + plain);
        if from < cell.len() {
            let (byte, taken) = escape(&cell[from + 1..]);
            to[length] = byte;
            (from, length) = (from + 1 + taken, length + 1);
        }
    }
    length
}

/// The byte that an escape means, and how many bytes after the backslash it took.
fn escape(after: &[u8]) -> (u8, usize) {
    match after.first().copied().unwrap_or(b'\\') {
        b'b' => (0x08, 1),
        b'f' => (0x0c, 1),
        b'n' => (b'\n', 1),
        b'r' => (b'\r', 1),
        b't' => (b'\t', 1),
        b'v' => (0x0b, 1),
        b'0'..=b'7' => number(after, 8, 3),
        b'x' => match number(&after[1..], 16, 2) {
            (_, 0) => (b'x', 1),
            (byte, digits) => (byte, 1 + digits),
        },
        other => (other, 1),
    }
}

/// Up to `digits_max` digits as one byte (octal wraps at 256, as PostgreSQL's does), and how many there were.
fn number(after: &[u8], radix: u32, digits_max: usize) -> (u8, usize) {
    let digits = after
        .iter()
        .take(digits_max)
        .map_while(|&byte| char::from(byte).to_digit(radix));
    let (value, count) = digits.fold((0, 0), |(value, count), digit| (value * radix + digit, count + 1));
    ((value & 0xff) as u8, count)
}

#[cfg(test)]
#[path = "copy_text_tests.rs"]
mod tests;
