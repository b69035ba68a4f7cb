//! What a topic shall be like that has to be made: Kafka Connect's `topic.creation.*` (KIP-158).
//!
//! Groups are asked in the order of `topic.creation.groups`; the first whose `include` matches the whole name and whose
//! `exclude` does not decides, else `default`. A group takes partitions and replicas that it does not name from `default`,
//! and nothing else. A topic that exists stays as it is. Differs from Connect where that is kinder: regular expressions are
//! Rust's, and what would be ignored in silence is a remark.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::{
    captured::{Case, compile},
    document::Findings,
    kind::shown,
    property::shown_name,
    values::Values,
};

const PREFIX: &str = "topic.creation.";
const ENABLE: &str = "topic.creation.enable";
const GROUPS: &str = "topic.creation.groups";
/// The group that takes what no other takes.
const DEFAULT: &str = "default";
const INCLUDE: &str = "include";
const EXCLUDE: &str = "exclude";
const PARTITIONS: &str = "partitions";
const REPLICATION_FACTOR: &str = "replication.factor";

/// Regular expressions in all groups together. Groups are kinds of tables: a handful, each with a few patterns.
const PATTERNS_MAX: usize = 1_000;

/// What becomes of topics that have to be made.
#[derive(Clone, Debug, Default)]
pub struct TopicGroups {
    by_broker: bool,
    /// In the order in which they are asked; none if nothing was said.
    groups: Vec<Group>,
}

/// What one topic shall be like. What is `None` or not named is as the broker's settings say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicSettings {
    /// How many partitions.
    pub partitions: Option<u32>,
    /// How many replicas.
    pub replication_factor: Option<u16>,
    /// Kafka's topic configuration, such as `cleanup.policy`.
    pub config: BTreeMap<String, String>,
    /// `topic.creation.enable` is false: a topic that is missing is the broker's to make (`auto.create.topics.enable`).
    pub by_broker: bool,
}

#[derive(Clone, Debug)]
struct Group {
    /// `None` takes every topic.
    include: Option<Vec<Regex>>,
    exclude: Vec<Regex>,
    settings: TopicSettings,
}

impl Group {
    fn takes(&self, topic: &str) -> bool {
        let matches = |patterns: &[Regex]| patterns.iter().any(|pattern| pattern.is_match(topic));
        self.include.as_deref().is_none_or(matches) && !matches(&self.exclude)
    }
}

impl TopicGroups {
    /// What this topic shall be like if it has to be made.
    pub fn settings(&self, topic: &str) -> TopicSettings {
        let settings = self.groups.iter().find(|group| group.takes(topic));
        TopicSettings {
            by_broker: self.by_broker,
            ..settings.map(|group| group.settings.clone()).unwrap_or_default()
        }
    }

    /// Whether a topic may be wanted otherwise than its log makes it by itself.
    pub fn asks_for_anything(&self) -> bool {
        let as_made = TopicSettings::default();
        self.by_broker || self.groups.iter().any(|group| group.settings != as_made)
    }

    pub(super) fn compile(values: &Values, findings: &mut Findings) -> TopicGroups {
        let given: Vec<_> = values
            .iter()
            .filter(|(name, value)| name.starts_with(PREFIX) && *name != ENABLE && !value.is_empty())
            .collect();
        let by_broker = !values.switch(ENABLE);
        if by_broker || given.is_empty() {
            findings.remarks.extend(given.iter().map(|(name, _)| {
                let name = shown_name(name);
                format!("{name}: has no effect here: {ENABLE} is false, so the broker makes topics, or nobody does")
            }));
            return TopicGroups {
                by_broker,
                groups: Vec::new(),
            };
        }
        let names = group_names(values, &mut findings.errors);
        say_idle(&given, &names, &mut findings.remarks);
        let default = settings(values, DEFAULT, None, &mut findings.errors);
        let mut groups: Vec<Group> = names
            .iter()
            .map(|name| group(values, name, &default, findings))
            .collect();
        let patterns = |group: &Group| group.include.as_ref().map_or(0, Vec::len) + group.exclude.len();
        if groups.iter().map(patterns).sum::<usize>() > PATTERNS_MAX {
            let error = format!("{GROUPS}: takes at most {PATTERNS_MAX} regular expressions in all; say it with fewer");
            findings.errors.push(error);
        }
        groups.push(Group {
            include: None,
            exclude: Vec::new(),
            settings: default,
        });
        TopicGroups { by_broker, groups }
    }
}

