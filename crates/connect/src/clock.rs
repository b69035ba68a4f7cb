//! The wall clock that goes into records: `ts_ns` of the envelope and Kafka's record timestamp.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970; 0 for a clock before that.
pub(crate) fn now_ns() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX)
}

/// A run id as Debezium makes them: a UUID of version 7 (RFC 9562), so that runs sort by their start.
pub(crate) fn run_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    let ms = (now_ns() / 1_000_000) as u64;
    // Two of std's randomly keyed hashers: unique is all this has to be, nobody relies on it being secret.
    let (a, b) = (RandomState::new().hash_one(ms), RandomState::new().hash_one(ms));
    format!(
        "{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}",
        ms >> 16,
        ms & 0xffff,
        a & 0xfff,
        0x8000 | (b >> 48) & 0x3fff,
        b & 0xffff_ffff_ffff
    )
}
