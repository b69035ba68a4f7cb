//! A disk that loses power, is full, or fails to sync.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use rowcast_log::{
    EmbeddedLog, EmbeddedOptions, FlushSeq, Log, LogError, Offset, Storage, TopicCreation, Visibility, WriterId,
    contract::{partition, wait_for},
};

use crate::image::*;

/// Notes how long each file was when it was last synced, and fails when told to.
#[derive(Debug, Default)]
struct Faulty {
    synced: Mutex<HashMap<PathBuf, u64>>,
    /// Bytes that the disk still takes.
    room: Mutex<Option<usize>>,
    sync_fails: Mutex<bool>,
    /// Files whose names their directories keep.
    named: Mutex<HashSet<PathBuf>>,
    /// Held while a picture of the disk is taken.
    still: Mutex<()>,
}

impl Storage for Faulty {
    fn write_at(&self, file: &File, _path: &Path, bytes: &[u8], at: u64) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        let _still = self.still.lock().unwrap();
        let mut room = self.room.lock().unwrap();
        let fits = room.map_or(bytes.len(), |room| room.min(bytes.len()));
        file.write_all_at(&bytes[..fits], at)?;
        *room = room.map(|room| room - fits);
        if fits < bytes.len() {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }

    fn sync(&self, file: &File, path: &Path) -> io::Result<()> {
        if *self.sync_fails.lock().unwrap() {
            return Err(io::Error::other("the disk is on fire"));
        }
        let _still = self.still.lock().unwrap();
        let len = file.metadata()?.len();
        file.sync_data()?;
        self.synced.lock().unwrap().insert(path.to_path_buf(), len);
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let _still = self.still.lock().unwrap();
        File::open(path)?.sync_all()?;
        let mut named = self.named.lock().unwrap();
        for entry in std::fs::read_dir(path)? {
            named.insert(entry?.path());
        }
        Ok(())
    }
}

