//! Says to a client what its table holds and what happens to it.
//!
//! All server messages, as types: the gateway serialises the rare ones from here and splices `rows` and `change` with
//! `frame.rs`, whose bytes these types read back (a test holds them together). Clients written in Rust, tests and the load generator use
//! [`ServerMessage::parse`].

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    client::parse_body,
    declare::{message, typescript_name},
    reason::{ErrorCode, ResetReason},
    schema::RawSchema,
};

/// Debezium's operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Op {
    /// A row was inserted.
    #[serde(rename = "c")]
    Create,
    /// A row was read by the connector's snapshot.
    #[serde(rename = "r")]
    Read,
    /// A row was updated.
    #[serde(rename = "u")]
    Update,
    /// A row was deleted.
    #[serde(rename = "d")]
    Delete,
    /// The table was emptied: key, before and after are null.
    #[serde(rename = "t")]
    Truncate,
}

impl Op {
    /// The letter in the record.
    pub fn letter(self) -> u8 {
        match self {
            Op::Create => b'c',
            Op::Read => b'r',
            Op::Update => b'u',
            Op::Delete => b'd',
            Op::Truncate => b't',
        }
    }

    /// The operation of a letter; Debezium's `m` (a logical message) is not one of a row.
    pub fn from_letter(letter: u8) -> Option<Op> {
        [Op::Create, Op::Read, Op::Update, Op::Delete, Op::Truncate]
            .into_iter()
            .find(|op| op.letter() == letter)
    }
}

/// JSON text that is passed on as it is: a row, a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawJson(pub Box<RawValue>);

impl RawJson {
    /// The text.
    pub fn get(&self) -> &str {
        self.0.get()
    }
}

typescript_name! { Op => "Op", RawJson => "Encoded" }

message! {
    /// The answer to `subscribe`: what is sent under this number from now on.
    pub struct Subscribed {
        /// The subscription's number. It is the feed's: other sessions have the same.
        pub sub: u32,
        /// The topic asked for.
        pub topic: String,
        /// The request's `ref`.
        pub r#ref: Option<String>,
        /// How to read the rows; null when nobody knows (then values are shown as they are).
        pub schema: Option<RawSchema>,
    }
}

message! {
    /// A part of the table as of the cursor that `live` will name.
    pub struct Rows {
        /// Which subscription.
        pub sub: u32,
        /// Row objects in Debezium's encoding, in no particular order, each key once.
        pub rows: Vec<RawJson>,
        /// The key of each row, where columns and schema do not say it; null for a row that says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub keys: Option<Vec<RawJson>>,
    }
}

message! {
    /// All rows were sent, or all that was missed since the cursor: from here on changes come as they happen.
    pub struct Live {
        /// Which subscription.
        pub sub: u32,
        /// Where to go on from after a disconnect.
        pub cursor: String,
    }
}

message! {
    /// One change of one row.
    pub struct Change {
        /// Which subscription.
        pub sub: u32,
        /// What happened.
        pub op: Op,
        /// The row's key: for Debezium's topics an object of columns; null for a truncate, and for a record without key.
        pub key: Option<RawJson>,
        /// The row before, where the record has it: with replica identity FULL, and for a delete at least the key's columns.
        pub before: Option<RawJson>,
        /// The row after; null for a delete and a truncate.
        pub after: Option<RawJson>,
        /// When it was committed, milliseconds since 1970.
        pub ts_ms: Option<i64>,
        /// The same in microseconds.
        pub ts_us: Option<i64>,
        /// Where to go on from once this change has been taken in.
        pub cursor: String,
        /// Columns of `after` whose large value did not change and is not known here: keep the one you have.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub unchanged: Option<Vec<String>>,
    }
}

message! {
    /// The table's shape from the next message on.
    pub struct SchemaChange {
        /// Which subscription.
        pub sub: u32,
        /// How to read the rows from now on.
        pub schema: Option<RawSchema>,
    }
}

message! {
    /// The subscription begins anew: forget its rows; `rows` and `live` follow.
    pub struct Reset {
        /// Which subscription.
        pub sub: u32,
        /// Why, as a word.
        pub reason: ResetReason,
        /// Why, as a sentence.
        pub message: String,
    }
}

