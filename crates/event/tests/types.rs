//! Every type's values in Debezium's default modes: vectors of the specification's section 2, kept in `golden/types.json`.

mod tables;

use rowcast_event::{Cell, ColumnDescription, OldRow, Operation};
use serde_json::Value;
use tables::{column, delivered, description, encode, options, table, text, type_of, value_of};

#[test]
fn values_are_delivered_as_the_golden_vectors_say() {
    let golden: Vec<(String, Option<String>, Value)> =
        serde_json::from_str(include_str!("golden/types.json")).expect("golden/types.json is JSON");
    let mut wrong = Vec::new();
    for (words, input, expected) in &golden {
        let (oid, modifier) = type_of(words);
        let cell = input.as_deref().map_or(Cell::Null, text);
        let found = delivered(column("c", oid, modifier), cell);
        // Numbers are compared as text: 1.0 and 1 are not the same bytes.
        let expected = expected.as_str().map_or_else(|| expected.to_string(), str::to_owned);
        if found != expected {
            wrong.push(format!("{words} {input:?}: found {found}, expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_old_keys_leave_out_is_the_types_filler() {
    let golden: Vec<(String, String)> =
        serde_json::from_str(include_str!("golden/fillers.json")).expect("golden/fillers.json is JSON");
    for (words, expected) in &golden {
        let (oid, modifier) = type_of(words);
        let required = ColumnDescription {
            nullable: false,
            ..column("c", oid, modifier)
        };
        assert_eq!(&delivered(required, Cell::Null), expected, "{words}");
        assert_eq!(delivered(column("c", oid, modifier), Cell::Null), "null", "{words}");
    }
}

#[test]
fn unsent_toast_values_have_their_types_placeholder() {
    let golden: Vec<(String, String)> =
        serde_json::from_str(include_str!("golden/placeholders.json")).expect("golden/placeholders.json is JSON");
    for (words, expected) in &golden {
        let (oid, modifier) = type_of(words);
        assert_eq!(
            &delivered(column("c", oid, modifier), Cell::Unchanged),
            expected,
            "{words}"
        );
    }
}

#[test]
fn defaults_are_in_the_schema_and_stand_in_for_null() {
    let golden: Vec<(String, String, Option<String>)> =
        serde_json::from_str(include_str!("golden/defaults.json")).expect("golden/defaults.json is JSON");
    let mut wrong = Vec::new();
    for (words, expression, expected) in &golden {
        let (oid, modifier) = type_of(words);
        let column = ColumnDescription {
            default_expression: Some(expression.clone()),
            ..column("c", oid, modifier)
        };
        let found = delivered(column.clone(), Cell::Null);
        if found != expected.as_deref().unwrap_or("null") {
            wrong.push(format!(
                "{words} default {expression}: found {found}, expected {expected:?}"
            ));
        }
        let schema: Value = serde_json::from_str(&table("t", vec![column], &[]).schema_json()).expect("JSON");
        let in_schema = schema["columns"][0].get("default").map(Value::to_string);
        let expected = expected
            .as_ref()
            .map(|json| serde_json::from_str::<Value>(json).expect("JSON").to_string());
        assert_eq!(in_schema, expected, "{words} default {expression}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn types_without_converter_are_left_out_and_named() {
    let columns = vec![
        column("id", 23, -1),
        column("shape", 604, -1),
        column("both", tables::PAIR, -1),
        column("prices", tables::PRICE_DOMAIN_ARRAY, -1),
        column("cash", 791, -1),
    ];
    let table = table("t", columns, &[0]);
    let records = encode(
        &table,
        Operation::Insert(&[
            text("1"),
            text("((0,0),(1,1))"),
            text("(1,2)"),
            text("{1}"),
            text("{$1.00}"),
        ]),
        0,
    );
    assert_eq!(value_of(&records[0])["after"], serde_json::json!({"id":1}));
    let warnings = table.warnings();
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    assert!(
        warnings[1].contains("public.t.both: type pair") && warnings[0].contains("oid 604"),
        "{warnings:?}"
    );
}

#[test]
fn what_only_looks_like_an_array_in_the_catalog_is_none() {
    // pg_type.typelem is set for these too: name is made of "char", point of float8, int2vector of int2.
    let mut types = tables::catalog();
    for (oid, name, element) in [(19, "name", 18), (600, "point", 701), (22, "int2vector", 21)] {
        types.insert(rowcast_event::PgType {
            oid,
            name: name.into(),
            kind: rowcast_event::PgTypeKind::Array(element),
        });
    }
    let columns = vec![column("n", 19, -1), column("p", 600, -1), column("v", 22, -1)];
    let table = rowcast_event::Table::compile(description("t", columns, &[]), &types, &options());
    let records = encode(&table, Operation::Insert(&[text("x"), text("(0,0)"), text("1 2")]), 0);
    let after = &value_of(&records[0])["after"];
    assert_eq!(
        (&after["n"], &after["p"]["x"], after.get("v")),
        (&"x".into(), &0.0.into(), None)
    );
}

#[test]
fn a_default_that_hides_null_is_named() {
    let defaulted = |nullable| ColumnDescription {
        nullable,
        default_expression: Some("'new'::text".into()),
        ..column("status", 25, -1)
    };
    let warnings = table("orders", vec![defaulted(true)], &[]).warnings().to_vec();
    assert!(
        warnings[0].starts_with("public.orders.status: NULL is delivered as"),
        "{warnings:?}"
    );
    assert!(table("orders", vec![defaulted(false)], &[]).warnings().is_empty());
}

#[test]
fn a_table_of_unknown_types_only_is_delivered_empty() {
    assert_eq!(delivered(column("c", 604, -1), text("x")), "{}");
}

#[test]
fn text_that_is_not_of_its_type_becomes_null_and_is_counted() {
    let required = ColumnDescription {
        nullable: false,
        ..column("price", 1700, (5 << 16 | 2) + 4)
    };
    let table = table("t", vec![column("n", 23, -1), required, column("words", 25, -1)], &[]);
    let row = [text("twelve"), text("NaN"), Cell::Text(b"a\xffb")];
    let records = encode(&table, Operation::Insert(&row), 0);
    assert_eq!(
        value_of(&records[0])["after"],
        serde_json::json!({"n":null,"price":"AA==","words":"a\u{fffd}b"})
    );
    let failures: Vec<_> = table
        .conversion_failures()
        .iter()
        .map(|f| (f.column, f.unconvertible, f.repaired))
        .collect();
    assert_eq!(failures, [("n", 1, 0), ("price", 1, 0), ("words", 0, 1)]);
}

#[test]
fn a_tuple_of_another_length_is_no_panic() {
    let table = table("t", vec![column("a", 23, -1), column("b", 25, -1)], &[0]);
    let short = encode(&table, Operation::Insert(&[text("1")]), 0);
    assert_eq!(value_of(&short[0])["after"], serde_json::json!({"a":1,"b":null}));
    let old = [];
    assert_eq!(
        encode(&table, Operation::Delete(OldRow::Key(&old)), 0)[0]
            .key
            .as_deref(),
        Some(r#"{"a":null}"#)
    );
    let long = encode(&table, Operation::Insert(&[text("1"), text("x"), text("y")]), 0);
    assert_eq!(value_of(&long[0])["after"], serde_json::json!({"a":1,"b":"x"}));
}

#[test]
fn another_placeholder_is_used_where_it_is_configured() {
    let options = rowcast_event::EventOptions {
        unavailable_value_placeholder: "hex:4142".into(),
        ..options()
    };
    let table = rowcast_event::Table::compile(
        description("t", vec![column("c", 25, -1)], &[]),
        &tables::catalog(),
        &options,
    );
    assert_eq!(
        value_of(&encode(&table, Operation::Insert(&[Cell::Unchanged]), 0)[0])["after"]["c"],
        "AB"
    );
}

#[test]
fn the_schema_is_the_golden_one_and_stable() {
    let required = |name, oid, modifier| ColumnDescription {
        nullable: false,
        ..column(name, oid, modifier)
    };
    let id = ColumnDescription {
        default_expression: Some("nextval('s'::regclass)".into()),
        ..required("id", 23, -1)
    };
    let columns = vec![
        id,
        required("customer \"name\"", 25, -1),
        column("price", 1700, (5 << 16 | 2) + 4),
        column("moods", tables::MOOD_ARRAY, -1),
        ColumnDescription {
            default_expression: Some("now()".into()),
            ..required("updated_at", 1114, -1)
        },
        column("seen", 1184, -1),
        column("shape", 604, -1),
    ];
    let schema = || table("orders", columns.clone(), &[0]).schema_json();
    assert_eq!(schema(), schema());
    assert_eq!(schema(), include_str!("golden/schema.json").trim_end());
}
