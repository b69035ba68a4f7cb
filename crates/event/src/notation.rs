//! The two texts a value can be written in: JSON for keys and rows, Kafka Connect's own for the headers of key changes.
//!
//! Kafka Connect's `SimpleHeaderConverter` looks like JSON and is not: no control character and nothing outside the
//! basic plane is escaped, decimals are numbers, NaN has no quotes. Converters are written once, over this trait.

use crate::{json, values::Fidelity};

/// How the leaves of a value are written.
pub(crate) trait Notation {
    /// True where a Decimal is its number, false where it is the base64 of its unscaled bytes.
    const DECIMAL_IS_NUMBER: bool;
    /// A string with its quotes.
    fn string(text: &[u8], out: &mut Vec<u8>) -> Fidelity;
    /// NaN and the infinities.
    fn special_number(word: &str, out: &mut Vec<u8>);
}

/// `JsonConverter`'s text.
pub(crate) struct Json;

/// `SimpleHeaderConverter`'s text.
pub(crate) struct HeaderText;

impl Notation for Json {
    const DECIMAL_IS_NUMBER: bool = false;
    fn string(text: &[u8], out: &mut Vec<u8>) -> Fidelity {
        json::write_string(text, out)
    }
    fn special_number(word: &str, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(word.as_bytes());
        out.push(b'"');
    }
}

impl Notation for HeaderText {
    const DECIMAL_IS_NUMBER: bool = true;
    fn string(text: &[u8], out: &mut Vec<u8>) -> Fidelity {
        let valid = String::from_utf8_lossy(text);
        out.push(b'"');
        for byte in valid.bytes() {
            if byte == b'"' || byte == b'\\' {
                out.push(b'\\');
            }
            out.push(byte);
        }
        out.push(b'"');
        if matches!(valid, std::borrow::Cow::Borrowed(_)) {
            Fidelity::Exact
        } else {
            Fidelity::Repaired
        }
    }
    fn special_number(word: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(word.as_bytes());
    }
}
