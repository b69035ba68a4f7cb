//! Exact decimals of any size: Connect's `Decimal` is the unscaled number's two's complement, shortest, big-endian.
//!
//! Up to 38 digits fit into 128 bits; beyond that the number is built in limbs. PostgreSQL's largest numeric has
//! 147,456 digits.

use super::{Fidelity, Unconvertible, Written, binary::push_base64, float};
use crate::{DecimalMode, notation::Notation};

/// Digits that always fit into an `i128`.
const FAST_DIGITS_MAX: usize = 38;

/// More than PostgreSQL can store; refuses hostile text before work is spent on it.
const DIGITS_MAX: usize = 150_000;

/// A decimal's text in its parts.
struct Parts<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
}

impl<'a> Parts<'a> {
    /// NaN and the infinities have no such parts.
    fn parse(text: &'a [u8]) -> Result<Parts<'a>, Unconvertible> {
        let (negative, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let point = digits.iter().position(|&byte| byte == b'.').unwrap_or(digits.len());
        let (whole, fraction) = (&digits[..point], digits.get(point + 1..).unwrap_or(&[]));
        let plausible = (1..=DIGITS_MAX).contains(&(whole.len() + fraction.len()));
        if plausible && whole.iter().chain(fraction).all(u8::is_ascii_digit) {
            Ok(Parts {
                negative,
                whole,
                fraction,
            })
        } else {
            Err(Unconvertible)
        }
    }

    /// The unscaled number's digits for `scale`, and how many; an error if digits would be lost.
    fn unscaled(&self, scale: i32) -> Result<(impl Iterator<Item = u8> + Clone, usize), Unconvertible> {
        let kept = usize::try_from(scale).unwrap_or(0).min(self.fraction.len());
        let padding = usize::try_from(scale).unwrap_or(0) - kept;
        let dropped_whole = usize::try_from(-scale).unwrap_or(0).min(self.whole.len());
        let (whole, lost) = self.whole.split_at(self.whole.len() - dropped_whole);
        let (fraction, also_lost) = self.fraction.split_at(kept);
        if lost.iter().chain(also_lost).any(|&digit| digit != b'0') {
            return Err(Unconvertible);
        }
        let digits = whole
            .iter()
            .chain(fraction)
            .copied()
            .chain(std::iter::repeat_n(b'0', padding));
        Ok((digits, whole.len() + fraction.len() + padding))
    }
}

/// `numeric(p,s)`: the number, brought to the column's scale.
pub(crate) fn write_decimal<N: Notation>(text: &[u8], scale: i32, out: &mut Vec<u8>) -> Written {
    write_scaled::<N>(&Parts::parse(text)?, scale, out)
}

/// `numeric` without precision: `{"scale":…,"value":…}`, without zeros at the end of the fraction.
pub(crate) fn write_variable_scale(text: &[u8], out: &mut Vec<u8>) -> Written {
    let mut parts = Parts::parse(text)?;
    let digits = parts
        .fraction
        .iter()
        .rposition(|&digit| digit != b'0')
        .map_or(0, |last| last + 1);
    parts.fraction = &parts.fraction[..digits];
    let scale = i32::try_from(digits).map_err(|_| Unconvertible)?;
    out.extend_from_slice(b"{\"scale\":");
    out.extend_from_slice(itoa::Buffer::new().format(scale).as_bytes());
    out.extend_from_slice(b",\"value\":");
    // A struct's value is bytes to both notations, not a Decimal.
    write_bytes(&parts, scale, out)?;
    out.push(b'}');
    Ok(Fidelity::Exact)
}

/// `numeric` as a double (`decimal.handling.mode=double`).
pub(crate) fn write_double<N: Notation>(text: &[u8], out: &mut Vec<u8>) -> Written {
    if let Some(word) = float::special(text) {
        N::special_number(word, out);
        return Ok(Fidelity::Exact);
    }
    Parts::parse(text)?;
    let text = std::str::from_utf8(text).map_err(|_| Unconvertible)?;
    let number: f64 = text.parse().map_err(|_| Unconvertible)?;
    if number.is_finite() {
        float::push_double(number, out);
    } else {
        N::special_number(if number > 0.0 { "Infinity" } else { "-Infinity" }, out);
    }
    Ok(Fidelity::Exact)
}

/// `numeric` in plain notation (`decimal.handling.mode=string`), with the column's scale if it has one. NaN and the
/// infinities are the names of Debezium's constants.
pub(crate) fn write_text<N: Notation>(text: &[u8], scale: Option<i32>, out: &mut Vec<u8>) -> Written {
    let constant: &[u8] = match float::special(text) {
        Some("NaN") => b"NAN",
        Some("Infinity") => b"POSITIVE_INFINITY",
        Some(_) => b"NEGATIVE_INFINITY",
        None => return write_plain(&Parts::parse(text)?, scale, out),
    };
    Ok(N::string(constant, out))
}

fn write_plain(parts: &Parts<'_>, scale: Option<i32>, out: &mut Vec<u8>) -> Written {
    let scale = scale.unwrap_or(parts.fraction.len() as i32);
    let _lost_no_digits = parts.unscaled(scale)?;
    let digits = usize::try_from(scale).unwrap_or(0);
    let kept = parts.fraction.len().min(digits);
    out.push(b'"');
    if parts.negative {
        out.push(b'-');
    }
    out.extend_from_slice(if parts.whole.is_empty() { b"0" } else { parts.whole });
    if digits > 0 {
        out.push(b'.');
        out.extend_from_slice(&parts.fraction[..kept]);
        out.extend(std::iter::repeat_n(b'0', digits - kept));
    }
    out.push(b'"');
    Ok(Fidelity::Exact)
}

/// Longest text of money: `-$92,233,720,368,547,758.08`; a locale's own words may be longer.
const MONEY_BYTES_MAX: usize = 40;

/// `money` as the C locale prints it: `-$1,234.56`, brought to `fraction_digits`.
pub(crate) fn write_money<N: Notation>(
    text: &[u8],
    mode: DecimalMode,
    fraction_digits: Option<u16>,
    out: &mut Vec<u8>,
) -> Written {
    let mut plain = [0; MONEY_BYTES_MAX];
    let kept = text.iter().filter(|byte| !matches!(byte, b'$' | b','));
    let length = kept.clone().count();
    let plain = plain.get_mut(..length).ok_or(Unconvertible)?;
    plain.iter_mut().zip(kept).for_each(|(place, &byte)| *place = byte);
    let scale = fraction_digits.map(i32::from);
    match mode {
        DecimalMode::Double => write_double::<N>(plain, out),
        DecimalMode::String => write_text::<N>(plain, scale, out),
        DecimalMode::Precise => match scale {
            Some(scale) => write_rounded::<N>(&Parts::parse(plain)?, scale, out),
            None => Err(Unconvertible),
        },
    }
}

/// Half away from zero, as Debezium rounds money to fewer digits than PostgreSQL has.
fn write_rounded<N: Notation>(parts: &Parts<'_>, scale: i32, out: &mut Vec<u8>) -> Written {
    let kept = usize::try_from(scale).unwrap_or(0);
    let Some(&first_lost) = parts.fraction.get(kept) else {
        return write_scaled::<N>(parts, scale, out);
    };
    let (mut whole, mut fraction) = (parts.whole.to_vec(), parts.fraction[..kept].to_vec());
    if first_lost >= b'5' && increment(&mut fraction) && increment(&mut whole) {
        whole.insert(0, b'1');
    }
    let rounded = Parts {
        negative: parts.negative,
        whole: &whole,
        fraction: &fraction,
    };
    write_scaled::<N>(&rounded, scale, out)
}

/// Adds one to the digits; true if a one goes on to the digits before.
fn increment(digits: &mut [u8]) -> bool {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return false;
        }
        *digit = b'0';
    }
    true
}

