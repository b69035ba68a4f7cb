//! Text as Jackson writes it: the bytes of a key decide its partition, so they must be Jackson's to the byte.
//!
//! Raw UTF-8, but characters outside the basic plane as two `\uXXXX` escapes with upper-case digits; short escapes
//! where JSON has them; nothing else escaped. Invalid UTF-8 is replaced by U+FFFD and reported.

use crate::values::Fidelity;

const HEX_UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// Writes `text` as a JSON string with its quotes.
pub(crate) fn write_string(text: &[u8], out: &mut Vec<u8>) -> Fidelity {
    out.push(b'"');
    let clean = clean_ascii_run(text);
    out.extend_from_slice(&text[..clean]);
    let fidelity = if clean == text.len() {
        Fidelity::Exact
    } else {
        write_rest(&text[clean..], out)
    };
    out.push(b'"');
    fidelity
}

/// As [`write_string`], for text of our own that is kept.
pub(crate) fn string(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_string(text.as_bytes(), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// As [`write_string`], with characters outside the basic plane as they are: JSON that is itself a value.
pub(crate) fn write_string_raw_planes(text: &[u8], out: &mut Vec<u8>) -> Fidelity {
    let valid = String::from_utf8_lossy(text);
    out.push(b'"');
    for character in valid.chars() {
        match character {
            '"' | '\\' | '\0'..'\u{20}' => write_escape(character, out),
            plain => out.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
    if matches!(valid, std::borrow::Cow::Borrowed(_)) {
        Fidelity::Exact
    } else {
        Fidelity::Repaired
    }
}

/// How many bytes from the start are ASCII that goes out as it is, looked at eight at a time: most text is nothing else.
fn clean_ascii_run(text: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let has_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let (words, _) = text.as_chunks::<8>();
    let mut clean = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let below_space = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let quote = has_zero(word ^ (ONES * b'"' as u64));
        let backslash = has_zero(word ^ (ONES * b'\\' as u64));
        if (word & HIGHS) | below_space | quote | backslash != 0 {
            break;
        }
        clean += 8;
    }
    let special = |byte: &u8| *byte < 0x20 || *byte >= 0x80 || *byte == b'"' || *byte == b'\\';
    text[clean..]
        .iter()
        .position(special)
        .map_or(text.len(), |at| clean + at)
}

#[cold]
fn repaired(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

fn write_rest(text: &[u8], out: &mut Vec<u8>) -> Fidelity {
    match std::str::from_utf8(text) {
        Ok(text) => {
            write_escaped(text, out);
            Fidelity::Exact
        }
        Err(_) => {
            write_escaped(&repaired(text), out);
            Fidelity::Repaired
        }
    }
}

fn write_escaped(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut written = 0;
    while let Some(at) = next_escape(&bytes[written..]).map(|at| written + at) {
        out.extend_from_slice(&bytes[written..at]);
        let character = text[at..].chars().next().unwrap_or(char::REPLACEMENT_CHARACTER);
        write_escape(character, out);
        written = at + character.len_utf8();
    }
    out.extend_from_slice(&bytes[written..]);
}

/// The lead byte of four-byte characters is 0xF0 and above; no other byte of valid UTF-8 is.
fn next_escape(bytes: &[u8]) -> Option<usize> {
    bytes
        .iter()
        .position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\' || byte >= 0xf0)
}

fn write_escape(character: char, out: &mut Vec<u8>) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\u{8}' => out.extend_from_slice(b"\\b"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\u{c}' => out.extend_from_slice(b"\\f"),
        '\r' => out.extend_from_slice(b"\\r"),
        other => other
            .encode_utf16(&mut [0; 2])
            .iter()
            .for_each(|&unit| write_unit(unit, out)),
    }
}

fn write_unit(unit: u16, out: &mut Vec<u8>) {
    let digit = |shift: u16| HEX_UPPER[usize::from(unit >> shift & 0xf)];
    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> (String, Fidelity) {
        let mut out = Vec::new();
        let fidelity = write_string(bytes, &mut out);
        (String::from_utf8(out).unwrap(), fidelity)
    }

    #[test]
    fn strings_are_jacksons() {
        let cases = [
            ("", r#""""#),
            ("plain text, longer than a word", r#""plain text, longer than a word""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\u{8}\t\n\u{c}\r\u{0}\u{1f}", r#""\b\t\n\f\r\u0000\u001F""#),
            ("😀", r#""\uD83D\uDE00""#),
            (
                "ü/<\u{2028}\u{7f}\u{feff}\u{ffff}",
                "\"ü/<\u{2028}\u{7f}\u{feff}\u{ffff}\"",
            ),
            ("12345678\"", r#""12345678\"""#),
            ("1234567\u{1f}", r#""1234567\u001F""#),
        ];
        for (input, expected) in cases {
            assert_eq!(text(input.as_bytes()), (expected.to_string(), Fidelity::Exact));
        }
    }

    #[test]
    fn invalid_utf8_is_replaced_and_reported() {
        assert_eq!(
            text(b"a\xff\"b"),
            ("\"a\u{fffd}\\\"b\"".to_string(), Fidelity::Repaired)
        );
    }
}
