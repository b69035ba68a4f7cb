//! The properties that were given, with the table's defaults behind them.

use std::borrow::Cow;

use super::table::property;

/// Names and values as given, in their order. No name is there twice.
#[derive(Default)]
pub(super) struct Values(Vec<(String, String)>);

impl Values {
    /// Adds a property; false if it was there.
    pub(super) fn insert(&mut self, name: String, value: String) -> bool {
        let new = self.0.iter().all(|(other, _)| *other != name);
        if new {
            self.0.push((name, value));
        }
        new
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value, if it was given and is not empty: Debezium takes an empty text for none.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(other, _)| other == name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// The value, or its default; empty if it has none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.given(name).or_else(|| property(name)?.default).unwrap_or_default()
    }

    /// The value of a property that takes words, in lower case.
    pub(super) fn word(&self, name: &str) -> Cow<'_, str> {
        let text = self.text(name);
        match text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(text.to_ascii_lowercase()),
            false => Cow::Borrowed(text),
        }
    }

    pub(super) fn switch(&self, name: &str) -> bool {
        self.text(name).eq_ignore_ascii_case("true")
    }

    /// The value of a property that takes a whole number, once it was checked.
    pub(super) fn whole(&self, name: &str) -> u64 {
        self.text(name)
            .parse()
            .expect("its kind or the table's own test checked it")
    }
}