fn write_scaled<N: Notation>(parts: &Parts<'_>, scale: i32, out: &mut Vec<u8>) -> Written {
    if N::DECIMAL_IS_NUMBER {
        write_number(parts, scale, out)
    } else {
        write_bytes(parts, scale, out)
    }
}

/// The unscaled number as base64 of its bytes, quoted.
fn write_bytes(parts: &Parts<'_>, scale: i32, out: &mut Vec<u8>) -> Written {
    let (digits, count) = parts.unscaled(scale)?;
    out.push(b'"');
    if count <= FAST_DIGITS_MAX {
        let magnitude = digits.fold(0, |sum: i128, digit| sum * 10 + i128::from(digit - b'0'));
        let number = if parts.negative { -magnitude } else { magnitude };
        push_base64(shortest(&number.to_be_bytes()), out);
    } else {
        push_base64(shortest(&two_complement(digits, parts.negative)), out);
    }
    out.push(b'"');
    Ok(Fidelity::Exact)
}

/// Cuts leading bytes that only repeat the sign.
fn shortest(bytes: &[u8]) -> &[u8] {
    let mut bytes = bytes;
    while let [0x00, 0x00..=0x7f, ..] | [0xff, 0x80..=0xff, ..] = bytes {
        bytes = &bytes[1..];
    }
    bytes
}

