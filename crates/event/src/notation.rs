//! The texts a value can be written in: JSON for keys and rows, Kafka Connect's own for the headers of key changes.
//!
//! Kafka Connect's `SimpleHeaderConverter` looks like JSON and is not: no control character and nothing outside the
//! basic plane is escaped, decimals are numbers, NaN has no quotes. Converters are written once, over this trait.

use crate::{JsonConverter, converter::Converter, json, values::Fidelity};

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

/// `JsonConverter`'s text with `decimal.format=NUMERIC`.
pub(crate) struct JsonWithNumbers;

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

impl Notation for JsonWithNumbers {
    const DECIMAL_IS_NUMBER: bool = true;
    fn string(text: &[u8], out: &mut Vec<u8>) -> Fidelity {
        Json::string(text, out)
    }
    fn special_number(word: &str, out: &mut Vec<u8>) {
        Json::special_number(word, out);
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

/// A notation as a value, for what is prepared once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    JsonWithNumbers,
    HeaderText,
}

impl Form {
    pub(crate) fn of_json(converter: JsonConverter) -> Form {
        if converter.decimal_is_number {
            Form::JsonWithNumbers
        } else {
            Form::Json
        }
    }

    /// `None` if the text is not one of the converter's type.
    pub(crate) fn convert(self, converter: &Converter, text: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let written = match self {
            Form::Json => converter.write::<Json>(text, &mut out),
            Form::JsonWithNumbers => converter.write::<JsonWithNumbers>(text, &mut out),
            Form::HeaderText => converter.write::<HeaderText>(text, &mut out),
        };
        written.ok().map(|_| out)
    }

    /// A string with its quotes.
    pub(crate) fn string(self, text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Form::Json | Form::JsonWithNumbers => Json::string(text.as_bytes(), &mut out),
            Form::HeaderText => HeaderText::string(text.as_bytes(), &mut out),
        };
        out
    }
}
