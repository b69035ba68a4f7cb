//! Decides what a client has asked for, or says exactly what is wrong with its message.
//!
//! Parsing is strict: an unknown member, a member given twice, a wrong type or a nesting deeper than
//! [`NESTING_MAX`] is refused with a sentence that names it. Nothing here can panic, recurse without
//! bound or copy more than the message holds; the message's size is the session's limit to set.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, IntoDeserializer, MapAccess, Visitor},
};

use crate::{declare::message, reason::ErrorCode, server::RawJson};

/// How deep a client's message may nest. Ours need 2; predicates and options to come stay well below 16.
pub const NESTING_MAX: usize = 16;

/// Characters of a parser's complaint that are sent back: enough for any member name we know.
const COMPLAINT_CHARS_MAX: usize = 240;

message! {
    /// Asks for a table: its rows, then every change to it.
    #[serde(deny_unknown_fields)]
    pub struct Subscribe {
        /// The topic, such as `orders.public.orders`.
        pub topic: String,
        /// Whether to send the rows first. Ignored when a cursor is given.
        #[serde(default = "yes")]
        pub snapshot: bool,
        /// Where to go on from: the last cursor that was received.
        #[serde(default)]
        pub cursor: Option<String>,
        /// Any text; comes back with the answer.
        #[serde(default)]
        pub r#ref: Option<String>,
        /// Which rows. Not supported yet: refused.
        #[serde(default)]
        pub r#where: Option<RawJson>,
        /// Which columns. Not supported yet: refused.
        #[serde(default)]
        pub columns: Option<RawJson>,
        /// All changes or only the latest of each row. Not supported yet: refused.
        #[serde(default)]
        pub mode: Option<RawJson>,
    }
}

message! {
    /// Ends a subscription.
    #[serde(deny_unknown_fields)]
    pub struct Unsubscribe {
        /// The number that `subscribed` gave.
        pub sub: u32,
    }
}

message! {
    /// Asks whether the server is there; browsers cannot see WebSocket's own pings.
    #[serde(deny_unknown_fields)]
    pub struct Ping {
        /// Any text; comes back with the answer.
        #[serde(default)]
        pub r#ref: Option<String>,
    }
}

/// What a client may say.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientMessage {
    /// See [`Subscribe`].
    Subscribe(Subscribe),
    /// See [`Unsubscribe`].
    Unsubscribe(Unsubscribe),
    /// See [`Ping`].
    Ping(Ping),
}

/// Why a message was refused, ready to be sent as an `error`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProtocolError {
    /// The kind.
    pub code: ErrorCode,
    /// A sentence for the person who wrote the client.
    pub message: String,
    /// The message's `ref`, where it could be read.
    pub reference: Option<String>,
}

impl ClientMessage {
    /// Reads one message.
    ///
    /// ```
    /// use rowcast_protocol::ClientMessage;
    /// let message = ClientMessage::parse(r#"{"type":"subscribe","topic":"orders.public.orders"}"#);
    /// assert!(matches!(message, Ok(ClientMessage::Subscribe(subscribe)) if subscribe.snapshot));
    /// ```
    pub fn parse(text: &str) -> Result<ClientMessage, ProtocolError> {
        check_nesting(text)?;
        let tag: Tag<'_> = serde_json::from_str(text).map_err(|error| bad_message("the message", &error, None))?;
        let reference = tag.reference.map(Cow::into_owned);
        let refused = |error| bad_message(&tag.kind, &error, reference.clone());
        match &*tag.kind {
            "subscribe" => parse_body(text).map(ClientMessage::Subscribe).map_err(refused),
            "unsubscribe" => parse_body(text).map(ClientMessage::Unsubscribe).map_err(refused),
            "ping" => parse_body(text).map(ClientMessage::Ping).map_err(refused),
            other => Err(unknown_type(other, reference)),
        }
    }

    /// The message as JSON text, for clients written in Rust.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names are strings and raw values are JSON already")
    }
}

impl Subscribe {
    /// The first member that has its place in the protocol but is not supported yet.
    pub fn unsupported(&self) -> Option<&'static str> {
        [
            ("where", &self.r#where),
            ("columns", &self.columns),
            ("mode", &self.mode),
        ]
        .into_iter()
        .find_map(|(name, member)| member.is_some().then_some(name))
    }

    /// A subscription with every member at its default.
    pub fn new(topic: impl Into<String>) -> Subscribe {
        Subscribe {
            topic: topic.into(),
            snapshot: true,
            cursor: None,
            r#ref: None,
            r#where: None,
            columns: None,
            mode: None,
        }
    }
}

fn yes() -> bool {
    true
}

fn unknown_type(kind: &str, reference: Option<String>) -> ProtocolError {
    let message = format!(
        "unknown message type {:?}; a client may send \"subscribe\", \"unsubscribe\" or \"ping\"",
        shortened(kind)
    );
    ProtocolError {
        code: ErrorCode::BadMessage,
        message,
        reference,
    }
}

fn bad_message(what: &str, error: &serde_json::Error, reference: Option<String>) -> ProtocolError {
    let message = format!("{what} was not understood: {}", shortened(&error.to_string()));
    ProtocolError {
        code: ErrorCode::BadMessage,
        message,
        reference,
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(COMPLAINT_CHARS_MAX).collect()
}

/// Counts brackets outside of strings: serde_json skips values it does not read without any limit of depth.
fn check_nesting(text: &str) -> Result<(), ProtocolError> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTING_MAX {
            let message = format!("the message nests deeper than {NESTING_MAX} levels");
            return Err(ProtocolError {
                code: ErrorCode::BadMessage,
                message,
                reference: None,
            });
        }
    }
    Ok(())
}

