//! Which server this is, whether it can serve us, and whether its history still contains what the log holds.
//!
//! LSNs mean something only within one system identifier and one line of timelines. A position taken to another server,
//! or to one restored to an earlier time, would silently skip rows: PostgreSQL does not check it, so we do.

use rowcast_event::{Lsn, SESSION_SETTINGS};

use crate::{
    Resume, ServerIdentity, SourceError,
    connection::{Connection, error::ConnectionError},
    query::{flag, literal, number, text},
};

/// The oldest major version whose behaviour is tested.
const VERSION_MIN: u32 = 14_00_00;
/// Settings that could end a long snapshot, an idle stream or a long wait from outside of our connection, or keep from
/// us what we must know. With row security off a filtered table is an error instead of a snapshot with holes.
const PATIENCE: &[(&str, &str)] = &[
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("row_security", "off"),
    ("standard_conforming_strings", "on"),
    // PostgreSQL 18 says by a warning, and by nothing else, that the publication is gone.
    ("client_min_messages", "warning"),
    // Names in default expressions are qualified by it; this is PostgreSQL's own default.
    ("search_path", "\"$user\", public"),
];

/// What the server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// `server_version_num`.
    pub(crate) version: u32,
    pub(crate) identity: ServerIdentity,
    /// End of the WAL that is safe on its disk.
    pub(crate) wal_flushed: Lsn,
}

/// Sets everything on which the text of values or the life of the session depends, whatever role and database say.
pub(crate) async fn prepare_session(session: &mut Connection) -> Result<(), ConnectionError> {
    let set =
        |(name, value): &(&str, &str)| format!("pg_catalog.set_config({}, {}, false)", literal(name), literal(value));
    let settings: Vec<String> = PATIENCE.iter().chain(SESSION_SETTINGS).map(set).collect();
    // PostgreSQL 17 and later; by name through the catalog, so that older ones do not object.
    let settings = format!(
        "SELECT {}; SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings \
         WHERE name = 'transaction_timeout'",
        settings.join(", ")
    );
    session.query(&settings).await.map(|_| ())
}

/// Version and wal_level, checked.
pub(crate) async fn check_settings(session: &mut Connection) -> Result<u32, SourceError> {
    let statement = "SELECT pg_catalog.current_setting('server_version_num'), pg_catalog.current_setting('wal_level'), \
                     pg_catalog.current_setting('server_encoding')";
    let doing = "reading the server's settings";
    let row = session
        .query_row(statement)
        .await
        .map_err(|error| error.during(doing))?
        .unwrap_or_default();
    let version: u32 = number(&row, 0, "server_version_num").map_err(|error| error.during(doing))?;
    if version < VERSION_MIN {
        return Err(SourceError::Refused(format!(
            "this PostgreSQL is version {}.{}; version 14 or later is needed",
            version / 10_000,
            version % 10_000
        )));
    }
    if text(&row, 1) != "logical" {
        return Err(SourceError::Refused(format!(
            "wal_level is {:?}, but changes can be read only with wal_level = logical: run ALTER SYSTEM SET wal_level = \
             logical, then restart PostgreSQL",
            text(&row, 1)
        )));
    }
    if text(&row, 2) == "SQL_ASCII" {
        tracing::warn!("the database's encoding is SQL_ASCII: text that is not UTF-8 cannot be delivered as it is");
    }
    Ok(version)
}

/// Asks the walsender who it is.
pub(crate) async fn identify(walsender: &mut Connection, version: u32) -> Result<Server, SourceError> {
    let asked = async {
        let row = walsender.query_row("IDENTIFY_SYSTEM").await?.unwrap_or_default();
        Ok(Server {
            version,
            identity: ServerIdentity {
                system_identifier: text(&row, 0).to_owned(),
                timeline: number(&row, 1, "the timeline")?,
            },
            wal_flushed: parse_lsn(text(&row, 2))?,
        })
    };
    asked
        .await
        .map_err(|error: ConnectionError| error.during("identifying the server"))
}

/// Reads `16/B374D848`.
pub(crate) fn parse_lsn(text: &str) -> Result<Lsn, ConnectionError> {
    text.parse()
        .map_err(|_| ConnectionError::protocol("the server's answer for an LSN is not one"))
}

