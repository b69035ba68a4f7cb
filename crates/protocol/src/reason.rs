//! Names why a request was refused or a subscription begins anew, so that a client can branch on a word.
//!
//! Each word stands in one table with what it means; `docs/protocol.md` and the TypeScript types are checked against it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Declares an enum of words and the table of what they mean.
macro_rules! words {
    ($(#[doc = $doc:literal])+ pub enum $name:ident { $($(#[doc = $meaning:literal])+ $variant:ident = $word:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[doc = $meaning])+ #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every word with its meaning, in the order of the documentation.
            pub const ALL: &[($name, &'static str)] = &[$(($name::$variant, concat!($($meaning),+))),+];

            /// The word on the wire.
            pub fn word(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }

        impl crate::declare::TypeScript for $name {
            fn typescript() -> String {
                stringify!($name).to_owned()
            }
        }
    };
}

words! {
    /// Why a request was refused. The connection stays open, other subscriptions go on.
    pub enum ErrorCode {
        /// The message is not one that a client may send.
        BadMessage = "bad_message",
        /// There is no such topic, or it is not public.
        UnknownTopic = "unknown_topic",
        /// The server does not know yet whether there is such a topic, or waits for Kafka to say so; ask again a little later.
        NotReady = "not_ready",
        /// The cursor is damaged, cut or not one of ours.
        BadCursor = "bad_cursor",
        /// A member that has its place in the protocol but is not supported yet.
        Unsupported = "unsupported",
        /// The topic's records have no key, so there are no rows to keep; subscribe with `snapshot` false.
        NoKey = "no_key",
        /// This connection has as many subscriptions as it may.
        TooManySubscriptions = "too_many_subscriptions",
        /// This connection has the same subscription already.
        AlreadySubscribed = "already_subscribed",
        /// This connection has no subscription of that number.
        NotSubscribed = "not_subscribed",
        /// A record of the topic is not JSON, so it is left out, as others like it will be; the message says what was found.
        NotJson = "not_json",
        /// The server could not read its log; its operator finds the cause in the server's output.
        Internal = "internal",
    }
}

words! {
    /// Why a subscription begins anew: forget the rows, they are sent again.
    pub enum ResetReason {
        /// The topic was deleted and made again since the cursor was given.
        OtherEpoch = "other_epoch",
        /// The cursor belongs to another topic.
        OtherTopic = "other_topic",
        /// The cursor is older than what the log keeps.
        Expired = "expired",
        /// This client read too slowly and is further behind than the server allows.
        FellBehind = "fell_behind",
        /// The table was truncated, and the topic has several partitions, in which changes around that have no common order.
        Truncated = "truncated",
    }
}
