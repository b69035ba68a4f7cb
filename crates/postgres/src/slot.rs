//! The replication slot: what PostgreSQL remembers for us, and whether that still fits what the log remembers.
//!
//! Never drops or recreates a slot that may hold changes the log has not: every doubtful case is a refusal with the
//! facts of both sides. Knows nothing of publications or rows.

use rowcast_event::Lsn;

use crate::{
    Resume, SourceError,
    connection::{Connection, error::ConnectionError},
    query::{Row, flag, identifier, literal, text},
    server::{self, NEW_SNAPSHOT},
};

/// What helps, too, where it is the slot that has nothing more for the log.
const WHEN_NEEDED: &str = "set snapshot.mode=when_needed to have the tables read again, or ";

/// A slot as `pg_replication_slots` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) name: String,
    pub(crate) plugin: String,
    pub(crate) database: String,
    pub(crate) temporary: bool,
    /// Standbys get a copy of it (PostgreSQL 17 and later).
    pub(crate) failover: bool,
    /// The walsender that uses it now.
    pub(crate) active_pid: Option<u32>,
    /// `reserved`, `extended`, `unreserved`, `lost`; empty while PostgreSQL has not said.
    pub(crate) wal_status: String,
    /// PostgreSQL 17 and later: why it was invalidated.
    pub(crate) invalidation_reason: String,
    pub(crate) restart_lsn: Option<Lsn>,
    pub(crate) confirmed_flush: Option<Lsn>,
}

/// Looks the slot up.
pub(crate) async fn find(session: &mut Connection, name: &str, version: u32) -> Result<Option<Slot>, ConnectionError> {
    let (reason, failover) = match version >= FAILOVER_SINCE {
        true => ("invalidation_reason", "failover"),
        false => ("NULL", "false"),
    };
    let statement = format!(
        "SELECT coalesce(plugin, slot_type), database, temporary, active_pid, wal_status, {reason}, restart_lsn, \
         confirmed_flush_lsn, {failover} FROM pg_catalog.pg_replication_slots WHERE slot_name = {}",
        literal(name)
    );
    session
        .query_row(&statement)
        .await?
        .map(|row| slot(name, &row))
        .transpose()
}

fn slot(name: &str, row: &Row) -> Result<Slot, ConnectionError> {
    let lsn = |column: usize| match text(row, column) {
        "" => Ok(None),
        lsn => server::parse_lsn(lsn).map(Some),
    };
    Ok(Slot {
        name: name.to_owned(),
        plugin: text(row, 0).to_owned(),
        database: text(row, 1).to_owned(),
        temporary: flag(row, 2),
        active_pid: text(row, 3).parse().ok(),
        wal_status: text(row, 4).to_owned(),
        invalidation_reason: text(row, 5).to_owned(),
        restart_lsn: lsn(6)?,
        confirmed_flush: lsn(7)?,
        failover: flag(row, 8),
    })
}

/// What to do with what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Nothing was ever delivered, or everything is read again: create the slot.
    Create {
        /// A slot of ours that nothing was kept of, or that does not have what the log lacks.
        drop_first: bool,
    },
    /// Go on where the slot's confirmed position says.
    Continue(Lsn),
}

/// Holds the slot against what the log knows; `may_read_again` says that a new snapshot may mend what does not fit. Pure.
pub(crate) fn plan(
    name: &str,
    found: Option<&Slot>,
    resume: &Resume,
    database: &str,
    may_read_again: bool,
) -> Result<Plan, SourceError> {
    match (found, resume.is_new()) {
        (None, true) => Ok(Plan::Create { drop_first: false }),
        (None, false) if may_read_again => Ok(Plan::Create { drop_first: false }),
        (None, false) => Err(refused(format!(
            "replication slot {name:?} does not exist, but the log holds changes up to {}: what was written since is not \
             kept for us; if the server failed over, its standby had no copy of the slot; {WHEN_NEEDED}{NEW_SNAPSHOT}",
            resume.position()
        ))),
        (Some(slot), true) => {
            check_kind(slot, database)?;
            match resume.owns_unfinished_slot() {
                true => free(slot).map(|()| Plan::Create { drop_first: true }),
                false => Err(refused(not_ours_to_start_from(slot))),
            }
        }
        (Some(slot), false) => {
            check_kind(slot, database)?;
            let confirmed = check_kept(slot).and_then(|()| check_not_ahead(slot, resume));
            match confirmed {
                Err(SourceError::Refused(reason)) if may_read_again => {
                    tracing::warn!("{reason}: snapshot.mode asks for it now");
                    free(slot).map(|()| Plan::Create { drop_first: true })
                }
                confirmed => confirmed.map(Plan::Continue),
            }
        }
    }
}

