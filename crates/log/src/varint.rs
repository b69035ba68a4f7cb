//! Kafka's zig-zag variable-length integers, which record batches are made of.
//!
//! Decoding never panics and never reads past its slice: an overlong or cut number is `None`.

/// Appends `value`, one to ten bytes.
pub(crate) fn put(buffer: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        buffer.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    buffer.push(rest as u8);
}

/// How many bytes [`put`] takes for `value`.
pub(crate) fn len(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    (64 - (zigzag | 1).leading_zeros() as usize).div_ceil(7)
}

/// Takes one number off the front of `bytes`.
pub(crate) fn take(bytes: &mut &[u8]) -> Option<i64> {
    let mut zigzag = 0u64;
    for (i, &byte) in bytes.iter().take(10).enumerate() {
        if i == 9 && byte > 1 {
            return None;
        }
        zigzag |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            *bytes = &bytes[i + 1..];
            return Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_number_comes_back_in_as_many_bytes_as_announced(value: i64) {
            let mut buffer = Vec::new();
            put(&mut buffer, value);
            prop_assert_eq!(buffer.len(), len(value));
            let mut rest = &buffer[..];
            prop_assert_eq!(take(&mut rest), Some(value));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn any_bytes_are_a_number_or_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let mut rest = &bytes[..];
            let taken = take(&mut rest);
            prop_assert_eq!(taken.is_none(), rest.len() == bytes.len());
        }
    }

    #[test]
    fn a_number_cut_short_or_too_long_is_refused() {
        assert_eq!(take(&mut &[0x80u8][..]), None);
        assert_eq!(take(&mut &[0xffu8; 10][..]), None);
        assert_eq!(take(&mut &[][..]), None);
    }
}
