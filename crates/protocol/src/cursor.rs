//! Lets a client go on where it was, without trusting it.
//!
//! A cursor names the next offset of each partition of one life of one topic. It travels as opaque text (base64url
//! without padding) that anyone may keep and nobody may make: a truncated HMAC-SHA256 keyed by the topic's 128-bit id,
//! which no client ever sees and every gateway of the same log knows. So any gateway can take any other's cursors.
//!
//! Version 1, before base64: version (1 byte), epoch hash (8), topic hash (8), number of partitions (varint), next
//! offsets (varints), MAC (16). The hashes only tell *why* a cursor does not fit; the MAC is what is believed.
//!
//! Whether the log still holds those offsets is for the gateway to ask.

use aws_lc_rs::{constant_time, digest, hmac};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// Partitions that one cursor may name: Kafka topics of more are rare, and a cursor travels in every change.
pub const PARTITIONS_MAX: usize = 256;

/// A cursor's text is never longer: 256 offsets of 10 bytes and the rest, in base64.
pub const TEXT_BYTES_MAX: usize = (1 + HASHES + 2 + 10 * PARTITIONS_MAX + MAC).div_ceil(3) * 4;

const VERSION: u8 = 1;
/// Epoch hash and topic hash.
const HASHES: usize = 16;
/// 128 bits: nobody guesses one in 2^128 over a network.
const MAC: usize = 16;
/// Version, hashes and a partition count, at least.
const BYTES_MIN: usize = 1 + HASHES + 1 + MAC;
/// Bytes before base64 that fit on the stack: topics of up to five partitions, wherever their offsets are.
const INLINE: usize = 1 + HASHES + 2 + 50 + MAC;

/// Where a client goes on: the next offset of each partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// By partition number.
    pub next_offsets: Vec<u64>,
}

/// Makes and checks the cursors of one life of one topic. Made once for a feed.
#[derive(Clone, Debug)]
pub struct CursorKey {
    mac: hmac::Key,
    /// Version and hashes, the same in all its cursors.
    head: [u8; 1 + HASHES],
}

/// Why a cursor was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Not the text of a cursor, or of a version that this server does not know.
    #[error("this is not a cursor of this server; send back a cursor as it was received, or none")]
    Garbage,
    /// Well formed, but not one that was given out.
    #[error("the cursor was changed since it was given out; send it back as it was received, or none")]
    Forged,
    /// Of another topic: the view is to be sent again.
    #[error("the cursor belongs to another topic")]
    OtherTopic,
    /// Of another life of the topic: the view is to be sent again.
    #[error("the topic was made anew since the cursor was given out")]
    OtherEpoch,
}

impl CursorKey {
    /// Prepares the key of a topic and its 128-bit id.
    pub fn new(topic: &str, epoch: u128) -> CursorKey {
        let mut head = [VERSION; 1 + HASHES];
        head[1..9].copy_from_slice(&hash(b"rowcast cursor epoch", &epoch.to_be_bytes()));
        head[9..].copy_from_slice(&hash(b"rowcast cursor topic", topic.as_bytes()));
        CursorKey {
            mac: hmac::Key::new(hmac::HMAC_SHA256, &epoch.to_be_bytes()),
            head,
        }
    }

    /// Appends the cursor's text to `out`: the way of the hot path, once per change. At most [`PARTITIONS_MAX`]
    /// offsets are told; a feed of more partitions is refused before it exists.
    pub fn write(&self, next_offsets: &[u64], out: &mut Vec<u8>) {
        let mut inline = [0_u8; INLINE];
        let needed = self.head.len() + 2 + 10 * next_offsets.len() + MAC;
        if needed <= INLINE {
            self.write_through(&mut inline, next_offsets, out);
        } else {
            self.write_through(&mut vec![0; needed], next_offsets, out);
        }
    }

    fn write_through(&self, bytes: &mut [u8], next_offsets: &[u64], out: &mut Vec<u8>) {
        bytes[..self.head.len()].copy_from_slice(&self.head);
        let mut len = put_varint(bytes, self.head.len(), next_offsets.len() as u64);
        for offset in next_offsets {
            len = put_varint(bytes, len, *offset);
        }
        let mac = hmac::sign(&self.mac, &bytes[..len]);
        bytes[len..len + MAC].copy_from_slice(&mac.as_ref()[..MAC]);
        let bytes = &bytes[..len + MAC];

        let start = out.len();
        out.resize(start + bytes.len().div_ceil(3) * 4, 0);
        let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut out[start..]);
        out.truncate(start + written.expect("base64 makes 4 of 3"));
    }
}

impl Cursor {
    /// A cursor of one partition.
    pub fn single(next_offset: u64) -> Cursor {
        Cursor {
            next_offsets: vec![next_offset],
        }
    }

    /// The cursor's text.
    pub fn encode(&self, key: &CursorKey) -> String {
        let mut out = Vec::new();
        key.write(&self.next_offsets, &mut out);
        String::from_utf8(out).expect("base64 is ASCII")
    }

