//! Every mode's values, fillers, placeholders and defaults, kept in `golden/mode*.json`.
//!
//! The first word of a vector names the options that are not Debezium's defaults.

mod tables;

use rowcast_event::{Cell, ColumnDescription, EventOptions, Operation, Table};
use serde::de::DeserializeOwned;
use tables::{catalog, column, description, encode, options, text, type_of};

/// `time=isostring,binary=hex`.
fn options_of(words: &str) -> EventOptions {
    let mut options = options();
    for word in words.split(',').filter(|word| !word.is_empty()) {
        set(&mut options, word);
    }
    options
}

/// By the golden files' short words.
fn set(options: &mut EventOptions, word: &str) {
    match word.split_once('=').unwrap_or((word, "")) {
        ("time", mode) => tables::set(options, "time.precision.mode", mode),
        ("money", digits) => tables::set(options, "money.fraction.digits", digits),
        ("unknown", "") => tables::set(options, "include.unknown.datatypes", "true"),
        ("format", "numeric") => options.value_converter.decimal_is_number = true,
        ("schemas", "") => options.value_converter.schemas = true,
        ("snapshot", "") => {}
        (what, mode) => tables::set(options, &format!("{what}.handling.mode"), mode),
    }
}

/// What stands for the column in the row after.
fn delivered(words: &str, column: ColumnDescription, cell: Cell<'_>) -> String {
    let table = Table::compile(description("t", vec![column], &[]), &catalog(), &options_of(words));
    let row = [cell];
    let operation = if words.contains("snapshot") {
        Operation::Read(&row)
    } else {
        Operation::Insert(&row)
    };
    let records = encode(&table, operation, 0);
    tables::column_after(records[0].value.as_deref().expect("a row has a value"))
}

fn golden<T: DeserializeOwned>(text: &str) -> Vec<T> {
    serde_json::from_str(text).expect("golden vectors are JSON")
}

fn required(column: ColumnDescription) -> ColumnDescription {
    ColumnDescription {
        nullable: false,
        ..column
    }
}

#[test]
fn values_are_delivered_as_their_mode_says() {
    let golden: Vec<(String, String, String, String)> = golden(include_str!("golden/modes.json"));
    let wrong: Vec<String> = golden
        .iter()
        .filter_map(|(modes, words, input, expected)| {
            let (oid, modifier) = type_of(words);
            let found = delivered(modes, column("c", oid, modifier), text(input));
            (found != *expected).then(|| format!("{modes} {words} {input}: found {found}, expected {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn fillers_are_of_their_mode() {
    let golden: Vec<(String, String, String)> = golden(include_str!("golden/mode_fillers.json"));
    for (modes, words, expected) in &golden {
        let (oid, modifier) = type_of(words);
        let found = delivered(modes, required(column("c", oid, modifier)), Cell::Null);
        assert_eq!(&found, expected, "{modes} {words}");
        assert_eq!(
            delivered(modes, column("c", oid, modifier), Cell::Null),
            "null",
            "{modes} {words}"
        );
    }
}

#[test]
fn placeholders_are_of_their_mode() {
    let golden: Vec<(String, String, bool, String)> = golden(include_str!("golden/mode_placeholders.json"));
    for (modes, words, nullable, expected) in &golden {
        let (oid, modifier) = type_of(words);
        let column = ColumnDescription {
            nullable: *nullable,
            ..column("c", oid, modifier)
        };
        assert_eq!(&delivered(modes, column, Cell::Unchanged), expected, "{modes} {words}");
    }
}

#[test]
fn defaults_are_of_their_mode() {
    let golden: Vec<(String, String, String, Option<String>)> = golden(include_str!("golden/mode_defaults.json"));
    for (modes, words, expression, expected) in &golden {
        let (oid, modifier) = type_of(words);
        let column = ColumnDescription {
            default_expression: Some(expression.clone()),
            ..column("c", oid, modifier)
        };
        let found = delivered(modes, column, Cell::Null);
        assert_eq!(
            found,
            expected.as_deref().unwrap_or("null"),
            "{modes} {words} {expression}"
        );
    }
}

#[test]
fn null_stays_null_beside_a_default_where_that_is_asked_for() {
    let defaulted = |nullable| ColumnDescription {
        nullable,
        default_expression: Some("'new'::text".into()),
        ..column("c", 25, -1)
    };
    let mut options = options();
    options.value_converter.null_is_default = false;
    let value = |nullable| {
        let table = Table::compile(description("t", vec![defaulted(nullable)], &[]), &catalog(), &options);
        assert_eq!(table.warnings(), [""; 0]);
        let record = &tables::encode(&table, Operation::Insert(&[Cell::Null]), 0)[0];
        tables::value_of(record)
    };
    assert_eq!(value(true)["after"]["c"], serde_json::Value::Null);
    assert_eq!(value(true)["source"]["snapshot"], serde_json::Value::Null);
    // Debezium itself puts the default where null is not allowed.
    assert_eq!(value(false)["after"]["c"], "new");
}