/// The members that are read before the rest: which message it is, and what to echo when the rest is wrong.
struct Tag<'a> {
    kind: Cow<'a, str>,
    reference: Option<Cow<'a, str>>,
}

impl<'de> Deserialize<'de> for Tag<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TagVisitor)
    }
}

struct TagVisitor;

impl<'de> Visitor<'de> for TagVisitor {
    type Value = Tag<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object with a member \"type\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let (mut kind, mut reference) = (None, None);
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            match &*name {
                "type" if kind.is_some() => return Err(A::Error::duplicate_field("type")),
                "type" => kind = Some(members.next_value::<String>()?.into()),
                "ref" => reference = Echo::text(members.next_value()?),
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Tag {
            kind: kind.ok_or_else(|| A::Error::missing_field("type"))?,
            reference,
        })
    }
}

/// A `ref` of any type: only text is echoed, anything else is refused later, by name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Echo {
    Text(String),
    Other(IgnoredAny),
}

impl Echo {
    fn text<'a>(self) -> Option<Cow<'a, str>> {
        match self {
            Echo::Text(text) => Some(text.into()),
            Echo::Other(_) => None,
        }
    }
}

/// Reads the members of one message, `type` aside, into its struct. Unlike serde's own internally tagged enums this
/// keeps raw values raw and names an unknown or repeated member.
pub(crate) fn parse_body<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let body = deserializer.deserialize_map(BodyVisitor(PhantomData))?;
    deserializer.end()?;
    Ok(body)
}

struct BodyVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for BodyVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
        T::deserialize(serde::de::value::MapAccessDeserializer::new(WithoutType(members)))
    }
}

/// The members of an object, except `type`.
struct WithoutType<A>(A);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for WithoutType<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(name) = self.0.next_key::<String>()? {
            if name != "type" {
                return seed.deserialize(name.into_deserializer()).map(Some);
            }
            self.0.next_value::<IgnoredAny>()?;
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        ClientMessage::parse(text).expect_err("must be refused").message
    }

    #[test]
    fn members_for_later_are_kept_so_that_they_can_be_refused_by_name() {
        let text = r#"{"where":"a = 1","type":"subscribe","topic":"t","columns":["a"],"mode":null}"#;
        let Ok(ClientMessage::Subscribe(subscribe)) = ClientMessage::parse(text) else {
            panic!("refused")
        };
        assert_eq!(subscribe.unsupported(), Some("where"));
        assert_eq!(
            subscribe.r#where.map(|raw| raw.get().to_owned()),
            Some("\"a = 1\"".to_owned())
        );
        assert!(subscribe.mode.is_none(), "null is the same as absent");
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(refused(r#"{"type":"subscribe"}"#).contains("`topic`"));
        assert!(refused(r#"{"type":"subscribe","topic":"t","snapshto":true}"#).contains("`snapshto`"));
        assert!(refused(r#"{"type":"subscribe","topic":"t","topic":"u"}"#).contains("duplicate field `topic`"));
        assert!(refused(r#"{"type":"subscribe","topic":7}"#).contains("expected a string"));
        assert!(refused(r#"{"type":"ping","type":"ping"}"#).contains("duplicate field `type`"));
        assert!(refused(r#"{"type":"publish"}"#).contains("\"publish\""));
        assert!(refused(r#"{"topic":"t"}"#).contains("`type`"));
        assert!(refused("[]").contains("JSON object"));
        assert!(refused("").contains("EOF"));
        assert!(refused(r#"{"type":"ping"} x"#).contains("trailing"));
        assert!(refused(r#"{"type":"unsubscribe","sub":-1}"#).contains("-1"));
    }

    #[test]
    fn nesting_is_bounded_and_brackets_in_text_do_not_count() {
        let deep = format!(
            r#"{{"type":"ping","x":{}{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert!(refused(&deep).contains("nests deeper"));
        let flat = format!(r#"{{"type":"ping","ref":"{}\"["}}"#, "[".repeat(100));
        assert!(ClientMessage::parse(&flat).is_ok());
    }

    #[test]
    fn a_refusal_echoes_the_reference() {
        let error = ClientMessage::parse(r#"{"type":"subscribe","ref":"a7"}"#).expect_err("no topic");
        assert_eq!(
            (error.code, error.reference.as_deref()),
            (ErrorCode::BadMessage, Some("a7"))
        );
        let error = ClientMessage::parse(r#"{"type":"ping","ref":7}"#).expect_err("ref is text");
        assert_eq!(error.reference, None);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut subscribe = Subscribe::new("t");
        subscribe.r#ref = Some("1".into());
        let text = ClientMessage::Subscribe(subscribe).to_json();
        assert!(
            text.starts_with(r#"{"type":"subscribe","topic":"t","snapshot":true,"#),
            "{text}"
        );
        assert!(ClientMessage::parse(&text).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn garbage_is_refused_without_a_panic(text in "\\PC*", json in "[\\[\\]{}\",:a-z0-9\\\\ ]{0,200}") {
            let _ = ClientMessage::parse(&text);
            let _ = ClientMessage::parse(&json);
            let _ = ClientMessage::parse(&format!("{{\"type\":\"subscribe\",{json}}}"));
        }
    }
}
