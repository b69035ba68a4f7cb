//! Tables and changes to encode, and the records read back into something that can be compared.
#![allow(dead_code, reason = "each test file uses its part")]

use rowcast_event::{
    BinaryMode, Cell, Change, ColumnDescription, DecimalMode, EncodedRecords, EventOptions, HstoreMode, IntervalMode,
    Lsn, Operation, Origin, PgType, PgTypeKind, Position, SnapshotMarker, Table, TableDescription, TimeMode,
    TypeCatalog,
};

/// A record that owns its parts.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
}

pub(crate) const MOOD: u32 = 50_001;
pub(crate) const MOOD_ARRAY: u32 = 50_002;
pub(crate) const PRICE_DOMAIN: u32 = 50_003;
pub(crate) const NESTED_DOMAIN: u32 = 50_004;
pub(crate) const PRICE_DOMAIN_ARRAY: u32 = 50_005;
pub(crate) const CITEXT: u32 = 50_006;
pub(crate) const HSTORE: u32 = 50_007;
pub(crate) const PAIR: u32 = 50_008;
pub(crate) const GEOMETRY: u32 = 50_009;
pub(crate) const VECTOR: u32 = 50_010;
pub(crate) const MOOD_DOMAIN: u32 = 50_011;

pub(crate) fn options() -> EventOptions {
    EventOptions::new("tp", "appdb", "01a20628-5c5b-7786-839f-fdc321293bb9")
}

/// Sets a mode as Debezium's property of this name does.
pub(crate) fn set(options: &mut EventOptions, property: &str, value: &str) {
    let modes = &mut options.modes;
    match (property, value) {
        ("binary.handling.mode", "base64") => modes.binary = BinaryMode::Base64,
        ("binary.handling.mode", "base64-url-safe") => modes.binary = BinaryMode::Base64UrlSafe,
        ("binary.handling.mode", "hex") => modes.binary = BinaryMode::Hex,
        ("decimal.handling.mode", "double") => modes.decimal = DecimalMode::Double,
        ("decimal.handling.mode", "string") => modes.decimal = DecimalMode::String,
        ("hstore.handling.mode", "map") => modes.hstore = HstoreMode::Map,
        ("include.unknown.datatypes", "true") => modes.include_unknown = true,
        ("interval.handling.mode", "string") => modes.interval = IntervalMode::String,
        ("money.fraction.digits", digits) => modes.money_fraction_digits = digits.parse().expect("digits"),
        ("time.precision.mode", "adaptive_time_microseconds") => modes.time = TimeMode::AdaptiveTimeMicroseconds,
        ("time.precision.mode", "connect") => modes.time = TimeMode::Connect,
        ("time.precision.mode", "isostring") => modes.time = TimeMode::IsoString,
        ("time.precision.mode", "microseconds") => modes.time = TimeMode::Microseconds,
        ("time.precision.mode", "nanoseconds") => modes.time = TimeMode::Nanoseconds,
        other => panic!("{other:?} is a mode"),
    }
}

pub(crate) fn catalog() -> TypeCatalog {
    let mut types = TypeCatalog::default();
    let mut insert = |oid, name: &str, kind| {
        types.insert(PgType {
            oid,
            name: name.into(),
            kind,
        })
    };
    insert(
        MOOD,
        "mood",
        PgTypeKind::Enum(vec!["sad".into(), "ok".into(), "happy".into()]),
    );
    insert(MOOD_ARRAY, "_mood", PgTypeKind::Array(MOOD));
    insert(
        PRICE_DOMAIN,
        "price",
        PgTypeKind::Domain {
            base: 1700,
            type_modifier: (6 << 16 | 2) + 4,
        },
    );
    insert(
        NESTED_DOMAIN,
        "net_price",
        PgTypeKind::Domain {
            base: PRICE_DOMAIN,
            type_modifier: -1,
        },
    );
    insert(PRICE_DOMAIN_ARRAY, "_price", PgTypeKind::Array(PRICE_DOMAIN));
    insert(
        MOOD_DOMAIN,
        "my_mood",
        PgTypeKind::Domain {
            base: MOOD,
            type_modifier: -1,
        },
    );
    insert(CITEXT, "citext", PgTypeKind::Base);
    insert(HSTORE, "hstore", PgTypeKind::Base);
    insert(GEOMETRY, "geometry", PgTypeKind::Base);
    insert(VECTOR, "vector", PgTypeKind::Base);
    insert(PAIR, "pair", PgTypeKind::Composite);
    for (oid, name) in [
        (50_012, "halfvec"),
        (50_013, "sparsevec"),
        (50_014, "ltree"),
        (50_015, "isbn"),
        (50_016, "geography"),
    ] {
        insert(oid, name, PgTypeKind::Base);
    }
    for (oid, name, element) in [
        (50_017, "_hstore", HSTORE),
        (50_018, "_vector", VECTOR),
        (50_019, "_geometry", GEOMETRY),
        (50_020, "_isbn", 50_015),
        (1020, "_box", 603),
        (3643, "_tsvector", 3614),
    ] {
        insert(oid, name, PgTypeKind::Array(element));
    }
    types
}

