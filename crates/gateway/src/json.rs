//! Finds the extents of JSON values without building anything, so that rows are copied and never parsed.
//!
//! Promises: never panics; on well-formed JSON the extents are exact, whatever the white space and order. On anything
//! else it may find nonsense or nothing: who sends the result on validates the text first ([`is_json`]).

use memchr::memchr2;

/// Whether `text` is one JSON value in UTF-8 and nothing else.
pub(crate) fn is_json(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())
}

/// The members of a JSON object: raw name (between its quotes, escapes as they are) and raw value.
///
/// `None` when `text` does not begin as an object; ends early where the text is not JSON.
pub(crate) fn members(text: &[u8]) -> Option<Members<'_>> {
    let at = skip_space(text, 0);
    (text.get(at) == Some(&b'{')).then_some(Members { text, at: at + 1 })
}

/// See [`members`].
#[derive(Clone, Debug)]
pub(crate) struct Members<'a> {
    text: &'a [u8],
    at: usize,
}

impl Members<'_> {
    /// Whether nothing but the object's end follows: ask once there is no next member.
    pub(crate) fn are_all(&self) -> bool {
        let end = skip_space(self.text, self.at);
        self.text.get(end) == Some(&b'}') && skip_space(self.text, end + 1) == self.text.len()
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.text;
        let mut at = skip_space(text, self.at);
        if text.get(at) == Some(&b',') {
            at = skip_space(text, at + 1);
        }
        if text.get(at) != Some(&b'"') {
            return None;
        }
        let name_end = skip_string(text, at)?;
        let name = &text[at + 1..name_end - 1];
        let colon = skip_space(text, name_end);
        if text.get(colon) != Some(&b':') {
            return None;
        }
        let start = skip_space(text, colon + 1);
        let end = skip_value(text, start)?;
        self.at = end;
        Some((name, &text[start..end]))
    }
}

fn skip_space(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// Where the value that starts at `at` ends.
fn skip_value(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' => skip_string(text, at),
        b'{' | b'[' => skip_container(text, at),
        b',' | b'}' | b']' | b':' => None,
        _ => {
            let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
            Some(
                text[at..]
                    .iter()
                    .position(is_end)
                    .map_or(text.len(), |length| at + length),
            )
        }
    }
}

fn skip_string(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

fn skip_container(text: &[u8], at: usize) -> Option<usize> {
    let (mut at, mut depth) = (at, 0_usize);
    loop {
        match text.get(at)? {
            b'"' => {
                at = skip_string(text, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// A member's name as text, its escapes undone.
pub(crate) fn name(raw: &[u8]) -> Option<String> {
    serde_json::from_slice(&[b"\"", raw, b"\""].concat()).ok()
}

/// The number that `text` is, if it is a whole one.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<i32>().prop_map(|eighths| (f64::from(eighths) / 8.0).into()),
            "[\\PC\"\\\\{}\\[\\],: \n]{0,12}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::Array),
                proptest::collection::vec(("[a-z\"\\\\ü]{0,5}", inner), 0..5)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn members_are_those_a_parser_finds(
            object in proptest::collection::vec(("[a-z]{1,5}", json()), 0..6),
            pretty in any::<bool>(),
        ) {
            let object = serde_json::Value::Object(object.into_iter().collect());
            let text = if pretty { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) };
            let text = text.expect("values serialise");
            let found: serde_json::Map<String, serde_json::Value> = members(text.as_bytes())
                .expect("an object")
                .map(|(name, value)| {
                    let name = String::from_utf8(name.to_vec()).expect("ASCII names");
                    (name, serde_json::from_slice(value).expect("a member's extent is a value"))
                })
                .collect();
            prop_assert_eq!(serde_json::to_string(&found).ok(), serde_json::to_string(&object).ok());
        }

        #[test]
        fn arbitrary_text_never_panics(text in "[{}\\[\\]\",:a1 \\\\]{0,60}", bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            for text in [text.as_bytes(), &bytes] {
                if let Some(members) = members(text) {
                    members.for_each(drop);
                }
            }
        }
    }
}
