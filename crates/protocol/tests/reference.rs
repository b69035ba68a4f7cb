//! Holds `docs/protocol.md` and the generated TypeScript to the code.
//!
//! `UPDATE_GOLDEN=1 cargo test -p rowcast-protocol` writes the tables anew, and the example `generate_types` the types.

use std::{collections::BTreeSet, fs, path::PathBuf};

use rowcast_protocol::{ClientMessage, CloseCode, ErrorCode, ResetReason, ServerMessage, typescript};
use serde_json::Value;

fn path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(relative)
}

fn read(relative: &str) -> String {
    fs::read_to_string(path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}

/// The lines of each fenced block whose fence ends with `info`.
fn examples<'a>(page: &'a str, info: &'a str) -> impl Iterator<Item = &'a str> {
    page.split("```json ").skip(1).filter_map(move |block| {
        let (kind, rest) = block.split_once('\n').expect("a fence is a line");
        let (body, _) = rest.split_once("```").expect("a fence is closed");
        (kind == info).then_some(body.trim())
    })
}

fn word(text: &str) -> String {
    let value: Value = serde_json::from_str(text).expect("JSON");
    value["type"].as_str().expect("a message has a type").to_owned()
}

#[test]
fn every_example_of_a_client_is_a_message_that_the_server_takes() {
    let page = read("docs/protocol.md");
    let mut seen = BTreeSet::new();
    for text in examples(&page, "client") {
        let message = ClientMessage::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(word(&message.to_json()), word(text));
        seen.insert(word(text));
    }
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        ["ping", "subscribe", "unsubscribe"]
    );
}

#[test]
fn every_example_of_the_server_is_exactly_what_it_would_write() {
    let page = read("docs/protocol.md");
    let mut seen = BTreeSet::new();
    for text in examples(&page, "server") {
        let message = ServerMessage::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(message.to_json(), text);
        if let ServerMessage::Subscribed(subscribed) = &message {
            let schema = subscribed.schema.as_ref().expect("the example has a schema");
            schema.parse().unwrap_or_else(|error| panic!("{error}: {text}"));
        }
        seen.insert(word(text));
    }
    let all = [
        "change",
        "error",
        "fresh",
        "live",
        "pong",
        "reset",
        "rows",
        "schema",
        "stale",
        "subscribed",
        "unsubscribed",
    ];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
}

#[test]
fn every_json_example_says_who_speaks() {
    let page = read("docs/protocol.md");
    let all = page.matches("```json").count();
    assert_eq!(
        examples(&page, "client").count() + examples(&page, "server").count(),
        all
    );
}

#[test]
fn the_tables_of_codes_are_the_code_s() {
    let page = read("docs/protocol.md");
    let errors = ErrorCode::ALL
        .iter()
        .map(|(code, meaning)| format!("| `{code}` |{meaning} |\n"))
        .collect::<String>();
    let resets = ResetReason::ALL
        .iter()
        .map(|(why, meaning)| format!("| `{why}` |{meaning} |\n"))
        .collect::<String>();
    let closes = CloseCode::TABLE.iter().map(|rule| {
        let reconnect = if rule.reconnect { "yes" } else { "no" };
        format!(
            "| {} | `{}` | {reconnect} | {} |\n",
            rule.code.0, rule.name, rule.meaning
        )
    });
    let tables = [
        ("error codes", errors),
        ("reset reasons", resets),
        ("close codes", closes.collect()),
    ];
    let expected = tables
        .iter()
        .fold(page.clone(), |page, (name, rows)| with_rows(&page, name, rows));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path("docs/protocol.md"), &expected).expect("the page can be written");
    } else {
        assert!(
            page == expected,
            "docs/protocol.md is stale: UPDATE_GOLDEN=1 cargo test -p rowcast-protocol"
        );
    }
}

/// The page with the rows of one table replaced.
fn with_rows(page: &str, name: &str, rows: &str) -> String {
    let (before, rest) = page
        .split_once(&format!("<!-- table: {name} -->\n"))
        .expect("the table is marked");
    let (table, after) = rest.split_once("<!-- end -->").expect("the table is closed");
    let head: String = table.split_inclusive('\n').take(2).collect();
    format!("{before}<!-- table: {name} -->\n{head}{rows}<!-- end -->{after}")
}

#[test]
fn the_client_s_types_are_generated_from_these() {
    let stale = "web/client/src/protocol.ts is stale: cargo run -p rowcast-protocol --example generate_types";
    assert!(read("web/client/src/protocol.ts") == typescript::module(), "{stale}");
}
