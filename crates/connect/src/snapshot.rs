//! Carries the snapshot into the log: all rows of all captured tables, shown to readers when all of them are durable.
//!
//! A replay of a snapshot would not yield the same rows, so nothing of it is visible before its end: one transaction,
//! however large, on disk as it goes. A first snapshot that was cut off leaves topics that nobody saw; they are removed
//! before the next attempt, which begins anew with another slot. What the log held before a later snapshot stays.

use std::sync::Arc;

use rowcast_event::{EncodedRecord, Table, TransactionMark};
use rowcast_log::{Log, LogError, Visibility};
use rowcast_postgres::{ConnectorConfig, SnapshotEvent, SnapshotReader};
use tokio::sync::watch;

use crate::{
    ConnectorError, ConnectorState, pipeline::Pipeline, state::StateStore, status::StatusSender, stop::told_to_stop,
    vanished::Vanished,
};

/// Encoded bytes between two hand-overs of snapshot rows to the operating system.
const FLUSH_BYTES: usize = 1024 * 1024;

/// Rows between two updates of the visible progress.
const PROGRESS_ROWS: u64 = 10_000;

/// What lies between the log's last record and the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// No change of the tables: they are new to the log, or were followed up to the snapshot's moment.
    Nothing,
    /// Changes that nobody knows: rows may have gone without a word.
    Gap,
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
    let mut tables: Vec<Arc<Table>> = Vec::new();
    let mut vanished = (before == Before::Gap).then(Vanished::default);
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
                tables.push(next);
            }
            SnapshotEvent::Row(change) => {
                let table = tables.last().expect("a snapshot names the table before its rows");
                pipeline.append(table, &change).await?;
                if let Some(vanished) = &mut vanished {
                    let topic = &table.topic;
                    let met =
                        |record: EncodedRecord<'_>| record.key.into_iter().for_each(|key| vanished.met(topic, key));
                    pipeline.encoded().for_each(met);
                }
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
                if let Some(vanished) = &vanished
                    && !bury(vanished, &tables, pipeline, config, mark, stop).await?
                {
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

/// Writes a tombstone for each row that the log has and the tables have not. A table of which only a part was read tells
/// nothing of the rest. `false`: `stop` came first.
async fn bury(
    vanished: &Vanished,
    tables: &[Arc<Table>],
    pipeline: &mut Pipeline,
    config: &ConnectorConfig,
    mark: TransactionMark,
    stop: &mut watch::Receiver<bool>,
) -> Result<bool, ConnectorError> {
    let log = pipeline.log();
    let read_whole = |table: &&Arc<Table>| {
        let description = &table.description;
        config
            .snapshot
            .statement(&description.schema, &description.table)
            .is_none()
    };
    for table in tables.iter().filter(read_whole) {
        let mut gone = 0;
        for partition in pipeline.partitions(table.description.oid) {
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
            tell_gone(&table.topic, gone, config);
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

/// Removes what an unfinished snapshot left. Nobody has seen it.
pub(crate) fn discard(log: &dyn Log, store: &StateStore) -> Result<(), LogError> {
    for topic in store.topics()? {
        log.empty_topic(&topic.name)?;
    }
    Ok(())
}
