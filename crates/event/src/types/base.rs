//! PostgreSQL's own types, by their fixed oids (`pg_type.dat`).

use super::{Plan, binary_schema, binary_toast, number, text, time};
use crate::{
    BinaryMode, ValueModes, converter::Converter, default_expression::DefaultRule, schema::Schema, toast::Toast,
};

/// The plan of a built-in type that is no array.
pub(super) fn plan(oid: u32, type_modifier: i32, modes: &ValueModes) -> Option<Plan> {
    number::plan(oid, type_modifier, modes)
        .or_else(|| time::plan(oid, type_modifier, modes))
        .or_else(|| string_plan(oid))
        .or_else(|| other(oid, type_modifier, modes.binary))
}

/// What is delivered as PostgreSQL prints it.
fn string_plan(oid: u32) -> Option<Plan> {
    let plan = match oid {
        // varchar, text, bpchar
        1043 | 25 | 1042 => string().in_arrays(Toast::PlaceholderArray),
        // "char", for which Debezium knows no defaults
        18 => string().default(DefaultRule::Dropped).in_arrays(Toast::Null),
        // name
        19 => string().default(DefaultRule::Dropped),
        2950 => text(Schema::named("string", "io.debezium.data.Uuid"))
            .default(DefaultRule::Text)
            .default_zero("00000000-0000-0000-0000-000000000000")
            .in_arrays(Toast::PlaceholderUuidArray),
        // json, jsonb
        114 | 3802 => text(Schema::named("string", "io.debezium.data.Json"))
            .default(DefaultRule::Text)
            .default_zero("{}")
            .toast(Toast::Placeholder)
            .in_arrays(Toast::PlaceholderArray),
        142 => text(Schema::named("string", "io.debezium.data.Xml"))
            .default(DefaultRule::Text)
            .toast(Toast::Placeholder),
        3614 => text(Schema::named("string", "io.debezium.data.Tsvector"))
            .toast(Toast::Placeholder)
            .in_arrays(Toast::Null),
        // inet, cidr, macaddr, macaddr8; int4range, numrange, tsrange, tstzrange, daterange, int8range
        869 | 650 | 829 | 774 | 3904 | 3906 | 3908 | 3910 | 3912 | 3926 => {
            text(Schema::plain("string")).in_arrays(Toast::Null)
        }
        _ => return None,
    };
    Some(plan)
}

fn other(oid: u32, type_modifier: i32, binary: BinaryMode) -> Option<Plan> {
    let plan = match oid {
        16 => Plan::new(Converter::Boolean, Schema::plain("boolean"), "f")
            .default(DefaultRule::Boolean)
            .in_arrays(Toast::Null),
        17 => Plan::new(Converter::Bytea(binary), binary_schema(binary), "\\x")
            .toast(binary_toast(binary))
            .in_arrays(match binary {
                BinaryMode::Bytes => Toast::PlaceholderBytesArray,
                BinaryMode::Base64 | BinaryMode::Base64UrlSafe | BinaryMode::Hex => Toast::Null,
            }),
        1560 | 1562 => bits(type_modifier, oid == 1560),
        600 => Plan::new(Converter::Point, point_schema(), "(0,0)"),
        _ => return None,
    };
    Some(plan)
}

fn string() -> Plan {
    text(Schema::plain("string"))
        .default(DefaultRule::Text)
        .toast(Toast::Placeholder)
}

fn point_schema() -> Schema {
    let fields = [
        ("x", Schema::plain("double")),
        ("y", Schema::plain("double")),
        ("wkb", Schema::plain("bytes").optional()),
        ("srid", Schema::plain("int32").optional()),
    ];
    Schema::struct_of(&fields)
        .name("io.debezium.data.geometry.Point")
        .doc("Geometry (POINT)")
}

/// The modifier is the length; `varbit` may have none.
fn bits(type_modifier: i32, fixed: bool) -> Plan {
    let plan = if type_modifier == 1 {
        Plan::new(Converter::Bit, Schema::plain("boolean"), "0")
    } else {
        let length = if type_modifier < 0 { i32::MAX } else { type_modifier };
        Plan::new(
            Converter::Bits,
            Schema::named("bytes", "io.debezium.data.Bits").with("length", length),
            "",
        )
    };
    let plan = plan.default(DefaultRule::Text);
    // Debezium gives bit[] the schema of its element, which no array fits: it is always null there.
    if fixed { plan.in_arrays(Toast::Null) } else { plan }
}

/// Debezium leaves these out even with `include.unknown.datatypes`: arrays of money, name, interval, varbit, xml, point
/// and refcursor.
pub(super) const NEVER: [u32; 7] = [791, 1003, 1187, 1563, 143, 1017, 2201];

/// `int2vector` and `oidvector`: the catalog calls them arrays, their text is not an array's.
pub(super) const VECTORS: [u32; 2] = [22, 30];

/// What a built-in array is made of, for catalogs that do not list it.
pub(super) fn element_of(oid: u32) -> Option<u32> {
    let at = ARRAYS.iter().position(|(array, _)| *array == oid)?;
    Some(ARRAYS[at].1)
}

/// Array type and element type, for built-in types that have arrays in Debezium.
const ARRAYS: &[(u32, u32)] = &[
    (1000, 16),
    (1001, 17),
    (1002, 18),
    (1005, 21),
    (1007, 23),
    (1016, 20),
    (1028, 26),
    (1021, 700),
    (1022, 701),
    (1231, 1700),
    (1015, 1043),
    (1009, 25),
    (1014, 1042),
    (2951, 2950),
    (199, 114),
    (3807, 3802),
    (1041, 869),
    (651, 650),
    (1040, 829),
    (775, 774),
    (3905, 3904),
    (3907, 3906),
    (3909, 3908),
    (3911, 3910),
    (3913, 3912),
    (3927, 3926),
    (1561, 1560),
    (1182, 1082),
    (1183, 1083),
    (1270, 1266),
    (1115, 1114),
    (1185, 1184),
];
