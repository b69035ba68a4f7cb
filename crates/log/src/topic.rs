//! What a topic is on disk: its name, its directories, its identity.
//!
//! Kafka's rules for all three, so that the directory of a partition is one that Kafka's tools know:
//! `<topic>-<partition>/partition.metadata` holds the topic id, which is our [`Epoch`].

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{Epoch, LogError, storage::failed};

/// Kafka's bound, so that `<topic>-<partition>` stays a file name.
const NAME_BYTES_MAX: usize = 249;

/// The file in a partition's directory that names its topic's id.
pub(crate) const METADATA: &str = "partition.metadata";

/// Checks Kafka's rules for topic names.
pub(crate) fn check_name(topic: &str) -> Result<(), LogError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let why = match topic {
        "" => "is empty",
        "." | ".." => "may not be \".\" or \"..\"",
        _ if topic.len() > NAME_BYTES_MAX => "is longer than 249 characters",
        _ if !topic.bytes().all(legal) => "may hold only ASCII letters, digits, '.', '_' and '-'",
        _ => return Ok(()),
    };
    let shown: String = topic.chars().take(NAME_BYTES_MAX + 1).collect();
    Err(LogError::Invalid(format!(
        "topic name {shown:?} {why}; choose another topic.prefix or table name mapping"
    )))
}

/// The topic and partition that a directory is named for, if it is one.
pub(crate) fn parse_dir(name: &str) -> Option<(&str, u32)> {
    let (topic, digits) = name.rsplit_once('-')?;
    let partition: u32 = digits.parse().ok()?;
    (check_name(topic).is_ok() && digits == partition.to_string()).then_some((topic, partition))
}

/// A new topic id: a random UUID of version 4, as Kafka makes them.
pub(crate) fn new_epoch() -> Result<Epoch, LogError> {
    let mut bytes = [0; 16];
    let path = Path::new("/dev/urandom");
    let read = File::open(path).and_then(|mut random| random.read_exact(&mut bytes));
    read.map_err(|e| failed("read", path, e))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    match URL_SAFE_NO_PAD.encode(bytes).starts_with('-') {
        // Kafka passes these over too: an id is often an argument on a command line.
        true => new_epoch(),
        false => Ok(Epoch(u128::from_be_bytes(bytes))),
    }
}

/// The text of `partition.metadata`.
pub(crate) fn metadata_text(epoch: Epoch) -> String {
    format!(
        "version: 0\ntopic_id: {}",
        URL_SAFE_NO_PAD.encode(epoch.0.to_be_bytes())
    )
}

/// Reads a partition's topic id.
pub(crate) fn read_metadata(dir: &Path) -> Result<Epoch, LogError> {
    let path = dir.join(METADATA);
    let text = std::fs::read(&path).map_err(|e| failed("read", &path, e))?;
    let unreadable = || {
        let source = io::Error::new(io::ErrorKind::InvalidData, "it names no topic_id of version 0");
        failed("understand", &path, source)
    };
    let text = String::from_utf8(text).map_err(|_| unreadable())?;
    let mut lines = text.lines();
    let version = lines.next().filter(|line| *line == "version: 0");
    let id = lines.next().and_then(|line| line.strip_prefix("topic_id: "));
    let bytes = version.and(id).and_then(|id| URL_SAFE_NO_PAD.decode(id).ok());
    let bytes: [u8; 16] = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(unreadable)?;
    Ok(Epoch(u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kafkas() {
        for good in ["orders.public.orders", "__rowcast_offsets", "A-1", &"x".repeat(249)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "ä", "a\0", &"x".repeat(250)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_a_partitions_directory_is_taken_for_one() {
        assert_eq!(parse_dir("a-b-12"), Some(("a-b", 12)));
        for other in ["a", "a-", "a-01", "a-1.deleted", "-1", "a-1.unfinished", "a--1-"] {
            assert_eq!(parse_dir(other), None, "{other}");
        }
    }

    #[test]
    fn an_epoch_is_written_as_kafka_writes_a_topic_id() {
        let epoch = Epoch(0x0123_4567_89ab_4def_8123_4567_89ab_cdef);
        assert_eq!(metadata_text(epoch), "version: 0\ntopic_id: ASNFZ4mrTe-BI0VniavN7w");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(METADATA), metadata_text(epoch)).unwrap();
        assert_eq!(read_metadata(dir.path()).unwrap(), epoch);
        assert_ne!(new_epoch().unwrap(), new_epoch().unwrap());
    }
}
