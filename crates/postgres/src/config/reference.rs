//! `docs/connector-properties.md`, made from the table of properties.

use std::fmt::Write as _;

use super::{
    property::{Property, Status},
    table::CHAPTERS,
};

const INTRODUCTION: &str = "\
# Connector properties

Every property of Debezium's PostgreSQL connector (3.6.1) and of the Kafka Connect worker it lives in, what it takes, what
holds when it is not given, and where Rowcast differs. The same table checks a configuration at start and answers
`validate`; this page is generated from it (`ROWCAST_BLESS=1 cargo test -p rowcast-postgres --test config_reference`).

- An empty last column: it does what Debezium's documentation says.
- *Differs*: it does, but for what is said.
- *Not built yet*: a value other than the default is an error where going on would give other records than were asked for,
  and a warning where it would not.
- *No effect*: it is about a part that Debezium has and Rowcast has not; a warning.
- *Deprecated*: a warning that names what to use.
- *Not supported*: an error that says why.

A name that is not here is a warning, with the name that was probably meant. In a name, `*` stands for one or more
characters. Regular expressions are Java's, but for look-around, back-references and possessive quantifiers; each must
match a whole name, in any case, and `\\,` is a comma.
";

/// The whole page.
pub fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    for chapter in CHAPTERS {
        let _ = writeln!(page, "\n## {}\n", chapter.title);
        page.push_str("| property | takes | default | where Rowcast differs |\n|---|---|---|---|\n");
        for property in chapter.properties {
            page.push_str(&row(property));
        }
    }
    page
}

fn row(property: &Property) -> String {
    let default = match (property.default, property.status) {
        (Some(default), _) => format!("`{default}`"),
        (None, Status::Required(_)) => "(required)".to_owned(),
        (None, _) => String::new(),
    };
    let takes = match property.status {
        Status::Required(what) => what.to_owned(),
        _ => property.kind.sentence(),
    };
    let cells = [format!("`{}`", property.name), takes, default, difference(property)];
    format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

fn difference(property: &Property) -> String {
    let (word, text) = match property.status {
        // Debezium's default is decoderbufs.
        Status::Honoured if property.name == "plugin.name" => ("Differs", "Debezium's default is decoderbufs"),
        Status::Honoured | Status::Required(_) => return String::new(),
        Status::Differs(how) => ("Differs", how),
        Status::NotYet(instead) | Status::NotYetHarmless(instead) => ("Not built yet", instead),
        Status::NotApplicable(why) => ("No effect", why),
        Status::Deprecated(instead) => return format!("*Deprecated*, use {instead}"),
        Status::Refused(why) => return format!("*Not supported*, because {why}"),
    };
    format!("*{word}*: {text}")
}
