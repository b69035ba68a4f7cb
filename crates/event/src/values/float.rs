//! Floating point numbers as Java prints them: the shortest digits that give the number back, in Java's layout.
//!
//! Decimal form from 1e-3 up to 1e7, otherwise `1.0E7`, always with a digit on each side of the point.

use super::{Fidelity, Unconvertible, Written};
use crate::notation::Notation;

/// Longest text of a float that PostgreSQL or a default expression prints; the shortest form of a double has 24.
const TEXT_BYTES_MAX: usize = 400;

fn parse<F: std::str::FromStr>(text: &[u8]) -> Result<F, Unconvertible> {
    let plausible = text.len() <= TEXT_BYTES_MAX && text.iter().any(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).map_err(|_| Unconvertible)?;
    if plausible {
        text.parse().map_err(|_| Unconvertible)
    } else {
        Err(Unconvertible)
    }
}

/// Java's word for what is no number.
pub(crate) fn special(text: &[u8]) -> Option<&'static str> {
    match text {
        b"NaN" => Some("NaN"),
        b"Infinity" => Some("Infinity"),
        b"-Infinity" => Some("-Infinity"),
        _ => None,
    }
}

/// `double precision`.
pub(crate) fn write_double<N: Notation>(text: &[u8], out: &mut Vec<u8>) -> Written {
    match special(text) {
        Some(word) => N::special_number(word, out),
        None => push_double(parse_double(text)?, out),
    }
    Ok(Fidelity::Exact)
}

/// `real`.
pub(crate) fn write_float<N: Notation>(text: &[u8], out: &mut Vec<u8>) -> Written {
    if let Some(word) = special(text) {
        N::special_number(word, out);
        return Ok(Fidelity::Exact);
    }
    let number: f32 = parse(text)?;
    if number.is_infinite() {
        return Err(Unconvertible);
    }
    let two_digits = number.is_subnormal().then(|| format!("{number:.1e}"));
    let two_digits = two_digits.filter(|text| text.parse() == Ok(number));
    push_java(
        two_digits
            .as_deref()
            .unwrap_or(ryu::Buffer::new().format_finite(number)),
        out,
    );
    Ok(Fidelity::Exact)
}

/// A finite double.
pub(crate) fn parse_double(text: &[u8]) -> Result<f64, Unconvertible> {
    let number: f64 = parse(text)?;
    if number.is_infinite() {
        Err(Unconvertible)
    } else {
        Ok(number)
    }
}

/// A finite double in Java's text.
pub(crate) fn push_double(number: f64, out: &mut Vec<u8>) {
    // Java keeps two digits where one would do, which shows only next to the smallest number: 4.9E-324.
    let two_digits = number.is_subnormal().then(|| format!("{number:.1e}"));
    let two_digits = two_digits.filter(|text| text.parse() == Ok(number));
    push_java(
        two_digits
            .as_deref()
            .unwrap_or(ryu::Buffer::new().format_finite(number)),
        out,
    );
}

/// Lays out the digits of `[-]digits[.digits][e[-]digits]` as Java does.
fn push_java(shortest: &str, out: &mut Vec<u8>) {
    let (shortest, exponent) = match shortest.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().unwrap_or(0)),
        None => (shortest, 0),
    };
    let (sign, mantissa) = match shortest.strip_prefix('-') {
        Some(mantissa) => ("-", mantissa),
        None => ("", shortest),
    };
    out.extend_from_slice(sign.as_bytes());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));

    let mut buffer = [b'0'; 64];
    let all = whole.bytes().chain(fraction.bytes());
    let count = buffer.iter_mut().zip(all).map(|(place, digit)| *place = digit).count();
    let Some(first) = buffer[..count].iter().position(|&digit| digit != b'0') else {
        out.extend_from_slice(b"0.0");
        return;
    };
    let last = buffer[..count]
        .iter()
        .rposition(|&digit| digit != b'0')
        .unwrap_or(first);
    let digits = &buffer[first..=last];
    // The exponent of the first digit: d.ddd * 10^exponent.
    let exponent: i32 = exponent + whole.len() as i32 - 1 - first as i32;
    match exponent {
        -3..=-1 => {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', (-exponent - 1) as usize));
            out.extend_from_slice(digits);
        }
        0..=6 => push_split(digits, exponent as usize + 1, out),
        _ => {
            push_split(digits, 1, out);
            out.push(b'E');
            out.extend_from_slice(itoa::Buffer::new().format(exponent).as_bytes());
        }
    }
}

/// The digits with a point after `whole` of them, filled with zeros on both sides.
fn push_split(digits: &[u8], whole: usize, out: &mut Vec<u8>) {
    let before = digits.len().min(whole);
    out.extend_from_slice(&digits[..before]);
    out.extend(std::iter::repeat_n(b'0', whole - before));
    out.push(b'.');
    out.extend_from_slice(if before < digits.len() { &digits[before..] } else { b"0" });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::{HeaderText, Json};

    fn double(text: &str) -> String {
        let mut out = Vec::new();
        write_double::<Json>(text.as_bytes(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn float(text: &str) -> String {
        let mut out = Vec::new();
        write_float::<Json>(text.as_bytes(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn doubles_have_javas_layout_and_shortest_digits() {
        let cases = [
            ("0", "0.0"),
            ("-0", "-0.0"),
            ("1", "1.0"),
            ("0.001", "0.001"),
            ("0.0001", "1.0E-4"),
            ("10000000", "1.0E7"),
            ("9999999", "9999999.0"),
            ("12345678.9", "1.23456789E7"),
            ("5e-324", "4.9E-324"),
            ("1.7976931348623157e+308", "1.7976931348623157E308"),
            ("2e+23", "2.0E23"),
            ("-1e-07", "-1.0E-7"),
            ("123.456", "123.456"),
            ("0.0123", "0.0123"),
            ("100", "100.0"),
            ("NaN", "\"NaN\""),
            ("-Infinity", "\"-Infinity\""),
        ];
        for (text, expected) in cases {
            assert_eq!(double(text), expected, "{text}");
        }
    }

    #[test]
    fn floats_print_their_own_shortest_digits() {
        let cases = [
            ("3.3", "3.3"),
            ("0.33333334", "0.33333334"),
            ("3.4028235e+38", "3.4028235E38"),
            ("1e-45", "1.4E-45"),
        ];
        for (text, expected) in cases {
            assert_eq!(float(text), expected, "{text}");
        }
    }

    #[test]
    fn headers_have_no_quotes_around_nan() {
        let mut out = Vec::new();
        write_double::<HeaderText>(b"NaN", &mut out).unwrap();
        assert_eq!(out, b"NaN");
    }

    #[test]
    fn what_is_no_number_is_not_written() {
        for text in ["", "inf", "nan", "1e999", "1x", "0x10", " 1"] {
            assert!(
                write_double::<Json>(text.as_bytes(), &mut Vec::new()).is_err(),
                "{text}"
            );
        }
    }
}
