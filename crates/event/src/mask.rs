//! Columns that are hidden or cut: `column.mask.with`, `column.mask.hash` and `column.truncate`.
//!
//! Looked up when a table is compiled; a row of a table without such columns never comes here. Keys stay as they are, as in
//! Debezium. Where Debezium passes a mask over, for another rule stands before it, the mask holds here: whoever asked for a
//! mask does not get the value (`docs/debezium-differences.md`, mask-passed-over).

use std::{borrow::Cow, fmt, sync::Arc};

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};

use crate::{
    EventOptions, NamePattern, TableDescription, TypeCatalog,
    converter::Converter,
    schema::Schema,
    source_type::{self, Reader},
    types,
    values::{Fidelity, Written, binary::push_hex},
};

/// What is done to the values of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mask {
    /// `column.mask.with.N.chars`: as many asterisks, whatever the value, null too.
    Stars(usize),
    /// `column.mask.hash.*`.
    Hash(Hash),
    /// `column.truncate.to.N.chars`: UTF-16 units of text, bytes of binaries.
    Cut(usize),
}

/// A salted hash, in lower-case hexadecimal.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash {
    /// Which.
    pub algorithm: HashAlgorithm,
    /// What is hashed before the value. A secret.
    pub salt: Vec<u8>,
    /// The first version hashes the value as Java serialises a string, `v2` its UTF-8.
    pub serialised: bool,
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({:?})", self.algorithm)
    }
}

/// Java's `MessageDigest` algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum HashAlgorithm {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512Of224,
    Sha512Of256,
    Sha3Of224,
    Sha3Of256,
    Sha3Of384,
    Sha3Of512,
}

/// Java's names.
const ALGORITHMS: [(&str, HashAlgorithm); 14] = [
    ("MD5", HashAlgorithm::Md5),
    ("SHA", HashAlgorithm::Sha1),
    ("SHA1", HashAlgorithm::Sha1),
    ("SHA-1", HashAlgorithm::Sha1),
    ("SHA-224", HashAlgorithm::Sha224),
    ("SHA-256", HashAlgorithm::Sha256),
    ("SHA-384", HashAlgorithm::Sha384),
    ("SHA-512", HashAlgorithm::Sha512),
    ("SHA-512/224", HashAlgorithm::Sha512Of224),
    ("SHA-512/256", HashAlgorithm::Sha512Of256),
    ("SHA3-224", HashAlgorithm::Sha3Of224),
    ("SHA3-256", HashAlgorithm::Sha3Of256),
    ("SHA3-384", HashAlgorithm::Sha3Of384),
    ("SHA3-512", HashAlgorithm::Sha3Of512),
];

impl HashAlgorithm {
    /// By Java's name, in any case.
    pub fn named(name: &str) -> Option<HashAlgorithm> {
        let found = ALGORITHMS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, algorithm)| *algorithm)
    }

    /// The names, for people.
    pub fn names() -> String {
        ALGORITHMS.map(|(name, _)| name).join(", ")
    }
}

/// Which columns are masked, each property with the pattern of its columns; of several the first counts, so those that only
/// cut come last.
pub type ColumnMasks = Vec<(NamePattern, Mask)>;

/// A column's mask, with what it depends on besides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Masked<'a> {
    mask: &'a Mask,
    /// The driver's length of the column, as the snapshot and as the stream see it.
    lengths: [i32; 2],
    /// The type is one that JDBC calls text: others are not masked.
    is_text: bool,
}

impl<'a> Masked<'a> {
    /// `None` if nothing masks the column.
    pub(crate) fn find(
        table: &TableDescription,
        index: usize,
        types: &TypeCatalog,
        options: &'a EventOptions,
    ) -> Option<Masked<'a>> {
        let column = &table.columns[index];
        let name = format!("{}.{}.{}", table.schema, table.table, column.name);
        let (_, mask) = options.masks.iter().find(|(pattern, _)| pattern.matches(&name))?;
        let length = |reader| source_type::length_and_scale(column, types, reader).0;
        Some(Masked {
            mask,
            lengths: [length(Reader::Snapshot), length(Reader::Stream)],
            is_text: types::is_text(column.type_oid, types),
        })
    }

    fn length(self, reader: Reader) -> i32 {
        let [snapshot, stream] = self.lengths;
        match reader {
            Reader::Snapshot => snapshot,
            Reader::Stream => stream,
        }
    }

    /// What the column always is.
    pub(crate) fn constant(self) -> Option<String> {
        match self.mask {
            Mask::Stars(count) if self.is_text => Some("*".repeat(*count)),
            _ => None,
        }
    }

    /// Writes what is delivered in place of what `plain` writes.
    pub(crate) fn converter(self, plain: Converter, schema: &Schema, reader: Reader) -> Converter {
        match self.mask {
            Mask::Hash(hash) if self.is_text => Converter::Hashed(Arc::new(Hasher {
                hash: hash.clone(),
                digits_max: usize::try_from(self.length(reader)).unwrap_or_default(),
            })),
            Mask::Cut(_) if schema.type_word() == "string" || plain.is_bytes() => match self.cut(reader) {
                Some(max) => Converter::Cut {
                    whole: Box::new(plain),
                    max,
                },
                None => plain,
            },
            _ => plain,
        }
    }

    /// Where its values are cut, if they can be longer.
    fn cut(self, reader: Reader) -> Option<usize> {
        match self.mask {
            Mask::Cut(max) if usize::try_from(self.length(reader)).is_ok_and(|length| length > *max) => Some(*max),
            _ => None,
        }
    }

    /// The parameter that tells of it.
    pub(crate) fn parameters(self, reader: Reader) -> Vec<(&'static str, String)> {
        match self.mask {
            Mask::Stars(_) | Mask::Hash(_) => vec![("masked", "true".to_owned())],
            Mask::Cut(_) => {
                let cut = self.cut(reader);
                cut.map(|max| ("truncateLength", max.to_string())).into_iter().collect()
            }
        }
    }

    /// A mask that leaves the values as they are.
    pub(crate) fn is_idle(self) -> bool {
        self.hides() && !self.is_text
    }

    /// Whether it hides values, and does not only cut them.
    pub(crate) fn hides(self) -> bool {
        !matches!(self.mask, Mask::Cut(_))
    }
}

