//! Bytes and bit strings, in base64 or hexadecimal (`binary.handling.mode`).
//!
//! The bytes never exist as a whole: they pass through a small buffer on their way from hexadecimal (or escaped, or
//! binary) digits to the text that is asked for.

use base64::{
    Engine,
    engine::general_purpose::{GeneralPurpose, STANDARD, URL_SAFE},
};

use super::{Fidelity, Unconvertible, Written};
use crate::BinaryMode;

/// A multiple of three, so that only the end is padded.
const CHUNK_BYTES: usize = 48;

/// Appends the text of the bytes pushed into it.
struct TextWriter<'a> {
    mode: BinaryMode,
    chunk: [u8; CHUNK_BYTES],
    filled: usize,
    out: &'a mut Vec<u8>,
}

impl<'a> TextWriter<'a> {
    fn new(mode: BinaryMode, out: &'a mut Vec<u8>) -> TextWriter<'a> {
        TextWriter {
            mode,
            chunk: [0; CHUNK_BYTES],
            filled: 0,
            out,
        }
    }

    fn push(&mut self, byte: u8) {
        self.chunk[self.filled] = byte;
        self.filled += 1;
        if self.filled == CHUNK_BYTES {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let bytes = &self.chunk[..self.filled];
        match self.mode {
            BinaryMode::Bytes | BinaryMode::Base64 => push_encoded(&STANDARD, bytes, self.out),
            BinaryMode::Base64UrlSafe => push_encoded(&URL_SAFE, bytes, self.out),
            BinaryMode::Hex => push_hex(bytes, self.out),
        }
        self.filled = 0;
    }
}

/// Appends the standard base64 of `bytes`, padded, without quotes.
pub(crate) fn push_base64(bytes: &[u8], out: &mut Vec<u8>) {
    push_encoded(&STANDARD, bytes, out);
}

fn push_encoded(alphabet: &GeneralPurpose, bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = alphabet
        .encode_slice(bytes, &mut out[start..])
        .expect("four characters for three bytes were made room for");
    out.truncate(start + written);
}

/// Appends lower-case hexadecimal, without quotes.
pub(crate) fn push_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xf)]]);
    }
}

/// `bytea` in hex or escape form.
pub(crate) fn write_bytea(text: &[u8], mode: BinaryMode, out: &mut Vec<u8>) -> Written {
    quoted(mode, out, |writer| match text {
        [b'\\', b'x', digits @ ..] => write_hex(digits, writer),
        escaped => write_escaped(escaped, writer),
    })
}

/// The bytes of a text.
pub(crate) fn write_text(text: &[u8], mode: BinaryMode, out: &mut Vec<u8>) -> Written {
    quoted(mode, out, |writer| {
        text.iter().for_each(|&byte| writer.push(byte));
        Ok(())
    })
}

fn quoted(
    mode: BinaryMode,
    out: &mut Vec<u8>,
    fill: impl FnOnce(&mut TextWriter<'_>) -> Result<(), Unconvertible>,
) -> Written {
    out.push(b'"');
    let mut writer = TextWriter::new(mode, out);
    fill(&mut writer)?;
    writer.flush();
    out.push(b'"');
    Ok(Fidelity::Exact)
}

/// The value of a hexadecimal digit.
pub(crate) fn nibble(digit: u8) -> Result<u8, Unconvertible> {
    char::from(digit)
        .to_digit(16)
        .map(|value| value as u8)
        .ok_or(Unconvertible)
}

fn write_hex(digits: &[u8], writer: &mut TextWriter<'_>) -> Result<(), Unconvertible> {
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Unconvertible);
    }
    for [high, low] in pairs {
        writer.push(nibble(*high)? << 4 | nibble(*low)?);
    }
    Ok(())
}

