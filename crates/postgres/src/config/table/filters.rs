//! What is captured.

use crate::config::{
    Importance::{Must, Often, Rare},
    Kind::{Patterns, Switch, Text, WordList},
    Property,
    Status::{Differs, Honoured},
    property::declare,
};

const KEY_COLUMNS: &str = "the key of a snapshot's row has the values of columns that are left out, not their fillers";

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
        Differs("a change of the key is told even if the row leaves the key out"),
    ),
    declare("message.key.columns", Text, None, Must, Honoured),
    declare("tombstones.on.delete", Switch, Some("true"), Must, Honoured),
];
