//! What is known of one property of Debezium's PostgreSQL connector.

use super::kind::{Kind, shown as shown_value};

/// One property: everything that checks, defaults and remarks are made from.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// Its name; `*` stands for one or more characters.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What holds when it is not given. `None`: nothing does.
    pub default: Option<&'static str>,
    /// How many users set it.
    pub importance: Importance,
    /// What becomes of it here.
    pub status: Status,
}

/// How many users set a property, as `debezium.md` marks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importance {
    /// Nearly everybody.
    Must,
    /// Many.
    Often,
    /// Few, or only Debezium itself.
    Rare,
}

/// What becomes of a property. The texts complete the sentence that the user reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Does what Debezium's documentation says.
    Honoured,
    /// Honoured, but for what the text says: where ours does more, or not quite the same.
    Differs(&'static str),
    /// Honoured, and nothing works without it; the text says what it is.
    Required(&'static str),
    /// Not built yet. Any value but the default is an error: going on would not give what was asked. The text says
    /// what would happen instead.
    NotYet(&'static str),
    /// Not built yet. A remark, for no record is the worse for it. The text says what happens instead.
    NotYetHarmless(&'static str),
    /// About a part that Debezium has and we have not. A remark. The text says why.
    NotApplicable(&'static str),
    /// Debezium itself wants it gone. A remark. The text says what to use, or why nothing.
    Deprecated(&'static str),
    /// Never to be built. An error for any value but the default. The text says why, and what to do.
    Refused(&'static str),
}

impl Property {
    /// Whether `name` is this property's, or one that its `*` stands for.
    pub fn is_named(&self, name: &str) -> bool {
        matches(self.name, name)
    }

    /// Whether the name stands for many.
    pub(super) fn is_family(&self) -> bool {
        self.name.contains('*')
    }
}

/// Between a masking property's name and its salt.
pub(super) const SALT: &str = ".with.salt.";

/// A property's name as errors and remarks begin with it: quoted unless harmless, and without a masking salt, which
/// Debezium puts into the name and which is a secret.
pub(super) fn shown_name(name: &str) -> String {
    let (shown, hidden) = match name.find(SALT) {
        Some(place) => (&name[..place + SALT.len()], "*"),
        None => (name, ""),
    };
    match shown.chars().all(|c| c.is_ascii_graphic()) {
        true => format!("{shown}{hidden}"),
        false => shown_value(shown),
    }
}

/// `*` in `pattern` is one or more characters; there are at most two.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(rest) = name.strip_prefix(before) else {
        return false;
    };
    (1..=rest.len())
        .filter(|&end| rest.is_char_boundary(end))
        .any(|end| matches(after, &rest[end..]))
}

/// One row of the table.
pub(super) const fn declare(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    importance: Importance,
    status: Status,
) -> Property {
    Property {
        name,
        kind,
        default,
        importance,
        status,
    }
}
