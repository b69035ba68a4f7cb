//! One capture at a time prepares a replication slot: from the look at it until the stream begins.
//!
//! A slot is active only while it is streamed. Without more, a second capture of the connector would take the slot of a
//! first one that still reads its snapshot for a dead one's, and drop it. So who prepares a slot holds an advisory lock,
//! with the session that looks at the slot, and another one with the session that reads the tables: whichever of its
//! connections breaks, nobody comes between as long as rows may still be read. PostgreSQL frees them with their sessions.
//!
//! Not held while the slot is streamed: there PostgreSQL itself keeps others away, and gives up a dead reader sooner
//! (`wal_sender_timeout`) than a session that is idle.

use crate::{
    SourceError,
    connection::{Connection, error::ConnectionError},
    query::{flag, literal},
};

/// What is held, as the seed of the slot's hash.
#[derive(Clone, Copy)]
enum Held {
    Preparing,
    Reading,
}

/// Takes the turn, or says that another has it.
pub(crate) async fn take(session: &mut Connection, slot: &str) -> Result<(), SourceError> {
    let is_ours = try_lock(session, slot, Held::Preparing).await? && try_lock(session, slot, Held::Reading).await?;
    if !is_ours {
        return Err(taken(slot));
    }
    // Nobody reads; who will, holds it with the session that does.
    unlock(session, slot, Held::Reading).await
}

/// Holds the turn with the session that reads the tables. The one that took it must hold it still.
pub(crate) async fn read(reader: &mut Connection, slot: &str) -> Result<(), SourceError> {
    match try_lock(reader, slot, Held::Reading).await? {
        true => Ok(()),
        false => Err(taken(slot)),
    }
}

fn taken(slot: &str) -> SourceError {
    SourceError::Busy(format!(
        "another capture prepares replication slot {slot:?}, or reads the tables for it; waiting until it has done so"
    ))
}

/// The session that took the turn gives it back.
pub(crate) async fn give_back(session: &mut Connection, slot: &str) -> Result<(), SourceError> {
    unlock(session, slot, Held::Preparing).await
}

async fn try_lock(session: &mut Connection, slot: &str, held: Held) -> Result<bool, SourceError> {
    let statement = format!("SELECT pg_catalog.pg_try_advisory_lock({})", key(slot, held));
    let row = session.query_row(&statement).await.map_err(failed)?;
    Ok(row.is_some_and(|row| flag(&row, 0)))
}

async fn unlock(session: &mut Connection, slot: &str, held: Held) -> Result<(), SourceError> {
    let statement = format!("SELECT pg_catalog.pg_advisory_unlock({})", key(slot, held));
    session.query(&statement).await.map(drop).map_err(failed)
}

/// Slots are the server's, advisory locks the database's: as are those who could drop the slot, since it is of their database.
fn key(slot: &str, held: Held) -> String {
    let name = literal(&format!("rowcast: replication slot {slot}"));
    format!("pg_catalog.hashtextextended({name}, {})", held as i64)
}

fn failed(error: ConnectionError) -> SourceError {
    error.during("waiting for the turn to prepare the replication slot")
}
