//! Holds what differs against the two lists of what may.

use std::{collections::BTreeSet, fmt::Write};

use anyhow::Result;

use super::{
    compare::{Difference, compare, without_schemas},
    expected::{EXPECTED, Entry, PENDING},
    scenario::Group,
    stage::Outcome,
};

/// Differences shown of one scenario: more of the same kind tell nothing new.
const SHOWN_MAX: usize = 12;

/// What was found in all groups.
#[derive(Default)]
pub(crate) struct Verdict {
    wrong: Vec<(String, String)>,
    played: BTreeSet<String>,
    used: BTreeSet<usize>,
    records: usize,
    seen: usize,
}

impl Verdict {
    pub(crate) fn judge(&mut self, group: &Group, outcome: &Outcome) -> Result<()> {
        for scenario in &group.scenarios {
            self.played.insert(scenario.name.clone());
        }
        match outcome {
            Outcome::Refused(why) => {
                for scenario in &group.scenarios {
                    let known = entries().position(|entry| entry.is_refusal(&scenario.name));
                    match known {
                        Some(entry) => drop(self.used.insert(entry)),
                        None => self
                            .wrong
                            .push((scenario.name.clone(), format!("Rowcast does not start: {why}"))),
                    }
                }
            }
            Outcome::Recorded {
                debezium,
                rowcast,
                failed,
            } => {
                if let Some(trace) = failed {
                    self.failed(group, trace);
                }
                self.records += debezium.values().map(Vec::len).sum::<usize>();
                for difference in compare(&without_schemas(debezium)?, rowcast)? {
                    self.one(owner(group, &difference.topic), &difference);
                }
            }
        }
        Ok(())
    }

    /// A group whose task fails has one scenario.
    fn failed(&mut self, group: &Group, trace: &str) {
        for scenario in &group.scenarios {
            match entries().position(|entry| entry.is_failure(&scenario.name)) {
                Some(entry) => drop(self.used.insert(entry)),
                None => self
                    .wrong
                    .push((scenario.name.clone(), format!("Debezium has failed: {trace}"))),
            }
        }
    }

    /// The group could not be played to its end.
    pub(crate) fn broke(&mut self, group: &Group, error: &anyhow::Error) {
        let names: Vec<&str> = group.scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
        self.wrong.push((names.join(", "), format!("{error:#}")));
    }

    /// All that is wrong, in words; empty when nothing is.
    pub(crate) fn report(&self) -> String {
        let mut report = String::new();
        let mut names: Vec<&String> = self.wrong.iter().map(|(name, _)| name).collect();
        names.dedup();
        for name in names {
            let of_it: Vec<&String> = self
                .wrong
                .iter()
                .filter(|(of, _)| of == name)
                .map(|(_, what)| what)
                .collect();
            let _ = writeln!(report, "== {name}: {} differences", of_it.len());
            for what in of_it.iter().take(SHOWN_MAX) {
                let _ = writeln!(report, "  {what}");
            }
        }
        for (number, entry) in entries().enumerate() {
            if self.played.contains(entry.scenario) && !self.used.contains(&number) {
                let _ = writeln!(
                    report,
                    "nothing differs any more as this entry says, take it out: {entry:?} ({})",
                    entry.why
                );
            }
        }
        eprintln!(
            "{} scenarios, {} records of Debezium, {} places that may differ",
            self.played.len(),
            self.records,
            self.seen
        );
        report
    }

    fn one(&mut self, scenario: &str, difference: &Difference) {
        match entries().position(|entry| entry.allows(scenario, difference)) {
            Some(entry) => {
                self.used.insert(entry);
                self.seen += 1;
            }
            None => self.wrong.push((scenario.to_owned(), difference.to_string())),
        }
    }
}

fn entries() -> impl Iterator<Item = &'static Entry> {
    EXPECTED.iter().chain(PENDING)
}

/// The scenario whose topic it is; a group's own topics are the first one's.
fn owner<'a>(group: &'a Group, topic: &str) -> &'a str {
    let (_, name) = topic.split_once('.').unwrap_or_default();
    let schema = name.split('.').next().unwrap_or_default();
    let owns = |topics: &[String]| topics.iter().any(|own| own == name || own == topic);
    let found = group
        .scenarios
        .iter()
        .find(|scenario| scenario.name == schema || owns(&scenario.topics));
    found.or(group.scenarios.first()).map_or("", |scenario| &scenario.name)
}
