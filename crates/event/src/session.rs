//! The session settings under which PostgreSQL prints values the way the converters read them.
//!
//! Output text depends on the session, on the role's and the database's defaults. Both connections (snapshot and
//! stream) must set all of these, else equal values would give different records.

/// Settings that every connection that delivers values must have, by name and value.
///
/// `DateStyle`, `IntervalStyle`, `bytea_output` and `lc_monetary` choose the one text form that is parsed;
/// `extra_float_digits` makes floats round-trip; `TimeZone` fixes the text of `tstzrange`, which is passed on as it is.
pub const SESSION_SETTINGS: &[(&str, &str)] = &[
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
];
