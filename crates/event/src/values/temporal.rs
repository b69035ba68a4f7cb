//! Dates, times and timestamps, as numbers since 1970 or as text in UTC.
//!
//! Infinite and very old values follow what Debezium 3.6.1 streams (the specification's section 2.3), not its snapshot.

use super::{
    Fidelity, Unconvertible, Written,
    calendar::{CivilDate, MICROS_PER_DAY, MICROS_PER_SECOND, SECONDS_PER_DAY, take_clock, take_date, take_offset},
};

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Milliseconds,
    Microseconds,
}

impl Unit {
    /// Times with up to three fraction digits are told in milliseconds (`time.precision.mode=adaptive`).
    pub(crate) fn adaptive(fraction_digits: i32) -> Unit {
        if (0..=3).contains(&fraction_digits) {
            Unit::Milliseconds
        } else {
            Unit::Microseconds
        }
    }

    fn of_micros(self, micros: i64) -> i64 {
        match self {
            Unit::Milliseconds => micros.div_euclid(1000),
            Unit::Microseconds => micros,
        }
    }
}

/// pgjdbc's stand-ins for infinity (`PGStatement.DATE_POSITIVE_INFINITY` and its kin) as they come out of Debezium:
/// milliseconds for timestamps, days wrapped into 32 bits for dates.
const TIMESTAMP_INFINITY_MS: i64 = 9_223_372_036_825_200;
const TIMESTAMP_MINUS_INFINITY_MS: i64 = -9_223_372_036_832_400;
const DATE_INFINITY_DAYS: i64 = -2_147_472_692;
const DATE_MINUS_INFINITY_DAYS: i64 = -2_147_472_691;

fn number(number: i64, out: &mut Vec<u8>) -> Written {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    Ok(Fidelity::Exact)
}

/// ` BC` or nothing may follow; decides the year.
fn with_era(date: CivilDate, rest: &[u8]) -> Result<CivilDate, Unconvertible> {
    match rest {
        b"" => date.checked(),
        b" BC" => date.before_christ().checked(),
        _ => Err(Unconvertible),
    }
}

/// Days since 1970.
pub(crate) fn write_date(text: &[u8], out: &mut Vec<u8>) -> Written {
    let days = match text {
        b"infinity" => DATE_INFINITY_DAYS,
        b"-infinity" => DATE_MINUS_INFINITY_DAYS,
        _ => {
            let (date, rest) = take_date(text)?;
            with_era(date, rest)?.days()
        }
    };
    number(days, out)
}

/// Time of day; 24:00:00 is a whole day.
pub(crate) fn write_time(text: &[u8], unit: Unit, out: &mut Vec<u8>) -> Written {
    let (micros, rest) = take_clock(text)?;
    if !rest.is_empty() {
        return Err(Unconvertible);
    }
    number(unit.of_micros(micros), out)
}

/// Time since 1970, the text taken as UTC.
pub(crate) fn write_timestamp(text: &[u8], unit: Unit, out: &mut Vec<u8>) -> Written {
    let per_millisecond = if unit == Unit::Microseconds { 1000 } else { 1 };
    let value = match text {
        b"infinity" => TIMESTAMP_INFINITY_MS * per_millisecond,
        b"-infinity" => TIMESTAMP_MINUS_INFINITY_MS * per_millisecond,
        _ => {
            let (date, micros, rest) = take_date_and_clock(text)?;
            let days = with_era(date, rest)?.days();
            let midnight = days.checked_mul(MICROS_PER_DAY).ok_or(Unconvertible)?;
            unit.of_micros(midnight.checked_add(micros).ok_or(Unconvertible)?)
        }
    };
    number(value, out)
}

fn take_date_and_clock(text: &[u8]) -> Result<(CivilDate, i64, &[u8]), Unconvertible> {
    let (date, rest) = take_date(text)?;
    let [b' ', rest @ ..] = rest else {
        return Err(Unconvertible);
    };
    let (micros, rest) = take_clock(rest)?;
    Ok((date, micros, rest))
}

