//! Places in PostgreSQL's WAL, so that no other number can be taken for one.
//!
//! Prints and reads the form PostgreSQL uses everywhere (`pg_lsn`): two hexadecimal halves with a slash between.

use std::{fmt, str::FromStr};

/// A place in PostgreSQL's WAL, printed as PostgreSQL prints it (`16/B374D848`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

/// The text is not an LSN.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an LSN; PostgreSQL writes two hexadecimal numbers of up to 8 digits with a slash, as in 16/B374D848"
)]
pub struct LsnParseError(String);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

impl FromStr for Lsn {
    type Err = LsnParseError;

    fn from_str(text: &str) -> Result<Lsn, LsnParseError> {
        let halves = text
            .split_once('/')
            .and_then(|(high, low)| Some((half(high)?, half(low)?)));
        match halves {
            Some((high, low)) => Ok(Lsn(u64::from(high) << 32 | u64::from(low))),
            None => Err(LsnParseError(text.chars().take(40).collect())),
        }
    }
}

/// `from_str_radix` would also take a sign.
fn half(digits: &str) -> Option<u32> {
    let hexadecimal = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    hexadecimal.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_lsn_is_read_as_it_is_printed() {
        for lsn in [Lsn(0), Lsn(0x16_b374_d848), Lsn(u64::MAX)] {
            assert_eq!(lsn.to_string().parse::<Lsn>().unwrap(), lsn);
        }
        assert_eq!(Lsn(0x16_b374_d848).to_string(), "16/B374D848");
    }

    #[test]
    fn what_is_no_lsn_is_refused() {
        for text in ["", "/", "1/", "/1", "1/2/3", "+1/2", "123456789/0", "g/0", "1 /2"] {
            assert!(text.parse::<Lsn>().is_err(), "{text}");
        }
    }
}
