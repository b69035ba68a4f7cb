//! Capture and gateway as processes of their own, with an Apache Kafka between them.

pub(crate) mod drain;
pub(crate) mod gateway_start;
pub(crate) mod idle;
pub(crate) mod latency;
pub(crate) mod reconnect;
