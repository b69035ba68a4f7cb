//! Carries the snapshot into the log: all rows of all captured tables, shown to readers when all of them are durable.
//!
//! A replay of a snapshot would not yield the same rows, so nothing of it is visible before its end: one transaction,
//! however large, on disk as it goes. A snapshot that was cut off leaves topics that nobody saw; they are removed before
//! the next attempt, which begins anew with another slot.

use rowcast_log::{Log, LogError, Visibility};
use rowcast_postgres::{SnapshotEvent, SnapshotReader};
use tokio::sync::watch;

use crate::{
    ConnectorError, ConnectorState, pipeline::Pipeline, state::StateStore, status::StatusSender, stop::told_to_stop,
};

/// Encoded bytes between two hand-overs of snapshot rows to the operating system.
const FLUSH_BYTES: usize = 1024 * 1024;

/// Rows between two updates of the visible progress.
const PROGRESS_ROWS: u64 = 10_000;

/// Reads the snapshot to its end. Everything is durable and visible when this returns; `false`: `stop` came first.
pub(crate) async fn carry(
    reader: &mut SnapshotReader,
    pipeline: &mut Pipeline,
    status: &StatusSender,
    stop: &mut watch::Receiver<bool>,
) -> Result<bool, ConnectorError> {
    let mut rows = 0;
    let mut table = None;
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
                table = Some(next);
            }
            SnapshotEvent::Row(change) => {
                let table = table.as_deref().expect("a snapshot names the table before its rows");
                pipeline.append(table, &change).await?;
                rows += 1;
                pipeline.count_snapshot_row();
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
                if rows % PROGRESS_ROWS == 0 {
                    status.set(ConnectorState::Snapshot { rows });
                }
            }
            SnapshotEvent::End(mark) => {
                pipeline.commit(mark)?;
                let flush = pipeline.flush(Visibility::AfterSync)?;
                pipeline.synced(flush).await?;
                tracing::info!(rows, "snapshot is complete and durable");
                return Ok(true);
            }
        }
    }
}

/// Removes what an unfinished snapshot left. Nobody has seen it.
pub(crate) fn discard(log: &dyn Log, store: &StateStore) -> Result<(), LogError> {
    for topic in store.topics()? {
        log.empty_topic(&topic.name)?;
    }
    Ok(())
}
