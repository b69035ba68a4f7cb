//! Names that Avro accepts: `schema.name.adjustment.mode` and `field.name.adjustment.mode`.
//!
//! Follows Debezium's `SchemaNameAdjuster` character by character, in UTF-16 as Java has them, oddities included.

use std::borrow::Cow;

use crate::NameAdjustment;

/// Where the name stands: a schema's may have dots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameOf {
    Schema,
    Field,
}

/// The name as `adjustment` wants it.
pub(crate) fn adjusted(name: &str, adjustment: NameAdjustment, of: NameOf) -> Cow<'_, str> {
    let unicode = match adjustment {
        NameAdjustment::None => return Cow::Borrowed(name),
        NameAdjustment::Avro => false,
        NameAdjustment::AvroUnicode => true,
    };
    let mut adjusted = String::with_capacity(name.len());
    for (place, unit) in name.encode_utf16().enumerate() {
        match u8::try_from(unit) {
            Ok(byte) if is_valid(byte, place == 0, unicode, of) => adjusted.push(byte.into()),
            // So that 1a and 2a stay two names.
            Ok(digit @ b'0'..=b'9') if place == 0 && !unicode => adjusted.extend(['_', digit.into()]),
            // Java pads one digit as it pads two.
            _ if unicode && unit <= 0xff => adjusted.push_str(&format!("_u00{unit:x}")),
            _ if unicode => adjusted.push_str(&format!("_u{unit:x}")),
            _ => adjusted.push('_'),
        }
    }
    Cow::Owned(adjusted)
}

/// The underscore is `avro_unicode`'s own sign, so it is not valid there.
fn is_valid(byte: u8, first: bool, unicode: bool, of: NameOf) -> bool {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' => true,
        b'_' => !unicode,
        b'0'..=b'9' => !first,
        b'.' => !first && of == NameOf::Schema,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_debeziums_adjuster_makes_of_them() {
        use NameAdjustment::{Avro, AvroUnicode, None};
        let cases = [
            ("tp.my-table 1.Value", None, NameOf::Schema, "tp.my-table 1.Value"),
            ("tp.my-table 1.Value", Avro, NameOf::Schema, "tp.my_table_1.Value"),
            (
                "tp.my-table_1.Value",
                AvroUnicode,
                NameOf::Schema,
                "tp.my_u002dtable_u005f1.Value",
            ),
            ("1a", Avro, NameOf::Field, "_1a"),
            ("1a", AvroUnicode, NameOf::Field, "_u0031a"),
            ("a.b", Avro, NameOf::Field, "a_b"),
            ("Ünï😀", Avro, NameOf::Field, "_n___"),
            ("ü", AvroUnicode, NameOf::Field, "_u00fc"),
            ("a\t€", AvroUnicode, NameOf::Field, "a_u009_u20ac"),
            ("", Avro, NameOf::Field, ""),
        ];
        for (name, adjustment, of, expected) in cases {
            assert_eq!(adjusted(name, adjustment, of), expected, "{name} {adjustment:?}");
        }
    }
}
