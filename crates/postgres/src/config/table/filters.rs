//! What is captured.

use crate::config::{
    Importance::{Must, Often, Rare},
    Kind::{Patterns, Switch, Text, WordList},
    Property,
    Status::{Honoured, NotYet},
    property::declare,
};

pub(super) const FILTERS: &[Property] = &[
    declare("schema.include.list", Patterns, None, Must, Honoured),
    declare("schema.exclude.list", Patterns, None, Must, Honoured),
    declare("table.include.list", Patterns, None, Must, Honoured),
    declare("table.exclude.list", Patterns, None, Must, Honoured),
    declare(
        "column.include.list",
        Patterns,
        None,
        Must,
        NotYet("all columns would be delivered"),
    ),
    declare(
        "column.exclude.list",
        Patterns,
        None,
        Must,
        NotYet("the excluded columns would be delivered"),
    ),
    declare("table.ignore.builtin", Switch, Some("true"), Rare, Honoured),
    declare(
        "skipped.operations",
        WordList(&["c", "u", "d", "t", "none"]),
        Some("t"),
        Must,
        Honoured,
    ),
    declare(
        "skip.messages.without.change",
        Switch,
        Some("false"),
        Often,
        NotYet("updates that change nothing would be delivered"),
    ),
    declare(
        "message.key.columns",
        Text,
        None,
        Must,
        NotYet("records would have the primary key as their key"),
    ),
    declare("tombstones.on.delete", Switch, Some("true"), Must, Honoured),
];
