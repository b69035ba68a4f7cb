//! Integers, object identifiers and booleans: PostgreSQL's digits are already JSON's, they only have to be proven so.

use super::{Fidelity, Unconvertible, Written};

/// Writes an integer between `least` and `greatest`.
pub(crate) fn write(text: &[u8], least: i64, greatest: i64, out: &mut Vec<u8>) -> Written {
    let number = parse(text)?;
    if number < least || number > greatest {
        return Err(Unconvertible);
    }
    let canonical = !matches!(text, [b'0', _, ..] | [b'+', ..] | [b'-', b'0', ..]);
    if canonical {
        out.extend_from_slice(text);
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
    Ok(Fidelity::Exact)
}

/// `t` and `f`, and the words that a default expression uses.
pub(crate) fn write_boolean(text: &[u8], out: &mut Vec<u8>) -> Written {
    match text {
        b"t" | b"true" => out.extend_from_slice(b"true"),
        b"f" | b"false" => out.extend_from_slice(b"false"),
        _ => return Err(Unconvertible),
    }
    Ok(Fidelity::Exact)
}

/// A decimal integer with an optional sign.
pub(crate) fn parse(text: &[u8]) -> Result<i64, Unconvertible> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return Err(Unconvertible);
    }
    // Negative sums reach one further than positive ones.
    let mut sum: i64 = 0;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Unconvertible);
        }
        sum = sum
            .checked_mul(10)
            .and_then(|sum| sum.checked_sub(i64::from(digit)))
            .ok_or(Unconvertible)?;
    }
    if negative {
        Ok(sum)
    } else {
        sum.checked_neg().ok_or(Unconvertible)
    }
}