/// Writes the hash in place of the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hasher {
    hash: Hash,
    /// Of the column; 0 for no limit.
    digits_max: usize,
}

/// The most that any algorithm gives.
const DIGEST_BYTES_MAX: usize = 64;

impl Hasher {
    /// Appends the hash of a text, in quotes.
    pub(crate) fn write(&self, text: &[u8], out: &mut Vec<u8>) -> Written {
        let valid = String::from_utf8_lossy(text);
        let mut digest = [0; DIGEST_BYTES_MAX];
        let length = match self.hash.serialised {
            true => {
                let (head, body) = java_serialised(&valid);
                self.digest(&[&head, &body], &mut digest)
            }
            false => self.digest(&[valid.as_bytes()], &mut digest),
        };
        out.push(b'"');
        let start = out.len();
        push_hex(&digest[..length], out);
        if self.digits_max > 0 {
            out.truncate(start + self.digits_max.min(2 * length));
        }
        out.push(b'"');
        Ok(match valid {
            Cow::Borrowed(_) => Fidelity::Exact,
            Cow::Owned(_) => Fidelity::Repaired,
        })
    }

    fn digest(&self, parts: &[&[u8]], out: &mut [u8; DIGEST_BYTES_MAX]) -> usize {
        let salt = &self.hash.salt;
        match self.hash.algorithm {
            HashAlgorithm::Md5 => digest::<Md5>(salt, parts, out),
            HashAlgorithm::Sha1 => digest::<Sha1>(salt, parts, out),
            HashAlgorithm::Sha224 => digest::<Sha224>(salt, parts, out),
            HashAlgorithm::Sha256 => digest::<Sha256>(salt, parts, out),
            HashAlgorithm::Sha384 => digest::<Sha384>(salt, parts, out),
            HashAlgorithm::Sha512 => digest::<Sha512>(salt, parts, out),
            HashAlgorithm::Sha512Of224 => digest::<Sha512_224>(salt, parts, out),
            HashAlgorithm::Sha512Of256 => digest::<Sha512_256>(salt, parts, out),
            HashAlgorithm::Sha3Of224 => digest::<Sha3_224>(salt, parts, out),
            HashAlgorithm::Sha3Of256 => digest::<Sha3_256>(salt, parts, out),
            HashAlgorithm::Sha3Of384 => digest::<Sha3_384>(salt, parts, out),
            HashAlgorithm::Sha3Of512 => digest::<Sha3_512>(salt, parts, out),
        }
    }
}

fn digest<D: Digest>(salt: &[u8], parts: &[&[u8]], out: &mut [u8; DIGEST_BYTES_MAX]) -> usize {
    let mut digest = D::new_with_prefix(salt);
    parts.iter().for_each(|part| digest.update(part));
    let digest = digest.finalize();
    out[..digest.len()].copy_from_slice(&digest);
    digest.len()
}

/// What Java's `ObjectOutputStream` writes for a string: its header, then the length and the text in modified UTF-8.
fn java_serialised(text: &str) -> (Vec<u8>, Cow<'_, [u8]>) {
    /// The stream's magic number and version.
    const STREAM: [u8; 4] = [0xac, 0xed, 0, 5];
    const STRING: u8 = 0x74;
    const LONG_STRING: u8 = 0x7c;
    let text = modified_utf8(text);
    let mut head = STREAM.to_vec();
    match u16::try_from(text.len()) {
        Ok(length) => {
            head.push(STRING);
            head.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            head.push(LONG_STRING);
            head.extend_from_slice(&(text.len() as u64).to_be_bytes());
        }
    }
    (head, text)
}

