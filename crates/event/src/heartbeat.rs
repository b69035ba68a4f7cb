//! The record of a heartbeat: that the connector lives, and when it said so.

use std::sync::Arc;

use crate::{EventOptions, json::string, record_schema::Wrapping, source_block::write_number};

/// Writes heartbeats; made once for a connector.
#[derive(Debug)]
pub struct HeartbeatEncoder {
    /// Their topic, of which Debezium writes to the first partition.
    pub topic: Arc<str>,
    /// The key of all of them.
    pub key: Vec<u8>,
    wrapping: Wrapping,
}

impl HeartbeatEncoder {
    /// For a connector with these options.
    pub fn new(topic: &str, options: &EventOptions) -> HeartbeatEncoder {
        let wrapping = Wrapping::of(options, KEY, || VALUE.to_owned());
        let payload = format!(r#"{{"serverName":{}}}"#, string(&options.topic_prefix));
        HeartbeatEncoder {
            topic: topic.into(),
            key: [wrapping.key(), payload.as_bytes(), wrapping.key_end()].concat(),
            wrapping,
        }
    }

    /// The value of one. `now_ns` is the clock since 1970 in nanoseconds.
    pub fn value(&self, now_ns: i64) -> Vec<u8> {
        let mut value = self.wrapping.value(false).to_vec();
        value.extend_from_slice(b"{\"ts_ms\":");
        write_number(now_ns.div_euclid(1_000_000), &mut value);
        value.push(b'}');
        value.extend_from_slice(self.wrapping.value_end());
        value
    }
}

const KEY: &str = concat!(
    r#"{"type":"struct","fields":[{"type":"string","optional":false,"field":"serverName"}],"optional":false,"#,
    r#""name":"io.debezium.connector.common.ServerNameKey","version":1}"#,
);

const VALUE: &str = concat!(
    r#"{"type":"struct","fields":[{"type":"int64","optional":false,"field":"ts_ms"}],"optional":false,"#,
    r#""name":"io.debezium.connector.common.Heartbeat","version":1}"#,
);

#[test]
fn a_heartbeat_tells_who_lives_and_when() {
    let mut options = EventOptions::new("tp", "appdb", "run");
    let encoder = HeartbeatEncoder::new("__debezium-heartbeat.tp", &options);
    assert_eq!(encoder.key, br#"{"serverName":"tp"}"#);
    assert_eq!(encoder.value(1_785_830_400_200_999_999), br#"{"ts_ms":1785830400200}"#);
    options.key_converter.schemas = true;
    let key = HeartbeatEncoder::new("t", &options).key;
    assert!(key.ends_with(br#","payload":{"serverName":"tp"}}"#) && key.starts_with(br#"{"schema":{"#));
}
