//! What is captured.

use crate::config::{
    Importance::{Must, Often, Rare},
    Kind::{Patterns, Switch, Text, WordList},
    Property,
    Status::{Differs, Honoured, NotYet},
    property::declare,
};

const KEY_COLUMNS: &str = "a key column that is left out stays in the value, too: it is in the key anyway";

pub(super) const FILTERS: &[Property] = &[
    declare("schema.include.list", Patterns, None, Must, Honoured),
    declare("schema.exclude.list", Patterns, None, Must, Honoured),
    declare("table.include.list", Patterns, None, Must, Honoured),
    declare("table.exclude.list", Patterns, None, Must, Honoured),
    declare("column.include.list", Patterns, None, Must, Differs(KEY_COLUMNS)),
    declare("column.exclude.list", Patterns, None, Must, Differs(KEY_COLUMNS)),
    declare("table.ignore.builtin", Switch, Some("true"), Rare, Honoured),
    declare(
        "skipped.operations",
        WordList(&["c", "u", "d", "t", "none"]),
        Some("t"),
        Must,
        Differs("with u alone, a change of the key is told all the same, as a delete and a create"),
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