/// Characters outside the basic plane are two surrogates of three bytes each; zero, which PostgreSQL's text never has, is
/// left out of account.
fn modified_utf8(text: &str) -> Cow<'_, [u8]> {
    if !text.bytes().any(|byte| byte >= 0xf0) {
        return text.as_bytes().into();
    }
    let mut out = Vec::with_capacity(text.len() + text.len() / 2);
    for unit in text.encode_utf16() {
        match unit {
            ..0x80 => out.push(unit as u8),
            0x80..0x800 => out.extend_from_slice(&[0xc0 | (unit >> 6) as u8, 0x80 | (unit & 0x3f) as u8]),
            _ => out.extend_from_slice(&[
                0xe0 | (unit >> 12) as u8,
                0x80 | (unit >> 6 & 0x3f) as u8,
                0x80 | (unit & 0x3f) as u8,
            ]),
        }
    }
    out.into()
}

/// Cuts the JSON string that begins at `start` after `max` UTF-16 units.
pub(crate) fn cut_text(max: usize, start: usize, out: &mut Vec<u8>) {
    let mut at = start + 1;
    for _ in 0..max {
        at += match &out[at..] {
            // The whole text, which the closing quote ends.
            [b'"'] | [] => return,
            [b'\\', b'u', ..] => 6,
            [b'\\', ..] => 2,
            [..0x80, ..] => 1,
            [..0xe0, ..] => 2,
            _ => 3,
        };
    }
    if at + 1 < out.len() {
        out.truncate(at);
        out.push(b'"');
    }
}

/// Cuts the base64 in quotes that begins at `start` after `max` bytes.
pub(crate) fn cut_base64(max: usize, start: usize, out: &mut Vec<u8>) {
    let body = start + 1;
    let padding = out[body..].iter().filter(|byte| **byte == b'=').count();
    if (out.len() - 1 - body) / 4 * 3 - padding <= max {
        return;
    }
    let (whole, rest) = (max / 3 * 4, max % 3);
    let group = &out[body + whole..body + whole + 4];
    let mut bytes = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, group).unwrap_or_default();
    bytes.truncate(rest);
    out.truncate(body + whole);
    crate::values::binary::push_base64(&bytes, out);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed(algorithm: &str, serialised: bool, digits_max: usize, text: &str) -> String {
        let hasher = Hasher {
            hash: Hash {
                algorithm: HashAlgorithm::named(algorithm).unwrap(),
                salt: b"CzQMA0cB5K".to_vec(),
                serialised,
            },
            digits_max,
        };
        let mut out = Vec::new();
        hasher.write(text.as_bytes(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hashes_are_what_java_gives() {
        // sha256sum and md5sum of the salt and the text.
        assert_eq!(
            hashed("sha-256", false, 0, "secret"),
            r#""8b41ea6bee11d6298cbf86dab70bb64aabef4ff6119d9c929ace2a16123117a5""#
        );
        assert_eq!(
            hashed("MD5", true, 0, "secret"),
            r#""33adc2ce70fb67b71cf299c85bcaea22""#
        );
        assert_eq!(hashed("MD5", true, 20, "secret"), r#""33adc2ce70fb67b71cf2""#);
        assert_eq!(HashAlgorithm::named("SHA3-512"), Some(HashAlgorithm::Sha3Of512));
        assert_eq!(HashAlgorithm::named("MD2"), None);
    }

    #[test]
    fn java_serialises_lengths_and_surrogates_its_own_way() {
        let (head, body) = java_serialised("ä😀");
        assert_eq!(head, [0xac, 0xed, 0, 5, 0x74, 0, 8]);
        assert_eq!(*body, [0xc3, 0xa4, 0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]);
        let long = "x".repeat(65_536);
        let (head, _) = java_serialised(&long);
        assert_eq!(head, [0xac, 0xed, 0, 5, 0x7c, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn text_is_cut_by_utf16_units_and_binaries_by_bytes() {
        for (max, whole, cut) in [
            (2, r#""abc""#, r#""ab""#),
            (3, r#""abc""#, r#""abc""#),
            (0, r#""abc""#, r#""""#),
            (2, r#""\n\"c""#, r#""\n\"""#),
            (2, "\"äöü\"", "\"äö\""),
            (2, "\"€€€\"", "\"€€\""),
            (2, r#""\uD83D\uDE00c""#, r#""\uD83D\uDE00""#),
        ] {
            let mut out = [b"{", whole.as_bytes()].concat();
            cut_text(max, 1, &mut out);
            assert_eq!(String::from_utf8_lossy(&out[1..]), cut, "{max}");
        }
        for (max, whole, cut) in [
            (4, r#""AQIDBAU=""#, r#""AQIDBA==""#),
            (5, r#""AQIDBAU=""#, r#""AQIDBAU=""#),
            (3, r#""AQIDBAU=""#, r#""AQID""#),
            (2, r#""AQIDBAU=""#, r#""AQI=""#),
            (0, r#""AQIDBAU=""#, r#""""#),
        ] {
            let mut out = [b"{", whole.as_bytes()].concat();
            cut_base64(max, 1, &mut out);
            assert_eq!(String::from_utf8_lossy(&out[1..]), cut, "{max}");
        }
    }
}
