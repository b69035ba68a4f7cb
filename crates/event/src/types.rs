//! Which converter and which schema each PostgreSQL type gets: Debezium's type mapping, in its default modes.
//!
//! Built-in types are known by oid, types of extensions by name, the rest by what they are made of. A type that is
//! not here has no converter, and its columns are not delivered.
//!
//! On purpose better than Debezium 3.6.1, where it loses values: `name` columns of streamed changes, NULLs in arrays of
//! enums, `bit` arrays and arrays of several dimensions are delivered; numerics of negative scale keep their scale; a
//! domain over an enum is an enum; a NOT NULL column whose value does not convert gets its filler and stops nothing.

use crate::{
    PgType, PgTypeKind, TypeCatalog, converter::Converter, default_expression::DefaultRule, schema::Schema,
    toast::Toast, values::temporal::Unit,
};

/// All that a column needs to know of its type.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) converter: Converter,
    pub(crate) schema: Schema,
    /// PostgreSQL's text of the value that stands in for a missing one where null is not allowed.
    pub(crate) zero: &'static str,
    /// Converts `zero`; the same as `converter` but for `timestamptz`, whose filler has no fraction.
    pub(crate) filler: Converter,
    pub(crate) default: DefaultRule,
    /// PostgreSQL's text of what a default that is a function stands for.
    pub(crate) default_zero: &'static str,
    pub(crate) toast: Toast,
    /// Debezium's schema allows null even where the column does not.
    pub(crate) always_optional: bool,
    /// What arrays of the type are, if Debezium delivers them.
    element: Option<Element>,
}

/// How a type behaves as an array's element.
#[derive(Clone, Copy, Debug)]
struct Element {
    toast: Toast,
    optional: bool,
}

/// Domains over domains over... PostgreSQL has no limit, and a broken catalog may have a circle.
const DOMAIN_DEPTH_MAX: usize = 32;

/// PostgreSQL's fraction digits of a time whose type has no modifier.
const FRACTION_DIGITS_DEFAULT: i32 = 6;

/// The plan for a column of the type, or `None` if it is not delivered.
pub(crate) fn plan(oid: u32, type_modifier: i32, types: &TypeCatalog) -> Option<Plan> {
    let (oid, type_modifier, through_domain) = base_of(oid, type_modifier, types)?;
    let mut plan = built_in(oid, type_modifier).or_else(|| by_catalog(oid, type_modifier, types))?;
    if through_domain {
        // Debezium looks defaults up by the type's own name, which a domain's is not.
        plan.default = DefaultRule::Dropped;
    }
    Some(plan)
}

/// What has no fixed oid, and arrays.
fn by_catalog(oid: u32, type_modifier: i32, types: &TypeCatalog) -> Option<Plan> {
    match types.get(oid) {
        _ if VECTORS.contains(&oid) => None,
        None => built_in_array(oid, type_modifier),
        Some(pg_type) => match &pg_type.kind {
            PgTypeKind::Enum(labels) => Some(enumeration(labels)),
            PgTypeKind::Array(element) => array(*element, type_modifier, types),
            PgTypeKind::Base => extension(&pg_type.name),
            PgTypeKind::Domain { .. } | PgTypeKind::Composite => None,
        },
    }
}

/// Follows domains to what they are over; the nearest type modifier counts.
fn base_of(oid: u32, type_modifier: i32, types: &TypeCatalog) -> Option<(u32, i32, bool)> {
    let (mut oid, mut type_modifier) = (oid, type_modifier);
    for depth in 0..DOMAIN_DEPTH_MAX {
        match types.get(oid) {
            Some(PgType {
                kind:
                    PgTypeKind::Domain {
                        base,
                        type_modifier: inner,
                    },
                ..
            }) => {
                oid = *base;
                type_modifier = if type_modifier == -1 { *inner } else { type_modifier };
            }
            _ => return Some((oid, type_modifier, depth > 0)),
        }
    }
    None
}

fn array(element: u32, type_modifier: i32, types: &TypeCatalog) -> Option<Plan> {
    let of_domain = matches!(
        types.get(element),
        Some(PgType {
            kind: PgTypeKind::Domain { .. } | PgTypeKind::Array(_),
            ..
        })
    );
    (!of_domain)
        .then(|| plan(element, type_modifier, types))
        .flatten()
        .and_then(array_of)
}

/// Arrays of built-in types have fixed oids too, for catalogs that do not list them.
fn built_in_array(oid: u32, type_modifier: i32) -> Option<Plan> {
    let at = ARRAYS.iter().position(|(array, _)| *array == oid)?;
    built_in(ARRAYS[at].1, type_modifier).and_then(array_of)
}

fn array_of(item: Plan) -> Option<Plan> {
    let element = item.element?;
    let converter = Converter::Array(Box::new(item.converter));
    Some(Plan {
        filler: converter.clone(),
        converter,
        schema: Schema::array_of(item.schema, element.optional),
        zero: "{}",
        default: DefaultRule::Dropped,
        default_zero: "{}",
        toast: element.toast,
        always_optional: false,
        element: None,
    })
}

