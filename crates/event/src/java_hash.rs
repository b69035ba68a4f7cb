//! The order in which a Java `HashMap` with strings as keys walks them: part of the bytes wherever Debezium iterates over one.
//!
//! By bucket, and in a bucket in the order of insertion; buckets that Java turns into trees (eight colliding keys) keep that
//! order here.

/// 16 buckets, doubled while more than three quarters are taken.
pub(crate) fn capacity(entries: usize) -> u32 {
    let mut capacity = 16_u32;
    while entries > capacity as usize / 4 * 3 && capacity < 1 << 30 {
        capacity *= 2;
    }
    capacity
}

/// Which of so many buckets a key lies in: `String.hashCode`, with its upper half folded into the lower.
pub(crate) fn bucket(key: &str, buckets: u32) -> u32 {
    spread_hash(key) & (buckets - 1)
}

fn spread_hash(text: &str) -> u32 {
    let hash = text
        .encode_utf16()
        .fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_hashes_are_javas() {
        // String.hashCode as the Java documentation defines it: s[0]*31^(n-1) + ... + s[n-1].
        assert_eq!(spread_hash("Aa"), spread_hash("BB"));
        assert_eq!(spread_hash("hello"), 99_162_322 ^ (99_162_322 >> 16));
        assert_eq!((capacity(12), capacity(13), capacity(60)), (16, 32, 128));
    }
}
