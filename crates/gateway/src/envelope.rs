//! Reads what a record says of its row: Debezium's envelope, found by extents.
//!
//! Accepts any member order and white space, and the form with a schema beside its payload (`schemas.enable=true`), so
//! a topic that a Debezium filled is served as well as our own. Knows nothing of clients.

use memchr::memmem;
use rowcast_protocol::Op;

use crate::{json, toast};

/// The parts of an envelope that clients get, as raw JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Envelope<'a> {
    pub(crate) op: Op,
    /// `None` for null.
    pub(crate) before: Option<&'a [u8]>,
    /// `None` for null.
    pub(crate) after: Option<&'a [u8]>,
    /// Commit time, from the source block.
    pub(crate) ts_ms: Option<i64>,
    pub(crate) ts_us: Option<i64>,
}

impl<'a> Envelope<'a> {
    /// `Err(NotAChange)` for what has no row in it: a logical message, or no envelope at all.
    pub(crate) fn parse(value: &'a [u8]) -> Result<Envelope<'a>, NotAChange> {
        let members = json::members(value).ok_or(NotAChange::NoEnvelope)?;
        let (mut op, mut before, mut after, mut source, mut payload) = (None, None, None, None, None);
        for (name, value) in members {
            match name {
                b"op" => op = Some(value),
                b"before" => before = not_null(value),
                b"after" => after = not_null(value),
                b"source" => source = Some(value),
                b"payload" => payload = Some(value),
                _ => {}
            }
        }
        let op = match (op, payload) {
            (Some(&[b'"', letter, b'"']), _) => letter,
            (None, Some(payload)) => return Envelope::parse_payload(payload),
            _ => return Err(NotAChange::NoEnvelope),
        };
        let op = match Op::from_letter(op) {
            Some(op) => op,
            None if op == b'm' => return Err(NotAChange::Message),
            None => return Err(NotAChange::NoEnvelope),
        };
        let (ts_ms, ts_us) = source.map_or((None, None), commit_time);
        Ok(Envelope {
            op,
            before,
            after,
            ts_ms,
            ts_us,
        })
    }

    /// What a view must know, and no more: right for every record, fast for those that our capture and Debezium write.
    /// `before` and the times are left out, and so is `after` when nothing of it was left out by PostgreSQL.
    ///
    /// A view follows whether anybody listens or not: parsing each record whole was 13 % of the process's CPU in a profile
    /// of a million rows drained.
    pub(crate) fn glance(value: &'a [u8]) -> Result<Envelope<'a>, NotAChange> {
        match letter_at_the_end(value).and_then(Op::from_letter) {
            Some(op) if !toast::may_have_placeholder(value) => Ok(Envelope {
                op,
                before: None,
                after: None,
                ts_ms: None,
                ts_us: None,
            }),
            _ => Envelope::parse(value),
        }
    }

    /// One level only: a payload inside a payload is no envelope.
    fn parse_payload(payload: &'a [u8]) -> Result<Envelope<'a>, NotAChange> {
        let has_op = json::members(payload).is_some_and(|mut members| members.any(|(name, _)| name == b"op"));
        if has_op {
            Envelope::parse(payload)
        } else {
            Err(NotAChange::NoEnvelope)
        }
    }

    /// Microseconds since 1970 at which the change was committed, 0 if nobody said.
    pub(crate) fn commit_ts_us(&self) -> i64 {
        self.ts_us.or(self.ts_ms.map(|ms| ms.saturating_mul(1000))).unwrap_or(0)
    }
}

/// The longest text of what follows `op` in an envelope: three times of at most 20 digits.
const AFTER_OP_BYTES_MAX: usize = 96;

/// The letter of `op`, if it is among the scalars that end the envelope. Inside a string the quotes would be escaped, and
/// inside an object more than one brace would follow: so what looks like the member is the member.
fn letter_at_the_end(value: &[u8]) -> Option<u8> {
    let start = value.strip_prefix(b"{\"before\":")?;
    let end = &start[start.len().saturating_sub(AFTER_OP_BYTES_MAX)..];
    let at = memmem::rfind(end, b",\"op\":\"")?;
    let (letter, rest) = end[at + 7..].split_first()?;
    let scalars = rest.strip_prefix(b"\"")?.strip_suffix(b"}")?;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"\"_:,".contains(byte);
    scalars.iter().all(plain).then_some(*letter)
}

/// Why a record's value is not sent as a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAChange {
    /// `pg_logical_emit_message`: no row.
    Message,
    /// Not a Debezium envelope.
    NoEnvelope,
}

/// The key's JSON without the schema that may be beside it.
pub(crate) fn key_payload(key: &[u8]) -> &[u8] {
    let mut payload = None;
    for (name, value) in json::members(key).into_iter().flatten() {
        match name {
            b"payload" => payload = Some(value),
            b"schema" => {}
            _ => return key,
        }
    }
    payload.unwrap_or(key)
}

fn not_null(value: &[u8]) -> Option<&[u8]> {
    (value != b"null").then_some(value)
}

fn commit_time(source: &[u8]) -> (Option<i64>, Option<i64>) {
    let (mut ts_ms, mut ts_us) = (None, None);
    for (name, value) in json::members(source).into_iter().flatten() {
        match name {
            b"ts_ms" => ts_ms = json::integer(value),
            b"ts_us" => {
                ts_us = json::integer(value);
                // Debezium writes it after ts_ms; the rest of the block says nothing more of time.
                if ts_ms.is_some() {
                    break;
                }
            }
            _ => {}
        }
    }
    (ts_ms, ts_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = r#"{"before":null,"after":{"id":7,"note":"a \"b\" }{"},"source":{"version":"3","ts_ms":1700000000123,"snapshot":"false","ts_us":1700000000123456,"table":"op"},"transaction":null,"op":"u","ts_ms":9,"ts_us":9,"ts_ns":9}"#;

    #[test]
    fn members_are_found_in_any_order_and_with_any_space() {
        let ours = Envelope::parse(OURS.as_bytes()).expect("an envelope");
        assert_eq!((ours.op, ours.before), (Op::Update, None));
        assert_eq!(ours.after, Some(&br#"{"id":7,"note":"a \"b\" }{"}"#[..]));
        assert_eq!(
            (ours.ts_ms, ours.commit_ts_us()),
            (Some(1_700_000_000_123), 1_700_000_000_123_456)
        );

        let foreign =
            "\n{ \"op\" : \"u\",\n \"source\": {\"ts_ms\": 5 }, \"after\" : {\"id\" : 7} , \"before\": null }";
        let foreign = Envelope::parse(foreign.as_bytes()).expect("an envelope");
        assert_eq!(
            (foreign.after, foreign.commit_ts_us()),
            (Some(&br#"{"id" : 7}"#[..]), 5000)
        );
    }

    #[test]
    fn a_glance_finds_the_same_operation_or_looks_closer() {
        let wrapped = format!(r#"{{"schema":{{}},"payload":{OURS}}}"#);
        let with_placeholder = OURS.replace("a \\\"b", "__debezium_unavailable_value");
        let tricky = r#"{"before":null,"after":{"a":",\"op\":\"d\"}"},"op":"c","ts_ms":1}"#;
        let nested = r#"{"before":null,"op":"u","after":{"x":1,"op":"d"}}"#;
        let last = r#"{"before":null,"after":{"x":1,"op":"d"},"ts_ms":1,"op":"u"}"#;
        for value in [
            OURS,
            &wrapped,
            &with_placeholder,
            tricky,
            nested,
            last,
            r#"{"op":"m"}"#,
            "{",
            "",
        ] {
            let (glance, parsed) = (Envelope::glance(value.as_bytes()), Envelope::parse(value.as_bytes()));
            assert_eq!(glance.map(|e| e.op), parsed.map(|e| e.op), "{value}");
        }
        let seen = Envelope::glance(with_placeholder.as_bytes()).expect("an envelope");
        assert!(seen.after.is_some(), "a row with a value left out is read whole");
    }

    #[test]
    fn a_schema_beside_the_payload_is_looked_past() {
        let value = format!(r#"{{"schema":{{"op":1}},"payload":{OURS}}}"#);
        assert_eq!(Envelope::parse(value.as_bytes()), Envelope::parse(OURS.as_bytes()));
        assert_eq!(key_payload(br#"{"schema":{},"payload":{"id":7}}"#), br#"{"id":7}"#);
        assert_eq!(key_payload(br#"{"id":7,"payload":1}"#), br#"{"id":7,"payload":1}"#);
    }

    #[test]
    fn what_has_no_row_is_told_apart() {
        assert_eq!(Envelope::parse(br#"{"op":"m","message":{}}"#), Err(NotAChange::Message));
        for value in [
            "",
            "7",
            "[]",
            "{",
            r#"{"id":7}"#,
            r#"{"op":"x"}"#,
            r#"{"payload":{"payload":{"op":"c"}}}"#,
        ] {
            assert_eq!(
                Envelope::parse(value.as_bytes()),
                Err(NotAChange::NoEnvelope),
                "{value}"
            );
        }
    }
}
