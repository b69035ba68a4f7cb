//! Keys and values with `schemas.enable=true`, byte for byte as Debezium 3.6.1 and JsonConverter write them.

mod tables;

use rowcast_event::{Cell, ColumnDescription, EventOptions, NameAdjustment, NamePattern, OldRow, Operation, Table};
use tables::{catalog, column, description, encode, key_text, options, text, type_of, value_of};

const NOW_NS: i64 = 1_785_830_400_200_123_000;

fn with_schemas() -> EventOptions {
    let mut options = options();
    options.key_converter.schemas = true;
    options.value_converter.schemas = true;
    options
}

fn compile(name: &str, columns: Vec<ColumnDescription>, key: &[usize], options: &EventOptions) -> Table {
    Table::compile(description(name, columns, key), &catalog(), options)
}

fn serial(name: &str) -> ColumnDescription {
    ColumnDescription {
        nullable: false,
        default_expression: Some("nextval('customers_id_seq'::regclass)".into()),
        ..column(name, 23, -1)
    }
}

fn customers(options: &EventOptions) -> Table {
    let columns = vec![
        serial("id"),
        column("name", 25, -1),
        column("price", 1700, (5 << 16 | 2) + 4),
    ];
    compile("customers", columns, &[0], options)
}

#[test]
fn an_insert_is_the_golden_envelope_with_its_schema() {
    let row = [text("1"), text("Anne"), text("1.10")];
    let records = encode(&customers(&with_schemas()), Operation::Insert(&row), NOW_NS);
    assert_eq!(
        key_text(&records[0]),
        concat!(
            r#"{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"default":0,"field":"id"}],"#,
            r#""optional":false,"name":"tp.public.customers.Key"},"payload":{"id":1}}"#
        )
    );
    assert_eq!(
        records[0].value.as_deref(),
        Some(include_str!("golden/insert_customers_with_schema.json").trim_end())
    );
}

