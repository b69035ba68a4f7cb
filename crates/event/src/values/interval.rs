//! Intervals (`interval.handling.mode`): as microseconds, a month taken as a twelfth of 365.25 days, or in ISO 8601.
//!
//! Reads the text of `IntervalStyle=postgres`: `1 year 2 mons 3 days -04:05:06.78`.

use super::{Fidelity, Unconvertible, Written, calendar::take_fraction, integer};

const DAYS_PER_MONTH: f64 = 365.25 / 12.0;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// Each part with its own sign.
#[derive(Default)]
struct Interval {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    /// Of the seconds.
    micros: i64,
}

/// `io.debezium.time.MicroDuration`. Computed in doubles, in Debezium's order, cut at the ends of 64 bits.
pub(crate) fn write_micros(text: &[u8], out: &mut Vec<u8>) -> Written {
    let interval = parse(text)?;
    let seconds = (interval.micros / MICROS_PER_SECOND) as f64 + (interval.micros % MICROS_PER_SECOND) as f64 / 1e6;
    let months = interval.years as f64 * 12.0 + interval.months as f64;
    let days = months * DAYS_PER_MONTH + interval.days as f64;
    let seconds = ((days * 24.0 + interval.hours as f64) * 60.0 + interval.minutes as f64) * 60.0 + seconds;
    push((seconds * 1e6) as i64, out);
    Ok(Fidelity::Exact)
}

/// `io.debezium.time.Interval`: every part, be it zero, and the seconds without zeros at their end.
pub(crate) fn write_iso(text: &[u8], out: &mut Vec<u8>) -> Written {
    let interval = parse(text)?;
    let parts = [
        (&b"\"P"[..], interval.years),
        (b"Y", interval.months),
        (b"M", interval.days),
        (b"DT", interval.hours),
        (b"H", interval.minutes),
    ];
    for (before, number) in parts {
        out.extend_from_slice(before);
        push(number, out);
    }
    out.push(b'M');
    push_seconds(interval.micros, out);
    out.extend_from_slice(b"S\"");
    Ok(Fidelity::Exact)
}

fn push(number: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn push_seconds(micros: i64, out: &mut Vec<u8>) {
    if micros < 0 {
        out.push(b'-');
    }
    push((micros / MICROS_PER_SECOND).abs(), out);
    let fraction = (micros % MICROS_PER_SECOND).abs();
    if fraction != 0 {
        let digits = format!(".{fraction:06}");
        out.extend_from_slice(digits.trim_end_matches('0').as_bytes());
    }
}

fn parse(text: &[u8]) -> Result<Interval, Unconvertible> {
    let mut interval = Interval::default();
    let mut words = text.split(|&byte| byte == b' ');
    while let Some(word) = words.next() {
        if word.contains(&b':') {
            parse_clock(word, &mut interval)?;
            continue;
        }
        let number = integer::parse(word)?;
        match words.next() {
            Some(b"year" | b"years") => interval.years = number,
            Some(b"mon" | b"mons") => interval.months = number,
            Some(b"day" | b"days") => interval.days = number,
            _ => return Err(Unconvertible),
        }
    }
    Ok(interval)
}

/// `[-]HH:MM:SS[.ffffff]`; the sign holds for all of it.
fn parse_clock(word: &[u8], interval: &mut Interval) -> Result<(), Unconvertible> {
    let (sign, digits) = match word {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    let mut parts = digits.split(|&byte| byte == b':');
    let mut next = || parts.next().ok_or(Unconvertible);
    let (hours, minutes, seconds) = (next()?, next()?, next()?);
    interval.hours = signed(sign, hours)?;
    interval.minutes = signed(sign, minutes)?;
    interval.micros = sign * micros(seconds)?;
    if parts.next().is_some() {
        Err(Unconvertible)
    } else {
        Ok(())
    }
}

fn signed(sign: i64, digits: &[u8]) -> Result<i64, Unconvertible> {
    sign.checked_mul(integer::parse(digits)?).ok_or(Unconvertible)
}

/// `SS[.ffffff]`.
fn micros(seconds: &[u8]) -> Result<i64, Unconvertible> {
    let point = seconds.iter().position(|&byte| byte == b'.');
    let (whole, fraction) = match point {
        Some(point) => {
            let (fraction, rest) = take_fraction(&seconds[point + 1..])?;
            (
                &seconds[..point],
                rest.is_empty().then_some(fraction).ok_or(Unconvertible)?,
            )
        }
        None => (seconds, 0),
    };
    let whole = integer::parse(whole)?.checked_mul(MICROS_PER_SECOND);
    whole.and_then(|whole| whole.checked_add(fraction)).ok_or(Unconvertible)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> Option<String> {
        let mut out = Vec::new();
        write_micros(text.as_bytes(), &mut out)
            .ok()
            .map(|_| String::from_utf8(out).unwrap())
    }

    #[test]
    fn intervals_are_microseconds() {
        let cases = [
            ("1 year 2 mons 3 days 04:05:06.78", "37091106780000"),
            ("00:00:00", "0"),
            ("-00:00:00.5", "-500000"),
            ("1 day", "86400000000"),
            ("-1 days +02:03:00", "-79020000000"),
            ("178000000 years", "9223372036854775807"),
            ("-178000000 years", "-9223372036854775808"),
        ];
        for (text, expected) in cases {
            assert_eq!(micros(text).as_deref(), Some(expected), "{text}");
        }
        for garbage in ["", "infinity", "1", "1 parsec", "1:2", "1:2:3:4", "a:b:c"] {
            assert_eq!(micros(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn parts_keep_their_signs_in_iso_8601() {
        let cases = [
            ("1 year 2 mons 3 days 04:05:06.78", "P1Y2M3DT4H5M6.78S"),
            ("-1 years -2 mons +3 days -04:05:06.78", "P-1Y-2M3DT-4H-5M-6.78S"),
            ("00:00:00", "P0Y0M0DT0H0M0S"),
            ("-00:00:00.5", "P0Y0M0DT0H0M-0.5S"),
            ("277:46:40.5", "P0Y0M0DT277H46M40.5S"),
            ("00:00:00.000001", "P0Y0M0DT0H0M0.000001S"),
            ("2147483648:00:00", "P0Y0M0DT2147483648H0M0S"),
        ];
        for (text, expected) in cases {
            let mut out = Vec::new();
            write_iso(text.as_bytes(), &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), format!("\"{expected}\""), "{text}");
        }
    }
}
