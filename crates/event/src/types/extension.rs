//! Types of extensions: they have no fixed oid, but a name.

use super::{Plan, text};
use crate::{HstoreMode, ValueModes, converter::Converter, schema::Schema, toast::Toast};

pub(super) fn plan(name: &str, modes: &ValueModes) -> Option<Plan> {
    let plan = match name {
        "citext" => text(Schema::plain("string"))
            .toast(Toast::Placeholder)
            .in_arrays(Toast::Null),
        "isbn" => text(Schema::plain("string")).in_arrays(Toast::Null),
        "ltree" => text(Schema::named("string", "io.debezium.data.Ltree"))
            .toast(Toast::Placeholder)
            .in_arrays(Toast::Null),
        "hstore" => hstore(modes.hstore),
        "geometry" => {
            let schema = ewkb_schema("io.debezium.data.geometry.Geometry", "Geometry");
            ewkb(schema.optional())
        }
        "geography" => ewkb(ewkb_schema("io.debezium.data.geometry.Geography", "Geography")),
        "vector" => vector("io.debezium.data.DoubleVector", "double", false),
        "halfvec" => vector("io.debezium.data.FloatVector", "float", true),
        "sparsevec" => Plan::new(Converter::SparseVector, sparse_vector_schema(), "{}/0").in_arrays(Toast::Null),
        _ => return None,
    };
    Some(plan)
}

fn hstore(mode: HstoreMode) -> Plan {
    match mode {
        HstoreMode::Json => Plan::new(
            Converter::HstoreJson,
            Schema::named("string", "io.debezium.data.Json"),
            "",
        )
        .toast(Toast::PlaceholderHstore),
        HstoreMode::Map => {
            let schema = Schema::map_of(Schema::plain("string"), Schema::plain("string").optional());
            Plan::new(Converter::HstoreMap, schema, "").toast(Toast::PlaceholderMap)
        }
    }
    .in_arrays(Toast::Null)
}

fn ewkb_schema(semantic: &'static str, doc: &'static str) -> Schema {
    Schema::struct_of(&[
        ("wkb", Schema::plain("bytes")),
        ("srid", Schema::plain("int32").optional()),
    ])
    .name(semantic)
    .doc(doc)
}

/// The filler is an empty GEOMETRYCOLLECTION. PostGIS declares its types with a colon between an array's elements.
fn ewkb(schema: Schema) -> Plan {
    Plan::new(Converter::Ewkb, schema, "010700000000000000")
        .in_arrays(Toast::Null)
        .delimited_by(b':')
}

fn vector(semantic: &'static str, item: &'static str, single: bool) -> Plan {
    let schema = Schema::array_of(Schema::plain(item)).name(semantic);
    Plan::new(Converter::Vector { single }, schema, "[]").in_arrays(Toast::Null)
}

fn sparse_vector_schema() -> Schema {
    Schema::struct_of(&[
        ("dimensions", Schema::plain("int16")),
        (
            "vector",
            Schema::map_of(Schema::plain("int16"), Schema::plain("double")),
        ),
    ])
    .name("io.debezium.data.SparseDoubleVector")
    .doc("Sparse double vector")
}
