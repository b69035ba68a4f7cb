//! Writes the client's TypeScript types from the Rust declarations, so that the two cannot drift apart.
//!
//! `cargo run -p rowcast-protocol --example generate_types` writes `web/client/src/protocol.ts`; a test fails when that file is stale.

use std::fmt::Write as _;

use crate::{
    client::{Ping, Subscribe, Unsubscribe},
    close::CloseCode,
    declare::{Declared, Member, Shape},
    reason::{ErrorCode, ResetReason},
    schema::{Column, Items, Schema},
    server::{Change, Failure, Fresh, Live, Op, Pong, Reset, Rows, SchemaChange, Stale, Subscribed, Unsubscribed},
};

const HEAD: &str = "\
// Written by `cargo run -p rowcast-protocol --example generate_types` from crates/protocol. Do not edit.

/** JSON in Debezium's encoding, as the log holds it; `values.ts` turns it into what a person reads. */
export type Encoded = unknown;
";

/// The whole text of `protocol.ts`.
pub fn module() -> String {
    let mut out = format!("{HEAD}\nexport const SUBPROTOCOL = {:?};\n", crate::SUBPROTOCOL);
    let ops =
        [Op::Create, Op::Read, Op::Update, Op::Delete, Op::Truncate].map(|op| char::from(op.letter()).to_string());
    union(
        &mut out,
        "Op",
        "What happened: create, read by a snapshot, update, delete, truncate.",
        &ops,
    );
    let words: Vec<_> = ErrorCode::ALL.iter().map(|(code, _)| code.word().to_owned()).collect();
    union(&mut out, "ErrorCode", "Why a request was refused.", &words);
    let words: Vec<_> = ResetReason::ALL
        .iter()
        .map(|(reason, _)| reason.word().to_owned())
        .collect();
    union(&mut out, "ResetReason", "Why a subscription begins anew.", &words);
    for shape in [Schema::shape(), Column::shape(), Items::shape()] {
        interface(&mut out, &shape, None);
    }
    messages(&mut out, "ClientMessage", &client_messages());
    messages(&mut out, "ServerMessage", &server_messages());
    close_codes(&mut out);
    out
}

/// What a client may say, with the word of its `type`.
pub(crate) fn client_messages() -> Vec<(&'static str, Shape)> {
    vec![
        ("subscribe", Subscribe::shape()),
        ("unsubscribe", Unsubscribe::shape()),
        ("ping", Ping::shape()),
    ]
}

/// What the server may say, with the word of its `type`.
pub(crate) fn server_messages() -> Vec<(&'static str, Shape)> {
    vec![
        ("subscribed", Subscribed::shape()),
        ("rows", Rows::shape()),
        ("live", Live::shape()),
        ("change", Change::shape()),
        ("schema", SchemaChange::shape()),
        ("reset", Reset::shape()),
        ("stale", Stale::shape()),
        ("fresh", Fresh::shape()),
        ("error", Failure::shape()),
        ("unsubscribed", Unsubscribed::shape()),
        ("pong", Pong::shape()),
    ]
}

fn messages(out: &mut String, name: &str, shapes: &[(&'static str, Shape)]) {
    for (word, shape) in shapes {
        interface(out, shape, Some(word));
    }
    let names: Vec<_> = shapes.iter().map(|(_, shape)| shape.name).collect();
    line(out, &format!("\nexport type {name} = {};", names.join(" | ")));
}

fn interface(out: &mut String, shape: &Shape, message: Option<&str>) {
    line(
        out,
        &format!("\n/** {} */\nexport interface {} {{", comment(shape.doc), shape.name),
    );
    if let Some(word) = message {
        line(out, &format!("  type: {word:?};"));
    }
    for member in &shape.members {
        line(
            out,
            &format!("  /** {} */\n  {}", comment(member.doc), member_line(member)),
        );
    }
    line(out, "}");
}

fn member_line(member: &Member) -> String {
    let Member {
        name,
        typescript,
        serde,
        ..
    } = member;
    if serde.contains("skip_serializing_if") {
        format!("{name}?: {};", typescript.trim_end_matches(" | null"))
    } else if serde.contains("default") {
        format!("{name}?: {typescript};")
    } else {
        format!("{name}: {typescript};")
    }
}

fn union(out: &mut String, name: &str, doc: &str, words: &[String]) {
    let words: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
    line(
        out,
        &format!("\n/** {doc} */\nexport type {name} = {};", words.join(" | ")),
    );
}

fn close_codes(out: &mut String) {
    line(out, "\n/** Why a connection was closed, and whether to come back. */");
    line(
        out,
        "export const CLOSE_CODES: Record<number, { name: string; reconnect: boolean; meaning: string }> = {",
    );
    for rule in CloseCode::TABLE {
        let (code, name, meaning) = (rule.code.0, rule.name, rule.meaning);
        line(
            out,
            &format!(
                "  {code}: {{ name: {name:?}, reconnect: {}, meaning: {meaning:?} }},",
                rule.reconnect
            ),
        );
    }
    line(out, "};");
}

fn comment(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("a String takes all that is written");
}