/// Refuses a server whose history does not contain the log's position.
pub(crate) async fn check_history(
    walsender: &mut Connection,
    server: &Server,
    resume: &Resume,
) -> Result<(), SourceError> {
    let Some(known) = &resume.server else { return Ok(()) };
    let position = resume.position();
    if known.system_identifier != server.identity.system_identifier {
        return Err(SourceError::Refused(format!(
            "this is another PostgreSQL cluster: system identifier {}, but the log was filled from {}; point \
             database.hostname at the old one, or start with a new data directory (on Kafka: with another connector name) and a new \
             slot",
            server.identity.system_identifier, known.system_identifier
        )));
    }
    if known.timeline > server.identity.timeline {
        return Err(SourceError::Refused(format!(
            "the server is on timeline {}, but the log was filled from timeline {}: it was restored from an old backup; \
             {NEW_SNAPSHOT}",
            server.identity.timeline, known.timeline
        )));
    }
    if known.timeline < server.identity.timeline {
        check_timelines(walsender, known.timeline, server.identity.timeline, position).await?;
    }
    if position > server.wal_flushed {
        return Err(SourceError::Refused(format!(
            "the server is behind the log: its WAL ends at {}, the log already holds changes up to {position} (timeline \
             {}): it was restored from a backup, or failed over to a standby that lagged; {NEW_SNAPSHOT}",
            server.wal_flushed, server.identity.timeline
        )));
    }
    Ok(())
}

/// What helps when log and server have parted.
pub(crate) const NEW_SNAPSHOT: &str = "take a new snapshot: drop the replication slot and start with a new data directory (on Kafka: with another connector \
     name)";

/// The server may have been promoted since: fine, as long as its new timeline began after what the log holds.
async fn check_timelines(
    walsender: &mut Connection,
    known: u32,
    current: u32,
    position: Lsn,
) -> Result<(), SourceError> {
    let row = walsender
        .query_row(&format!("TIMELINE_HISTORY {current}"))
        .await
        .map_err(|error| error.during("reading the server's timeline history"))?
        .unwrap_or_default();
    match switch_point(text(&row, 1), known) {
        Some(switched) if switched >= position => Ok(()),
        Some(switched) => Err(SourceError::Refused(format!(
            "the server left timeline {known} at {switched}, but the log holds changes of that timeline up to \
             {position}: it failed over to a standby that lagged, and those changes are gone there; {NEW_SNAPSHOT}"
        ))),
        None => Err(SourceError::Refused(format!(
            "the server's timeline {current} does not descend from timeline {known}, which the log was filled from; \
             {NEW_SNAPSHOT}"
        ))),
    }
}

/// Where a timeline history file (`parent<TAB>switchpoint<TAB>reason` lines) says that `timeline` was left.
fn switch_point(history: &str, timeline: u32) -> Option<Lsn> {
    history.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        (fields.next()?.parse() == Ok(timeline)).then_some(())?;
        parse_lsn(fields.next()?).ok()
    })
}

/// After how much silence from us the server ends the connection; `None`: never.
pub(crate) async fn wal_sender_timeout(
    session: &mut Connection,
) -> Result<Option<std::time::Duration>, ConnectionError> {
    let statement = "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'";
    let row = session.query_row(statement).await?.unwrap_or_default();
    let milliseconds: u64 = number(&row, 0, "wal_sender_timeout")?;
    Ok((milliseconds > 0).then(|| std::time::Duration::from_millis(milliseconds)))
}

/// True on a standby, where nothing can be created.
pub(crate) async fn in_recovery(session: &mut Connection) -> Result<bool, ConnectionError> {
    Ok(session
        .query_row("SELECT pg_catalog.pg_is_in_recovery()")
        .await?
        .is_some_and(|row| flag(&row, 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_point_is_found_in_a_history_file() {
        let history = "1\t0/A000120\tno recovery target specified\n\n2\t1/B0000A8\tbefore 2026\n";
        assert_eq!(switch_point(history, 2), Some(Lsn(0x1_0B00_00A8)));
        assert_eq!(switch_point(history, 3), None);
        assert_eq!(switch_point("", 1), None);
    }
}
