//! Knows whether this process delivers, and says in one sentence why not: for `/health/ready`.
//!
//! A gateway is ready once everything that it was to serve is in its views; it stays so while Kafka is away, since clients
//! are served what was copied, and says since when. Taking such gateways out of a balancer would turn a pause into an outage.
//! Who captures is not ready while what it writes to is away.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rowcast_connect::{ConnectorState, ConnectorStatus};
use rowcast_event::utc_date_time;
use rowcast_gateway::Gateway;
use rowcast_log::{Freshness, Log, TopicInfo};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::logs::Served;

/// How long topics are waited for that may be gone or not made yet.
///
/// Kafka is asked every 15 s which topics there are; a topic that a look after that does not show is not there.
const EXPECTED_PATIENCE: Duration = Duration::from_secs(20);

/// Topics that a sentence names at most.
const NAMES_MAX: usize = 10;

/// Names of topics, or their beginnings with a `*`, that grow while they are read. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Names(Arc<Mutex<BTreeSet<String>>>);

impl Names {
    #[cfg(feature = "kafka")]
    pub(crate) fn insert(&self, name: &str) {
        self.0.lock().insert(name.to_owned());
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().iter().cloned().collect()
    }
}

impl From<Vec<String>> for Names {
    fn from(names: Vec<String>) -> Names {
        Names(Arc::new(Mutex::new(names.into_iter().collect())))
    }
}

/// What a log that is copied from elsewhere must hold before it is served. Nothing, for a log that is not.
#[derive(Clone, Default)]
pub(crate) struct Awaited {
    /// Waited for as long as it takes.
    pub(crate) required: Vec<String>,
    /// Waited for a while.
    pub(crate) expected: Names,
}

/// What this process waits for, and how it is.
pub struct Readiness {
    written: Option<Arc<dyn Log>>,
    connectors: Vec<watch::Receiver<ConnectorStatus>>,
    views: Option<Views>,
}

/// Views over a log that is served.
pub(crate) struct Views {
    log: Arc<dyn Log>,
    awaited: Awaited,
    complete: watch::Receiver<bool>,
    /// A topic that is not there does not exist; a topic of a connector here may come until its first snapshot is done.
    topics_known: watch::Receiver<bool>,
}

impl Readiness {
    /// Of a process that writes to this log, if it does.
    pub(crate) fn new(written: Option<Arc<dyn Log>>, connectors: Vec<watch::Receiver<ConnectorStatus>>) -> Readiness {
        Readiness {
            written,
            connectors,
            views: None,
        }
    }

    /// Not ready before these views are complete.
    pub(crate) fn wait_for(&mut self, views: Views) {
        self.views = Some(views);
    }

    /// Whether this process is ready, and the body that says so.
    pub(crate) fn report(&self) -> (bool, Value) {
        let stale = self.views.as_ref().and_then(Views::stale_since_ms);
        let mut body = match self.not_ready() {
            None => json!({ "ready": true }),
            Some(reason) => json!({ "ready": false, "reason": reason }),
        };
        if let Some(since_ms) = stale {
            let sentence = format!("stale since {}: Kafka is away", utc_date_time(since_ms));
            body["stale"] = sentence.into();
            body["stale_since_ms"] = since_ms.into();
        }
        (body["ready"] == true, body)
    }

    /// Why it is not known which topics are served, if it is not.
    pub(crate) fn unknown_topics(&self) -> Option<String> {
        let views = self.views.as_ref()?;
        let reading = || "the tables are being read for the first time".to_owned();
        (!*views.topics_known.borrow()).then(|| self.not_ready().unwrap_or_else(reading))
    }

    /// Why this process is not ready, if it is not.
    fn not_ready(&self) -> Option<String> {
        let logs = self.written.iter().chain(self.views.iter().map(|views| &views.log));
        if let Some(failure) = logs.filter_map(|log| log.failure()).next() {
            return Some(format!("the log has stopped: {failure}"));
        }
        // Clients are served what there is; what is committed meanwhile waits.
        if let Some(reason) = self.written.as_ref().and_then(|log| log.away()) {
            return Some(reason);
        }
        if let Some(reason) = self.views.as_ref().and_then(Views::incomplete) {
            return Some(reason);
        }
        self.connectors.iter().find_map(|status| status.borrow().not_ready())
    }
}

impl Views {
    /// Watches what a gateway reads, and the connectors that write to it here, on the current runtime, until it is complete.
    pub(crate) fn follow(
        served: &Served,
        gateway: Arc<Gateway>,
        connectors: Vec<watch::Receiver<ConnectorStatus>>,
    ) -> Views {
        let (sender, complete) = watch::channel(false);
        let (tell_known, topics_known) = watch::channel(false);
        gateway.expect_topics(topics_known.clone());
        let views = Views {
            log: served.log.clone(),
            awaited: served.awaited.clone(),
            complete,
            topics_known,
        };
        let (log, awaited) = (views.log.clone(), views.awaited.clone());
        tokio::spawn(async move {
            all_copied(&*log, &awaited).await;
            gateway.ready().await;
            sender.send_replace(true);
            for mut connector in connectors {
                // An error is a connector that has ended: what it has not made it will not make.
                let _ = connector.wait_for(|status| has_made_its_topics(&status.state)).await;
            }
            tell_known.send_replace(true);
        });
        views
    }