pub(crate) fn column(name: &str, type_oid: u32, type_modifier: i32) -> ColumnDescription {
    ColumnDescription {
        name: name.into(),
        type_oid,
        type_modifier,
        nullable: true,
        default_expression: None,
    }
}

pub(crate) fn description(name: &str, columns: Vec<ColumnDescription>, key: &[usize]) -> TableDescription {
    TableDescription {
        oid: 16_384,
        schema: "public".into(),
        table: name.into(),
        columns,
        key: key.to_vec(),
        key_only: Vec::new(),
    }
}

pub(crate) fn table(name: &str, columns: Vec<ColumnDescription>, key: &[usize]) -> Table {
    Table::compile(description(name, columns, key), &catalog(), &options())
}

pub(crate) fn text(text: &str) -> Cell<'_> {
    Cell::Text(text.as_bytes())
}

/// The golden envelope's.
pub(crate) fn origin() -> Origin {
    Origin {
        ts_us: 1_785_830_400_123_456,
        xid: Some(742),
        last_commit_lsn: Some(Lsn(23_476_200)),
        lsn: Lsn(23_476_264),
        snapshot: SnapshotMarker::Streamed,
    }
}

pub(crate) fn encode(table: &Table, operation: Operation<'_>, now_ns: i64) -> Vec<Record> {
    let mut out = EncodedRecords::default();
    table.encode(
        &Change {
            position: Position::default(),
            operation,
            origin: origin(),
        },
        now_ns,
        &mut out,
    );
    owned(&out)
}

pub(crate) fn owned(records: &EncodedRecords) -> Vec<Record> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("records are UTF-8");
    let mut owned = Vec::new();
    records.for_each(|record| {
        owned.push(Record {
            key: record.key.map(text),
            value: record.value.map(text),
            headers: record
                .headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), text(value)))
                .collect(),
        });
    });
    owned
}

pub(crate) fn key_text(record: &Record) -> &str {
    record.key.as_deref().expect("the record has a key")
}

pub(crate) fn value_of(record: &Record) -> serde_json::Value {
    serde_json::from_str(record.value.as_deref().expect("the record has a value")).expect("values are JSON")
}

/// A type by the name that the golden file uses.
fn oid(name: &str) -> u32 {
    let names = include_str!("../golden/type_oids.json");
    let names: serde_json::Value = serde_json::from_str(names).expect("golden/type_oids.json is JSON");
    names[name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name} is in golden/type_oids.json")) as u32
}

/// `numeric(5,2)`, `timestamp(3)[]`, `bit(9)`: oid and modifier.
pub(crate) fn type_of(words: &str) -> (u32, i32) {
    let array = words.ends_with("[]");
    let words = words.trim_end_matches("[]");
    let (name, modifier) = match words.split_once('(') {
        None => (words, -1),
        Some((name, numbers)) => (name, modifier(name, numbers.trim_end_matches(')'))),
    };
    (
        oid(&if array { format!("{name}[]") } else { name.to_owned() }),
        modifier,
    )
}

fn modifier(name: &str, numbers: &str) -> i32 {
    let numbers: Vec<i32> = numbers
        .split(',')
        .map(|number| number.parse().expect("a type modifier"))
        .collect();
    match (name, numbers[..].as_ref()) {
        ("numeric", [precision, scale]) => (precision << 16 | scale & 0x7ff) + 4,
        (_, [length]) => *length,
        _ => panic!("modifiers of {name}"),
    }
}

/// What stands after `"name":` in the row after an insert of one cell.
pub(crate) fn delivered(column: ColumnDescription, cell: Cell<'_>) -> String {
    let table = table("t", vec![column], &[]);
    let records = encode(&table, Operation::Insert(&[cell]), 0);
    column_after(records[0].value.as_deref().expect("an insert has a value"))
}

/// The only column of a row after a change, or the whole row if it has none.
pub(crate) fn column_after(value: &str) -> String {
    let start = value.find(r#""after":{"#).expect("the row after") + r#""after":"#.len();
    let end = value.find(r#","source":{"version""#).expect("the source block");
    let row = &value[start..end];
    match row.strip_prefix(r#"{"c":"#) {
        Some(rest) => rest.strip_suffix('}').expect("an object").to_owned(),
        None => row.to_owned(),
    }
}
