//! Dates, times and timestamps, as numbers since 1970 or as text in UTC.
//!
//! Infinite and very old values follow Debezium 3.6.1 (the specification's section 2.3): its stream, its snapshot and
//! its defaults each read a date in another way.

use super::{
    Fidelity, Unconvertible, Written,
    calendar::{CivilDate, MICROS_PER_DAY, MICROS_PER_SECOND, SECONDS_PER_DAY, take_clock, take_date, take_offset},
};

/// How a time or timestamp is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeForm {
    Milliseconds,
    Microseconds,
    Nanoseconds,
    /// ISO 8601 in UTC.
    Iso,
}

/// Who reads a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DateReading {
    /// As it is; infinity is a day outside of all calendars.
    Stream,
    /// The JDBC driver's own class: without its era, infinity at the end of 64 bits of milliseconds.
    Snapshot,
    /// Java's least and greatest day for infinity.
    Default,
}

/// What Debezium has for infinite timestamps: the JDBC driver's stand-ins, in milliseconds and as a moment.
const TIMESTAMP_INFINITY_MS: i64 = 9_223_372_036_825_200;
const TIMESTAMP_MINUS_INFINITY_MS: i64 = -9_223_372_036_832_400;
const TIMESTAMP_INFINITY_ISO: &[u8] = b"\"+294247-01-10T04:00:25.2Z\"";
const TIMESTAMP_MINUS_INFINITY_ISO: &[u8] = b"\"-290308-12-21T19:59:27.6Z\"";

/// And for infinite dates: days, which go out in the lower 32 bits.
const fn infinite_days(reading: DateReading) -> (i64, i64) {
    match reading {
        // 5877611-06-22 BC and the day before, on purpose or not.
        DateReading::Stream => (-2_147_472_692, -2_147_472_691),
        // +292278994-08-16 and +292269055-12-02, whose era got lost.
        DateReading::Snapshot => (106_751_991_166, 106_748_361_128),
        // +999999999-12-31 and -999999999-01-01.
        DateReading::Default => (365_241_780_471, -365_243_219_162),
    }
}

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

/// Days since 1970, or `"2017-09-15Z"`.
pub(crate) fn write_date(text: &[u8], iso: bool, reading: DateReading, out: &mut Vec<u8>) -> Written {
    let days = match text {
        b"infinity" => infinite_days(reading).0,
        b"-infinity" => infinite_days(reading).1,
        _ => {
            let (date, rest) = take_date(text)?;
            let real = with_era(date, rest)?;
            match reading {
                // A day that only the year before Christ had is left where it is.
                DateReading::Snapshot => date.checked().unwrap_or(real).days(),
                DateReading::Stream | DateReading::Default => real.days(),
            }
        }
    };
    if !iso {
        return number((days as i32).into(), out);
    }
    out.push(b'"');
    push_date(CivilDate::from_days(days), out);
    out.extend_from_slice(b"Z\"");
    Ok(Fidelity::Exact)
}

/// Time of day; 24:00:00 is a whole day, but in ISO 8601 no time at all.
pub(crate) fn write_time(text: &[u8], form: TimeForm, out: &mut Vec<u8>) -> Written {
    let (micros, rest) = take_clock(text)?;
    if !rest.is_empty() {
        return Err(Unconvertible);
    }
    match form {
        TimeForm::Milliseconds => number(micros / 1000, out),
        TimeForm::Microseconds => number(micros, out),
        TimeForm::Nanoseconds => number(micros * 1000, out),
        TimeForm::Iso => {
            out.push(b'"');
            push_clock_and_fraction(micros % MICROS_PER_DAY, out);
            out.extend_from_slice(b"Z\"");
            Ok(Fidelity::Exact)
        }
    }
}

/// Time since 1970, the text taken as UTC.
pub(crate) fn write_timestamp(text: &[u8], form: TimeForm, out: &mut Vec<u8>) -> Written {
    if let b"infinity" | b"-infinity" = text {
        return write_infinite_timestamp(text == b"infinity", form, out);
    }
    let (date, micros, rest) = take_date_and_clock(text)?;
    let date = with_era(date, rest)?;
    match form {
        TimeForm::Iso => write_iso_timestamp(date.days(), micros, out),
        TimeForm::Milliseconds => number(date.days() * (MICROS_PER_DAY / 1000) + micros / 1000, out),
        TimeForm::Microseconds => number(since_1970(date, MICROS_PER_DAY, micros)?, out),
        TimeForm::Nanoseconds => number(since_1970(date, MICROS_PER_DAY * 1000, micros * 1000)?, out),
    }
}

/// An error beyond 64 bits, and (as in Debezium) on the day in which they begin.
fn since_1970(date: CivilDate, per_day: i64, in_day: i64) -> Result<i64, Unconvertible> {
    let midnight = date.days().checked_mul(per_day).ok_or(Unconvertible)?;
    midnight.checked_add(in_day).ok_or(Unconvertible)
}

fn write_infinite_timestamp(positive: bool, form: TimeForm, out: &mut Vec<u8>) -> Written {
    let milliseconds = if positive {
        TIMESTAMP_INFINITY_MS
    } else {
        TIMESTAMP_MINUS_INFINITY_MS
    };
    match form {
        TimeForm::Milliseconds => number(milliseconds, out),
        TimeForm::Microseconds => number(milliseconds * 1000, out),
        TimeForm::Nanoseconds => number(if positive { i64::MAX } else { i64::MIN }, out),
        TimeForm::Iso => {
            out.extend_from_slice(if positive {
                TIMESTAMP_INFINITY_ISO
            } else {
                TIMESTAMP_MINUS_INFINITY_ISO
            });
            Ok(Fidelity::Exact)
        }
    }
}

fn write_iso_timestamp(days: i64, micros: i64, out: &mut Vec<u8>) -> Written {
    out.push(b'"');
    push_date(CivilDate::from_days(days + micros / MICROS_PER_DAY), out);
    out.push(b'T');
    push_clock_and_fraction(micros % MICROS_PER_DAY, out);
    out.extend_from_slice(b"Z\"");
    Ok(Fidelity::Exact)
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
    push_clock_and_fraction(micros, out);
    out.extend_from_slice(b"Z\"");
    Ok(Fidelity::Exact)
}

fn push_clock_and_fraction(micros: i64, out: &mut Vec<u8>) {
    push_clock(micros, out);
    push_needed_fraction(micros % MICROS_PER_SECOND, out);
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