/// Big-endian two's complement with at least one byte of sign.
fn two_complement(digits: impl Iterator<Item = u8>, negative: bool) -> Vec<u8> {
    let mut limbs = magnitude(digits);
    limbs.push(0);
    if negative {
        let mut carry = true;
        for limb in &mut limbs {
            (*limb, carry) = (!*limb).overflowing_add(u64::from(carry));
        }
    }
    limbs.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect()
}

/// The number in limbs of 64 bits, lowest first: eighteen digits at a time are multiplied in.
fn magnitude(digits: impl Iterator<Item = u8>) -> Vec<u64> {
    const CHUNK: u32 = 18;
    let mut limbs = Vec::new();
    let (mut chunk, mut width) = (0, 0);
    let mut digits = digits.peekable();
    while let Some(digit) = digits.next() {
        chunk = chunk * 10 + u64::from(digit - b'0');
        width += 1;
        if width == CHUNK || digits.peek().is_none() {
            multiply_add(&mut limbs, 10_u64.pow(width), chunk);
            (chunk, width) = (0, 0);
        }
    }
    limbs
}

fn multiply_add(limbs: &mut Vec<u64>, factor: u64, addend: u64) {
    let mut carry = u128::from(addend);
    for limb in limbs.iter_mut() {
        let product = u128::from(*limb) * u128::from(factor) + carry;
        *limb = product as u64;
        carry = product >> 64;
    }
    if carry != 0 {
        limbs.push(carry as u64);
    }
}

