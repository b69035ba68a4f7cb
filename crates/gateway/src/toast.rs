//! Puts back the large values that PostgreSQL did not send because an update left them alone.
//!
//! Debezium writes a placeholder for such a column (`debezium.md`, 1.10). Only a whole value that is one of its forms
//! counts: the same words inside a longer text are text. Where the value is kept is the view's to know.

use std::sync::LazyLock;

use memchr::memmem;

use crate::json;

/// A column of one row whose value stands in an earlier record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fill {
    /// The column's raw name in JSON.
    pub(crate) column: Box<[u8]>,
    /// Spot of the record that has the value; `None` if nobody knows.
    pub(crate) source: Option<u64>,
}

/// `unavailable.value.placeholder`, as text, and as bytes in base64.
const TEXT: &[u8] = b"__debezium_unavailable_value";
const BASE64: &[u8] = b"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==";
/// The element of an unchanged `uuid[]`: a name-based UUID of the placeholder.
const UUID: &[u8] = b"b68a35a7-17ad-35b3-af2a-ae46edb4545a";
/// An unchanged `int4[]`, `int8[]` or `date[]`: the placeholder's bytes as numbers.
const NUMBERS: &[u8] =
    b"[95,95,100,101,98,101,122,105,117,109,95,117,110,97,118,97,105,108,97,98,108,101,95,118,97,108,117,101]";

static NEEDLES: LazyLock<[memmem::Finder<'static>; 4]> =
    LazyLock::new(|| [TEXT, BASE64, UUID, NUMBERS].map(memmem::Finder::new));

/// Whether a row may hold a placeholder: the question for every record, so a search and no more.
pub(crate) fn may_have_placeholder(row: &[u8]) -> bool {
    NEEDLES.iter().any(|needle| needle.find(row).is_some())
}

/// The raw names of the columns whose value is a placeholder.
pub(crate) fn placeholders(row: &[u8]) -> Vec<&[u8]> {
    if !may_have_placeholder(row) {
        return Vec::new();
    }
    json::members(row)
        .into_iter()
        .flatten()
        .filter(|(_, value)| is_placeholder(value))
        .map(|(name, _)| name)
        .collect()
}

fn is_placeholder(value: &[u8]) -> bool {
    let quoted = |value: &[u8], allowed: &[&[u8]]| {
        value
            .strip_prefix(b"\"")
            .and_then(|rest| rest.strip_suffix(b"\""))
            .is_some_and(|text| allowed.contains(&text))
    };
    let element = value.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    quoted(
        value,
        &[
            TEXT,
            BASE64,
            br#"{\"__debezium_unavailable_value\":\"__debezium_unavailable_value\"}"#,
        ],
    ) || element.is_some_and(|element| quoted(element, &[TEXT, BASE64, UUID]))
        || value == NUMBERS
        || value == br#"{"__debezium_unavailable_value":"__debezium_unavailable_value"}"#
}

/// Appends `row` to `out` with its placeholders replaced by what `value_of` writes for a column. A column that it
/// does not know goes to `unknown`; it is left out, or stays as it is when `keep_unknown`.
pub(crate) fn fill(
    row: &[u8],
    fills: &[Fill],
    keep_unknown: bool,
    mut value_of: impl FnMut(&Fill, &mut Vec<u8>) -> bool,
    out: &mut Vec<u8>,
    unknown: &mut Vec<String>,
) {
    out.push(b'{');
    let first = out.len();
    for (name, value) in json::members(row).into_iter().flatten() {
        let before = out.len();
        if before > first {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(name);
        out.extend_from_slice(b"\":");
        let known = match fills.iter().find(|fill| *fill.column == *name && is_placeholder(value)) {
            Some(fill) => value_of(fill, out),
            None => {
                out.extend_from_slice(value);
                true
            }
        };
        if !known {
            unknown.push(column_name(name));
            if keep_unknown {
                out.extend_from_slice(value);
            } else {
                out.truncate(before);
            }
        }
    }
    out.push(b'}');
}

/// The column's value in the row of another record, unless it is a placeholder there too.
pub(crate) fn value_in<'a>(row: &'a [u8], column: &[u8]) -> Option<&'a [u8]> {
    let (_, value) = json::members(row)?.find(|(name, _)| *name == column)?;
    (!is_placeholder(value)).then_some(value)
}

fn column_name(raw: &[u8]) -> String {
    json::name(raw).unwrap_or_else(|| String::from_utf8_lossy(raw).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_value_is_a_placeholder() {
        let row = br#"{"a":"__debezium_unavailable_value","b":"about __debezium_unavailable_value","c":["X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="],"d":{"__debezium_unavailable_value":"__debezium_unavailable_value"}}"#;
        assert_eq!(placeholders(row), [b"a", b"c", b"d"]);
        assert!(placeholders(br#"{"a":"text"}"#).is_empty());
    }

    #[test]
    fn known_values_are_put_in_and_unknown_columns_are_named() {
        let row = br#"{"id":1,"\u0061":"__debezium_unavailable_value","b":"__debezium_unavailable_value"}"#;
        let fills = [
            Fill {
                column: (*br"\u0061").into(),
                source: None,
            },
            Fill {
                column: (*b"b").into(),
                source: Some(7),
            },
        ];
        let value_of = |fill: &Fill, out: &mut Vec<u8>| {
            out.extend_from_slice(b"\"real\"");
            fill.source == Some(7) || {
                out.truncate(out.len() - 6);
                false
            }
        };
        let (mut out, mut unknown) = (Vec::new(), Vec::new());
        fill(row, &fills, false, value_of, &mut out, &mut unknown);
        assert_eq!(out, br#"{"id":1,"b":"real"}"#);
        assert_eq!(unknown, ["a"]);
    }
}
