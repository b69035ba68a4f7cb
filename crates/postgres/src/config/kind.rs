//! What values a property takes, said once: the check and its sentence.

use super::{
    host,
    property::{Property, Status},
};

/// What a property's value must look like.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any text.
    Text,
    /// Any text, never shown.
    Secret,
    /// `true` or `false`.
    Switch,
    /// A whole number within these bounds.
    Whole(u64, u64),
    /// A whole number, -1 for "no limit".
    Retries,
    /// One of these words, in any case.
    Words(&'static [&'static str]),
    /// Some of these words, separated by commas.
    WordList(&'static [&'static str]),
    /// Regular expressions, separated by commas.
    Patterns,
    /// A host.
    Host,
    /// Text that the function accepts, and what to say if it does not.
    Shaped(fn(&str) -> bool, &'static str),
}

impl Kind {
    /// Any number that fits.
    pub const NUMBER: Self = Self::Whole(0, i64::MAX as u64);

    /// What is wrong with `value`: a sentence that begins with "takes", if anything is.
    pub(super) fn refuses(&self, value: &str) -> Option<String> {
        let takes = self.takes(value)?;
        Some(match self {
            Self::Secret => format!("takes {takes}"),
            _ => format!("takes {takes}, got {}", shown(value)),
        })
    }

    fn takes(&self, value: &str) -> Option<String> {
        if value.chars().any(char::is_control) && !matches!(self, Self::Patterns) {
            return Some("text without control characters".to_owned());
        }
        let fits = match *self {
            Self::Text | Self::Secret | Self::Patterns => true,
            Self::Switch => is_word(value, &["true", "false"]),
            Self::Whole(least, most) => value.parse().is_ok_and(|number: u64| (least..=most).contains(&number)),
            Self::Retries => value.parse().is_ok_and(|number: i64| number >= -1),
            Self::Words(words) => is_word(value, words),
            Self::WordList(words) => value.split(',').all(|word| is_word(word.trim(), words)),
            Self::Host => return host::refused(value).map(str::to_owned),
            Self::Shaped(accepts, _) => accepts(value),
        };
        (!fits).then(|| self.sentence())
    }

    /// What the property takes, for people.
    pub(super) fn sentence(&self) -> String {
        match *self {
            Self::Text | Self::Secret => "text".to_owned(),
            Self::Patterns => "regular expressions separated by commas".to_owned(),
            Self::Switch => "true or false".to_owned(),
            Self::Whole(least, most) if most == i64::MAX as u64 => format!("a whole number from {least} on"),
            Self::Whole(least, most) => format!("a whole number from {least} to {most}"),
            Self::Retries => "a whole number, or -1 for no limit".to_owned(),
            Self::Words(words) => alternatives(words),
            Self::WordList(words) => format!("{}, or several of them separated by commas", alternatives(words)),
            Self::Host => "a host".to_owned(),
            Self::Shaped(_, sentence) => sentence.to_owned(),
        }
    }

    /// Whether two texts are the same value.
    pub(super) fn same(&self, a: &str, b: &str) -> bool {
        match self {
            Self::Switch | Self::Words(_) | Self::WordList(_) => a.eq_ignore_ascii_case(b),
            Self::Whole(..) | Self::Retries => a.parse::<i64>().ok() == b.parse().ok(),
            _ => a == b,
        }
    }
}

fn is_word(value: &str, words: &[&str]) -> bool {
    words.iter().any(|word| word.eq_ignore_ascii_case(value))
}

/// `a`, `a or b`, `a, b or c`.
fn alternatives(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [word] => (*word).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// Characters of a value that an error shows: enough to recognise it, short enough for a line.
const SHOWN_CHARS_MAX: usize = 60;

/// A value as errors show it: quoted, escaped, cut.
pub(super) fn shown(value: &str) -> String {
    match value.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{:?}…", &value[..end]),
        None => format!("{value:?}"),
    }
}

/// What Connect's `validate` says of a property.
pub(super) fn shown_in_documents(property: &Property) -> String {
    let takes = format!("Takes {}.", property.kind.sentence());
    match property.status {
        Status::Honoured => takes,
        Status::Required(what) => format!("{takes} Required: {what}."),
        Status::Differs(how) => format!("{takes} Rowcast differs from Debezium: {how}."),
        Status::NotYet(instead) | Status::NotYetHarmless(instead) => format!("{takes} Not built yet: {instead}."),
        Status::NotApplicable(why) => format!("{takes} No effect: {why}."),
        Status::Deprecated(instead) => format!("{takes} Deprecated, use {instead}."),
        Status::Refused(why) => format!("{takes} Not supported, because {why}."),
    }
}
