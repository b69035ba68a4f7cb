//! hstore as JSON text or as a map (`hstore.handling.mode`), its keys in the order in which a Java `HashMap` walks them.
//!
//! The order is part of the bytes.

use super::{Fidelity, Unconvertible, Written};
use crate::{java_hash, json, notation::Notation};

struct Pair {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

/// Writes `"k"=>"v", "n"=>NULL` as the string `{"k":"v","n":null}`.
pub(crate) fn write_json<N: Notation>(text: &[u8], out: &mut Vec<u8>) -> Written {
    let mut object = Vec::with_capacity(text.len() + 2);
    let fidelity = write_object(parse(text)?, push_text, &mut object);
    Ok(worse(fidelity, N::string(&object, out)))
}

/// The same as the object itself.
pub(crate) fn write_map<N: Notation>(text: &[u8], out: &mut Vec<u8>) -> Written {
    Ok(write_object(parse(text)?, N::string, out))
}

fn write_object(mut pairs: Vec<Pair>, string: fn(&[u8], &mut Vec<u8>) -> Fidelity, out: &mut Vec<u8>) -> Fidelity {
    let buckets = java_hash::capacity(pairs.len());
    pairs.sort_by_key(|pair| java_hash::bucket(&String::from_utf8_lossy(&pair.key), buckets));
    out.push(b'{');
    let mut fidelity = Fidelity::Exact;
    for (place, pair) in pairs.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        fidelity = worse(fidelity, string(&pair.key, out));
        out.push(b':');
        match &pair.value {
            Some(value) => fidelity = worse(fidelity, string(value, out)),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
    fidelity
}

fn worse(one: Fidelity, other: Fidelity) -> Fidelity {
    if one == Fidelity::Exact { other } else { one }
}

/// The inner JSON is a Java string: characters outside the basic plane are escaped by the outer one only.
fn push_text(text: &[u8], out: &mut Vec<u8>) -> Fidelity {
    json::write_string_raw_planes(text, out)
}

fn parse(mut text: &[u8]) -> Result<Vec<Pair>, Unconvertible> {
    let mut pairs = Vec::new();
    while !text.is_empty() {
        let (key, rest) = take_quoted(text)?;
        let rest = rest.strip_prefix(b"=>").ok_or(Unconvertible)?;
        let (value, rest) = match rest.strip_prefix(b"NULL") {
            Some(rest) => (None, rest),
            None => take_quoted(rest).map(|(value, rest)| (Some(value), rest))?,
        };
        pairs.push(Pair { key, value });
        text = match rest.strip_prefix(b", ") {
            Some([]) => return Err(Unconvertible),
            Some(rest) => rest,
            None if rest.is_empty() => rest,
            None => return Err(Unconvertible),
        };
    }
    Ok(pairs)
}

fn take_quoted(text: &[u8]) -> Result<(Vec<u8>, &[u8]), Unconvertible> {
    let [b'"', rest @ ..] = text else {
        return Err(Unconvertible);
    };
    let mut value = Vec::new();
    let mut bytes = rest.iter();
    loop {
        match bytes.next().ok_or(Unconvertible)? {
            b'"' => return Ok((value, bytes.as_slice())),
            b'\\' => value.push(*bytes.next().ok_or(Unconvertible)?),
            &byte => value.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::Json;

    #[test]
    fn keys_come_in_the_order_of_a_java_hash_map() {
        let mut out = Vec::new();
        write_json::<Json>(br#""key4"=>"val4", "key5"=>NULL, "a\"b"=>"\\""#, &mut out).unwrap();
        let text: String = serde_json::from_slice(&out).unwrap();
        // "key4".hashCode() ends in ...f4, "key5" in ...f5 after spreading; the third lies before both.
        let order = |key: &str| java_hash::bucket(key, 16);
        let mut keys = ["key4", "key5", "a\"b"];
        keys.sort_by_key(|key| order(key));
        let at = |key: &str| text.find(&json::string(key)).unwrap();
        assert!(keys.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{text}");
        assert!(
            text.contains(r#""a\"b":"\\""#) && text.contains(r#""key5":null"#),
            "{text}"
        );
    }

    #[test]
    fn a_map_has_the_same_members_in_the_same_order() {
        let text = br#""key4"=>"val4", "key5"=>NULL, "a\"b"=>"\\""#;
        let (mut json, mut map) = (Vec::new(), Vec::new());
        write_json::<Json>(text, &mut json).unwrap();
        write_map::<Json>(text, &mut map).unwrap();
        let json: String = serde_json::from_slice(&json).unwrap();
        assert_eq!(json.as_bytes(), map);
    }

    #[test]
    fn garbage_is_refused() {
        for text in [
            "a",
            "\"a\"",
            "\"a\"=>",
            "\"a\"=>b",
            "\"a\"=>\"b\", ",
            "\"a\"=>\"b\"\"c\"=>\"d\"",
            "\"a",
        ] {
            assert!(write_json::<Json>(text.as_bytes(), &mut Vec::new()).is_err(), "{text}");
        }
    }
}
