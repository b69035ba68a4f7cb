//! Which topics are copied, and which of their records.

use std::{collections::BTreeSet, fmt, sync::Arc};

use crate::{EmbeddedLog, LogError, Offset, Record, TopicPartition, scan};

/// Topics that Rowcast keeps for itself begin so.
const INTERNAL: &str = "__rowcast_";

/// In its records every topic that a capture writes is named.
const SCHEMAS: &str = "__rowcast_schemas";

/// Tells which topic a record of `__rowcast_schemas` is about: the log itself looks into no value.
pub type NameOf = Arc<dyn Fn(&Record<'_>) -> Option<String> + Send + Sync>;

/// Sees every record of every copied topic once, in its partition's order, before it is copied, and may leave it out.
///
/// Called on the thread that copies. Whenever a partition is begun it is first shown the last records of its copy, whose
/// answers do not matter then, so that it knows what came before.
pub trait Sieve: Send {
    /// The partition is copied from now on, perhaps anew: nothing of it has been shown.
    fn begins(&mut self, partition: &TopicPartition);

    /// True to copy the record.
    fn keeps(&mut self, partition: &TopicPartition, record: &Record<'_>) -> bool;
}

/// The topics to copy. One that does not exist yet is waited for.
#[derive(Clone, Default)]
pub struct TopicChoice {
    /// Names, or beginnings of names with a `*` behind them. Kafka's own topics (`__...`) are never meant by `*` alone.
    pub names: Vec<String>,
    /// Rowcast's internal topics (`__rowcast_...`) too.
    pub internal: bool,
    /// Every topic that a capture writes, too.
    pub known: Option<NameOf>,
}

impl fmt::Debug for TopicChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TopicChoice");
        shown.field("names", &self.names).field("internal", &self.internal);
        shown.field("known", &self.known.is_some()).finish()
    }
}

/// True for the topic whose records name others.
pub(super) fn names_topics(topic: &str) -> bool {
    topic == SCHEMAS
}

/// The choice, and what has been read of it so far.
pub(super) struct Names {
    choice: TopicChoice,
    known: BTreeSet<String>,
}

impl Names {
    /// With the names that the copy of an earlier process holds. Where all are meant, a topic that was named once stays so
    /// although the records that named it are gone: somebody may watch it.
    pub(super) fn new(choice: TopicChoice, copies: &EmbeddedLog) -> Result<Names, LogError> {
        let all_are_meant = choice.known.is_some() && choice.names.is_empty();
        let held = copies
            .topics()
            .into_iter()
            .filter(|copy| all_are_meant && copies.was_named(copy));
        let mut names = Names {
            known: held.map(|copy| copy.name.to_string()).collect(),
            choice,
        };
        let partitions = copies.topic(SCHEMAS).map_or_else(Vec::new, |topic| topic.all());
        for partition in partitions {
            scan(copies, &partition, Offset(0), |record| {
                names.learn(SCHEMAS, record);
                Ok(())
            })?;
        }
        Ok(names)
    }

    pub(super) fn chooses(&self, topic: &str) -> bool {
        let is_meant = |name: &String| match name.strip_suffix('*') {
            Some("") => !topic.starts_with("__"),
            Some(beginning) => topic.starts_with(beginning),
            None => topic == name,
        };
        self.choice.names.iter().any(is_meant)
            || self.choice.internal && topic.starts_with(INTERNAL)
            || self.choice.known.is_some() && (topic == SCHEMAS || self.known.contains(topic))
    }

    /// True for a topic that records named.
    pub(super) fn is_named(&self, topic: &str) -> bool {
        self.known.contains(topic)
    }

    /// The names to ask for, when no beginnings of names are among them.
    pub(super) fn exact(&self) -> Option<Vec<String>> {
        let open = self.choice.internal || self.choice.names.iter().any(|name| name.ends_with('*'));
        if open {
            return None;
        }
        let schemas = self.choice.known.iter().map(|_| SCHEMAS.to_owned());
        let mut names: BTreeSet<String> = self.choice.names.iter().chain(&self.known).cloned().collect();
        names.extend(schemas);
        Some(names.into_iter().collect())
    }

    /// Takes a name out of a record; true when it is news.
    pub(super) fn learn(&mut self, topic: &str, record: &Record<'_>) -> bool {
        let Some(name_of) = self.choice.known.as_ref().filter(|_| topic == SCHEMAS) else {
            return false;
        };
        name_of(record).is_some_and(|name| self.known.insert(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beginnings_internal_and_known_topics_are_chosen() {
        let names = |names: &[&str], internal, known: &[&str]| Names {
            choice: TopicChoice {
                names: names.iter().map(|name| (*name).to_owned()).collect(),
                internal,
                known: (!known.is_empty()).then(|| Arc::new(|_: &Record<'_>| None) as NameOf),
            },
            known: known.iter().map(|name| (*name).to_owned()).collect(),
        };
        let all = names(&["*"], false, &[]);
        assert!(all.chooses("orders") && !all.chooses("__consumer_offsets") && all.exact().is_none());
        let some = names(&["shop.*", "orders"], true, &[]);
        assert!(some.chooses("shop.a") && some.chooses("orders") && some.chooses("__rowcast_offsets"));
        assert!(!some.chooses("orders2") && !some.chooses("__other"));
        let known = names(&["a"], false, &["b"]);
        assert_eq!(known.exact().unwrap(), ["__rowcast_schemas", "a", "b"]);
    }
}
