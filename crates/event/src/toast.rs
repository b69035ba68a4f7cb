//! What is delivered for a TOAST value that an update did not touch and PostgreSQL did not send.
//!
//! Debezium's table: the placeholder for text, its bytes for `bytea`, odd but settled forms for some arrays, and null
//! for the rest.

use md5::{Digest, Md5};

use crate::{json, notation::Form, values::binary::push_base64};

/// The form a type's placeholder has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Toast {
    /// Null, or the filler of a NOT NULL column.
    Null,
    /// The placeholder itself.
    Placeholder,
    /// Its bytes.
    PlaceholderBytes,
    /// The placeholder itself, but null where null is allowed.
    PlaceholderIfRequired,
    /// An hstore (as JSON text) of it and it.
    PlaceholderHstore,
    /// A map of it to it.
    PlaceholderMap,
    /// An array of it.
    PlaceholderArray,
    /// An array of its bytes.
    PlaceholderBytesArray,
    /// Its bytes, each a number.
    PlaceholderNumbers,
    /// An array of a UUID that is computed from its bytes.
    PlaceholderUuidArray,
}

/// `unavailable.value.placeholder`: text, or bytes behind `hex:`.
#[derive(Debug)]
pub(crate) struct Placeholder(Vec<u8>);

impl Placeholder {
    /// Hexadecimal that is none is taken as text.
    pub(crate) fn new(option: &str) -> Placeholder {
        let bytes = option.strip_prefix("hex:").and_then(bytes_of_hex);
        Placeholder(bytes.unwrap_or_else(|| option.as_bytes().to_vec()))
    }

    /// The value in this form; `None` where it is what NULL is.
    pub(crate) fn write(&self, toast: Toast, nullable: bool, form: Form) -> Option<Vec<u8>> {
        let text = String::from_utf8_lossy(&self.0);
        Some(match toast {
            Toast::Null => return None,
            Toast::PlaceholderIfRequired if nullable => return None,
            Toast::Placeholder | Toast::PlaceholderIfRequired => form.string(&text),
            Toast::PlaceholderBytes => self.base64(),
            Toast::PlaceholderHstore => {
                let text = json::string(&text);
                form.string(&format!("{{{text}:{text}}}"))
            }
            Toast::PlaceholderMap => {
                let text = form.string(&text);
                [b"{", &*text, b":", &*text, b"}"].concat()
            }
            Toast::PlaceholderArray => bracketed(&form.string(&text)),
            Toast::PlaceholderBytesArray => bracketed(&self.base64()),
            Toast::PlaceholderNumbers => {
                // Java's bytes have a sign.
                let numbers: Vec<String> = self.0.iter().map(|byte| byte.cast_signed().to_string()).collect();
                bracketed(numbers.join(",").as_bytes())
            }
            Toast::PlaceholderUuidArray => bracketed(&form.string(&name_uuid(&self.0))),
        })
    }

    /// As the option says it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn base64(&self) -> Vec<u8> {
        let mut out = vec![b'"'];
        push_base64(&self.0, &mut out);
        out.push(b'"');
        out
    }
}

fn bracketed(inside: &[u8]) -> Vec<u8> {
    [b"[", inside, b"]"].concat()
}

fn bytes_of_hex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    rest.is_empty().then(|| pairs.iter().map(byte).collect()).flatten()
}

/// Java's `UUID.nameUUIDFromBytes`: version 3, MD5 of the bytes.
fn name_uuid(bytes: &[u8]) -> String {
    let digest: [u8; 16] = Md5::digest(bytes).into();
    let number = u128::from_be_bytes(digest);
    let number = number & !(0xf << 76) | 3 << 76;
    let number = number & !(0b11 << 62) | 0b10 << 62;
    let hex = format!("{number:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_have_debeziums_forms() {
        let placeholder = Placeholder::new("__debezium_unavailable_value");
        let text = |toast| String::from_utf8(placeholder.write(toast, false, Form::Json).unwrap()).unwrap();
        assert_eq!(text(Toast::Placeholder), r#""__debezium_unavailable_value""#);
        assert_eq!(
            text(Toast::PlaceholderBytes),
            r#""X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==""#
        );
        assert_eq!(text(Toast::PlaceholderArray), r#"["__debezium_unavailable_value"]"#);
        assert_eq!(
            text(Toast::PlaceholderBytesArray),
            r#"["X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="]"#
        );
        assert_eq!(
            text(Toast::PlaceholderUuidArray),
            r#"["b68a35a7-17ad-35b3-af2a-ae46edb4545a"]"#
        );
        assert_eq!(
            text(Toast::PlaceholderHstore),
            r#""{\"__debezium_unavailable_value\":\"__debezium_unavailable_value\"}""#
        );
        assert_eq!(
            text(Toast::PlaceholderNumbers),
            "[95,95,100,101,98,101,122,105,117,109,95,117,110,97,118,97,105,108,97,98,108,101,95,118,97,108,117,101]"
        );
        assert_eq!(
            text(Toast::PlaceholderMap),
            r#"{"__debezium_unavailable_value":"__debezium_unavailable_value"}"#
        );
        assert_eq!(text(Toast::PlaceholderIfRequired), r#""__debezium_unavailable_value""#);
        assert_eq!(placeholder.write(Toast::PlaceholderIfRequired, true, Form::Json), None);
        assert_eq!(Placeholder::new("hex:41ff").0, b"A\xff");
        assert_eq!(Placeholder::new("hex:4").0, b"hex:4");
    }
}
