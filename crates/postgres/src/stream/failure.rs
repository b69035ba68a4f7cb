//! What errors mean while changes are read: which pass by themselves, and which need a person and why.

use super::{history::OtherHistory, transaction::OutOfOrder};
use crate::{ConnectorConfig, SourceError, connection::error::ConnectionError, pgoutput::DecodeError, server};

pub(super) fn start_failed(error: ConnectionError, doing: &str, config: &ConnectorConfig) -> SourceError {
    match error.sqlstate() {
        Some("55000") => SourceError::Refused(format!("{doing}: {error}; {}", server::NEW_SNAPSHOT)),
        Some("42704") => stream_failed(error, config),
        _ => error.during(doing),
    }
}

/// An error while changes are read. A publication that is not there any more, or was not there when the changes were
/// written, cannot mend itself: PostgreSQL looks it up as of the moment of each change.
pub(super) fn stream_failed(error: ConnectionError, config: &ConnectorConfig) -> SourceError {
    match error.sqlstate() {
        Some("42704") => SourceError::Refused(format!(
            "reading changes: {error}; publication {:?} was dropped, or created after the slot: create it again, {}",
            config.publication_name,
            server::NEW_SNAPSHOT
        )),
        Some("55000") => SourceError::Refused(format!("reading changes: {error}; {}", server::NEW_SNAPSHOT)),
        _ => error.during("reading changes"),
    }
}

pub(super) fn broken(error: ConnectionError) -> SourceError {
    error.during("reading changes")
}

pub(super) fn malformed(error: DecodeError) -> SourceError {
    SourceError::Refused(format!("{error}; please report this, with the server's version"))
}

pub(super) fn out_of_order(OutOfOrder(what): OutOfOrder) -> SourceError {
    SourceError::Refused(format!(
        "the server's replication stream is out of order: {what}; please report this"
    ))
}

pub(super) fn other_history(OtherHistory(held): OtherHistory) -> SourceError {
    SourceError::Refused(format!(
        "the server has another history than the log: it lacks the transaction that the log ends with (commit at {}, end at \
         {}), so it was restored from an older copy and has written on since; {}. (If publication.name was changed before \
         this start, set it back for one start.)",
        held.commit_lsn,
        held.end_lsn,
        server::NEW_SNAPSHOT
    ))
}
