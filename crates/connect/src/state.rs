//! Remembers, in the internal topic `__rowcast_offsets`, what a connector needs to know of itself after a restart.
//! A connector with transactions has a topic of its own for it: in a shared one, what it has not committed yet hides from
//! everybody what others wrote behind it, and a capture that dies or hangs may leave a transaction open for minutes.
//!
//! Kafka Connect keeps source offsets the same way: key `["<connector>",{"server":"<topic.prefix>"}]`, the last value
//! holds. How far the data goes is not here but in the control batches beside the data; here is what they cannot tell:
//! which server the LSNs belong to, whether the snapshot is whole, and the furthest position confirmed while idle. Under
//! a key of its own, since it is large and rarely new: which of the publication's entries publish the captured tables.

use std::{collections::BTreeMap, sync::Arc};

use rowcast_event::{Lsn, MessageEncoder, TransactionMark};
use rowcast_log::{Log, LogError, TopicInfo, TopicPartition};
use rowcast_postgres::{ConnectorConfig, Published, Resume, ServerIdentity};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{filled::Lost, metadata::MetadataTopics};

/// The internal topic.
pub(crate) const OFFSETS_TOPIC: &str = "__rowcast_offsets";

/// A connector's line in the internal topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) system_identifier: String,
    pub(crate) timeline: u32,
    pub(crate) slot: String,
    /// False from the moment our slot may exist until all snapshot rows are durable.
    pub(crate) snapshot_done: bool,
    /// The furthest LSN confirmed, or about to be confirmed, to the server.
    pub(crate) confirmed: u64,
    /// Which capture of the connector wrote this: one more than that of the one before, whose last words may come late.
    #[serde(default)]
    pub(crate) generation: u64,
    /// On a log whose memory is its records: by topic, the offset in each partition behind which all records lie that were
    /// not confirmed. At the beginning: where the records end that are of an earlier history, in topics that have such.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) offsets: BTreeMap<String, Vec<u64>>,
    /// What was whole last, as of `confirmed`: the commit before the first transaction that the server sends next. On a log
    /// whose memory is this record also what it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mark: Option<Mark>,
    /// A topic was lost, and what it held comes from nowhere but the tables: they are read before anything else goes on.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) reads_owed: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde lends what it asks about")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl State {
    /// Of a slot that nothing is known of.
    pub(crate) fn beginning(server: &ServerIdentity, slot: &str) -> State {
        State {
            system_identifier: server.system_identifier.clone(),
            timeline: server.timeline,
            slot: slot.to_owned(),
            snapshot_done: false,
            confirmed: 0,
            generation: 0,
            offsets: BTreeMap::new(),
            mark: None,
            reads_owed: false,
        }
    }

    /// What is known of these topics is true no more, and their rows must come again.
    pub(crate) fn owe(&mut self, lost: &[Lost]) {
        for lost in lost {
            self.offsets.remove(&lost.topic);
            self.reads_owed = true;
        }
    }

    /// A transaction is whole. One that comes again after a restart is not the last.
    pub(crate) fn ended(&mut self, mark: TransactionMark) {
        let last = self.mark.map_or(Lsn(0), |last| TransactionMark::from(last).commit_lsn);
        if mark.commit_lsn > last {
            self.mark = Some(mark.into());
        }
    }

    /// Everything below is there, or was none of ours; `last` is what was whole last by then.
    pub(crate) fn confirm(&mut self, lsn: Lsn, last: Option<TransactionMark>) {
        self.confirmed = self.confirmed.max(lsn.0);
        last.into_iter().for_each(|last| self.ended(last));
    }
}

/// A [`TransactionMark`] as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    commit_lsn: u64,
    end_lsn: u64,
    changes: u64,
    #[serde(default)]
    ts_us: i64,
}

impl From<TransactionMark> for Mark {
    fn from(mark: TransactionMark) -> Mark {
        Mark {
            commit_lsn: mark.commit_lsn.0,
            end_lsn: mark.end_lsn.0,
            changes: mark.changes,
            ts_us: mark.ts_us,
        }
    }
}

