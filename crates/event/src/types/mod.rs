//! Which converter and which schema each PostgreSQL type gets: Debezium's type mapping in all its modes.
//!
//! Built-in types are known by oid, types of extensions by name, the rest by what they are made of. A type that is
//! not here has no converter: its columns are not delivered, or as bytes (`include.unknown.datatypes`).
//!
//! On purpose better than Debezium 3.6.1, where it loses values: `docs/debezium-differences.md` has the list.

mod base;
mod extension;
mod number;
mod time;
mod unknown;

use crate::{
    BinaryMode, EventOptions, PgType, PgTypeKind, TypeCatalog, ValueModes, converter::Converter,
    default_expression::DefaultRule, schema::Schema, toast::Toast,
};

/// All that a column needs to know of its type.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) converter: Converter,
    /// The same but for dates, which Debezium's snapshot reads by another way than its stream.
    pub(crate) snapshot_converter: Converter,
    /// Its `optional` is true where Debezium's schema allows null though the column does not.
    pub(crate) schema: Schema,
    /// PostgreSQL's text of the value that stands in for a missing one where null is not allowed.
    pub(crate) zero: &'static str,
    /// Converts `zero`; the same as `converter` but for `timestamptz`, whose filler has no fraction.
    pub(crate) filler: Converter,
    pub(crate) default: DefaultRule,
    /// Converts the default.
    pub(crate) default_converter: Converter,
    /// PostgreSQL's text of what a default that is a function stands for.
    pub(crate) default_zero: &'static str,
    pub(crate) toast: Toast,
    /// What arrays of the type are, if Debezium delivers them.
    element: Option<Element>,
}

/// How a type behaves as an array's element.
#[derive(Clone, Copy, Debug)]
struct Element {
    toast: Toast,
    delimiter: u8,
}

/// Domains over domains over... PostgreSQL has no limit, and a broken catalog may have a circle.
const DOMAIN_DEPTH_MAX: usize = 32;

/// The plan for a column of the type, or `None` if it is not delivered.
pub(crate) fn plan(oid: u32, type_modifier: i32, types: &TypeCatalog, options: &EventOptions) -> Option<Plan> {
    let (base, type_modifier, through_domain) = base_of(oid, type_modifier, types)?;
    let planner = Planner {
        types,
        modes: options.modes,
        // One dimension is all that a Connect schema can say of an array.
        flat_arrays: options.value_converter.schemas || options.key_converter.schemas,
    };
    let mut plan = planner.plan(base, type_modifier)?;
    if through_domain {
        // Debezium looks defaults up by the type's own name, which a domain's is not.
        plan.default = DefaultRule::Dropped;
    }
    Some(plan)
}

/// Whether JDBC calls the type text, as Debezium's masks ask: strings and enums, and domains over them.
pub(crate) fn is_text(oid: u32, types: &TypeCatalog) -> bool {
    /// `"char"`, `name`, `text`, `bpchar`, `varchar`.
    const TEXTS: [u32; 5] = [18, 19, 25, 1042, 1043];
    base_of(oid, -1, types).is_some_and(|(base, ..)| {
        let kind = types.get(base).map(|pg_type| &pg_type.kind);
        TEXTS.contains(&base) || matches!(kind, Some(PgTypeKind::Enum(_)))
    })
}

/// What plans are made from.
struct Planner<'a> {
    types: &'a TypeCatalog,
    modes: ValueModes,
    flat_arrays: bool,
}