impl Plan {
    fn new(converter: Converter, schema: Schema, zero: &'static str) -> Plan {
        Plan {
            filler: converter.clone(),
            converter,
            schema,
            zero,
            default: DefaultRule::Dropped,
            default_zero: zero,
            toast: Toast::Null,
            always_optional: false,
            element: None,
        }
    }

    fn default(self, default: DefaultRule) -> Plan {
        Plan { default, ..self }
    }

    fn toast(self, toast: Toast) -> Plan {
        Plan { toast, ..self }
    }

    /// Arrays of the type are delivered; an array that was not sent is `toast`.
    fn in_arrays(self, toast: Toast) -> Plan {
        Plan {
            element: Some(Element { toast, optional: true }),
            ..self
        }
    }
}

fn enumeration(labels: &[String]) -> Plan {
    let schema = Schema::named("string", "io.debezium.data.Enum").with("allowed", labels.join(","));
    let plan = Plan::new(Converter::Text, schema, "").default(DefaultRule::Enum);
    // Debezium's schema says so, and an array that holds a NULL is lost there; here it is delivered.
    Plan {
        element: Some(Element {
            toast: Toast::Null,
            optional: false,
        }),
        ..plan
    }
}

/// Strings, and types whose text is delivered as it is.
fn text(schema: Schema) -> Plan {
    Plan::new(Converter::Text, schema, "")
}

fn number(converter: Converter, type_word: &'static str) -> Plan {
    Plan::new(converter, Schema::plain(type_word), "0")
        .default(DefaultRule::Number)
        .in_arrays(Toast::Null)
}

fn temporal(converter: Converter, type_word: &'static str, semantic: &'static str, zero: &'static str) -> Plan {
    let plan = Plan::new(converter, Schema::named(type_word, semantic), zero);
    plan.default(DefaultRule::Temporal).in_arrays(Toast::Null)
}

/// Built-in types, by their fixed oids (`pg_type.dat`).
fn built_in(oid: u32, type_modifier: i32) -> Option<Plan> {
    let plan = match oid {
        16 => Plan::new(Converter::Boolean, Schema::plain("boolean"), "f")
            .default(DefaultRule::Boolean)
            .in_arrays(Toast::Null),
        21 => number(Converter::Int16, "int16"),
        23 => number(Converter::Int32, "int32").in_arrays(Toast::PlaceholderNumbers),
        20 => number(Converter::Int64, "int64").in_arrays(Toast::PlaceholderNumbers),
        26 => number(Converter::UnsignedInt32, "int64").default(DefaultRule::Dropped),
        700 => number(Converter::Float32, "float"),
        701 => number(Converter::Float64, "double"),
        1700 => numeric(type_modifier),
        790 => {
            let schema = Schema::named("bytes", DECIMAL).with("scale", 2);
            Plan::new(Converter::MoneyDecimal, schema, "0")
        }
        // varchar, text
        1043 | 25 => string().in_arrays(Toast::PlaceholderArray),
        // bpchar
        1042 => string().in_arrays(Toast::PlaceholderArray),
        // "char"
        18 => string().in_arrays(Toast::Null),
        // name
        19 => string().default(DefaultRule::Dropped),
        2950 => Plan {
            default_zero: "00000000-0000-0000-0000-000000000000",
            ..text(Schema::named("string", "io.debezium.data.Uuid"))
                .default(DefaultRule::Text)
                .in_arrays(Toast::PlaceholderUuidArray)
        },
        // json, jsonb
        114 | 3802 => Plan {
            default_zero: "{}",
            ..text(Schema::named("string", "io.debezium.data.Json"))
                .default(DefaultRule::Text)
                .toast(Toast::Placeholder)
                .in_arrays(Toast::PlaceholderArray)
        },
        142 => text(Schema::named("string", "io.debezium.data.Xml"))
            .default(DefaultRule::Text)
            .toast(Toast::Placeholder),
        3614 => text(Schema::named("string", "io.debezium.data.Tsvector")).toast(Toast::Placeholder),
        // inet, cidr, macaddr, macaddr8; int4range, numrange, tsrange, tstzrange, daterange, int8range
        869 | 650 | 829 | 774 | 3904 | 3906 | 3908 | 3910 | 3912 | 3926 => {
            text(Schema::plain("string")).in_arrays(Toast::Null)
        }
        17 => Plan::new(Converter::Bytes, Schema::plain("bytes"), "\\x")
            .toast(Toast::PlaceholderBytes)
            .in_arrays(Toast::PlaceholderBytesArray),
        1560 | 1562 => bits(type_modifier, oid == 1560),
        600 => Plan::new(
            Converter::Point,
            Schema::named("struct", "io.debezium.data.geometry.Point"),
            "(0,0)",
        ),
        _ => return date_or_time(oid, type_modifier),
    };
    Some(plan)
}