/// `"2020-01-01T10:00:00.000000Z"`: in UTC, with as many fraction digits as the column has (none: as many as needed).
pub(crate) fn write_zoned_timestamp(text: &[u8], fraction_digits: u8, out: &mut Vec<u8>) -> Written {
    if let b"infinity" | b"-infinity" = text {
        out.push(b'"');
        out.extend_from_slice(text);
        out.push(b'"');
        return Ok(Fidelity::Exact);
    }
    let (date, micros, rest) = take_date_and_clock(text)?;
    let (offset, rest) = take_offset(rest)?;
    let micros = micros - offset * MICROS_PER_SECOND;
    let days = with_era(date, rest)?.days() + micros.div_euclid(MICROS_PER_DAY);
    let micros = micros.rem_euclid(MICROS_PER_DAY);
    out.push(b'"');
    push_date(CivilDate::from_days(days), out);
    out.push(b'T');
    push_clock(micros, out);
    if fraction_digits == 0 {
        push_needed_fraction(micros % MICROS_PER_SECOND, out);
    } else {
        push_fraction(micros % MICROS_PER_SECOND, fraction_digits.into(), out);
    }
    out.extend_from_slice(b"Z\"");
    Ok(Fidelity::Exact)
}

/// `2026-11-25T03:24:26Z`, RFC 3339 in UTC, of milliseconds since 1970: as values are written, for people.
pub fn utc_date_time(ms: i64) -> String {
    let seconds = ms.div_euclid(1000);
    let mut text = Vec::new();
    push_date(CivilDate::from_days(seconds.div_euclid(SECONDS_PER_DAY)), &mut text);
    text.push(b'T');
    push_clock(seconds.rem_euclid(SECONDS_PER_DAY) * MICROS_PER_SECOND, &mut text);
    text.push(b'Z');
    String::from_utf8(text).expect("digits and signs are ASCII")
}

/// `"11:51:30.123789Z"`: turned to UTC within the day, with the fraction digits it needs.
pub(crate) fn write_zoned_time(text: &[u8], out: &mut Vec<u8>) -> Written {
    let (micros, rest) = take_clock(text)?;
    let (offset, rest) = take_offset(rest)?;
    if !rest.is_empty() {
        return Err(Unconvertible);
    }
    let micros = (micros - offset % SECONDS_PER_DAY * MICROS_PER_SECOND).rem_euclid(MICROS_PER_DAY);
    out.push(b'"');
    push_clock(micros, out);
    push_needed_fraction(micros % MICROS_PER_SECOND, out);
    out.extend_from_slice(b"Z\"");
    Ok(Fidelity::Exact)
}

fn push_two(number: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]);
}

/// As `java.time` prints years: four digits at least, a sign before Christ and beyond 9999.
fn push_date(date: CivilDate, out: &mut Vec<u8>) {
    let year = date.year.abs();
    match date.year {
        10_000.. => out.push(b'+'),
        ..0 => out.push(b'-'),
        _ => {}
    }
    if year < 10_000 {
        push_two(year / 100, out);
        push_two(year % 100, out);
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(year).as_bytes());
    }
    out.push(b'-');
    push_two(date.month.into(), out);
    out.push(b'-');
    push_two(date.day.into(), out);
}

fn push_clock(micros: i64, out: &mut Vec<u8>) {
    let seconds = micros / MICROS_PER_SECOND;
    push_two(seconds / 3600, out);
    out.push(b':');
    push_two(seconds / 60 % 60, out);
    out.push(b':');
    push_two(seconds % 60, out);
}

/// The first `digits` of six.
fn push_fraction(micros: i64, digits: usize, out: &mut Vec<u8>) {
    let mut six = [b'0'; 6];
    let mut rest = micros;
    for place in six.iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.push(b'.');
    out.extend_from_slice(&six[..digits.min(6)]);
}

fn push_needed_fraction(micros: i64, out: &mut Vec<u8>) {
    if micros != 0 {
        push_fraction(micros, 6, out);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::utc_date_time;

    #[test]
    fn moments_are_written_in_utc() {
        assert_eq!(utc_date_time(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc_date_time(951_782_399_999), "2000-02-28T23:59:59Z");
        assert_eq!(utc_date_time(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(utc_date_time(1_795_577_066_000), "2026-11-25T03:24:26Z");
    }
}
