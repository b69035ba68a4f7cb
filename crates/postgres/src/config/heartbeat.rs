//! Heartbeats: how often, where to, and what is done with each.

use std::time::Duration;

use super::values::Values;

/// `heartbeat.*`, where there are any.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeartbeatOptions {
    /// `heartbeat.interval.ms`.
    pub interval: Duration,
    /// `topic.heartbeat.name`, or what `topic.heartbeat.prefix` makes of it.
    pub topic: String,
    /// `heartbeat.action.query`.
    pub action_query: Option<String>,
}

impl HeartbeatOptions {
    /// `None`: there are none. From values that were checked.
    pub(super) fn build(values: &Values) -> Option<Self> {
        let interval = Duration::from_millis(values.whole("heartbeat.interval.ms"));
        let topic = match values.given("topic.heartbeat.name") {
            Some(name) => name.to_owned(),
            None => [values.text("topic.heartbeat.prefix"), values.text("topic.prefix")]
                .join(values.text("topic.delimiter")),
        };
        (!interval.is_zero()).then(|| Self {
            interval,
            topic,
            action_query: values.given("heartbeat.action.query").map(str::to_owned),
        })
    }
}