impl From<Mark> for TransactionMark {
    fn from(mark: Mark) -> TransactionMark {
        TransactionMark {
            commit_lsn: Lsn(mark.commit_lsn),
            end_lsn: Lsn(mark.end_lsn),
            changes: mark.changes,
            ts_us: mark.ts_us,
        }
    }
}

/// Reads and writes one connector's [`State`].
#[derive(Clone)]
pub(crate) struct StateStore {
    metadata: Arc<MetadataTopics>,
    /// Where the state is written, and where it was if the connector worked in the other mode before.
    topic: String,
    other_topic: String,
    key: Vec<u8>,
    published_key: Vec<u8>,
    topic_start: String,
    /// That of logical messages, which knows no delimiter.
    messages_topic: String,
}

impl StateStore {
    pub(crate) fn new(metadata: Arc<MetadataTopics>, config: &ConnectorConfig) -> StateStore {
        let key = serde_json::json!([config.name, { "server": config.topic_prefix }])
            .to_string()
            .into_bytes();
        let published_key = serde_json::json!([config.name, { "publication": config.publication_name }])
            .to_string()
            .into_bytes();
        let own = own_topic(&config.name);
        let (topic, other_topic) = match config.exactly_once_required {
            true => (own, OFFSETS_TOPIC.to_owned()),
            false => (OFFSETS_TOPIC.to_owned(), own),
        };
        StateStore {
            metadata,
            topic,
            other_topic,
            key,
            published_key,
            topic_start: config.topic_start.clone(),
            messages_topic: MessageEncoder::new(&config.event_options("")).topic.to_string(),
        }
    }

    fn log(&self) -> &dyn Log {
        self.metadata.log()
    }

    /// The last value that the last capture wrote, if any. Of two modes' values the later one is that which confirms more.
    pub(crate) fn load(&self) -> Result<Option<State>, LogError> {
        let before = self.last_state(&self.other_topic)?;
        let now = self.last_state(&self.topic)?;
        let age = |state: &State| (state.generation, state.confirmed);
        Ok(match (now, before) {
            (Some(now), Some(before)) if age(&before) > age(&now) => Some(before),
            (now, before) => now.or(before),
        })
    }

    /// A capture that wakes up late writes down what has long been overtaken: its generation tells.
    fn last_state(&self, topic: &str) -> Result<Option<State>, LogError> {
        #[derive(Deserialize)]
        struct Age {
            #[serde(default)]
            generation: u64,
        }
        let mut youngest = 0;
        self.last(topic, &self.key, |value| {
            let age = serde_json::from_slice::<Age>(value).map_or(youngest, |age| age.generation);
            let is_news = age >= youngest;
            youngest = youngest.max(age);
            is_news
        })
    }

    /// The one partition in which the state is.
    pub(crate) fn partition(&self) -> Result<TopicPartition, LogError> {
        self.metadata.partition(&self.topic)
    }

    /// How the captured tables were published when the source was opened last.
    pub(crate) fn load_published(&self) -> Result<Published, LogError> {
        let last = self.last(OFFSETS_TOPIC, &self.published_key, |_| true)?;
        Ok(last.unwrap_or_default())
    }

    /// Keeps it; durable when this returns.
    pub(crate) async fn save_published(&self, published: &Published) -> Result<(), LogError> {
        let value = serde_json::to_vec(published).expect("a map of numbers is JSON");
        self.metadata.put(OFFSETS_TOPIC, &self.published_key, &value).await
    }

    fn last<T: DeserializeOwned>(
        &self,
        topic: &str,
        wanted: &[u8],
        mut is_news: impl FnMut(&[u8]) -> bool,
    ) -> Result<Option<T>, LogError> {
        let mut last = None;
        self.metadata.scan(topic, |key, value| {
            if key == wanted && value.is_none_or(&mut is_news) {
                last = value.map(<[u8]>::to_vec);
            }
        })?;
        let Some(value) = last else { return Ok(None) };
        let value = serde_json::from_slice(&value).map_err(|error| {
            LogError::Invalid(format!("topic {topic} holds a state this version cannot read ({error}); was the data directory written by a newer rowcast?"))
        })?;
        Ok(Some(value))
    }

