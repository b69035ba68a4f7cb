//! What errors mean while changes are read: which pass by themselves, and which need a person and why.

use super::{history::OtherHistory, transaction::OutOfOrder};
use crate::{
    ConnectorConfig, SourceError,
    connection::error::{ConnectionError, ServerError},
    pgoutput::DecodeError,
    server,
};

/// character_not_in_repertoire: bytes that the encoding does not have, as a database in SQL_ASCII takes any.
pub(crate) const NOT_IN_ENCODING: &str = "22021";
/// untranslatable_character: one that UTF-8 has no translation for.
pub(crate) const NOT_IN_UNICODE: &str = "22P05";

pub(super) fn start_failed(error: ConnectionError, doing: &str, config: &ConnectorConfig) -> SourceError {
    match error.sqlstate() {
        Some("55000") => SourceError::Refused(format!("{doing}: {error}; {}", server::NEW_SNAPSHOT)),
        Some("42704") => stream_failed(error, config),
        // What pgoutput does not take it calls an internal error, of the kind that passes.
        Some("XX000" | "22023" | "42601") if !config.replication.params.is_empty() => SourceError::Refused(format!(
            "{doing}: {error}; slot.stream.params takes options of this server's pgoutput"
        )),
        _ => error.during(doing),
    }
}

/// An error while changes are read. A publication that is not there any more, or was not there when the changes were
/// written, cannot mend itself: PostgreSQL looks it up as of the moment of each change.
pub(super) fn stream_failed(error: ConnectionError, config: &ConnectorConfig) -> SourceError {
    match error.sqlstate() {
        Some("42704") => without_publication(&error, config),
        Some("55000") => SourceError::Refused(format!("reading changes: {error}; {}", server::NEW_SNAPSHOT)),
        Some(NOT_IN_ENCODING | NOT_IN_UNICODE) => SourceError::Refused(format!(
            "reading changes: {error}; a row holds text that is none in the database's encoding, or has no place in Unicode, \
             so PostgreSQL cannot decode its transaction for anybody: mend such rows, {}",
            server::NEW_SNAPSHOT
        )),
        _ => error.during("reading changes"),
    }
}

/// A notice while changes are read. PostgreSQL 18 goes on without a publication that is not there, and decodes nothing;
/// its warning comes at the place in the stream where the first change is missing, so nothing after it is confirmed.
pub(super) fn warned(body: &[u8], config: &ConnectorConfig) -> Result<(), SourceError> {
    let notice = ServerError::parse(body);
    let about_ours = notice.code == "55000" && notice.message.contains(&format!("\"{}\"", config.publication_name));
    match about_ours {
        true => Err(without_publication(&ConnectionError::Server(notice), config)),
        false => Ok(()),
    }
}

fn without_publication(error: &ConnectionError, config: &ConnectorConfig) -> SourceError {
    SourceError::Refused(format!(
        "reading changes: {error}; publication {:?} was dropped, or created after the slot: create it again, {}",
        config.publication_name,
        server::NEW_SNAPSHOT
    ))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As PostgreSQL 18 sends it (`LoadPublications` in pgoutput.c), in any language.
    fn notice(code: &str, message: &str) -> Vec<u8> {
        format!(
            "SWARNUNG\0VWARNING\0C{code}\0M{message}\0DThe publication does not exist at this point in the WAL.\0\0"
        )
        .into_bytes()
    }

    #[test]
    fn a_warning_that_the_publication_was_skipped_ends_the_stream() {
        let config = crate::config::sample::config(r#","publication.name":"ours""#);
        let error =
            warned(&notice("55000", "skipped loading publication \"ours\""), &config).expect_err("ours is gone");
        assert!(
            matches!(&error, SourceError::Refused(why) if why.contains("take a new snapshot")),
            "{error}"
        );
        assert!(warned(&notice("55000", "skipped loading publication \"theirs\""), &config).is_ok());
        assert!(warned(&notice("01000", "something about \"ours\""), &config).is_ok());
    }
}