    fn incomplete(&self) -> Option<String> {
        if *self.complete.borrow() {
            return None;
        }
        if let Some(reason) = self.log.away() {
            return Some(reason);
        }
        let topics = match self.log.find_topics() {
            Ok(topics) => topics,
            Err(error) => return Some(error.to_string()),
        };
        if let Some(name) = missing(&topics, &self.awaited.required) {
            return Some(format!("Kafka has no topic {name} yet, or has not told of it"));
        }
        let copying = topics.iter().filter_map(|topic| progress(&*self.log, &topic.name));
        let copying: Vec<String> = copying.take(NAMES_MAX).collect();
        if !copying.is_empty() {
            return Some(format!("topics are being copied from Kafka: {}", copying.join(", ")));
        }
        match missing(&topics, &self.awaited.expected.all()) {
            Some(name) => Some(format!("topic {name} is being looked for in Kafka")),
            None => Some("views are being read from the log".to_owned()),
        }
    }

    fn stale_since_ms(&self) -> Option<i64> {
        let topics = self.log.find_topics().ok()?;
        let since = |name: &str| self.log.freshness(name).borrow().stale_since_ms;
        topics.iter().filter_map(|topic| since(&topic.name)).min()
    }
}

/// Topics are made with the first records; after the snapshot only a new table brings one.
fn has_made_its_topics(state: &ConnectorState) -> bool {
    matches!(state, ConnectorState::Streaming | ConnectorState::Idle)
}

/// Waits until all that is awaited is there and copied.
async fn all_copied(log: &dyn Log, awaited: &Awaited) {
    let mut changed = log.topics_changed();
    loop {
        changed.borrow_and_update();
        // Readers' logs know by themselves what they hold; one that does not yet says so when it changes.
        let topics = log.find_topics().unwrap_or_default();
        let copied = async {
            for topic in &topics {
                // An error is a log that ends.
                let _ = log.freshness(&topic.name).wait_for(|now| now.complete).await;
            }
        };
        // Topics first: one that is gone is never complete.
        tokio::select! {
            biased;
            _ = changed.changed() => continue,
            () = copied => {}
        }
        if missing(&topics, &awaited.required).is_some() {
            let _ = changed.changed().await;
            continue;
        }
        let Some(name) = missing(&topics, &awaited.expected.all()) else {
            return;
        };
        let came = tokio::time::timeout(EXPECTED_PATIENCE, changed.changed()).await;
        if came.is_err() && log.away().is_none() {
            tracing::warn!(topic = name, "Kafka has no such topic; it is served when it comes");
            return;
        }
    }
}

/// The first of these names that none of the topics has.
fn missing(topics: &[TopicInfo], names: &[String]) -> Option<String> {
    let is_there = |name: &String| topics.iter().any(|topic| is_called(&topic.name, name));
    names.iter().find(|name| !is_there(name)).cloned()
}

/// Whether a topic has this name, or begins with it where a `*` is behind it.
pub(crate) fn is_called(topic: &str, name: &str) -> bool {
    match name.strip_suffix('*') {
        Some(beginning) => topic.starts_with(beginning),
        None => topic == name,
    }
}

/// How far a topic is, if it is not complete.
fn progress(log: &dyn Log, topic: &str) -> Option<String> {
    let Freshness {
        missing,
        total,
        complete,
        ..
    } = *log.freshness(topic).borrow();
    let copied = total.saturating_sub(missing);
    (!complete).then(|| format!("{topic}: {copied} of {total} offsets copied"))
}

#[cfg(test)]
mod tests {
    use rowcast_log::{EmbeddedLog, EmbeddedOptions, TopicCreation};

    use super::*;

    #[test]
    fn a_name_or_its_beginning_is_missing_until_a_topic_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(folder.path(), EmbeddedOptions::default()).unwrap();
        let names = ["shop.*".to_owned(), "orders".to_owned()];
        assert_eq!(missing(&log.topics(), &names).as_deref(), Some("shop.*"));
        log.ensure_topic("shop.public.a", &TopicCreation::default()).unwrap();
        assert_eq!(missing(&log.topics(), &names).as_deref(), Some("orders"));
        log.ensure_topic("orders", &TopicCreation::default()).unwrap();
        assert_eq!(missing(&log.topics(), &names), None);
    }

    #[tokio::test]
    async fn what_is_required_is_waited_for_and_a_log_of_our_own_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(folder.path(), EmbeddedOptions::default()).unwrap();
        all_copied(&*log, &Awaited::default()).await;
        let awaited = Awaited {
            required: vec!["orders".to_owned()],
            expected: Names::default(),
        };
        let waiting = log.clone();
        let mut waits = tokio::spawn(async move { all_copied(&*waiting, &awaited).await });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        log.ensure_topic("orders", &TopicCreation::default()).unwrap();
        (&mut waits).await.unwrap();
    }
}