    /// Writes the state; durable when this returns.
    pub(crate) async fn save(&self, state: &State) -> Result<(), LogError> {
        self.metadata.put(&self.topic, &self.key, &self.value(state)).await
    }

    /// The record's key, for who writes it together with what it speaks of.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// The record's value.
    pub(crate) fn value(&self, state: &State) -> Vec<u8> {
        serde_json::to_vec(state).expect("a struct of strings and numbers is JSON")
    }

    /// The topics this connector writes: those under its prefix.
    pub(crate) fn topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        let under_prefix = |name: &str| {
            (name.starts_with(self.topic_start.as_str()) || name == self.messages_topic) && !name.starts_with("__")
        };
        let mut topics = self.log().find_topics()?;
        topics.retain(|topic| under_prefix(&topic.name));
        Ok(topics)
    }

    /// Where the records in this connector's topics end, in those that have any.
    pub(crate) fn ends(&self) -> Result<BTreeMap<String, Vec<u64>>, LogError> {
        let mut ends = BTreeMap::new();
        for topic in self.topics()? {
            let mut of_topic = Vec::new();
            for partition in topic.all() {
                of_topic.push(self.log().end(&partition)?.borrow().0);
            }
            if of_topic.iter().any(|end| *end > 0) {
                ends.insert(topic.name.to_string(), of_topic);
            }
        }
        Ok(ends)
    }

    /// What the source must know of the log before it may go on.
    pub(crate) fn resume(&self, state: Option<&State>) -> Result<Resume, LogError> {
        let mut mark: Option<TransactionMark> = state.and_then(|state| state.mark).map(TransactionMark::from);
        for partition in self.topics()?.iter().flat_map(TopicInfo::all) {
            let found = last_mark(self.log(), &partition)?;
            mark = match (mark, found) {
                (Some(a), Some(b)) => Some(if b.commit_lsn > a.commit_lsn { b } else { a }),
                (a, b) => a.or(b),
            };
        }
        let server = state.map(|s| ServerIdentity {
            system_identifier: s.system_identifier.clone(),
            timeline: s.timeline,
        });
        Ok(Resume {
            server,
            snapshot_done: state.is_some_and(|s| s.snapshot_done),
            mark,
            confirmed: Lsn(state.map_or(0, |s| s.confirmed)),
            published: self.load_published()?,
            ..Resume::default()
        })
    }
}

/// The topic of one connector's state. Names that Kafka does not allow are mended; two that become one share the topic, and
/// are told apart by their keys.
fn own_topic(connector: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let mended = connector.chars().map(|c| if allowed(c) { c } else { '_' });
    // Kafka takes 249 characters in all.
    let name: String = mended.take(200).collect();
    format!("{OFFSETS_TOPIC}.{name}")
}

/// The mark in a partition's last control batch.
pub(crate) fn last_mark(log: &dyn Log, partition: &TopicPartition) -> Result<Option<TransactionMark>, LogError> {
    let Some(bytes) = log.position(partition)? else {
        return Ok(None);
    };
    let mark = TransactionMark::from_bytes(&bytes)
        .map_err(|error| LogError::Invalid(format!("{partition}: the last control batch is not ours ({error})")))?;
    Ok(Some(mark))
}

#[cfg(test)]
mod tests {
    use rowcast_log::{EmbeddedLog, EmbeddedOptions};

    use super::*;
    use crate::connectors::tests::config;

    fn state(generation: u64, confirmed: u64) -> State {
        let server = ServerIdentity {
            system_identifier: "7".to_owned(),
            timeline: 1,
        };
        State {
            confirmed,
            generation,
            ..State::beginning(&server, "debezium")
        }
    }

    #[tokio::test]
    async fn a_late_captures_words_do_not_hold() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).expect("the log opens");
        let store = StateStore::new(Arc::new(MetadataTopics::new(log)), &config(""));
        for state in [state(1, 10), state(2, 20), state(1, 11)] {
            store.save(&state).await.expect("saved");
        }
        assert_eq!(store.load().expect("readable"), Some(state(2, 20)));
        store.save(&state(2, 19)).await.expect("saved");
        assert_eq!(store.load().expect("readable"), Some(state(2, 19)), "its own last word");
    }
}
