//! The data directory: who may use it, which topics lie in it, how a topic is made and removed.
//!
//! A topic's partitions are directories of Kafka's names. Partition 0 is put in place last, so a topic whose making was
//! cut off is not there at all; its other directories are removed at the next open. Knows nothing of what is inside a
//! partition.

use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    io::{Read, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    Epoch, LogError, TopicInfo, TopicPartition,
    checkpoint::RecoveryPoints,
    partition::Partition,
    recovery::{self, Kind},
    segment::Segment,
    storage::{Storage, failed, replace_file},
    topic,
};

/// The file whose lock says that a process owns the directory, as in Kafka; the owner's pid is in it.
const LOCK_FILE: &str = ".lock";

/// A directory with this suffix is of a topic that was deleted and waits for its files to be unlinked.
const DELETED: &str = ".deleted";

/// A directory with this suffix is of a topic that is being made.
const UNFINISHED: &str = ".unfinished";

/// Kafka's file that names the cluster; here it marks a directory that holds copies of that cluster's topics.
const CLUSTER_FILE: &str = "meta.properties";

/// A topic that is open.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) info: TopicInfo,
    pub(crate) partitions: Vec<Arc<Partition>>,
}

/// By name.
pub(crate) type Topics = BTreeMap<Arc<str>, Topic>;

/// Makes the directory if it is missing, for this user alone: it holds everybody's rows.
pub(crate) fn create(data_dir: &Path) -> Result<(), LogError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .map_err(|e| failed("create", data_dir, e))
}

/// Takes the directory's lock, or says who has it.
pub(crate) fn lock(data_dir: &Path) -> Result<File, LogError> {
    let path = data_dir.join(LOCK_FILE);
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let mut file = file.map_err(|e| failed("open", &path, e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            let dir = data_dir.display();
            return Err(LogError::Locked(format!(
                "the data directory {dir} is in use by process {}; stop it, or choose another --data-dir",
                pid.trim()
            )));
        }
        Err(TryLockError::Error(e)) => return Err(failed("lock", &path, e)),
    }
    let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(|e| failed("write", &path, e))?;
    Ok(file)
}

/// Whose records a directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin<'a> {
    /// A log's own.
    Own,
    /// Copies of this cluster's.
    Cluster(&'a str),
    /// Copies of a cluster's that nobody could be asked about yet.
    SomeCluster,
}

/// Checks that the directory holds what it is opened for.
pub(crate) fn check_origin(storage: &dyn Storage, data_dir: &Path, origin: Origin<'_>) -> Result<(), LogError> {
    let path = data_dir.join(CLUSTER_FILE);
    let found = match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => return Err(failed("read", &path, e)),
    };
    let found = found.as_deref().map(|text| {
        text.lines()
            .find_map(|line| line.strip_prefix("cluster.id="))
            .unwrap_or("")
    });
    let dir = data_dir.display();
    match (found, origin) {
        (None, Origin::Own) | (Some(_), Origin::SomeCluster) => Ok(()),
        (Some(found), Origin::Cluster(origin)) if found == origin => Ok(()),
        (Some(found), Origin::Cluster(origin)) => Err(LogError::Invalid(format!(
            "the data directory {dir} holds copies of Kafka cluster {found}, not of {origin}; choose another --data-dir, or \
             remove it: all that it holds is fetched again"
        ))),
        (Some(found), Origin::Own) => Err(LogError::Invalid(format!(
            "the data directory {dir} holds copies of Kafka cluster {found}, not a log of its own; give --kafka, or choose \
             another --data-dir"
        ))),
        (None, Origin::Cluster(_) | Origin::SomeCluster) if !names_in(data_dir)?.is_empty() => {
            Err(LogError::Invalid(format!(
                "the data directory {dir} holds a log of its own, which is not put into Kafka; choose another --data-dir for \
             --kafka"
            )))
        }
        (None, Origin::SomeCluster) => Ok(()),
        (None, Origin::Cluster(origin)) => {
            let text = format!("version=1\ncluster.id={origin}\n");
            replace_file(storage, &path, text.as_bytes())
        }
    }
}

/// Removes what an earlier process was making or unlinking.
pub(crate) fn remove_leftovers(data_dir: &Path) -> Result<(), LogError> {
    let names = names_in(data_dir)?;
    let is_of_a_topic = |name: &str| {
        let first = topic::parse_dir(name).map(|(topic, _)| format!("{topic}-0"));
        first.is_none_or(|first| names.contains(&first))
    };
    for name in &names {
        if name.ends_with(DELETED) || name.ends_with(UNFINISHED) || !is_of_a_topic(name) {
            let dir = data_dir.join(name);
            std::fs::remove_dir_all(&dir).map_err(|e| failed("remove", &dir, e))?;
        }
    }
    Ok(())
}

/// The directories in a directory, by name.
pub(crate) fn names_in(data_dir: &Path) -> Result<Vec<String>, LogError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(data_dir).map_err(|e| failed("list", data_dir, e))? {
        let entry = entry.map_err(|e| failed("list", data_dir, e))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}

/// How many partitions of each topic lie in a directory: from 0 on, without a hole.
pub(crate) fn partition_counts(names: &[String]) -> BTreeMap<&str, u32> {
    let mut partitions: Vec<(&str, u32)> = names.iter().filter_map(|name| topic::parse_dir(name)).collect();
    partitions.sort_unstable();
    let mut counts = BTreeMap::new();
    for (topic, partition) in partitions {
        let count = counts.entry(topic).or_insert(0);
        if *count == partition {
            *count += 1;
        }
    }
    counts.retain(|_, count| *count > 0);
    counts
}

