//! Types that Debezium does not map: their text as bytes, with `include.unknown.datatypes`.

use super::{Element, Plan, binary_schema, binary_toast};
use crate::{BinaryMode, converter::Converter, toast::Toast};

pub(super) fn plan(oid: u32, mode: BinaryMode) -> Plan {
    let converter = if is_geometric(oid) {
        Converter::GeometricText(mode)
    } else {
        Converter::TextBytes(mode)
    };
    Plan {
        element: Some(Element {
            toast: Toast::Null,
            // PostgreSQL separates boxes by semicolons, for they have commas in them.
            delimiter: if oid == BOX { b';' } else { b',' },
        }),
        ..Plan::new(converter, binary_schema(mode), "").toast(binary_toast(mode))
    }
}

const BOX: u32 = 603;

/// lseg, path, box, polygon, line, circle: Debezium delivers the JDBC driver's text of them, whose numbers are Java's.
fn is_geometric(oid: u32) -> bool {
    matches!(oid, 601..=604 | 628 | 718)
}
