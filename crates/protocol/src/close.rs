//! Says why a connection was closed, and by the number alone whether to come back.
//!
//! RFC 6455's numbers are used for what they mean there. Our own follow one rule, so that a client needs no table to
//! obey one it has never heard of: 4000 to 4499 reconnect, 4500 to 4999 do not.

/// A WebSocket close code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(pub u16);

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct CloseRule {
    /// The number on the wire.
    pub code: CloseCode,
    /// A word for logs and metrics.
    pub name: &'static str,
    /// Whether a client should connect again, after its back-off, with its cursors.
    pub reconnect: bool,
    /// What happened, and what to do.
    pub meaning: &'static str,
}

macro_rules! close_codes {
    ($($constant:ident = $number:literal, $name:literal, $reconnect:literal, $meaning:literal;)+) => {
        impl CloseCode {
            $(#[doc = $meaning] pub const $constant: CloseCode = CloseCode($number);)+

            /// Every code that this server sends, and those that a client may meet from a browser or a proxy.
            pub const TABLE: &[CloseRule] = &[$(CloseRule {
                code: CloseCode($number), name: $name, reconnect: $reconnect, meaning: $meaning,
            }),+];
        }
    };
}

close_codes! {
    NORMAL = 1000, "normal", false, "One side is done.";
    GOING_AWAY = 1001, "going_away", true, "The server or the page goes away.";
    PROTOCOL_ERROR = 1002, "protocol_error", false, "The client broke the WebSocket protocol.";
    UNSUPPORTED_DATA = 1003, "unsupported_data", false, "The client sent a binary message; ours are text.";
    ABNORMAL = 1006, "abnormal", true, "The connection ended without a close frame. Never sent.";
    INVALID_DATA = 1007, "invalid_data", false, "The client sent text that is not UTF-8.";
    POLICY_VIOLATION = 1008, "policy_violation", false, "The client sent more than it may: messages, pings or fragments.";
    MESSAGE_TOO_BIG = 1009, "message_too_big", false, "The client sent a message above the server's limit.";
    INTERNAL_ERROR = 1011, "internal_error", true, "The server failed; its operator finds the cause in its output.";
    SERVICE_RESTART = 1012, "service_restart", true, "The server is being stopped or restarted.";
    TRY_AGAIN_LATER = 1013, "try_again_later", true, "The server has all the connections it may have.";
    PING_TIMEOUT = 4000, "ping_timeout", true, "The client did not answer the server's pings.";
    FELL_BEHIND = 4001, "fell_behind", true, "The client did not read for longer than the server allows.";
}

impl CloseCode {
    /// Whether a client should connect again. Numbers from outside the table follow their range; those of RFC 6455
    /// that we do not know are taken as passing trouble.
    pub fn reconnect(self) -> bool {
        match CloseCode::TABLE.iter().find(|rule| rule.code == self) {
            Some(rule) => rule.reconnect,
            None => self.0 < 4500,
        }
    }

    /// The word for logs and metrics, `"other"` for a number from outside the table.
    pub fn name(self) -> &'static str {
        CloseCode::TABLE
            .iter()
            .find(|rule| rule.code == self)
            .map_or("other", |rule| rule.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_numbers_tell_by_their_range_whether_to_reconnect() {
        for rule in CloseCode::TABLE.iter().filter(|rule| rule.code.0 >= 4000) {
            assert_eq!(rule.reconnect, rule.code.0 < 4500, "{}", rule.name);
        }
        assert!(CloseCode(4321).reconnect() && !CloseCode(4987).reconnect());
    }

    #[test]
    fn the_table_is_in_order_and_names_are_unique() {
        assert!(CloseCode::TABLE.is_sorted_by(|a, b| a.code.0 < b.code.0));
        let names: std::collections::HashSet<_> = CloseCode::TABLE.iter().map(|rule| rule.name).collect();
        assert_eq!(names.len(), CloseCode::TABLE.len());
    }
}
