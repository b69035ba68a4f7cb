//! Writes the messages that a gateway sends by the million, from JSON that is already encoded.
//!
//! A row reaches a client as the bytes that the log holds. These functions append one whole message (the WebSocket
//! payload, without frame header) to a buffer; they never parse, and allocate only when the buffer grows.
//! The caller promises that keys and rows are whole JSON values: they are copied as they are.

use std::io::Write as _;

use crate::server::Op;

/// The pieces of a `change` message.
#[derive(Clone, Copy, Debug)]
pub struct ChangeParts<'a> {
    /// The subscription's number.
    pub sub: u32,
    /// What happened.
    pub op: Op,
    /// JSON of the key.
    pub key: Option<&'a [u8]>,
    /// JSON of the row before.
    pub before: Option<&'a [u8]>,
    /// JSON of the row after.
    pub after: Option<&'a [u8]>,
    /// Commit time, milliseconds since 1970.
    pub ts_ms: Option<i64>,
    /// Commit time, microseconds since 1970.
    pub ts_us: Option<i64>,
    /// Names of the columns whose value is neither sent nor known; empty: the member is left out.
    pub unchanged: &'a [&'a str],
    /// The cursor's text, as [`CursorKey::write`](crate::CursorKey::write) gives it.
    pub cursor: &'a [u8],
}

/// Appends a `change` message.
pub fn change_frame(out: &mut Vec<u8>, change: &ChangeParts<'_>) {
    out.extend_from_slice(b"{\"type\":\"change\",\"sub\":");
    number(out, i64::from(change.sub));
    out.extend_from_slice(b",\"op\":\"");
    out.push(change.op.letter());
    out.extend_from_slice(b"\",\"key\":");
    value(out, change.key);
    out.extend_from_slice(b",\"before\":");
    value(out, change.before);
    out.extend_from_slice(b",\"after\":");
    value(out, change.after);
    out.extend_from_slice(b",\"ts_ms\":");
    optional_number(out, change.ts_ms);
    out.extend_from_slice(b",\"ts_us\":");
    optional_number(out, change.ts_us);
    out.extend_from_slice(b",\"cursor\":\"");
    out.extend_from_slice(change.cursor);
    out.push(b'"');
    if !change.unchanged.is_empty() {
        out.extend_from_slice(b",\"unchanged\":");
        let names = serde_json::to_writer(&mut *out, change.unchanged);
        names.expect("a Vec takes all that is written, and names are strings");
    }
    out.push(b'}');
}

/// A `rows` message under way: begin, push rows, end.
///
/// ```
/// # use rowcast_protocol::RowsFrame;
/// let mut out = Vec::new();
/// let mut frame = RowsFrame::begin(&mut out, 1);
/// frame.push(br#"{"id":1}"#, None);
/// frame.push(br#"{"name":"x"}"#, Some(b"2"));
/// frame.end();
/// assert_eq!(out, br#"{"type":"rows","sub":1,"rows":[{"id":1},{"name":"x"}],"keys":[null,2]}"#);
/// ```
#[derive(Debug)]
pub struct RowsFrame<'a> {
    out: &'a mut Vec<u8>,
    rows: usize,
    /// What follows the rows: a key for each of them, or nothing.
    keys: Vec<u8>,
}

impl<'a> RowsFrame<'a> {
    /// Appends the message's beginning.
    pub fn begin(out: &'a mut Vec<u8>, sub: u32) -> RowsFrame<'a> {
        out.extend_from_slice(b"{\"type\":\"rows\",\"sub\":");
        number(out, i64::from(sub));
        out.extend_from_slice(b",\"rows\":[");
        RowsFrame {
            out,
            rows: 0,
            keys: Vec::new(),
        }
    }

    /// Appends one row's JSON, and the key's where the row does not say it.
    pub fn push(&mut self, row: &[u8], key: Option<&[u8]>) {
        if self.rows > 0 {
            self.out.push(b',');
        }
        self.out.extend_from_slice(row);
        if key.is_some() && self.keys.is_empty() {
            (0..self.rows).for_each(|_| self.keys.extend_from_slice(b",null"));
        }
        if key.is_some() || !self.keys.is_empty() {
            self.keys.push(b',');
            value(&mut self.keys, key);
        }
        self.rows += 1;
    }

    /// Bytes of the message so far, to know when it is large enough.
    pub fn bytes(&self) -> usize {
        self.out.len() + self.keys.len()
    }

    /// Rows pushed so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Appends the message's end.
    pub fn end(self) {
        if let Some(keys) = self.keys.get(1..) {
            self.out.extend_from_slice(b"],\"keys\":[");
            self.out.extend_from_slice(keys);
        }
        self.out.extend_from_slice(b"]}");
    }
}

fn value(out: &mut Vec<u8>, json: Option<&[u8]>) {
    out.extend_from_slice(json.unwrap_or(b"null"));
}

fn optional_number(out: &mut Vec<u8>, value: Option<i64>) {
    match value {
        Some(value) => number(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

fn number(out: &mut Vec<u8>, value: i64) {
    write!(out, "{value}").expect("a Vec takes all that is written");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::ServerMessage;

    fn parts<'a>() -> ChangeParts<'a> {
        ChangeParts {
            sub: 7,
            op: Op::Update,
            key: Some(br#"{"id":1}"#),
            before: None,
            after: Some(br#"{"id":1,"note":null}"#),
            ts_ms: Some(1_700_000_000_123),
            ts_us: Some(1_700_000_000_123_456),
            unchanged: &["note", "a \"b\""],
            cursor: b"AQ",
        }
    }

    #[test]
    fn spliced_changes_are_what_the_declared_type_would_write() {
        let truncate = ChangeParts {
            op: Op::Truncate,
            key: None,
            after: None,
            ts_ms: None,
            ts_us: None,
            unchanged: &[],
            ..parts()
        };
        for change in [parts(), truncate] {
            let mut out = Vec::new();
            change_frame(&mut out, &change);
            let text = String::from_utf8(out).expect("UTF-8 in, UTF-8 out");
            let message = ServerMessage::parse(&text).expect("a change");
            assert_eq!(message.to_json(), text);
        }
    }

    #[test]
    fn an_empty_rows_message_is_well_formed() {
        let mut out = Vec::new();
        RowsFrame::begin(&mut out, 3).end();
        assert_eq!(out, br#"{"type":"rows","sub":3,"rows":[]}"#);
    }
}
