//! Says of a topic that is not there whether that is the last word.
//!
//! A gateway that has just begun, or whose log cannot ask what it is a copy of, does not know which topics there are: who was
//! told "there is none" then would not ask again.

use rowcast_protocol::ErrorCode;

/// Bytes of a name that are sent back: no topic has a longer one.
const NAME_CHARS_MAX: usize = 249;

/// Why a topic cannot be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// There is none.
    Unknown,
    /// There may be one.
    NotYet,
}

impl Missing {
    pub(crate) fn code(self) -> ErrorCode {
        match self {
            Missing::Unknown => ErrorCode::UnknownTopic,
            Missing::NotYet => ErrorCode::NotReady,
        }
    }

    /// For the client's developer, and for a page to show.
    pub(crate) fn sentence(self, topic: &str) -> String {
        let topic: String = topic.chars().take(NAME_CHARS_MAX).collect();
        match self {
            Missing::Unknown => {
                format!(
                    "there is no topic {topic:?}; its name is the connector's topic.prefix, the schema and the table"
                )
            }
            Missing::NotYet => {
                format!("it is not known yet whether there is a topic {topic:?}; ask again in a moment")
            }
        }
    }
}