/// Java's `BigDecimal.toString`: plain, unless the scale is negative or the number is below 1e-6.
fn write_number(parts: &Parts<'_>, scale: i32, out: &mut Vec<u8>) -> Written {
    let digits: Vec<u8> = parts.unscaled(scale)?.0.collect();
    let first = digits
        .iter()
        .position(|&digit| digit != b'0')
        .unwrap_or(digits.len().saturating_sub(1));
    let digits = if digits.is_empty() { b"0" } else { &digits[first..] };
    if parts.negative && digits != b"0" {
        out.push(b'-');
    }
    let exponent = digits.len() as i64 - 1 - i64::from(scale);
    match usize::try_from(scale) {
        Ok(0) => out.extend_from_slice(digits),
        Ok(scale) if exponent >= -6 => {
            let whole = digits.len().saturating_sub(scale);
            out.extend_from_slice(if whole == 0 { b"0" } else { &digits[..whole] });
            out.push(b'.');
            out.extend(std::iter::repeat_n(b'0', scale - (digits.len() - whole)));
            out.extend_from_slice(&digits[whole..]);
        }
        _ => {
            out.push(digits[0]);
            if digits.len() > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits[1..]);
            }
            out.extend_from_slice(if exponent >= 0 { b"E+" } else { b"E" });
            out.extend_from_slice(itoa::Buffer::new().format(exponent).as_bytes());
        }
    }
    Ok(Fidelity::Exact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::{HeaderText, Json};

    fn decimal<N: Notation>(text: &str, scale: i32) -> Option<String> {
        let mut out = Vec::new();
        write_decimal::<N>(text.as_bytes(), scale, &mut out)
            .ok()
            .map(|_| String::from_utf8(out).unwrap())
    }

    #[test]
    fn decimals_are_the_shortest_twos_complement_of_the_unscaled_number() {
        let cases = [
            ("1.10", 2, "\"bg==\""),
            ("0", 2, "\"AA==\""),
            ("-1", 0, "\"/w==\""),
            ("1.28", 2, "\"AIA=\""),
            ("-1.28", 2, "\"gA==\""),
            ("5", 2, "\"AfQ=\""),
            ("12300", -2, "\"ew==\""),
            ("0.00012", 5, "\"DA==\""),
        ];
        for (text, scale, expected) in cases {
            assert_eq!(decimal::<Json>(text, scale).as_deref(), Some(expected), "{text}");
        }
        for (text, scale) in [
            ("NaN", 2),
            ("Infinity", 2),
            ("", 0),
            (".", 0),
            ("-", 0),
            ("1.234", 2),
            ("150", -2),
            ("1e5", 0),
        ] {
            assert_eq!(decimal::<Json>(text, scale), None, "{text}");
        }
    }

    #[test]
    fn header_text_is_java_bigdecimals() {
        let cases = [
            ("3.000", 3, "3.000"),
            ("0", 2, "0.00"),
            ("-0.05", 2, "-0.05"),
            ("0.0000001", 7, "1E-7"),
            ("12300", -2, "1.23E+4"),
            ("0", 8, "0E-8"),
        ];
        for (text, scale, expected) in cases {
            assert_eq!(decimal::<HeaderText>(text, scale).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn numeric_without_precision_carries_its_scale() {
        let variable = |text: &str| {
            let mut out = Vec::new();
            write_variable_scale(text.as_bytes(), &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(variable("10.00"), r#"{"scale":0,"value":"Cg=="}"#);
        assert_eq!(variable("0.00"), r#"{"scale":0,"value":"AA=="}"#);
        assert_eq!(variable("-1.50"), r#"{"scale":1,"value":"8Q=="}"#);
    }

    #[test]
    fn money_has_the_digits_that_are_asked_for() {
        let money = |text: &str, mode, digits| {
            let mut out = Vec::new();
            write_money::<HeaderText>(text.as_bytes(), mode, digits, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let precise = |text, digits| money(text, DecimalMode::Precise, Some(digits));
        assert_eq!(precise("-$1,234.56", 2), "-1234.56");
        assert_eq!(precise("$92,233,720,368,547,758.07", 2), "92233720368547758.07");
        assert_eq!(precise("$12.34", 4), "12.3400");
        assert_eq!(precise("$12.50", 0), "13");
        assert_eq!(precise("-$9.95", 1), "-10.0");
        assert_eq!(precise("$0.04", 1), "0.0");
        assert_eq!(money("-$1,234.50", DecimalMode::String, None), "\"-1234.50\"");
        assert_eq!(money("-$1,234.50", DecimalMode::Double, None), "-1234.5");
    }

    #[test]
    fn numerics_are_doubles_or_plain_text_where_that_is_asked_for() {
        let double = |text: &str| {
            let mut out = Vec::new();
            write_double::<Json>(text.as_bytes(), &mut out).ok()?;
            String::from_utf8(out).ok()
        };
        assert_eq!(double("1.10").as_deref(), Some("1.1"));
        assert_eq!(double("NaN").as_deref(), Some("\"NaN\""));
        assert_eq!(double("-Infinity").as_deref(), Some("\"-Infinity\""));
        assert_eq!(double(&"9".repeat(400)).as_deref(), Some("\"Infinity\""));
        assert_eq!(double("1e5"), None);
        let plain = |text: &str, scale| {
            let mut out = Vec::new();
            write_text::<Json>(text.as_bytes(), scale, &mut out).ok()?;
            String::from_utf8(out).ok()
        };
        assert_eq!(plain("1.10", Some(2)).as_deref(), Some("\"1.10\""));
        assert_eq!(plain("5", Some(2)).as_deref(), Some("\"5.00\""));
        assert_eq!(plain("-0.0000001", None).as_deref(), Some("\"-0.0000001\""));
        assert_eq!(plain("12300", Some(-2)).as_deref(), Some("\"12300\""));
        assert_eq!(plain("NaN", None).as_deref(), Some("\"NAN\""));
        assert_eq!(plain("Infinity", None).as_deref(), Some("\"POSITIVE_INFINITY\""));
        assert_eq!(plain("-Infinity", None).as_deref(), Some("\"NEGATIVE_INFINITY\""));
        assert_eq!(plain("1.234", Some(2)), None);
    }
}
