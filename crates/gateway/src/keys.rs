//! Says a record's key in JSON, and whether its row says it already.
//!
//! Debezium's keys are columns of the row, unless the row leaves them out or masks them. Others' keys are whatever their
//! producer made of them: text, numbers, bytes.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::{json, unreadable::is_binary_control};

/// A key for clients: as it is if it is JSON, else text as a JSON string, else bytes as base64 in one.
pub(crate) fn as_json(key: &[u8]) -> Cow<'_, [u8]> {
    if json::is_json(key) {
        return Cow::Borrowed(key);
    }
    let text = std::str::from_utf8(key).ok();
    let quoted = match text.filter(|text| !text.bytes().any(is_binary_control)) {
        Some(text) => serde_json::to_vec(text),
        None => serde_json::to_vec(&BASE64_STANDARD.encode(key)),
    };
    Cow::Owned(quoted.expect("a string serialises"))
}

/// Whether the key is an object whose members are all columns of the row, with the same values.
pub(crate) fn is_in_row(key: &[u8], row: &[u8]) -> bool {
    let Some(members) = json::members(key) else {
        return false;
    };
    let mut members = members.peekable();
    let has_column = |member| json::members(row).is_some_and(|mut columns| columns.any(|column| column == member));
    members.peek().is_some() && members.all(has_column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_kind_become_json() {
        let json = |key: &[u8]| String::from_utf8(as_json(key).into_owned()).expect("JSON is text");
        assert_eq!(json(br#"{"id": 7}"#), r#"{"id": 7}"#);
        assert_eq!(json(b"7"), "7");
        assert_eq!(json(b"007"), r#""007""#);
        assert_eq!(json(b"order \"7\"\n"), r#""order \"7\"\n""#);
        assert_eq!(json(b"\0\0\0\0\0\0\0\x07"), r#""AAAAAAAAAAc=""#);
        assert_eq!(json(b"\xFF\xFE"), r#""//4=""#);
        assert_eq!(json(b""), r#""""#);
    }

    #[test]
    fn a_row_says_its_key_if_it_has_all_of_its_columns() {
        let row = br#"{"id":7,"region":"eu"}"#;
        assert!(is_in_row(br#"{"region":"eu","id":7}"#, row));
        assert!(!is_in_row(br#"{"id":7,"shard":1}"#, row));
        assert!(!is_in_row(br#"{"id":8}"#, row), "masked in the row");
        for (key, row) in [
            (&b"7"[..], &row[..]),
            (b"{}", row),
            (b"{\"id\":7}", b"[7]"),
            (b"\"id\"", row),
        ] {
            assert!(!is_in_row(key, row));
        }
    }
}