impl Planner<'_> {
    /// For a type that is no domain.
    fn plan(&self, oid: u32, type_modifier: i32) -> Option<Plan> {
        if base::NEVER.contains(&oid) {
            return None;
        }
        base::plan(oid, type_modifier, &self.modes)
            .or_else(|| self.by_catalog(oid, type_modifier))
            .or_else(|| {
                self.modes
                    .include_unknown
                    .then(|| unknown::plan(oid, self.modes.binary))
            })
    }

    /// What has no fixed oid, and arrays.
    fn by_catalog(&self, oid: u32, type_modifier: i32) -> Option<Plan> {
        match self.types.get(oid) {
            _ if base::VECTORS.contains(&oid) => None,
            None => self.array(base::element_of(oid)?, type_modifier),
            Some(pg_type) => match &pg_type.kind {
                PgTypeKind::Enum(labels) => Some(enumeration(labels)),
                PgTypeKind::Array(element) => self.array(*element, type_modifier),
                PgTypeKind::Base => extension::plan(&pg_type.name, &self.modes),
                PgTypeKind::Domain { .. } | PgTypeKind::Composite => None,
            },
        }
    }

    /// Debezium does not look through a domain that is an array's element.
    fn array(&self, element: u32, type_modifier: i32) -> Option<Plan> {
        let of_domain = matches!(
            self.types.get(element),
            Some(PgType {
                kind: PgTypeKind::Domain { .. } | PgTypeKind::Array(_),
                ..
            })
        );
        let item = if of_domain {
            self.modes
                .include_unknown
                .then(|| unknown::plan(element, self.modes.binary))
        } else {
            self.plan(element, type_modifier)
        };
        self.array_of(item?)
    }

    fn array_of(&self, item: Plan) -> Option<Plan> {
        let element = item.element?;
        let converter = Converter::Array {
            // Of both ways to read a date Debezium's arrays always go the snapshot's.
            element: Box::new(item.snapshot_converter),
            delimiter: element.delimiter,
            flat: self.flat_arrays,
        };
        // Where Debezium's schema forbids NULL among the elements (enums), an array with one is lost there. Here it is
        // delivered, so the schema has to allow it.
        let items = item.schema.optional();
        Some(Plan::new(converter, Schema::array_of(items), "{}").toast(element.toast))
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

impl Plan {
    fn new(converter: Converter, schema: Schema, zero: &'static str) -> Plan {
        Plan {
            snapshot_converter: converter.clone(),
            filler: converter.clone(),
            default_converter: converter.clone(),
            converter,
            schema,
            zero,
            default: DefaultRule::Dropped,
            default_zero: zero,
            toast: Toast::Null,
            element: None,
        }
    }

    fn default(self, default: DefaultRule) -> Plan {
        Plan { default, ..self }
    }

    fn default_zero(self, default_zero: &'static str) -> Plan {
        Plan { default_zero, ..self }
    }

    fn toast(self, toast: Toast) -> Plan {
        Plan { toast, ..self }
    }

    /// Arrays of the type are delivered; an array that was not sent is `toast`.
    fn in_arrays(self, toast: Toast) -> Plan {
        Plan {
            element: Some(Element { toast, delimiter: b',' }),
            ..self
        }
    }

    /// What stands between the elements of such arrays (`typdelim`), where it is no comma.
    fn delimited_by(self, delimiter: u8) -> Plan {
        Plan {
            element: self.element.map(|element| Element { delimiter, ..element }),
            ..self
        }
    }
}

fn enumeration(labels: &[String]) -> Plan {
    let schema = Schema::named("string", "io.debezium.data.Enum").with("allowed", labels.join(","));
    Plan::new(Converter::Text, schema, "")
        .default(DefaultRule::Enum)
        .in_arrays(Toast::Null)
}

/// Strings, and types whose text is delivered as it is.
fn text(schema: Schema) -> Plan {
    Plan::new(Converter::Text, schema, "")
}

/// `binary.handling.mode`'s schema.
fn binary_schema(mode: BinaryMode) -> Schema {
    match mode {
        BinaryMode::Bytes => Schema::plain("bytes"),
        BinaryMode::Base64 | BinaryMode::Base64UrlSafe | BinaryMode::Hex => Schema::plain("string"),
    }
}

/// What is delivered for binary values that were not sent: Debezium has nothing for base64.
fn binary_toast(mode: BinaryMode) -> Toast {
    match mode {
        BinaryMode::Bytes => Toast::PlaceholderBytes,
        BinaryMode::Base64 | BinaryMode::Base64UrlSafe => Toast::PlaceholderIfRequired,
        BinaryMode::Hex => Toast::Placeholder,
    }
}
