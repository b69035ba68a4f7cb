//! Capture and gateway as processes of their own, with an Apache Kafka between them.

pub(crate) mod drain;
pub(crate) mod latency;
