//! Dates and clocks as PostgreSQL prints them with `DateStyle=ISO`, in the proleptic Gregorian calendar.
//!
//! Only reading and counting of days; what Debezium makes of them is in `temporal`.

use super::Unconvertible;

pub(crate) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(crate) const SECONDS_PER_DAY: i64 = 86_400;
pub(crate) const MICROS_PER_DAY: i64 = SECONDS_PER_DAY * MICROS_PER_SECOND;

/// A day of the calendar. Year 0 is 1 BC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CivilDate {
    pub(crate) year: i64,
    pub(crate) month: u8,
    pub(crate) day: u8,
}

impl CivilDate {
    /// Days since 1970-01-01. (Howard Hinnant's `days_from_civil`: years begin in March, so leap days come last.)
    pub(crate) fn days(self) -> i64 {
        let month = i64::from(self.month);
        let year = self.year - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// The day this many days after 1970-01-01.
    pub(crate) fn from_days(days: i64) -> CivilDate {
        let days = days + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        CivilDate {
            year,
            month: month as u8,
            day: day as u8,
        }
    }

    fn is_real(self) -> bool {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let last = match self.month {
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u8::from(leap),
            1..=12 => 31,
            _ => 0,
        };
        (1..=last).contains(&self.day)
    }

    /// The same day with its year counted before Christ.
    pub(crate) fn before_christ(self) -> CivilDate {
        CivilDate {
            year: 1 - self.year,
            ..self
        }
    }

    /// `Err` for days that no calendar has.
    pub(crate) fn checked(self) -> Result<CivilDate, Unconvertible> {
        if self.is_real() { Ok(self) } else { Err(Unconvertible) }
    }
}

fn digit(byte: u8) -> Result<u8, Unconvertible> {
    let digit = byte.wrapping_sub(b'0');
    if digit <= 9 { Ok(digit) } else { Err(Unconvertible) }
}

fn two(tens: u8, ones: u8) -> Result<u8, Unconvertible> {
    Ok(digit(tens)? * 10 + digit(ones)?)
}

/// Reads `YYYY-MM-DD` (years of four to seven digits) and returns the rest. Not yet checked against the calendar, since
/// the era comes last.
pub(crate) fn take_date(text: &[u8]) -> Result<(CivilDate, &[u8]), Unconvertible> {
    let dash = text
        .iter()
        .take(8)
        .position(|&byte| byte == b'-')
        .ok_or(Unconvertible)?;
    let (year, rest) = text.split_at(dash);
    let [b'-', m1, m0, b'-', d1, d0, rest @ ..] = rest else {
        return Err(Unconvertible);
    };
    if year.len() < 4 {
        return Err(Unconvertible);
    }
    let mut sum = 0;
    for &byte in year {
        sum = sum * 10 + i64::from(digit(byte)?);
    }
    Ok((
        CivilDate {
            year: sum,
            month: two(*m1, *m0)?,
            day: two(*d1, *d0)?,
        },
        rest,
    ))
}

/// Reads `HH:MM:SS[.ffffff]` as microseconds of the day, up to 24:00:00, and returns the rest.
pub(crate) fn take_clock(text: &[u8]) -> Result<(i64, &[u8]), Unconvertible> {
    let [h1, h0, b':', m1, m0, b':', s1, s0, rest @ ..] = text else {
        return Err(Unconvertible);
    };
    let (hours, minutes, seconds) = (two(*h1, *h0)?, two(*m1, *m0)?, two(*s1, *s0)?);
    if minutes > 59 || seconds > 60 {
        return Err(Unconvertible);
    }
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => take_fraction(rest)?,
        rest => (0, rest),
    };
    let seconds = (i64::from(hours) * 60 + i64::from(minutes)) * 60 + i64::from(seconds);
    let micros = seconds * MICROS_PER_SECOND + fraction;
    if micros > MICROS_PER_DAY {
        Err(Unconvertible)
    } else {
        Ok((micros, rest))
    }
}

/// One to six digits, as microseconds.
pub(crate) fn take_fraction(text: &[u8]) -> Result<(i64, &[u8]), Unconvertible> {
    let digits = text.iter().take(6).take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return Err(Unconvertible);
    }
    let (fraction, rest) = text.split_at(digits);
    let sum = fraction.iter().fold(0, |sum, &byte| sum * 10 + i64::from(byte - b'0'));
    Ok((sum * 10_i64.pow(6 - digits as u32), rest))
}

/// Reads `+HH[:MM[:SS]]` as seconds east of UTC, and returns the rest.
pub(crate) fn take_offset(text: &[u8]) -> Result<(i64, &[u8]), Unconvertible> {
    let (sign, rest) = match text {
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return Err(Unconvertible),
    };
    let [h1, h0, rest @ ..] = rest else {
        return Err(Unconvertible);
    };
    let mut rest = rest;
    let mut seconds = i64::from(two(*h1, *h0)?) * 3600;
    for unit in [60, 1] {
        if let [b':', tens, ones, after @ ..] = rest {
            seconds += i64::from(two(*tens, *ones)?) * unit;
            rest = after;
        }
    }
    Ok((sign * seconds, rest))
}