fn date_or_time(oid: u32, type_modifier: i32) -> Option<Plan> {
    let fraction_digits = if type_modifier < 0 {
        FRACTION_DIGITS_DEFAULT
    } else {
        type_modifier
    };
    let unit = Unit::adaptive(fraction_digits);
    let plan = match oid {
        1082 => temporal(Converter::DateDays, "int32", "io.debezium.time.Date", "1970-01-01")
            .in_arrays(Toast::PlaceholderNumbers),
        1083 => match unit {
            Unit::Milliseconds => temporal(Converter::TimeOfDay(unit), "int32", "io.debezium.time.Time", "00:00:00"),
            Unit::Microseconds => temporal(
                Converter::TimeOfDay(unit),
                "int64",
                "io.debezium.time.MicroTime",
                "00:00:00",
            ),
        },
        1266 => temporal(
            Converter::ZonedTime,
            "string",
            "io.debezium.time.ZonedTime",
            "00:00:00+00",
        )
        .default(DefaultRule::Dropped),
        1114 => {
            let semantic = match unit {
                Unit::Milliseconds => "io.debezium.time.Timestamp",
                Unit::Microseconds => "io.debezium.time.MicroTimestamp",
            };
            temporal(Converter::Timestamp(unit), "int64", semantic, "1970-01-01 00:00:00")
        }
        1184 => {
            let converter = Converter::ZonedTimestamp {
                fraction_digits: fraction_digits.clamp(0, 6) as u8,
            };
            let zero = "1970-01-01 00:00:00+00";
            let plan = temporal(converter, "string", "io.debezium.time.ZonedTimestamp", zero);
            Plan {
                filler: Converter::ZonedTimestamp { fraction_digits: 0 },
                ..plan
            }
        }
        1186 => {
            let schema = Schema::named("int64", "io.debezium.time.MicroDuration");
            Plan::new(Converter::IntervalMicros, schema, "00:00:00").default(DefaultRule::Temporal)
        }
        _ => return None,
    };
    Some(plan)
}

/// Types of extensions have no fixed oid.
fn extension(name: &str) -> Option<Plan> {
    let plan = match name {
        "citext" => text(Schema::plain("string"))
            .toast(Toast::Placeholder)
            .in_arrays(Toast::Null),
        "isbn" => text(Schema::plain("string")),
        "ltree" => text(Schema::named("string", "io.debezium.data.Ltree"))
            .toast(Toast::Placeholder)
            .in_arrays(Toast::Null),
        "hstore" => Plan::new(
            Converter::HstoreJson,
            Schema::named("string", "io.debezium.data.Json"),
            "",
        )
        .toast(Toast::PlaceholderHstore)
        .in_arrays(Toast::Null),
        "geometry" => Plan {
            always_optional: true,
            ..ewkb("io.debezium.data.geometry.Geometry")
        },
        "geography" => ewkb("io.debezium.data.geometry.Geography"),
        "vector" => vector("io.debezium.data.DoubleVector", "double", false),
        "halfvec" => vector("io.debezium.data.FloatVector", "float", true),
        "sparsevec" => Plan::new(
            Converter::SparseVector,
            Schema::named("struct", "io.debezium.data.SparseDoubleVector"),
            "{}/0",
        ),
        _ => return None,
    };
    Some(plan)
}

fn string() -> Plan {
    text(Schema::plain("string"))
        .default(DefaultRule::Text)
        .toast(Toast::Placeholder)
}

/// The filler is an empty GEOMETRYCOLLECTION.
fn ewkb(semantic: &'static str) -> Plan {
    Plan::new(Converter::Ewkb, Schema::named("struct", semantic), "010700000000000000").in_arrays(Toast::Null)
}

fn vector(semantic: &'static str, item: &'static str, single: bool) -> Plan {
    let schema = Schema {
        semantic: Some((semantic, 1)),
        ..Schema::array_of(Schema::plain(item), false)
    };
    Plan::new(Converter::Vector { single }, schema, "[]")
}

const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";

/// The modifier holds precision and scale above the length of a varlena header; the scale has eleven bits and a sign
/// (which Debezium overlooks: it takes -2 for 2046).
fn numeric(type_modifier: i32) -> Plan {
    const HEADER: i32 = 4;
    if type_modifier < HEADER {
        let schema = Schema::named("struct", "io.debezium.data.VariableScaleDecimal");
        return Plan::new(Converter::VariableScaleDecimal, schema, "0").in_arrays(Toast::Null);
    }
    let packed = type_modifier - HEADER;
    let (precision, scale) = (packed >> 16 & 0xffff, (packed & 0x7ff ^ 0x400) - 0x400);
    let schema = Schema::named("bytes", DECIMAL)
        .with("scale", scale)
        .with("connect.decimal.precision", precision);
    Plan::new(Converter::Decimal { scale }, schema, "0")
        .default(DefaultRule::Number)
        .in_arrays(Toast::Null)
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
    if fixed { plan.in_arrays(Toast::Null) } else { plan }
}

/// `int2vector` and `oidvector`: the catalog calls them arrays, their text is not an array's.
const VECTORS: [u32; 2] = [22, 30];

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