fn refused(sentence: String) -> SourceError {
    SourceError::Refused(sentence)
}

fn not_ours_to_start_from(slot: &Slot) -> String {
    let name = &slot.name;
    format!(
        "replication slot {name:?} exists already (confirmed up to {}), but the log holds nothing of it: going on from \
         there would leave out everything before. Give the data directory (on Kafka: the connector \
         name) that belongs to it, or another slot.name, or drop it and start anew: SELECT pg_drop_replication_slot({})",
        slot.confirmed_flush.unwrap_or_default(),
        literal(name)
    )
}

/// Another kind of slot under our name is somebody else's.
fn check_kind(slot: &Slot, database: &str) -> Result<(), SourceError> {
    let name = &slot.name;
    if slot.plugin != "pgoutput" {
        return Err(refused(format!(
            "replication slot {name:?} belongs to {:?}, not to pgoutput: choose another slot.name",
            slot.plugin
        )));
    }
    if slot.database != database {
        return Err(refused(format!(
            "replication slot {name:?} belongs to database {:?}, the connector reads {database:?}: choose another \
             slot.name",
            slot.database
        )));
    }
    if slot.temporary {
        return Err(refused(format!(
            "replication slot {name:?} is a temporary one of another session: choose another slot.name"
        )));
    }
    Ok(())
}

/// PostgreSQL has thrown away what the slot should keep.
fn check_kept(slot: &Slot) -> Result<(), SourceError> {
    if slot.wal_status != "lost" && slot.invalidation_reason.is_empty() {
        return Ok(());
    }
    let mut facts = format!("wal_status={}", slot.wal_status);
    if !slot.invalidation_reason.is_empty() {
        facts.push_str(&format!(", invalidation_reason={}", slot.invalidation_reason));
    }
    if let Some(lsn) = slot.restart_lsn {
        facts.push_str(&format!(", restart_lsn={lsn}"));
    }
    Err(refused(format!(
        "replication slot {:?} was invalidated by PostgreSQL ({facts}): changes are lost for us (see \
         max_slot_wal_keep_size, idle_replication_slot_timeout); {WHEN_NEEDED}{NEW_SNAPSHOT}: SELECT pg_drop_replication_slot({})",
        slot.name,
        literal(&slot.name)
    )))
}

/// A slot confirmed beyond all that the log ever told it means that the log has lost its end, or that somebody else
/// read from the slot, or dropped and recreated it. PostgreSQL would skip silently what lies between.
fn check_not_ahead(slot: &Slot, resume: &Resume) -> Result<Lsn, SourceError> {
    let confirmed = slot.confirmed_flush.ok_or_else(|| {
        refused(format!(
            "replication slot {:?} has no confirmed position yet: its creation did not finish; {WHEN_NEEDED}{NEW_SNAPSHOT}",
            slot.name
        ))
    })?;
    let known = resume.position();
    if confirmed <= known {
        return Ok(confirmed);
    }
    // Whoever uses it now may be of our connector, and have gone on since the log was looked at.
    free(slot)?;
    Err(refused(format!(
        "replication slot {:?} is confirmed up to {confirmed}, but the log holds changes only up to {known}: \
         PostgreSQL has forgotten what lies between. Either the log has lost its end (give the right data \
         directory), or somebody else read from the slot or recreated it; otherwise {WHEN_NEEDED}{NEW_SNAPSHOT}",
        slot.name
    )))
}

/// A slot can be read or dropped by one session at a time. The other may be our own predecessor, whose connection the
/// server has not yet given up (`wal_sender_timeout`): so this is a matter of waiting.
pub(crate) fn free(slot: &Slot) -> Result<(), SourceError> {
    match slot.active_pid {
        None => Ok(()),
        Some(pid) => Err(SourceError::Busy(format!(
            "replication slot {:?} is in use by the server's process {pid}; waiting until it is free",
            slot.name
        ))),
    }
}

/// Drops the slot.
pub(crate) async fn drop_slot(walsender: &mut Connection, name: &str) -> Result<(), SourceError> {
    walsender
        .query(&format!("DROP_REPLICATION_SLOT {}", identifier(name)))
        .await
        .map(|_| ())
        .map_err(|error| error.during(&format!("dropping replication slot {name:?}")))
}

