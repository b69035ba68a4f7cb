//! Reads what a value says of its row, whoever wrote it: found by extents, never built.
//!
//! Each value is looked at for itself, so a topic may mix them: Debezium's envelope, with members in any order and any white
//! space; a flat row, as ExtractNewRecordState and other producers write it; any other JSON. Knows nothing of schemas, keys or
//! clients.

use memchr::memmem;
use rowcast_protocol::Op;

use crate::{json, toast, unreadable::Unreadable};

/// What a value says, as raw JSON.
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
    /// What all of this was found in: well-formed only if this is JSON.
    pub(crate) text: &'a [u8],
    /// The schema that the record carries, as [`wrapping`](crate::wrapping) found it.
    pub(crate) schema: Option<&'a [u8]>,
}

/// Why a record is not sent as a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAChange {
    /// `pg_logical_emit_message`: no row.
    Message,
    /// A tombstone that repeats what a delete has said.
    Echo,
    NotJson(Unreadable),
}

/// The members that make an envelope.
#[derive(Default)]
struct Members<'a> {
    op: Option<&'a [u8]>,
    before: Option<&'a [u8]>,
    after: Option<&'a [u8]>,
    source: Option<&'a [u8]>,
    message: Option<&'a [u8]>,
}

impl Members<'_> {
    /// The operation's letter, `m` for a message; `None` if this is a row that happens to have such a column.
    fn letter(&self) -> Option<u8> {
        let &[b'"', letter, b'"'] = self.op? else {
            return None;
        };
        let is_object = |value: Option<&[u8]>| value.is_some_and(|value| value.starts_with(b"{"));
        let is_row = |value: Option<&[u8]>| is_object(value) || value == Some(b"null");
        let is_envelope = match Op::from_letter(letter) {
            Some(_) => is_row(self.after) || is_row(self.before) || is_object(self.source),
            None => letter == b'm' && is_object(self.message),
        };
        is_envelope.then_some(letter)
    }
}

