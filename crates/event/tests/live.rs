//! What a real Debezium made of every type and mode, without a server: `golden/live`, which `ROWCAST_RECORD=1` and the suite
//! `tests/tests/debezium` write anew.

mod tables;

use std::{collections::BTreeMap, fs, path::Path};

use rowcast_event::{
    Cell, ColumnDescription, EventOptions, Operation, PgType, PgTypeKind, Table, TableDescription, TypeCatalog,
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

#[derive(Deserialize)]
struct Golden {
    settings: BTreeMap<String, String>,
    types: Vec<GoldenType>,
    columns: Vec<GoldenColumn>,
    rows: Vec<GoldenRow>,
}

#[derive(Deserialize)]
struct GoldenType {
    oid: u32,
    name: String,
    kind: Value,
}

#[derive(Deserialize)]
struct GoldenColumn {
    name: String,
    oid: u32,
    modifier: i32,
    nullable: bool,
    default: Option<String>,
    /// Debezium's JSON; absent of a column that it leaves out.
    schema: Option<String>,
}

#[derive(Deserialize)]
struct GoldenRow {
    text: Vec<Option<String>>,
    snapshot: Option<Vec<Option<String>>>,
    stream: Option<Vec<Option<String>>>,
}

/// Columns in which ours differs, by `docs/debezium-differences.md`: file (all that begin so), column, id of the row.
const EXPECTED: &[(&str, &str, &str)] = &[
    ("decimals_double", "ns", "numeric-array-nan"),
    ("decimals_string", "ns", "numeric-array-nan"),
    ("enums", "ms", "array-null-element"),
    (
        "lost_values",
        "",
        "array-dimensions and its like: what the scenario is made of",
    ),
    ("nanoseconds", "ts", "array-time-fraction"),
    ("temporal", "ts", "array-time-fraction"),
    ("temporal", "ts6", "timestamp-beyond-64-bits"),
    ("temporal", "tzs", "array-time-fraction"),
    ("texts", "ltrees", "array-null-element"),
    ("unmapped", "pairs", "array-null-element"),
    ("unmapped", "prices", "array-null-element"),
];

fn may_differ(file: &str, column: &str) -> bool {
    EXPECTED
        .iter()
        .any(|(begins, name, _)| file.starts_with(begins) && (name.is_empty() || *name == column))
}

fn options(settings: &BTreeMap<String, String>) -> EventOptions {
    let mut options = tables::options();
    options.value_converter.schemas = true;
    for (property, value) in settings {
        tables::set(&mut options, property, value);
    }
    options
}

fn catalog(types: &[GoldenType]) -> TypeCatalog {
    let mut catalog = TypeCatalog::default();
    let oid = |value: &Value| u32::try_from(value.as_u64().expect("an oid")).expect("an oid");
    for GoldenType { oid: own, name, kind } in types {
        let kind = if let Some(labels) = kind.get("enum") {
            PgTypeKind::Enum(serde_json::from_value(labels.clone()).expect("labels"))
        } else if let Some(base) = kind.get("domain") {
            PgTypeKind::Domain {
                base: oid(base),
                type_modifier: serde_json::from_value(kind["modifier"].clone()).expect("a modifier"),
            }
        } else if let Some(element) = kind.get("array") {
            PgTypeKind::Array(oid(element))
        } else if kind == "composite" {
            PgTypeKind::Composite
        } else {
            PgTypeKind::Base
        };
        catalog.insert(PgType {
            oid: *own,
            name: name.clone(),
            kind,
        });
    }
    catalog
}

fn compile(golden: &Golden) -> Table {
    let columns = golden.columns.iter().map(|column| ColumnDescription {
        default_expression: column.default.clone(),
        nullable: column.nullable,
        ..tables::column(&column.name, column.oid, column.modifier)
    });
    let description = TableDescription {
        key: vec![0],
        ..tables::description("t", columns.collect(), &[])
    };
    Table::compile(description, &catalog(&golden.types), &options(&golden.settings))
}

type Raw<'a> = BTreeMap<String, &'a RawValue>;

/// The row after and its columns' schemas, each as it is written.
fn delivered(table: &Table, operation: Operation<'_>) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let records = tables::encode(table, operation, 0);
    let value = records[0].value.clone().expect("a row has a value");
    let record: Raw<'_> = serde_json::from_str(&value).expect("values are JSON");
    let payload: Raw<'_> = serde_json::from_str(record["payload"].get()).expect("an envelope");
    let after: Raw<'_> = serde_json::from_str(payload["after"].get()).expect("a row");
    let after = after.into_iter().map(|(name, value)| (name, value.get().to_owned()));
    let envelope = fields(record["schema"].get());
    (after.collect(), fields(&envelope["after"]))
}

fn fields(schema: &str) -> BTreeMap<String, String> {
    let schema: Raw<'_> = serde_json::from_str(schema).expect("a schema");
    let fields: Vec<&RawValue> = serde_json::from_str(schema["fields"].get()).expect("fields");
    let named = fields.into_iter().map(|field| {
        let members: Value = serde_json::from_str(field.get()).expect("a field");
        (
            members["field"].as_str().expect("a name").to_owned(),
            field.get().to_owned(),
        )
    });
    named.collect()
}

/// Columns that are not as wanted, in words.
fn different(
    file: &str,
    columns: &[GoldenColumn],
    wanted: &[Option<String>],
    (values, schemas): &(BTreeMap<String, String>, BTreeMap<String, String>),
) -> Vec<String> {
    let differs = |(column, wanted): (&GoldenColumn, &Option<String>)| {
        // The stream's rows have ids of their own.
        if column.name == "id" || may_differ(file, &column.name) {
            return None;
        }
        let found = (values.get(&column.name), schemas.get(&column.name));
        let wanted = (wanted.as_ref(), column.schema.as_ref());
        (found != wanted).then(|| format!("{}: found {found:?}, wanted {wanted:?}", column.name))
    };
    columns.iter().zip(wanted).filter_map(differs).collect()
}

#[test]
fn every_value_and_schema_is_as_a_live_debezium_wrote_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/live");
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for file in fs::read_dir(folder).expect("golden/live is there") {
        let path = file.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let golden: Golden = serde_json::from_str(&fs::read_to_string(&path).expect("text")).expect("JSON");
        let table = compile(&golden);
        for row in &golden.rows {
            let cells = row
                .text
                .iter()
                .map(|text| text.as_deref().map_or(Cell::Null, tables::text));
            let cells: Vec<Cell<'_>> = cells.collect();
            for (side, wanted, operation) in [
                ("snapshot", &row.snapshot, Operation::Read(&cells)),
                ("stream", &row.stream, Operation::Insert(&cells)),
            ] {
                let found = delivered(&table, operation);
                for what in different(&name, &golden.columns, wanted.as_deref().unwrap_or_default(), &found) {
                    wrong.push(format!("{name} {side} {what}"));
                }
                compared += wanted.as_ref().map_or(0, Vec::len);
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 3000, "{compared} values are few");
}
