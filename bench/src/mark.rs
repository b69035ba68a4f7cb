//! The mark that a measured row carries, so that any client of any system can say which row it got and how old it is.
//!
//! Fixed width and plain ASCII: it survives JSON, Debezium's envelope and centrifuge's protocol as it is, and finding
//! it costs one search for `seq=` (or none: rows of one feed look alike, so the place of the last one is tried first).

use std::time::{SystemTime, UNIX_EPOCH};

use memchr::memmem;

const PREFIX: &[u8] = b"seq=";
const SEQUENCE_DIGITS: usize = 10;
const SENT_DIGITS: usize = 16;
/// `seq=0000000042;t=1763940000000000`
const MARK_BYTES: usize = PREFIX.len() + SEQUENCE_DIGITS + ";t=".len() + SENT_DIGITS;

/// Which row, and when its statement was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// 0 for the rows that only warm up, from 1 for the rows that are counted.
    pub(crate) sequence: u64,
    /// Microseconds since 1970, on this machine's clock.
    pub(crate) sent_us: u64,
}

/// Microseconds since 1970: the one clock that the writer and the load generator, two processes, share.
pub(crate) fn now_us() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as u64)
}

impl Mark {
    pub(crate) fn text(&self) -> String {
        format!(
            "seq={:0sequence$};t={:0sent$}",
            self.sequence,
            self.sent_us,
            sequence = SEQUENCE_DIGITS,
            sent = SENT_DIGITS
        )
    }
}

/// Finds marks in messages of one feed.
pub(crate) struct MarkFinder {
    prefix: memmem::Finder<'static>,
    last_offset: usize,
}

impl MarkFinder {
    pub(crate) fn new() -> MarkFinder {
        MarkFinder {
            prefix: memmem::Finder::new(PREFIX),
            last_offset: 0,
        }
    }

    /// The first mark in `message` and the offset behind it.
    pub(crate) fn find(&mut self, message: &[u8]) -> Option<(Mark, usize)> {
        if let Some(found) = mark_at(message, self.last_offset) {
            return Some(found);
        }
        let mut from = 0;
        while let Some(offset) = message.get(from..).and_then(|rest| self.prefix.find(rest)) {
            if let Some(found) = mark_at(message, from + offset) {
                self.last_offset = from + offset;
                return Some(found);
            }
            from += offset + PREFIX.len();
        }
        None
    }
}

fn mark_at(message: &[u8], offset: usize) -> Option<(Mark, usize)> {
    let text = message.get(offset..offset + MARK_BYTES)?;
    let rest = text.strip_prefix(PREFIX)?;
    let sequence = digits(&rest[..SEQUENCE_DIGITS])?;
    let sent_us = digits(rest[SEQUENCE_DIGITS..].strip_prefix(b";t=")?)?;
    Some((Mark { sequence, sent_us }, offset + MARK_BYTES))
}

fn digits(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0u64, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_wherever_it_stands_and_the_next_one_behind_it() {
        let (first, second) = (
            Mark {
                sequence: 7,
                sent_us: 1_763_940_000_000_001,
            },
            Mark {
                sequence: 8,
                sent_us: 1_763_940_000_000_002,
            },
        );
        let message = format!(
            "{{\"seq=x\":1,\"a\":\"{}\"}}\n{{\"b\":\"{}\"}}",
            first.text(),
            second.text()
        );
        let mut finder = MarkFinder::new();
        let (found, behind) = finder.find(message.as_bytes()).expect("the first mark");
        assert_eq!(found, first);
        let (found, behind_second) = finder.find(&message.as_bytes()[behind..]).expect("the second mark");
        assert_eq!(found, second);
        assert_eq!(finder.find(&message.as_bytes()[behind + behind_second..]), None);
    }
}
