//! What is said when bytes are not what PostgreSQL documents: enough to find the byte, never a value.

use std::fmt;

/// A message that is not as PostgreSQL documents it. Decoding the same bytes again gives the same error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} message from PostgreSQL is malformed at byte {position}: expected {expected}")]
pub struct DecodeError {
    /// The message's name in PostgreSQL's documentation.
    pub message: &'static str,
    /// Where in the message, from 0 (its type byte).
    pub position: usize,
    /// What should have been there.
    pub expected: Expected,
}

/// What a well-formed message would have had at the place of the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// So many more bytes; fewer are left.
    Bytes {
        /// What the field, or the count before it, asks for.
        needed: usize,
        /// What the message still has.
        left: usize,
    },
    /// The NUL that ends a string, before the message ends.
    StringEnd,
    /// An identifier in UTF-8: the connection asks for `client_encoding=UTF8`.
    Utf8,
    /// One of the type or kind bytes that this text lists.
    Kind(&'static str),
    /// A count or length that is not negative and not above this.
    AtMost(usize),
    /// A time that a 64-bit count of microseconds since 1970 can hold.
    Time,
    /// A value as text: binary was not asked for.
    TextValue,
    /// Another message: this one belongs to a later protocol version than the one that was asked for.
    Protocol {
        /// The version that was asked for.
        asked: u8,
        /// The first version that has the message.
        needs: u8,
    },
    /// A type byte that some version of the protocol has.
    KnownMessage {
        /// The type byte that was there.
        found: u8,
    },
    /// The end of the message; so many bytes follow.
    End {
        /// Bytes too many.
        left: usize,
    },
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bytes { needed, left } => write!(f, "{needed} more bytes, {left} are left"),
            Self::StringEnd => f.write_str("a string with a NUL at its end"),
            Self::Utf8 => f.write_str("a name in UTF-8"),
            Self::Kind(kinds) => f.write_str(kinds),
            Self::AtMost(most) => write!(f, "a count from 0 to {most}"),
            Self::Time => f.write_str("a time within 64 bits of microseconds since 1970"),
            Self::TextValue => f.write_str("a value in text form, found a binary one, which was not asked for"),
            Self::Protocol { asked, needs } => {
                write!(
                    f,
                    "a message of protocol version {asked}, found one of version {needs}, which was not asked for"
                )
            }
            Self::KnownMessage { found } => write!(f, "a known message type, found byte 0x{found:02x}"),
            Self::End { left } => write!(f, "the end of the message, {left} more bytes follow"),
        }
    }
}