/// The form of `bytea_output=escape`: `\\` and `\ooo`, all else as it is.
fn write_escaped(mut text: &[u8], writer: &mut TextWriter<'_>) -> Result<(), Unconvertible> {
    loop {
        text = match text {
            [] => return Ok(()),
            [b'\\', b'\\', rest @ ..] => {
                writer.push(b'\\');
                rest
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..] => {
                writer.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest
            }
            [b'\\', ..] => return Err(Unconvertible),
            [byte, rest @ ..] => {
                writer.push(*byte);
                rest
            }
        }
    }
}

/// `bit(1)`, which is a boolean; an empty `varbit(1)` is nothing.
pub(crate) fn write_bit(text: &[u8], out: &mut Vec<u8>) -> Written {
    match text {
        b"1" => out.extend_from_slice(b"true"),
        b"0" => out.extend_from_slice(b"false"),
        b"" => out.extend_from_slice(b"null"),
        _ => return Err(Unconvertible),
    }
    Ok(Fidelity::Exact)
}

/// Bits read as a number, as its little-endian bytes up to the highest that is not zero.
pub(crate) fn write_bits(text: &[u8], out: &mut Vec<u8>) -> Written {
    if text.iter().any(|bit| !matches!(bit, b'0' | b'1')) {
        return Err(Unconvertible);
    }
    let highest = text.iter().position(|&bit| bit == b'1').unwrap_or(text.len());
    quoted(BinaryMode::Bytes, out, |writer| {
        for byte in text[highest..].rchunks(8) {
            writer.push(byte.iter().fold(0, |sum, bit| sum << 1 | (bit - b'0')));
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(convert: fn(&[u8], &mut Vec<u8>) -> Written, text: &str) -> Option<String> {
        let mut out = Vec::new();
        convert(text.as_bytes(), &mut out)
            .ok()
            .map(|_| String::from_utf8(out).unwrap())
    }

    #[test]
    fn bytes_are_told_as_the_mode_says() {
        let in_mode = |mode| {
            let mut out = Vec::new();
            write_bytea(b"\\x00FBff3e", mode, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(in_mode(BinaryMode::Bytes), "\"APv/Pg==\"");
        assert_eq!(in_mode(BinaryMode::Base64), "\"APv/Pg==\"");
        assert_eq!(in_mode(BinaryMode::Base64UrlSafe), "\"APv_Pg==\"");
        assert_eq!(in_mode(BinaryMode::Hex), "\"00fbff3e\"");
        let mut out = Vec::new();
        write_text("(1,ü)".as_bytes(), BinaryMode::Hex, &mut out).unwrap();
        assert_eq!(out, b"\"28312cc3bc29\"");
    }

    #[test]
    fn bytea_becomes_base64_in_both_forms() {
        let write_bytea: fn(&[u8], &mut Vec<u8>) -> Written =
            |text, out| super::write_bytea(text, BinaryMode::Bytes, out);
        for (input, expected) in [
            ("\\x", "\"\""),
            ("\\x01FFab", "\"Af+r\""),
            ("a\\\\\\001", "\"YVwB\""),
            ("", "\"\""),
        ] {
            assert_eq!(text(write_bytea, input).as_deref(), Some(expected));
        }
        let long = format!("\\x{}", "00".repeat(100));
        assert_eq!(text(write_bytea, &long), Some(format!("\"{}A==\"", "A".repeat(133))));
        for garbage in ["\\x0", "\\xgg", "\\", "\\9", "\\400"] {
            assert_eq!(text(write_bytea, garbage), None, "{garbage}");
        }
    }

    #[test]
    fn bits_are_a_little_endian_number_without_high_zeros() {
        let cases = [
            ("00", "\"\""),
            ("", "\"\""),
            ("0000001", "\"AQ==\""),
            ("1000000", "\"QA==\""),
            ("100000000", "\"AAE=\""),
        ];
        for (input, expected) in cases {
            assert_eq!(text(write_bits, input).as_deref(), Some(expected));
        }
        assert_eq!(text(write_bits, "012"), None);
        assert_eq!(text(write_bit, "1").as_deref(), Some("true"));
        assert_eq!(text(write_bit, "").as_deref(), Some("null"));
    }
}
