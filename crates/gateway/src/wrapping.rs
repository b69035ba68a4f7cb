//! Takes the schema off a key or value that carries one (`schemas.enable=true`), for the price of comparing bytes.
//!
//! Connect's JsonConverter writes `{"schema":…,"payload":…}` and repeats the schema, kilobytes of it, in every record. The same
//! bytes as last time are the same schema: neither is it looked through again, nor is the payload's place searched for.

use crate::json;

/// Wrappings that a reader remembers: a topic into which several tables are routed has one for each, and Debezium
/// writes few tables at once.
const KNOWN_MAX: usize = 4;

/// A key or value in its two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unwrapped<'a> {
    pub(crate) payload: &'a [u8],
    /// `None` when the text is nothing but payload.
    pub(crate) schema: Option<&'a [u8]>,
}

/// Remembers the wrappings that were seen last, the latest first.
#[derive(Debug, Default)]
pub(crate) struct Wrapping {
    known: Vec<Known>,
}

/// All that stands before the payload.
#[derive(Debug)]
struct Known {
    text: Box<[u8]>,
    /// Where the schema is in it.
    schema: std::ops::Range<usize>,
}

impl Wrapping {
    /// The same as [`unwrap`], faster for what was seen before.
    pub(crate) fn unwrap<'a>(&mut self, text: &'a [u8]) -> Unwrapped<'a> {
        if !may_be_wrapped(text) {
            return plain(text);
        }
        let known = self.known.iter().position(|known| text.starts_with(&known.text));
        if let Some(at) = known
            && let Some(payload) = without_end(&text[self.known[at].text.len()..])
        {
            self.known[..=at].rotate_right(1);
            let schema = Some(&text[self.known[0].schema.clone()]);
            return Unwrapped { payload, schema };
        }
        let unwrapped = unwrap(text);
        if let Some(schema) = unwrapped.schema {
            self.remember(text, schema, unwrapped.payload);
        }
        unwrapped
    }

    fn remember(&mut self, text: &[u8], schema: &[u8], payload: &[u8]) {
        let place = |part: &[u8]| part.as_ptr().addr() - text.as_ptr().addr();
        let (schema, payload) = (place(schema)..place(schema) + schema.len(), place(payload));
        if schema.end <= payload {
            self.known.truncate(KNOWN_MAX - 1);
            let text = text[..payload].into();
            self.known.insert(0, Known { text, schema });
        }
    }
}

/// Both parts of `text`: an object of exactly these two members, whose schema is an object or null, as JsonConverter writes it.
pub(crate) fn unwrap(text: &[u8]) -> Unwrapped<'_> {
    if may_be_wrapped(text) {
        parts(text).unwrap_or(plain(text))
    } else {
        plain(text)
    }
}

/// A record's key without the schema that may be around it; `None` for null, however it is written.
pub(crate) fn key_payload(key: Option<&[u8]>) -> Option<&[u8]> {
    let key = unwrap(key?).payload;
    (key != b"null").then_some(key)
}

fn plain(text: &[u8]) -> Unwrapped<'_> {
    Unwrapped {
        payload: text,
        schema: None,
    }
}

/// The question for every record: its first letters answer it for nearly all.
fn may_be_wrapped(text: &[u8]) -> bool {
    match text {
        [b'{', b'"', letter, ..] => matches!(letter, b's' | b'p'),
        [b'{', space, ..] | [space, ..] => space.is_ascii_whitespace(),
        [] => false,
    }
}

fn parts(text: &[u8]) -> Option<Unwrapped<'_>> {
    let mut members = json::members(text)?;
    let (schema, payload) = match (members.next()?, members.next()?) {
        ((b"schema", schema), (b"payload", payload)) | ((b"payload", payload), (b"schema", schema)) => {
            (schema, payload)
        }
        _ => return None,
    };
    let is_schema = schema == b"null" || schema.starts_with(b"{");
    (is_schema && members.next().is_none() && members.are_all()).then_some(Unwrapped {
        payload,
        schema: Some(schema),
    })
}

/// What is left of `payload}`. Is it not one value, then it is no JSON either, and will be found out as such.
fn without_end(rest: &[u8]) -> Option<&[u8]> {
    Some(rest.trim_ascii_end().strip_suffix(b"}")?.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_a_json_converter_writes_is_taken_apart() {
        let wrapped = |text: &'static str| {
            let Unwrapped { payload, schema } = unwrap(text.as_bytes());
            schema.map(|schema| (std::str::from_utf8(schema).ok(), std::str::from_utf8(payload).ok()))
        };
        let parts = Some((Some(r#"{"type":"struct"}"#), Some(r#"{"id":7}"#)));
        assert_eq!(wrapped(r#"{"schema":{"type":"struct"},"payload":{"id":7}}"#), parts);
        assert_eq!(
            wrapped("\n{ \"payload\" : {\"id\":7},\t\"schema\":{\"type\":\"struct\"} } "),
            parts
        );
        assert_eq!(
            wrapped(r#"{"schema":null,"payload":null}"#),
            Some((Some("null"), Some("null")))
        );
        for row in [
            r#"{"schema":"public","payload":"text"}"#,
            r#"{"schema":{},"payload":1,"id":7}"#,
            r#"{"schema":{},"payload":1} and more"#,
            r#"{"payload":{"op":"c"}}"#,
            r#"{"id":7}"#,
            "7",
            "",
        ] {
            assert_eq!(wrapped(row), None, "{row}");
        }
    }

    #[test]
    fn keys_lose_their_schema_and_null_is_no_key() {
        let key = |key: &'static str| key_payload(Some(key.as_bytes()));
        assert_eq!(key(r#"{"schema":{},"payload":{"id":7}}"#), Some(&br#"{"id":7}"#[..]));
        assert_eq!(key(r#"{"id":7,"payload":1}"#), Some(&br#"{"id":7,"payload":1}"#[..]));
        assert_eq!((key("null"), key(r#"{"schema":{},"payload":null}"#)), (None, None));
        assert_eq!((key("order-7"), key_payload(None)), (Some(&b"order-7"[..]), None));
    }

    proptest! {
        #[test]
        fn what_is_remembered_changes_nothing(
            texts in proptest::collection::vec(
                ("[ab]{0,2}", prop_oneof![Just("{\"id\":7}"), Just("null"), Just("[1]"), Just(" \"x}\" ")], "[ \n]{0,2}"),
                0..12,
            ),
        ) {
            let mut wrapping = Wrapping::default();
            for (name, payload, space) in texts {
                let text = format!(r#"{{"schema":{{"name":"{name}"}},{space}"payload":{payload}{space}}}{space}"#);
                prop_assert_eq!(wrapping.unwrap(text.as_bytes()), unwrap(text.as_bytes()));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(
            texts in proptest::collection::vec("(\\{\"schema\":\\{\\},\"payload\":)?[{}\":,a1 ]{0,20}", 0..6),
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut wrapping = Wrapping::default();
            for text in texts.iter().map(String::as_bytes).chain([&bytes[..]]) {
                wrapping.unwrap(text);
                key_payload(Some(text));
            }
        }
    }
}