    /// Reads and checks a cursor that a client sent for the key's topic.
    pub fn decode(text: &str, key: &CursorKey) -> Result<Cursor, CursorError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(CursorError::Garbage);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError::Garbage)?;
        if bytes.len() < BYTES_MIN || bytes[0] != VERSION {
            return Err(CursorError::Garbage);
        }
        let (signed, mac) = bytes.split_at(bytes.len() - MAC);
        let next_offsets = read_offsets(&signed[1 + HASHES..]).ok_or(CursorError::Garbage)?;
        key.check(signed, mac)?;
        Ok(Cursor { next_offsets })
    }
}

impl CursorKey {
    /// Other hashes first: their MAC has another key, or could not be told from a forged one.
    fn check(&self, signed: &[u8], mac: &[u8]) -> Result<(), CursorError> {
        if signed[9..1 + HASHES] != self.head[9..] {
            return Err(CursorError::OtherTopic);
        }
        if signed[1..9] != self.head[1..9] {
            return Err(CursorError::OtherEpoch);
        }
        let expected = hmac::sign(&self.mac, signed);
        constant_time::verify_slices_are_equal(&expected.as_ref()[..MAC], mac).map_err(|_| CursorError::Forged)
    }
}

fn hash(purpose: &[u8], what: &[u8]) -> [u8; 8] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(purpose);
    context.update(what);
    let mut short = [0; 8];
    short.copy_from_slice(&context.finish().as_ref()[..8]);
    short
}

/// Writes `value` at `at`, low seven bits first, and tells where it ends.
fn put_varint(bytes: &mut [u8], mut at: usize, mut value: u64) -> usize {
    while value >= 0x80 {
        bytes[at] = value as u8 | 0x80;
        value >>= 7;
        at += 1;
    }
    bytes[at] = value as u8;
    at + 1
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if bits.checked_shl(shift)? >> shift != bits {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn read_offsets(mut bytes: &[u8]) -> Option<Vec<u64>> {
    let partitions = usize::try_from(take_varint(&mut bytes)?).ok()?;
    if partitions == 0 || partitions > PARTITIONS_MAX {
        return None;
    }
    let offsets = (0..partitions)
        .map(|_| take_varint(&mut bytes))
        .collect::<Option<Vec<u64>>>()?;
    bytes.is_empty().then_some(offsets)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOPIC: &str = "orders.public.orders";

    fn key() -> CursorKey {
        CursorKey::new(TOPIC, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef)
    }

    #[test]
    fn a_cursor_of_another_topic_or_life_says_so() {
        let text = Cursor::single(7).encode(&key());
        assert_eq!(
            Cursor::decode(&text, &CursorKey::new(TOPIC, 1)),
            Err(CursorError::OtherEpoch)
        );
        assert_eq!(
            Cursor::decode(&text, &CursorKey::new("other", 1)),
            Err(CursorError::OtherTopic)
        );
    }

    #[test]
    fn the_text_of_version_1_stays_as_it_is() {
        let text = Cursor {
            next_offsets: vec![0, 300, u64::MAX],
        }
        .encode(&key());
        assert_eq!(text, "AeZAg1NT18i8eB-bJ9agimMDAKwC____________AftqEqo5u4EAD2pC4O_fEas");
    }

    #[test]
    fn the_largest_cursor_fits_its_bound() {
        let text = Cursor {
            next_offsets: vec![u64::MAX; PARTITIONS_MAX],
        }
        .encode(&key());
        assert!(text.len() <= TEXT_BYTES_MAX, "{} > {TEXT_BYTES_MAX}", text.len());
        assert!(Cursor::decode(&text, &key()).is_ok());
        assert_eq!(
            Cursor::decode(&"A".repeat(TEXT_BYTES_MAX + 1), &key()),
            Err(CursorError::Garbage)
        );
    }

    proptest! {
        #[test]
        fn a_cursor_comes_back_as_it_was(next_offsets in prop::collection::vec(any::<u64>(), 1..=PARTITIONS_MAX)) {
            let cursor = Cursor { next_offsets };
            prop_assert_eq!(Cursor::decode(&cursor.encode(&key()), &key()), Ok(cursor));
        }

        #[test]
        fn any_flipped_bit_is_refused(next_offsets in prop::collection::vec(any::<u64>(), 1..4), bit in any::<prop::sample::Index>()) {
            let text = Cursor { next_offsets }.encode(&key());
            let mut bytes = URL_SAFE_NO_PAD.decode(text).expect("our own");
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Cursor::decode(&URL_SAFE_NO_PAD.encode(bytes), &key()).is_err());
        }

        #[test]
        fn any_other_character_is_refused(offset in any::<u64>(), at in any::<prop::sample::Index>(), other in any::<char>()) {
            let text = Cursor::single(offset).encode(&key());
            let at = at.index(text.len());
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            prop_assume!(changed != text);
            prop_assert!(Cursor::decode(&changed, &key()).is_err());
        }

        #[test]
        fn garbage_is_refused_without_a_panic(text in ".{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(Cursor::decode(&text, &key()).is_err());
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() { *first = VERSION; }
            prop_assert!(Cursor::decode(&URL_SAFE_NO_PAD.encode(bytes), &key()).is_err());
        }
    }
}