/// The groups beside `default`, in order.
fn group_names<'a>(values: &'a Values, errors: &mut Vec<String>) -> Vec<&'a str> {
    let named: Vec<&str> = list(values.text(GROUPS)).collect();
    if named.iter().collect::<BTreeSet<_>>().len() < named.len() {
        errors.push(format!(
            "{GROUPS}: names a group twice; keep it where it shall be asked"
        ));
    }
    named.into_iter().filter(|name| *name != DEFAULT).collect()
}

/// Connect's lists: elements between commas, without the blanks around them.
fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|element| !element.is_empty())
}

/// What is given and changes nothing, which Connect does not say.
fn say_idle(given: &[(&str, &str)], names: &[&str], remarks: &mut Vec<String>) {
    for (name, _) in given.iter().filter(|(name, _)| *name != GROUPS) {
        let inner = &name[PREFIX.len()..];
        let is_of = |group: &str| inner.strip_prefix(group).is_some_and(|rest| rest.starts_with('.'));
        let why = match inner {
            "default.include" | "default.exclude" => "the default group takes every topic that no other takes",
            _ if is_of(DEFAULT) || names.iter().any(|group| is_of(group)) => continue,
            _ => "its group is not in topic.creation.groups",
        };
        remarks.push(format!("{}: has no effect here: {why}", shown_name(name)));
    }
}

fn group(values: &Values, name: &str, default: &TopicSettings, findings: &mut Findings) -> Group {
    let include = patterns(values, name, INCLUDE, &mut findings.errors);
    if include.is_empty() {
        findings.remarks.push(format!(
            "{}: not given: its group takes no topic",
            shown_name(&format!("{PREFIX}{name}.{INCLUDE}"))
        ));
    }
    Group {
        include: Some(include),
        exclude: patterns(values, name, EXCLUDE, &mut findings.errors),
        settings: settings(values, name, Some(default), &mut findings.errors),
    }
}

fn patterns(values: &Values, group: &str, which: &str, errors: &mut Vec<String>) -> Vec<Regex> {
    let name = format!("{PREFIX}{group}.{which}");
    let mut compiled = Vec::new();
    // What is beyond the bound is not compiled: its count is refused.
    for pattern in list(values.text(&name)).take(PATTERNS_MAX + 1) {
        match compile(pattern, Case::Exact) {
            Ok(pattern) => compiled.push(pattern),
            Err(why) => errors.push(format!("{}: {} is not {why}", shown_name(&name), shown(pattern))),
        }
    }
    compiled
}

/// What a group says of its topics; without a `default` behind it, partitions and replicas must be said.
fn settings(values: &Values, group: &str, default: Option<&TopicSettings>, errors: &mut Vec<String>) -> TopicSettings {
    let prefix = format!("{PREFIX}{group}.");
    let mut number = |which: &str, what: &str, most: u32, or: Option<Option<u32>>| {
        let name = format!("{prefix}{which}");
        let (shown_name, takes) = (shown_name(&name), format!("{what}, or -1 for the broker's default"));
        match (values.given(&name), or) {
            (Some("-1"), _) => None,
            (Some(value), _) => {
                let number = value.parse().ok().filter(|number| (1..=most).contains(number));
                if number.is_none() {
                    errors.push(format!("{shown_name}: takes {takes}, got {}", shown(value)));
                }
                number
            }
            (None, Some(default)) => default,
            (None, None) => {
                errors.push(format!("{shown_name}: is required beside topic.creation.*: {takes}"));
                None
            }
        }
    };
    let partitions = number(
        PARTITIONS,
        "a positive number of partitions",
        i32::MAX as u32,
        default.map(|default| default.partitions),
    );
    let replicas = number(
        REPLICATION_FACTOR,
        "a positive number of replicas, at most as many as there are brokers",
        i16::MAX as u32,
        default.map(|default| default.replication_factor.map(u32::from)),
    );
    let own = [INCLUDE, EXCLUDE, PARTITIONS, REPLICATION_FACTOR];
    let config = values.iter().filter_map(|(name, value)| {
        let property = name.strip_prefix(&prefix)?;
        (!own.contains(&property) && !value.is_empty()).then(|| (property.to_owned(), value.to_owned()))
    });
    TopicSettings {
        partitions,
        replication_factor: replicas.map(|count| u16::try_from(count).expect("at most a Java short")),
        config: config.collect(),
        by_broker: false,
    }
}