/// Opens every topic of the directory and recovers what it holds.
pub(crate) fn open_topics(
    storage: &dyn Storage,
    data_dir: &Path,
    kind: Kind,
    points: &RecoveryPoints,
) -> Result<Topics, LogError> {
    let names = names_in(data_dir)?;
    let counts = partition_counts(&names);
    let opened = counts.into_iter().map(|(name, partitions)| {
        let name: Arc<str> = name.into();
        let topic = open_topic(storage, data_dir, &name, partitions, kind, points)?;
        Ok((name, topic))
    });
    opened.collect()
}

fn open_topic(
    storage: &dyn Storage,
    data_dir: &Path,
    name: &Arc<str>,
    partitions: u32,
    kind: Kind,
    points: &RecoveryPoints,
) -> Result<Topic, LogError> {
    let epoch = topic::read_metadata(&data_dir.join(format!("{name}-0")))?;
    let info = TopicInfo {
        name: Arc::clone(name),
        partitions,
        epoch,
    };
    let open = |partition| {
        let id = TopicPartition {
            topic: Arc::clone(name),
            partition,
        };
        let point = points.get(&id).copied().unwrap_or(0);
        open_partition(storage, data_dir, id, kind, epoch, point)
    };
    let partitions = (0..partitions).map(open).collect::<Result<_, _>>()?;
    Ok(Topic { info, partitions })
}

fn open_partition(
    storage: &dyn Storage,
    data_dir: &Path,
    id: TopicPartition,
    kind: Kind,
    epoch: Epoch,
    point: u64,
) -> Result<Arc<Partition>, LogError> {
    let dir = data_dir.join(id.to_string());
    let found = topic::read_metadata(&dir)?;
    if found != epoch {
        return Err(LogError::Invalid(format!(
            "{} belongs to another topic than {}-0 beside it; put back the folder that was there, or move both aside",
            dir.display(),
            id.topic
        )));
    }
    let recovered = recovery::recover(storage, &dir, kind, epoch, point)?;
    Ok(Arc::new(Partition::new(id, epoch, dir, recovered)))
}

/// Makes partitions of a topic, beginning at these offsets, and opens them; the first of the list last, so that the
/// topic is there when all of it is.
pub(crate) fn create_partitions(
    storage: &dyn Storage,
    data_dir: &Path,
    kind: Kind,
    epoch: Epoch,
    partitions: &[(TopicPartition, u64)],
) -> Result<Vec<Arc<Partition>>, LogError> {
    for (id, start) in partitions.iter().rev() {
        create_partition(storage, data_dir, id, epoch, *start)?;
    }
    storage.sync_dir(data_dir).map_err(|e| failed("sync", data_dir, e))?;
    let opened = partitions
        .iter()
        .map(|(id, _)| open_partition(storage, data_dir, id.clone(), kind, epoch, 0));
    opened.collect()
}

/// Makes the directory whole under another name first: a crash leaves all of it or nothing.
fn create_partition(
    storage: &dyn Storage,
    data_dir: &Path,
    id: &TopicPartition,
    epoch: Epoch,
    start: u64,
) -> Result<(), LogError> {
    let dir = data_dir.join(id.to_string());
    let unfinished = data_dir.join(format!("{id}{UNFINISHED}"));
    std::fs::create_dir(&unfinished).map_err(|e| failed("create", &unfinished, e))?;
    let metadata = topic::metadata_text(epoch);
    replace_file(storage, &unfinished.join(topic::METADATA), metadata.as_bytes())?;
    Segment::create(&unfinished, start)?;
    storage
        .sync_dir(&unfinished)
        .map_err(|e| failed("sync", &unfinished, e))?;
    std::fs::rename(&unfinished, &dir).map_err(|e| failed("create", &dir, e))
}

/// Takes a topic's directories away, partition 0 first, and tells under which names their files wait to be unlinked.
pub(crate) fn retire(
    storage: &dyn Storage,
    data_dir: &Path,
    partitions: &[Arc<Partition>],
) -> Result<Vec<PathBuf>, LogError> {
    let mut retired = Vec::with_capacity(partitions.len());
    for partition in partitions {
        let deleted = data_dir.join(format!("{}.{:032x}{DELETED}", partition.id, partition.epoch.0));
        std::fs::rename(&partition.dir, &deleted).map_err(|e| failed("remove", &partition.dir, e))?;
        storage.sync_dir(data_dir).map_err(|e| failed("sync", data_dir, e))?;
        retired.push(deleted);
    }
    Ok(retired)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_that_is_made_here_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let outer = tempfile::tempdir().unwrap();
        let made = outer.path().join("data");
        create(&made).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&made), 0o700);
        std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o750)).unwrap();
        create(&made).unwrap();
        assert_eq!(mode(&made), 0o750, "what the operator chose stays");
    }

    #[test]
    fn partitions_count_from_zero_without_a_hole() {
        let names = ["a-0", "a-1", "a-3", "b-1", "c.d-0", "c.d-0.deleted", "x"].map(str::to_owned);
        assert_eq!(partition_counts(&names), BTreeMap::from([("a", 2), ("c.d", 1)]));
    }
}