#[test]
fn keys_and_values_have_schemas_each_by_its_own_setting() {
    for (key, value) in [(true, false), (false, true)] {
        let mut options = options();
        (options.key_converter.schemas, options.value_converter.schemas) = (key, value);
        let row = [text("1"), Cell::Null, Cell::Null];
        let record = &encode(&customers(&options), Operation::Insert(&row), 0)[0];
        assert_eq!(key_text(record).starts_with(r#"{"schema":"#), key);
        assert_eq!(value_of(record).get("schema").is_some(), value);
    }
}

#[test]
fn tombstones_missing_keys_and_headers_have_no_schema() {
    let old = [text("7"), Cell::Null, Cell::Null];
    let deleted = encode(&customers(&with_schemas()), Operation::Delete(OldRow::Key(&old)), 0);
    assert_eq!((deleted[1].value.as_deref(), deleted.len()), (None, 2));
    assert_eq!(deleted[1].key, deleted[0].key);
    let new = [text("8"), Cell::Null, Cell::Null];
    let update = Operation::Update {
        old: Some(OldRow::Key(&old)),
        new: &new,
    };
    let moved = encode(&customers(&with_schemas()), update, 0);
    assert_eq!(moved.len(), 3);
    assert_eq!(moved[0].headers[0].1, r#"{"id":8}"#);
    let keyless = compile("log", vec![column("line", 25, -1)], &[], &with_schemas());
    assert_eq!(encode(&keyless, Operation::Insert(&[text("x")]), 0)[0].key, None);
    let truncated = encode(&customers(&with_schemas()), Operation::Truncate, 0);
    assert_eq!(value_of(&truncated[0])["payload"]["op"], "t");
}

/// The schema of a nullable column `c` of the type.
fn field_schema(words: &str, options: &EventOptions) -> String {
    let (oid, modifier) = type_of(words);
    let table = compile("t", vec![column("c", oid, modifier)], &[], options);
    let record = &encode(&table, Operation::Insert(&[Cell::Null]), 0)[0];
    let value = record.value.as_deref().expect("an insert has a value");
    let (_, rest) = value
        .split_once(r#"{"schema":{"type":"struct","fields":[{"type":"struct","fields":["#)
        .expect("a schema");
    let (field, _) = rest
        .split_once(r#"],"optional":true,"name":"tp.public.t.Value","field":"before"}"#)
        .expect("before");
    field.to_owned()
}

#[test]
fn every_type_has_its_schema() {
    let golden: Vec<(String, String)> =
        serde_json::from_str(include_str!("golden/type_schemas.json")).expect("golden/type_schemas.json is JSON");
    let wrong: Vec<String> = golden
        .iter()
        .filter_map(|(words, expected)| {
            let found = field_schema(words, &with_schemas());
            (found != *expected).then(|| format!("{words}: found {found}, expected {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn names_are_adjusted_where_avro_would_refuse_them() {
    let mut options = with_schemas();
    options.topic_prefix = "my-shop".into();
    options.schema_names = NameAdjustment::Avro;
    options.field_names = NameAdjustment::Avro;
    let columns = vec![
        ColumnDescription {
            nullable: false,
            ..column("order id", 23, -1)
        },
        column("1st", 25, -1),
    ];
    let table = compile("t", columns, &[0], &options);
    let new = [text("1"), text("x")];
    let old = [text("2"), Cell::Null];
    let update = Operation::Update {
        old: Some(OldRow::Key(&old)),
        new: &new,
    };
    let records = encode(&table, update, 0);
    assert_eq!(&*table.topic, "my-shop.public.t");
    assert!(key_text(&records[0]).contains(r#""name":"my_shop.public.t.Key"},"payload":{"order_id":2}"#));
    assert_eq!(records[2].headers[0].1, r#"{"order_id":2}"#);
    let value = value_of(&records[2]);
    assert_eq!(value["payload"]["after"], serde_json::json!({"order_id":1,"_1st":"x"}));
    assert_eq!(value["schema"]["name"], "my_shop.public.t.Envelope");
    assert_eq!(value["schema"]["fields"][3]["name"], "event.block");
    let told: serde_json::Value = serde_json::from_str(&table.schema_json()).expect("JSON");
    assert_eq!(told["columns"][1]["name"], "_1st");
}

#[test]
fn source_types_are_parameters_of_the_columns_that_are_named() {
    let mut options = with_schemas();
    options.propagated_columns = NamePattern::new("id|price|at|codes", |name| {
        ["id", "price", "at", "codes"]
            .iter()
            .any(|column| name == format!("public.t.{column}"))
    });
    options.propagated_types = NamePattern::new("varchar", |name| name == "public.t.varchar");
    let mut types = catalog();
    for (oid, name) in [
        (23, "int4"),
        (1700, "numeric"),
        (1043, "varchar"),
        (1184, "timestamptz"),
        (25, "text"),
    ] {
        types.insert(rowcast_event::PgType {
            oid,
            name: name.into(),
            kind: rowcast_event::PgTypeKind::Base,
        });
    }
    types.insert(rowcast_event::PgType {
        oid: 1007,
        name: "_int4".into(),
        kind: rowcast_event::PgTypeKind::Array(23),
    });
    let columns = vec![
        serial("id"),
        column("price", 1700, (5 << 16 | 2) + 4),
        column("at", 1184, -1),
        column("codes", 1007, -1),
        column("name", 1043, 24),
        column("note", 25, -1),
    ];
    let table = Table::compile(description("t", columns, &[0]), &types, &options);
    let parameters = |operation: Operation<'_>| {
        let record = &encode(&table, operation, 0)[0];
        assert!(!key_text(record).contains("__debezium"));
        let value = value_of(record);
        let fields = value["schema"]["fields"][1]["fields"]
            .as_array()
            .expect("fields")
            .clone();
        fields
            .iter()
            .map(|field| field.get("parameters").map_or(String::new(), ToString::to_string))
            .collect::<Vec<_>>()
    };
    let of = |name: &str, length: i64, scale: i64, column: &str| {
        format!(
            r#""__debezium.source.column.type":"{name}","__debezium.source.column.length":"{length}","__debezium.source.column.scale":"{scale}","__debezium.source.column.name":"{column}"}}"#
        )
    };
    let rest = [
        format!(
            r#"{{"scale":"2","connect.decimal.precision":"5",{}"#,
            of("NUMERIC", 5, 2, "price")
        ),
        format!("{{{}", of("TIMESTAMPTZ", 35, 6, "at")),
        format!("{{{}", of("_INT4", 10, 0, "codes")),
        format!("{{{}", of("VARCHAR", 20, 0, "name")),
        String::new(),
    ];
    let row = [text("1"), Cell::Null, Cell::Null, Cell::Null, Cell::Null, Cell::Null];
    let streamed = parameters(Operation::Insert(&row));
    assert_eq!(streamed[0], format!("{{{}", of("INT4", 10, 0, "id")));
    assert_eq!(streamed[1..], rest);
    let read = parameters(Operation::Read(&row));
    assert_eq!(read[0], format!("{{{}", of("SERIAL", 10, 0, "id")));
    assert_eq!(read[1..], rest);
}
