//! Carries the snapshot into the log: all rows of all captured tables, shown to readers when all of them are durable.
//!
//! A replay of a snapshot would not yield the same rows, so nothing of it is visible before its end: one transaction,
//! however large, on disk as it goes. Where the log cannot hide it (Kafka without transactions) the next attempt repeats its
//! rows, behind those of the first. What the log holds stays; which of its rows the tables have no more is told (decision 18).

use std::sync::Arc;

use rowcast_event::{EncodedRecord, Table, TransactionMark};
use rowcast_log::{LogError, Visibility};
use rowcast_postgres::{ConnectorConfig, SnapshotEvent, SnapshotReader};
use tokio::sync::watch;

use crate::{
    ConnectorError, ConnectorState, pipeline::Pipeline, status::StatusSender, stop::told_to_stop, vanished::Vanished,
};

/// Encoded bytes between two hand-overs of snapshot rows to the operating system.
const FLUSH_BYTES: usize = 1024 * 1024;

/// Rows between two updates of the visible progress.
const PROGRESS_ROWS: u64 = 10_000;

/// What the log has of the tables when the snapshot begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// Every change up to the snapshot's moment.
    AllChanges,
    /// What the connector filled until changes were lost: rows may have gone without a word.
    Gap,
    /// Nothing of this history, but perhaps an older one's rows, another program's, or those of a first snapshot of ours that
    /// was cut off.
    Anything,
}

/// Reads the snapshot to its end. Everything is durable and visible when this returns; `false`: `stop` came first.
pub(crate) async fn carry(
    reader: &mut SnapshotReader,
    pipeline: &mut Pipeline,
    before: Before,
    config: &ConnectorConfig,
    status: &StatusSender,
    stop: &mut watch::Receiver<bool>,
) -> Result<bool, ConnectorError> {
    let mut rows = 0;
    let mut table: Option<Arc<Table>> = None;
    let mut vanished = Vanished::of(config);
    loop {
        let event = tokio::select! {
            biased;
            () = told_to_stop(stop) => return Ok(false),
            event = reader.next() => event?,
        };
        match event {
            SnapshotEvent::Table(next) => {
                pipeline.route(next.clone()).await?;
                pipeline.publish_schema(next.description.oid).await?;
                find_out(&next, before, &mut vanished, pipeline, config)?;
                table = Some(next);
            }
            SnapshotEvent::Row(change) => {
                let table = table.as_ref().expect("a snapshot names the table before its rows");
                pipeline.append(table, &change).await?;
                let met = |record: EncodedRecord<'_>| vanished.met(&table.topic, record.key);
                pipeline.encoded().for_each(met);
                rows += 1;
                pipeline.count_snapshot_row();
                if !goes_on(pipeline, stop).await? {
                    return Ok(false);
                }
                if rows % PROGRESS_ROWS == 0 {
                    status.set(ConnectorState::Snapshot { rows });
                }
            }
            SnapshotEvent::End(mark) => {
                if !bury(&vanished, pipeline, config, mark, stop).await? {
                    return Ok(false);
                }
                pipeline.commit(mark)?;
                let flush = pipeline.flush(Visibility::AfterSync)?;
                pipeline.synced(flush).await?;
                tracing::info!(rows, "snapshot is complete and durable");
                return Ok(true);
            }
        }
    }
}

/// Hands over what has gathered, and waits until the log takes more. `false`: `stop` came first.
async fn goes_on(pipeline: &mut Pipeline, stop: &mut watch::Receiver<bool>) -> Result<bool, ConnectorError> {
    if pipeline.unflushed_bytes() > FLUSH_BYTES {
        pipeline.flush_part()?;
    }
    if !pipeline.has_room() {
        tokio::select! {
            biased;
            () = told_to_stop(stop) => return Ok(false),
            room = pipeline.room() => room?,
        }
    }
    Ok(true)
}

/// Decides whether the table's topic is searched for rows that have gone. A table of which only a part is read tells nothing
/// of the rest, and a row without a key cannot be named.
fn find_out(
    table: &Arc<Table>,
    before: Before,
    vanished: &mut Vanished,
    pipeline: &Pipeline,
    config: &ConnectorConfig,
) -> Result<(), LogError> {
    if before == Before::AllChanges || !pipeline.holds_records(table)? {
        return Ok(());
    }
    let description = &table.description;
    match (description.key.is_empty(), before) {
        // Nobody has a history with what a first snapshot left, and there it can be removed only.
        (true, Before::Anything) => return pipeline.empty_own(table),
        (true, _) => return Ok(()),
        (false, _) => {}
    }
    let is_whole = config
        .snapshot
        .statement(&description.schema, &description.table)
        .is_none();
    if is_whole {
        vanished.search(table.topic.clone(), description.oid);
    }
    if before == Before::Anything {
        tracing::info!(
            topic = &*table.topic,
            "the topic holds records of before; a row of them that the table has no more gets a tombstone"
        );
    }
    Ok(())
}

/// Writes a tombstone for each row that the log has and the tables have not. `false`: `stop` came first.
async fn bury(
    vanished: &Vanished,
    pipeline: &mut Pipeline,
    config: &ConnectorConfig,
    mark: TransactionMark,
    stop: &mut watch::Receiver<bool>,
) -> Result<bool, ConnectorError> {
    let log = pipeline.log();
    for (topic, oid) in vanished.searched() {
        let mut gone = 0;
        for partition in pipeline.partitions(*oid) {
            let keys = vanished.find(&*log, &partition)?;
            gone += keys.len();
            if !config.tombstones_on_delete || config.skipped_operations.delete {
                continue;
            }
            for key in &keys {
                pipeline.append_tombstone(&partition, key, mark.commit_lsn)?;
                if !goes_on(pipeline, stop).await? {
                    return Ok(false);
                }
            }
        }
        if gone > 0 {
            tell_gone(topic, gone, config);
        }
    }
    Ok(true)
}

fn tell_gone(topic: &str, rows: usize, config: &ConnectorConfig) {
    match config.tombstones_on_delete && !config.skipped_operations.delete {
        true => tracing::warn!(
            topic,
            rows,
            "rows have gone while changes were not kept; each got a tombstone"
        ),
        false => tracing::warn!(
            topic,
            rows,
            "rows have gone while changes were not kept, and readers keep them: tombstones.on.delete or \
             skipped.operations forbids the tombstones that would say so"
        ),
    }
}
