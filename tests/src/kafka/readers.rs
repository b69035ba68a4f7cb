//! What clients that share no code with ours see in a topic.

use std::{collections::BTreeMap, path::Path, process::Stdio};

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::process::Command;

use super::Record;
use crate::PATIENCE;

/// What `tests/kafka/read.mjs` prints of a record: bytes are arrays of numbers, null is null.
#[derive(Deserialize)]
struct Line {
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: BTreeMap<String, Vec<Option<Vec<u8>>>>,
}

/// All committed records of a topic as kafkajs sees them, by partition and offset. It keeps headers in an object: those of
/// one name keep their order, names do not; they come sorted.
pub async fn kafkajs(address: &str, topic: &str) -> anyhow::Result<Vec<Record>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka/read.mjs");
    if !script.with_file_name("node_modules").exists() {
        bail!("kafkajs is not installed; fetch it: cargo xtask prepare");
    }
    let mut node = Command::new("node");
    node.arg(&script).args([address, topic]);
    let node = node.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, node)
        .await
        .context("kafkajs did not come to the topic's end")??;
    if !output.status.success() {
        bail!("kafkajs: {}", String::from_utf8_lossy(&output.stderr));
    }
    let lines = std::str::from_utf8(&output.stdout)?.lines();
    let mut records = lines
        .map(|line| Ok(Record::from(serde_json::from_str::<Line>(line)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    records.sort();
    Ok(records)
}

impl From<Line> for Record {
    fn from(line: Line) -> Record {
        let headers = line.headers.into_iter();
        Record {
            partition: line.partition,
            offset: line.offset,
            timestamp_ms: line.timestamp_ms,
            key: line.key,
            value: line.value,
            headers: headers
                .flat_map(|(name, values)| values.into_iter().map(move |value| (name.clone(), value)))
                .collect(),
        }
    }
}