impl<'a> Envelope<'a> {
    /// The row is gone, and that is all that is known: what a tombstone says.
    pub(crate) const TOMBSTONE: Envelope<'static> = Envelope {
        ..Envelope::bare(Op::Delete, b"null")
    };

    /// Takes a value without the schema that may have been around it.
    pub(crate) fn parse(value: &'a [u8]) -> Result<Envelope<'a>, NotAChange> {
        let Some(members) = json::members(value) else {
            return Envelope::plain(value);
        };
        let mut found = Members::default();
        for (name, value) in members {
            match name {
                b"op" => found.op = Some(value),
                b"before" => found.before = Some(value),
                b"after" => found.after = Some(value),
                b"source" => found.source = Some(value),
                b"message" => found.message = Some(value),
                _ => {}
            }
        }
        let Some(letter) = found.letter() else {
            return Envelope::flat(value);
        };
        let op = Op::from_letter(letter).ok_or(NotAChange::Message)?;
        let (ts_ms, ts_us) = found.source.map_or((None, None), commit_time);
        Ok(Envelope {
            before: found.before.and_then(not_null),
            after: found.after.and_then(not_null),
            ts_ms,
            ts_us,
            ..Envelope::bare(op, value)
        })
    }

    /// What a view must know, and no more: right for every record, fast for those that our capture and Debezium write.
    /// `before` and the times are left out, and so is `after` when nothing of it was left out by PostgreSQL.
    ///
    /// A view follows whether anybody listens or not: parsing each record whole was 13 % of the process's CPU in a profile
    /// of a million rows drained.
    pub(crate) fn glance(value: &'a [u8]) -> Result<Envelope<'a>, NotAChange> {
        match letter_at_the_end(value).and_then(Op::from_letter) {
            Some(op) if !toast::may_have_placeholder(value) => Ok(Envelope::bare(op, value)),
            _ => Envelope::parse(value),
        }
    }

    /// An object that is the row itself. It takes the place of the row that its key had, if there was one: whether there was,
    /// it does not say, so it is an update unless it says otherwise.
    fn flat(row: &'a [u8]) -> Result<Envelope<'a>, NotAChange> {
        if !json::is_json(row) {
            return Err(NotAChange::NotJson(Unreadable::of(row)));
        }
        let mut change = Envelope {
            after: Some(row),
            ..Envelope::bare(Op::Update, row)
        };
        if memmem::find(row, b"\"__").is_some() {
            for (name, value) in json::members(row).into_iter().flatten() {
                change.note_metadata(name, value);
            }
        }
        if change.op == Op::Delete {
            std::mem::swap(&mut change.before, &mut change.after);
        }
        Ok(change)
    }

    /// What ExtractNewRecordState adds to a row: `__deleted` by `delete.tombstone.handling.mode=rewrite`, the others by
    /// `add.fields`. They stay in the row, as its schema says.
    fn note_metadata(&mut self, name: &[u8], value: &[u8]) {
        match (name, value) {
            (b"__deleted", br#""true""# | b"true") | (b"__op", br#""d""#) => self.op = Op::Delete,
            (b"__op", br#""c""#) if self.op != Op::Delete => self.op = Op::Create,
            (b"__op", br#""r""#) if self.op != Op::Delete => self.op = Op::Read,
            (b"__source_ts_ms", value) => self.ts_ms = json::integer(value),
            (b"__source_ts_us", value) => self.ts_us = json::integer(value),
            _ => {}
        }
    }

    /// JSON that is no object. Null deletes, however it is written: ExtractNewRecordState writes these four letters by default.
    fn plain(value: &'a [u8]) -> Result<Envelope<'a>, NotAChange> {
        match value.trim_ascii() {
            b"null" => Ok(Envelope::TOMBSTONE),
            _ if json::is_json(value) => Ok(Envelope {
                after: Some(value),
                ..Envelope::bare(Op::Update, value)
            }),
            _ => Err(NotAChange::NotJson(Unreadable::of(value))),
        }
    }

    const fn bare(op: Op, text: &'a [u8]) -> Envelope<'a> {
        Envelope {
            op,
            before: None,
            after: None,
            ts_ms: None,
            ts_us: None,
            text,
            schema: None,
        }
    }

    /// The source block, if there is one: where in its source the change was made, the same in both halves of a key change.
    pub(crate) fn source(&self) -> Option<&'a [u8]> {
        json::members(self.text)?
            .find(|(name, _)| *name == b"source")
            .map(|(_, source)| source)
    }

    /// Says that the row is gone and nothing of how it was.
    pub(crate) fn is_tombstone(&self) -> bool {
        self.op == Op::Delete && self.text == b"null"
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
    // A column of a flat row may have this name; what is in it is text then.
    if !start.starts_with(b"{") && !start.starts_with(b"null") {
        return None;
    }
    let end = &start[start.len().saturating_sub(AFTER_OP_BYTES_MAX)..];
    let at = memmem::rfind(end, b",\"op\":\"")?;
    let (letter, rest) = end[at + 7..].split_first()?;
    let scalars = rest.strip_prefix(b"\"")?.strip_suffix(b"}")?;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"\"_:,".contains(byte);
    scalars.iter().all(plain).then_some(*letter)
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
    use proptest::prelude::*;

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
        let with_placeholder = OURS.replace("a \\\"b", "__debezium_unavailable_value");
        let tricky = r#"{"before":null,"after":{"a":",\"op\":\"d\"}"},"op":"c","ts_ms":1}"#;
        let nested = r#"{"before":null,"op":"u","after":{"x":1,"op":"d"}}"#;
        let last = r#"{"before":null,"after":{"x":1,"op":"d"},"ts_ms":1,"op":"u"}"#;
        for value in [OURS, &with_placeholder, tricky, nested, last, r#"{"op":"m"}"#, "{", ""] {
            let (glance, parsed) = (Envelope::glance(value.as_bytes()), Envelope::parse(value.as_bytes()));
            assert_eq!(glance.map(|e| e.op), parsed.map(|e| e.op), "{value}");
        }
        let seen = Envelope::glance(with_placeholder.as_bytes()).expect("an envelope");
        assert!(seen.after.is_some(), "a row with a value left out is read whole");
    }

    #[test]
    fn flat_rows_say_what_they_can() {
        let row = |text: &'static str| {
            let row = Envelope::parse(text.as_bytes()).expect("a row");
            (row.op, row.before.is_some(), row.after.is_some(), row.ts_ms)
        };
        assert_eq!(row(r#"{"id":7,"status":"new"}"#), (Op::Update, false, true, None));
        assert_eq!(row(r#"{"id":7,"__deleted":"false"}"#), (Op::Update, false, true, None));
        assert_eq!(row(r#"{"id":7,"__deleted":"true"}"#), (Op::Delete, true, false, None));
        assert_eq!(
            row(r#"{"id":7,"__deleted" : true,"__op":"u"}"#),
            (Op::Delete, true, false, None)
        );
        assert_eq!(
            row(r#"{"__op":"c","id":7,"__source_ts_ms":5,"__lsn":9}"#),
            (Op::Create, false, true, Some(5))
        );
        assert_eq!(
            row(r#"{"id":7,"note":"__deleted","x":{"__deleted":"true"}}"#),
            (Op::Update, false, true, None)
        );
        // Columns that are named as an envelope's members are.
        for text in [
            r#"{"op":"c","id":7,"source":"web"}"#,
            r#"{"before":"noon","after":"one","op":"t"}"#,
            r#"{"op":"m","message":"hello"}"#,
            r#"{"op":"x","before":null,"after":{}}"#,
            r#"{"payload":{"op":"c","after":{}}}"#,
            "{}",
        ] {
            assert_eq!(row(text), (Op::Update, false, true, None), "{text}");
            let glance = Envelope::glance(text.as_bytes()).expect("a row");
            assert_eq!(glance.op, Op::Update, "{text}");
        }
    }

    #[test]
    fn any_json_is_a_value_and_null_is_none() {
        for text in ["7", "[1,2]", "\"text\"", " true ", "-0.5e3"] {
            let value = Envelope::parse(text.as_bytes()).expect("a value");
            assert_eq!((value.op, value.after), (Op::Update, Some(text.as_bytes())));
        }
        for text in ["null", " null\n"] {
            assert_eq!(Envelope::parse(text.as_bytes()), Ok(Envelope::TOMBSTONE));
        }
    }

    #[test]
    fn what_has_no_row_is_told_apart() {
        assert_eq!(Envelope::parse(br#"{"op":"m","message":{}}"#), Err(NotAChange::Message));
        for text in ["", "{", "text", "{\"id\":tru}", "[1", "{\"a\":1}}", "\0\0\0\0\x01abc"] {
            let not_json = Err(NotAChange::NotJson(Unreadable::of(text.as_bytes())));
            assert_eq!(Envelope::parse(text.as_bytes()), not_json, "{text}");
            assert_eq!(Envelope::glance(text.as_bytes()), not_json, "{text}");
        }
    }

    #[test]
    fn envelopes_of_other_sources_are_read() {
        let mysql = r#"{"before":null,"after":{"id":7},"source":{"version":"3.6.1.Final","connector":"mysql","name":"shop","ts_ms":1700000000000,"snapshot":"true","db":"inventory","sequence":null,"ts_us":1700000000000000,"ts_ns":1700000000000000000,"table":"orders","server_id":223344,"gtid":null,"file":"mysql-bin.000003","pos":154,"row":0,"thread":7,"query":null},"transaction":null,"op":"r","ts_ms":1,"ts_us":1,"ts_ns":1}"#;
        let read = Envelope::parse(mysql.as_bytes()).expect("an envelope");
        assert_eq!((read.op, read.ts_us), (Op::Read, Some(1_700_000_000_000_000)));
        let document =
            r#"{"op":"u","before":null,"after":"{\"_id\": 7}","source":{"ts_ms":5},"updateDescription":null}"#;
        let update = Envelope::parse(document.as_bytes()).expect("an envelope");
        assert_eq!(update.after, Some(&br#""{\"_id\": 7}""#[..]));
        let truncate = r#"{"source":{"ts_ms":5},"op":"t","ts_ms":6,"transaction":{"id":"x"}}"#;
        assert_eq!(Envelope::parse(truncate.as_bytes()).map(|e| e.op), Ok(Op::Truncate));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics_and_a_glance_agrees(
            text in "(\\{\"before\":)?(null|\\{\\}|,|\"(op|after|source|__op|__deleted)\":|\"[a-z]\"|[{}\":,a1 ]){0,14}",
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            for text in [text.as_bytes(), &bytes] {
                let (glance, parsed) = (Envelope::glance(text), Envelope::parse(text));
                prop_assert!(!json::is_json(text) || glance.map(|e| e.op) == parsed.map(|e| e.op));
            }
        }
    }
}
