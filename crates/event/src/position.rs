//! Where a change stands among all changes, and what a log must remember of a transaction to go on after it.
//!
//! A [`TransactionMark`] is stored: its bytes carry a version, and anything else is refused, because a wrong mark
//! would skip or repeat changes.

use crate::Lsn;

/// Where a change stands among all changes: totally ordered, unique, stable across restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The LSN of the transaction's commit record (for snapshot rows, the slot's consistent point).
    pub commit_lsn: Lsn,
    /// From 0, counted over all the transaction's row messages before any filter.
    pub ordinal: u64,
}

/// What a partition's control batch remembers of the transaction it ends: enough to skip what the log already holds
/// and to go on with the same bytes (`source.sequence` names the previous commit).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionMark {
    /// The commit record's LSN.
    pub commit_lsn: Lsn,
    /// The end of the commit record: what PostgreSQL may forget once this is durable.
    pub end_lsn: Lsn,
    /// How many ordinals the transaction had used when it was marked.
    pub changes: u64,
    /// When it committed, in microseconds since 1970: what is part of no transaction has the time of the one before it. 0 where
    /// an older version wrote the mark.
    pub ts_us: i64,
}

/// The bytes are not a [`TransactionMark`] that this version can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionMarkError {
    /// Another length than its version has.
    #[error("a transaction mark has {expected} bytes, this one has {found}; the log was not written by Rowcast or is damaged", expected = TransactionMark::BYTES)]
    Length {
        /// How many there were.
        found: usize,
    },
    /// A version from the future.
    #[error("transaction mark version {found} is not known (this program reads version {known}); use the version of Rowcast that wrote the log, or a newer one", known = TransactionMark::VERSION)]
    Version {
        /// The first byte.
        found: u8,
    },
}

impl TransactionMark {
    /// Length of [`TransactionMark::to_bytes`]: a version byte and four big-endian 64-bit numbers.
    pub const BYTES: usize = 33;
    const VERSION: u8 = 2;
    /// Without the time.
    const BYTES_OF_VERSION_1: usize = 25;

    /// The stored form: version, commit LSN, end LSN, changes, time; numbers big-endian.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [Self::VERSION; Self::BYTES];
        bytes[1..9].copy_from_slice(&self.commit_lsn.0.to_be_bytes());
        bytes[9..17].copy_from_slice(&self.end_lsn.0.to_be_bytes());
        bytes[17..25].copy_from_slice(&self.changes.to_be_bytes());
        bytes[25..].copy_from_slice(&self.ts_us.to_be_bytes());
        bytes
    }

    /// Reads what [`TransactionMark::to_bytes`] wrote, of this version or an older one; anything else is an error.
    pub fn from_bytes(bytes: &[u8]) -> Result<TransactionMark, TransactionMarkError> {
        match (bytes.first(), bytes.len()) {
            (Some(1), Self::BYTES_OF_VERSION_1) | (Some(&Self::VERSION), Self::BYTES) => {}
            (Some(&found), Self::BYTES) => return Err(TransactionMarkError::Version { found }),
            (_, found) => return Err(TransactionMarkError::Length { found }),
        }
        let mut numbers = bytes[1..]
            .as_chunks()
            .0
            .iter()
            .map(|number| u64::from_be_bytes(*number));
        let mut number = || numbers.next().unwrap_or_default();
        Ok(TransactionMark {
            commit_lsn: Lsn(number()),
            end_lsn: Lsn(number()),
            changes: number(),
            ts_us: number().cast_signed(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: TransactionMark = TransactionMark {
        commit_lsn: Lsn(1),
        end_lsn: Lsn(u64::MAX),
        changes: 1 << 40,
        ts_us: -7,
    };

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        assert_eq!(TransactionMark::from_bytes(&MARK.to_bytes()), Ok(MARK));
    }

    #[test]
    fn garbage_is_no_mark() {
        let bytes = MARK.to_bytes();
        assert_eq!(
            TransactionMark::from_bytes(&bytes[1..]),
            Err(TransactionMarkError::Length { found: 32 })
        );
        assert_eq!(
            TransactionMark::from_bytes(&[3; 33]),
            Err(TransactionMarkError::Version { found: 3 })
        );
        assert_eq!(
            TransactionMark::from_bytes(&[]),
            Err(TransactionMarkError::Length { found: 0 })
        );
    }

    #[test]
    fn a_mark_of_the_version_before_has_no_time() {
        let mut bytes = MARK.to_bytes()[..25].to_vec();
        bytes[0] = 1;
        assert_eq!(
            TransactionMark::from_bytes(&bytes),
            Ok(TransactionMark { ts_us: 0, ..MARK })
        );
    }
}