message! {
    /// Nothing is heard of the source any more: the rows are as of then, and stay. Changes come again after `fresh`.
    pub struct Stale {
        /// Which subscription.
        pub sub: u32,
        /// Since when, milliseconds since 1970.
        pub since_ms: i64,
    }
}

message! {
    /// The source is heard of again after `stale`; nothing was lost in between.
    pub struct Fresh {
        /// Which subscription.
        pub sub: u32,
    }
}

message! {
    /// A request was refused, or a subscription failed (then `sub` names it and it has ended).
    pub struct Failure {
        /// Why, as a word.
        pub code: ErrorCode,
        /// Why, and what to do.
        pub message: String,
        /// The subscription that has ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub sub: Option<u32>,
        /// The topic that it is about, where subscriptions go on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub topic: Option<String>,
        /// The request's `ref`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub r#ref: Option<String>,
    }
}

message! {
    /// The answer to `unsubscribe`: nothing more comes under this number.
    pub struct Unsubscribed {
        /// Which subscription.
        pub sub: u32,
    }
}

message! {
    /// The answer to `ping`.
    pub struct Pong {
        /// The request's `ref`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub r#ref: Option<String>,
    }
}

/// What the server may say.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// See [`Subscribed`].
    Subscribed(Subscribed),
    /// See [`Rows`].
    Rows(Rows),
    /// See [`Live`].
    Live(Live),
    /// See [`Change`].
    Change(Change),
    /// See [`SchemaChange`].
    Schema(SchemaChange),
    /// See [`Reset`].
    Reset(Reset),
    /// See [`Stale`].
    Stale(Stale),
    /// See [`Fresh`].
    Fresh(Fresh),
    /// See [`Failure`].
    Error(Failure),
    /// See [`Unsubscribed`].
    Unsubscribed(Unsubscribed),
    /// See [`Pong`].
    Pong(Pong),
}

impl ServerMessage {
    /// The message as JSON text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names are strings and raw values are JSON already")
    }

    /// Reads one message. Members that this version does not know are ignored: a newer server may send more.
    pub fn parse(text: &str) -> Result<ServerMessage, serde_json::Error> {
        let tag: Tag<'_> = serde_json::from_str(text)?;
        match &*tag.kind {
            "subscribed" => parse_body(text).map(ServerMessage::Subscribed),
            "rows" => parse_body(text).map(ServerMessage::Rows),
            "live" => parse_body(text).map(ServerMessage::Live),
            "change" => parse_body(text).map(ServerMessage::Change),
            "schema" => parse_body(text).map(ServerMessage::Schema),
            "reset" => parse_body(text).map(ServerMessage::Reset),
            "stale" => parse_body(text).map(ServerMessage::Stale),
            "fresh" => parse_body(text).map(ServerMessage::Fresh),
            "error" => parse_body(text).map(ServerMessage::Error),
            "unsubscribed" => parse_body(text).map(ServerMessage::Unsubscribed),
            "pong" => parse_body(text).map(ServerMessage::Pong),
            other => Err(serde::de::Error::custom(format!("unknown message type {other:?}"))),
        }
    }
}

#[derive(Deserialize)]
struct Tag<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_exact_text() {
        let text = r#"{"type":"rows","sub":1,"rows":[{"id":9223372036854775807,"price":1.10}]}"#;
        let message = ServerMessage::parse(text).expect("well formed");
        assert_eq!(message.to_json(), text);
    }

    #[test]
    fn what_is_not_there_is_left_out_or_null_as_documented() {
        let failure = Failure {
            code: ErrorCode::NoKey,
            message: "m".into(),
            sub: None,
            topic: None,
            r#ref: None,
        };
        let text = ServerMessage::Error(failure).to_json();
        assert_eq!(text, r#"{"type":"error","code":"no_key","message":"m"}"#);
        assert_eq!(
            ServerMessage::Pong(Pong { r#ref: None }).to_json(),
            r#"{"type":"pong"}"#
        );
    }
}
