//! Follows a topic in a data directory, without its lock: so it works while `rowcast run` holds it, and after.

use std::{
    io::{BufWriter, Write},
    path::Path,
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use rowcast_log::{EmbeddedLog, Log, Offset, TopicPartition};

use super::{From, TailOptions, line::print};

/// Bytes read at once.
const READ_BYTES: usize = 1024 * 1024;

/// Where `rowcast demo` keeps its log unless told otherwise.
const DEMO_LOG: &str = "./rowcast-demo/log";

/// The embedded log's topics have one partition each.
pub(super) async fn follow(options: &TailOptions, data_dir: &Path, mut out: BufWriter<impl Write>) -> Result<()> {
    if !data_dir.exists() {
        bail!(
            "there is no log in {}: name the directory of the rowcast that keeps it (--data-dir; a demo's is {DEMO_LOG}), or \
             the cluster (--kafka HOST:PORT)",
            data_dir.display()
        );
    }
    let log = EmbeddedLog::open_read_only(data_dir)?;
    let partition = TopicPartition {
        topic: Arc::from(options.topic.as_str()),
        partition: 0,
    };
    if log.topic(&options.topic).is_none() {
        let known: Vec<String> = log.topics().iter().map(|topic| topic.name.to_string()).collect();
        bail!(
            "no topic {:?} in {}; there are: {}",
            options.topic,
            data_dir.display(),
            known.join(", ")
        );
    }
    let mut end = log.end(&partition)?;
    let mut from = match options.from {
        From::Beginning => log.earliest(&partition)?,
        From::End => *end.borrow_and_update(),
        From::Offset(offset) => Offset(offset).max(log.earliest(&partition)?),
    };
    let mut left = options.count.unwrap_or(u64::MAX);
    while left > 0 {
        let chunk = log.read(&partition, from, READ_BYTES)?;
        if chunk.is_empty() {
            out.flush()?;
            if options.exit_at_end {
                return Ok(());
            }
            end.wait_for(|&end| end > from).await.context("the topic was deleted")?;
            continue;
        }
        for record in chunk.records().take(usize::try_from(left).unwrap_or(usize::MAX)) {
            print(&mut out, &partition, &record, options.raw)?;
            left -= 1;
        }
        from = chunk.next_offset();
    }
    Ok(out.flush()?)
}
