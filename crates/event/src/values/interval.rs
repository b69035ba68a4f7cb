//! Intervals as microseconds, a month taken as a twelfth of 365.25 days (`interval.handling.mode=numeric`).
//!
//! Reads the text of `IntervalStyle=postgres`: `1 year 2 mons 3 days -04:05:06.78`.

use super::{Fidelity, Unconvertible, Written, float::parse_double, integer};

const DAYS_PER_MONTH: f64 = 365.25 / 12.0;

#[derive(Default)]
struct Interval {
    years: f64,
    months: f64,
    days: f64,
    hours: f64,
    minutes: f64,
    seconds: f64,
}

/// `io.debezium.time.MicroDuration`. Computed in doubles, in Debezium's order, cut at the ends of 64 bits.
pub(crate) fn write(text: &[u8], out: &mut Vec<u8>) -> Written {
    let Interval {
        years,
        months,
        days,
        hours,
        minutes,
        seconds,
    } = parse(text)?;
    let days = (years * 12.0 + months) * DAYS_PER_MONTH + days;
    let seconds = ((days * 24.0 + hours) * 60.0 + minutes) * 60.0 + seconds;
    let micros = (seconds * 1e6) as i64;
    out.extend_from_slice(itoa::Buffer::new().format(micros).as_bytes());
    Ok(Fidelity::Exact)
}

fn parse(text: &[u8]) -> Result<Interval, Unconvertible> {
    let mut interval = Interval::default();
    let mut words = text.split(|&byte| byte == b' ');
    while let Some(word) = words.next() {
        if word.contains(&b':') {
            parse_clock(word, &mut interval)?;
            continue;
        }
        let number = integer::parse(word)? as f64;
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
        [b'-', digits @ ..] => (-1.0, digits),
        [b'+', digits @ ..] => (1.0, digits),
        digits => (1.0, digits),
    };
    let mut parts = digits.split(|&byte| byte == b':');
    let mut next = || parts.next().ok_or(Unconvertible);
    let (hours, minutes, seconds) = (next()?, next()?, next()?);
    interval.hours = sign * integer::parse(hours)? as f64;
    interval.minutes = sign * integer::parse(minutes)? as f64;
    interval.seconds = sign * parse_double(seconds)?;
    if parts.next().is_some() {
        Err(Unconvertible)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> Option<String> {
        let mut out = Vec::new();
        write(text.as_bytes(), &mut out)
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
}
