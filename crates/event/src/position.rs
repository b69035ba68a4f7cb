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
}

/// The bytes are not a [`TransactionMark`] that this version can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionMarkError {
    /// Another length than [`TransactionMark::BYTES`].
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
    /// Length of [`TransactionMark::to_bytes`]: a version byte and three big-endian 64-bit numbers.
    pub const BYTES: usize = 25;
    const VERSION: u8 = 1;

    /// The stored form: version, commit LSN, end LSN, changes; numbers big-endian.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [Self::VERSION; Self::BYTES];
        bytes[1..9].copy_from_slice(&self.commit_lsn.0.to_be_bytes());
        bytes[9..17].copy_from_slice(&self.end_lsn.0.to_be_bytes());
        bytes[17..].copy_from_slice(&self.changes.to_be_bytes());
        bytes
    }

    /// Reads what [`TransactionMark::to_bytes`] wrote; anything else is an error.
    pub fn from_bytes(bytes: &[u8]) -> Result<TransactionMark, TransactionMarkError> {
        let bytes: &[u8; Self::BYTES] = bytes
            .try_into()
            .map_err(|_| TransactionMarkError::Length { found: bytes.len() })?;
        if bytes[0] != Self::VERSION {
            return Err(TransactionMarkError::Version { found: bytes[0] });
        }
        let number = |from: usize| {
            bytes[from..from + 8]
                .iter()
                .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
        };
        Ok(TransactionMark {
            commit_lsn: Lsn(number(1)),
            end_lsn: Lsn(number(9)),
            changes: number(17),
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
            Err(TransactionMarkError::Length { found: 24 })
        );
        assert_eq!(
            TransactionMark::from_bytes(&[2; 25]),
            Err(TransactionMarkError::Version { found: 2 })
        );
    }
}