/// A slot just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewSlot {
    /// Transactions that commit from here on are streamed; the snapshot has all before.
    pub(crate) consistent_point: Lsn,
    /// The name to import the snapshot by, when one was asked for.
    pub(crate) snapshot: String,
}

/// What a slot is made like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotKind {
    /// Standbys get a copy of it (PostgreSQL 17 and later).
    pub(crate) failover: bool,
    /// It goes with its connection.
    pub(crate) temporary: bool,
    /// The snapshot at its consistent point may be imported.
    pub(crate) export_snapshot: bool,
}

/// The first version that keeps a slot over a failover.
pub(crate) const FAILOVER_SINCE: u32 = 17_00_00;

/// Gives an existing slot, which nobody uses, the property that standbys get a copy of it.
pub(crate) async fn make_failover(walsender: &mut Connection, name: &str) -> Result<(), SourceError> {
    let statement = format!("ALTER_REPLICATION_SLOT {} (FAILOVER true)", identifier(name));
    let altered = walsender.query(&statement).await;
    altered
        .map(|_| ())
        .map_err(|error| error.during(&format!("setting FAILOVER for replication slot {name:?}")))
}

/// Creates the slot. Waits for all transactions that run now: `Waiting::describe` says for which. The exported snapshot
/// lives until the walsender's next command. Dropping the future closes the connection; PostgreSQL notices when it next
/// writes to it, and removes the half-made slot, which is ephemeral until the command succeeds.
pub(crate) async fn create(
    walsender: &mut Connection,
    name: &str,
    version: u32,
    kind: SlotKind,
) -> Result<NewSlot, SourceError> {
    let row = walsender
        .query_row(&create_statement(name, version, kind))
        .await
        .map_err(|error| creation_failed(error, name))?
        .unwrap_or_default();
    let consistent_point =
        server::parse_lsn(text(&row, 1)).map_err(|error| error.during("creating the replication slot"))?;
    Ok(NewSlot {
        consistent_point,
        snapshot: text(&row, 2).to_owned(),
    })
}

/// PostgreSQL 14 has no option list; 17 added FAILOVER.
fn create_statement(name: &str, version: u32, kind: SlotKind) -> String {
    let temporary = if kind.temporary { " TEMPORARY" } else { "" };
    let slot = format!(
        "CREATE_REPLICATION_SLOT {}{temporary} LOGICAL pgoutput",
        identifier(name)
    );
    let snapshot = if kind.export_snapshot { "export" } else { "nothing" };
    match version {
        ..15_00_00 if kind.export_snapshot => format!("{slot} EXPORT_SNAPSHOT"),
        ..15_00_00 => format!("{slot} NOEXPORT_SNAPSHOT"),
        FAILOVER_SINCE.. if kind.failover => format!("{slot} (SNAPSHOT '{snapshot}', FAILOVER)"),
        _ => format!("{slot} (SNAPSHOT '{snapshot}')"),
    }
}

fn creation_failed(error: ConnectionError, name: &str) -> SourceError {
    let doing = format!("creating replication slot {name:?}");
    match error.sqlstate() {
        Some("53400") => refused(format!(
            "{doing}: {error}; drop slots that nobody uses (SELECT * FROM pg_replication_slots), or raise \
             max_replication_slots and restart PostgreSQL"
        )),
        Some("42501") => refused(format!(
            "{doing}: {error}; give the role REPLICATION: ALTER ROLE … REPLICATION"
        )),
        _ => error.during(&doing),
    }
}

/// Who holds up the creation of the walsender's slot: open transactions older than it, oldest first.
pub(crate) async fn blockers(session: &mut Connection, walsender_pid: &str) -> Result<Vec<String>, ConnectionError> {
    let statement = format!(
        "SELECT pid, coalesce(usename, ''), extract(epoch FROM clock_timestamp() - xact_start)::int8 \
         FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL AND pid NOT IN ({walsender_pid}, \
         pg_catalog.pg_backend_pid()) ORDER BY xact_start LIMIT 5"
    );
    let describe = |row: &Row| {
        format!(
            "process {} of role {:?}, open for {} s",
            text(row, 0),
            text(row, 1),
            text(row, 2)
        )
    };
    Ok(session.query(&statement).await?.iter().map(describe).collect())
}

#[cfg(test)]
#[path = "slot_tests.rs"]
mod tests;
