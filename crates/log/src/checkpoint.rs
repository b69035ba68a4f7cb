//! What is known to be durable beyond doubt: Kafka's `recovery-point-offset-checkpoint` file.
//!
//! Written a while after a sync and when the log is closed, so that a damaged byte is told from a torn write. It is a
//! lower bound: after a crash it is merely old. Knows nothing of where offsets lie.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::{Mutex, RwLock};

use crate::{
    LogError, TopicPartition,
    directory::Topics,
    storage::{Storage, failed, replace_file},
};

const FILE: &str = "recovery-point-offset-checkpoint";

/// For each partition the offset below which everything was committed and synced.
pub(crate) type RecoveryPoints = BTreeMap<TopicPartition, u64>;

/// Keeps the checkpoint file of a log that is open.
pub(crate) struct Checkpoint {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) data_dir: PathBuf,
    pub(crate) topics: Arc<RwLock<Topics>>,
    /// What the file says. Whoever makes or removes a topic holds it meanwhile.
    pub(crate) points: Arc<Mutex<RecoveryPoints>>,
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint").finish_non_exhaustive()
    }
}

impl Checkpoint {
    /// Writes down how far every partition is durable now, if that is news.
    pub(crate) fn renew(&self) -> Result<(), LogError> {
        let mut points = self.points.lock();
        let topics = self.topics.read();
        let partitions = topics.values().flat_map(|topic| &topic.partitions);
        let now: RecoveryPoints = partitions
            .map(|partition| (partition.id.clone(), partition.durable_end()))
            .collect();
        drop(topics);
        if now != *points {
            write(&*self.storage, &self.data_dir, &now)?;
            *points = now;
        }
        Ok(())
    }
}

/// Reads the checkpoint; none is none. One that cannot be understood says nothing either.
pub(crate) fn read(data_dir: &Path) -> Result<RecoveryPoints, LogError> {
    let path = data_dir.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(parse(&text).unwrap_or_else(|| {
            tracing::warn!(path = %path.display(), "ignoring a recovery point file that is not one");
            RecoveryPoints::new()
        })),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => Ok(RecoveryPoints::new()),
        Err(e) => Err(failed("read", &path, e)),
    }
}

/// Replaces the checkpoint, durably.
pub(crate) fn write(storage: &dyn Storage, data_dir: &Path, points: &RecoveryPoints) -> Result<(), LogError> {
    let mut text = format!("0\n{}\n", points.len());
    for (partition, offset) in points {
        text += &format!("{} {} {offset}\n", partition.topic, partition.partition);
    }
    replace_file(storage, &data_dir.join(FILE), text.as_bytes())
}

fn parse(text: &str) -> Option<RecoveryPoints> {
    let mut lines = text.lines();
    lines.next().filter(|version| *version == "0")?;
    let count: usize = lines.next()?.parse().ok()?;
    let points: RecoveryPoints = lines.map(parse_line).collect::<Option<_>>()?;
    (points.len() == count).then_some(points)
}

fn parse_line(line: &str) -> Option<(TopicPartition, u64)> {
    let mut words = line.split(' ');
    let partition = TopicPartition {
        topic: words.next()?.into(),
        partition: words.next()?.parse().ok()?,
    };
    Some((partition, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Disk;

    #[test]
    fn points_come_back_and_nonsense_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path()).unwrap().is_empty());
        let points = RecoveryPoints::from([(
            TopicPartition {
                topic: "a-b.c".into(),
                partition: 0,
            },
            7,
        )]);
        write(&Disk, dir.path(), &points).unwrap();
        assert_eq!(read(dir.path()).unwrap(), points);
        for nonsense in ["", "1\n0\n", "0\n2\na 0 1\n", "0\n1\na 0\n", "\u{fffd}"] {
            std::fs::write(dir.path().join(FILE), nonsense).unwrap();
            assert!(read(dir.path()).unwrap().is_empty(), "{nonsense:?}");
        }
    }
}