/// Loses un-synced bytes as a power cut does: the file ends anywhere behind what was synced, and sectors of the rest
/// may be missing in any order. A file that its directory was not synced with may be gone.
fn lose_power(
    random: &mut Random,
    image: &Path,
    (synced, named): &(HashMap<PathBuf, u64>, HashSet<PathBuf>),
    living: &Path,
) {
    let dir = image.join(format!("{TOPIC}-0"));
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        let was = living.join(path.strip_prefix(image).unwrap());
        if !path.extension().is_some_and(|e| e == "log" || e == "index") {
            continue;
        }
        if !named.contains(&was) && random.below(2) == 0 {
            std::fs::remove_file(&path).unwrap();
            continue;
        }
        let synced = synced.get(&was).copied().unwrap_or(0) as usize;
        let mut bytes = std::fs::read(&path).unwrap();
        if synced < bytes.len() {
            bytes.truncate(synced + random.below((bytes.len() - synced + 1) as u64) as usize);
            for sector in bytes[synced..].chunks_mut(512) {
                if random.below(3) == 0 {
                    sector.fill(0);
                }
            }
        }
        std::fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn a_power_cut_loses_no_durable_transaction_and_leaves_whole_ones() {
    let mut random = Random::seeded("power cut");
    let images = if std::env::var_os("ROWCAST_LONG").is_some() {
        5000
    } else {
        300
    };
    let storage = Arc::new(Faulty::default());
    let options = EmbeddedOptions {
        // Whatever power takes, it never takes what the recovery points promise.
        checkpoint_after: Duration::ZERO,
        storage: Arc::clone(&storage) as Arc<dyn Storage>,
        ..options(50_000)
    };
    let living = tempfile::tempdir().unwrap();
    let mut log = EmbeddedLog::open(living.path(), options.clone()).unwrap();
    log.ensure_topic(TOPIC, &TopicCreation::default()).unwrap();
    let mut appender = log.appender(&WriterId::new("test")).unwrap();
    let (mut next, mut flushed_upto) = (0, HashMap::from([(FlushSeq(0), 0)]));
    for _ in 0..images {
        for _ in 0..random.below(12) {
            append_transaction(&mut *appender, next);
            next += 1;
            if random.below(2) == 0 {
                flushed_upto.insert(appender.flush(Visibility::Now).unwrap(), next);
            }
        }
        let durable = *appender.durable().borrow();
        let image = tempfile::tempdir().unwrap();
        let synced = {
            let _still = storage.still.lock().unwrap();
            copy_dir(living.path(), image.path());
            let synced = storage.synced.lock().unwrap().clone();
            (synced, storage.named.lock().unwrap().clone())
        };
        lose_power(&mut random, image.path(), &synced, living.path());
        let recovered = EmbeddedLog::open(image.path(), options.clone()).unwrap();
        let held = check_prefix(&*recovered);
        let durable = flushed_upto[&durable];
        assert!(
            (durable..=next).contains(&held),
            "{durable} were durable, {held} are left of {next}"
        );
        if next > 300 {
            drop((appender, log));
            std::fs::remove_dir_all(living.path()).unwrap();
            storage.synced.lock().unwrap().clear();
            storage.named.lock().unwrap().clear();
            log = EmbeddedLog::open(living.path(), options.clone()).unwrap();
            log.ensure_topic(TOPIC, &TopicCreation::default()).unwrap();
            (appender, next) = (log.appender(&WriterId::new("test")).unwrap(), 0);
            flushed_upto = HashMap::from([(FlushSeq(0), 0)]);
        }
    }
}

#[test]
fn a_full_disk_is_a_clear_error_and_costs_nothing_that_was_committed() {
    for room in [0, 1, 60, 61, 500, 5000] {
        let storage = Arc::new(Faulty::default());
        let options = EmbeddedOptions {
            storage: Arc::clone(&storage) as Arc<dyn Storage>,
            ..options(1 << 30)
        };
        let dir = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(dir.path(), options).unwrap();
        log.ensure_topic(TOPIC, &TopicCreation::default()).unwrap();
        let mut appender = log.appender(&WriterId::new("test")).unwrap();
        for number in 0..5 {
            append_transaction(&mut *appender, number);
        }
        let seq = appender.flush(Visibility::Now).unwrap();
        wait_for(&mut appender.durable(), |durable| *durable >= seq);
        *storage.room.lock().unwrap() = Some(room);
        for number in 5..30 {
            append_transaction(&mut *appender, number);
        }
        let error = appender.flush(Visibility::Now).unwrap_err().to_string();
        assert!(error.contains("cannot write") && error.contains(".log"), "{error}");
        assert!(log.failure().is_some());
        assert!(matches!(appender.flush(Visibility::Now), Err(LogError::Failed(_))));
        assert!(matches!(
            log.appender(&WriterId::new("test")).unwrap().claim(&partition(TOPIC)),
            Err(LogError::Failed(_))
        ));
        assert_eq!(
            check_prefix(&*log),
            5,
            "the log is readable, and shows nothing half written"
        );
        drop((appender, log));
        assert_eq!(check_prefix(&*open(dir.path()).unwrap()), 5);
    }
}

#[test]
fn a_failed_sync_fails_the_log_for_good_and_is_never_tried_again() {
    let storage = Arc::new(Faulty::default());
    let options = EmbeddedOptions {
        storage: Arc::clone(&storage) as Arc<dyn Storage>,
        ..options(1 << 30)
    };
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(dir.path(), options).unwrap();
    log.ensure_topic(TOPIC, &TopicCreation::default()).unwrap();
    let mut appender = log.appender(&WriterId::new("test")).unwrap();
    let mut durable = appender.durable();
    append_transaction(&mut *appender, 0);
    *storage.sync_fails.lock().unwrap() = true;
    appender.flush(Visibility::AfterSync).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(runtime.block_on(durable.changed()).is_err(), "it closes");
    assert_eq!(*durable.borrow(), FlushSeq(0));
    assert!(log.failure().unwrap().contains("cannot sync"), "{:?}", log.failure());
    *storage.sync_fails.lock().unwrap() = false;
    assert!(matches!(appender.flush(Visibility::Now), Err(LogError::Failed(_))));
    assert_eq!(
        *log.end(&partition(TOPIC)).unwrap().borrow(),
        Offset(0),
        "nothing that waits for a sync is shown"
    );
}
