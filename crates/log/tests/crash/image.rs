//! Crash images: transactions that follow from their number, and copies of the directory that holds them.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rowcast_log::{
    EmbeddedLog, EmbeddedOptions, Log, LogError, Storage, TopicCreation, Visibility, WriterId,
    contract::{partition, put, values, wait_for},
};

pub(crate) const TOPIC: &str = "orders";

pub(crate) fn options(segment_bytes: u64) -> EmbeddedOptions {
    EmbeddedOptions {
        segment_bytes,
        // An image shows what can be told without recovery points, however slow the machine is.
        checkpoint_after: Duration::from_secs(3600),
        ..EmbeddedOptions::default()
    }
}

/// Syncs nothing: an image is opened thousands of times, and no power fails here but the one we play.
#[derive(Debug)]
struct NoSync;

impl Storage for NoSync {
    fn sync(&self, _file: &File, _path: &Path) -> io::Result<()> {
        Ok(())
    }
    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn open(dir: &Path) -> Result<Arc<EmbeddedLog>, LogError> {
    EmbeddedLog::open(
        dir,
        EmbeddedOptions {
            storage: Arc::new(NoSync),
            ..options(1 << 30)
        },
    )
}

/// A small generator of our own (splitmix64): a printed seed gives the same run everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn seeded(name: &str) -> Random {
        let given = std::env::var("ROWCAST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.expect("the clock is past 1970").as_nanos() as u64
        });
        println!("{name}: ROWCAST_SEED={seed}");
        Random(seed)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Transaction `number` has a size, and values, that follow from its number alone.
pub(crate) fn transaction(number: u64) -> Vec<String> {
    let records = 1 + (number * 7 + number / 5) % 9;
    (0..records)
        .map(|i| format!("{number}/{i} {}", "x".repeat(((number * 31 + i * 17) % 700) as usize)))
        .collect()
}

pub(crate) fn append_transaction(appender: &mut dyn rowcast_log::Appender, number: u64) {
    for value in transaction(number) {
        put(appender, &partition(TOPIC), &value);
    }
    appender.commit(&number.to_be_bytes()).unwrap();
}

/// How many transactions the log holds; they must be whole, the first ones, at their offsets, and nothing else.
pub(crate) fn check_prefix(log: &dyn Log) -> u64 {
    let topic = partition(TOPIC);
    let (mut expected, mut offset, mut number) = (Vec::new(), 0, 0);
    let end = log.end(&topic).unwrap().borrow().0;
    while offset < end {
        for value in transaction(number) {
            expected.push((offset, value));
            offset += 1;
        }
        offset += 1;
        number += 1;
    }
    assert_eq!(offset, end, "the log ends with a whole transaction");
    assert!(
        values(log, &topic) == expected,
        "the first {number} transactions, each record once, at its offset"
    );
    let position = number.checked_sub(1).map(|last| last.to_be_bytes().to_vec());
    assert_eq!(log.position(&topic).unwrap().map(|bytes| bytes.to_vec()), position);
    number
}

pub(crate) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        // It may get its own name before it is copied; an open ignores what has not got it.
        if target.extension().is_some_and(|extension| extension == "unfinished") {
            continue;
        }
        match entry.file_type().unwrap().is_dir() {
            true => copy_dir(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// The directory of a log that was killed after these transactions: no clean stop, so no recovery point.
pub(crate) fn crashed_after(transactions: std::ops::Range<u64>, segment_bytes: u64) -> tempfile::TempDir {
    let (living, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = EmbeddedLog::open(living.path(), options(segment_bytes)).unwrap();
    log.ensure_topic(TOPIC, &TopicCreation::default()).unwrap();
    let mut appender = log.appender(&WriterId::new("test")).unwrap();
    for number in transactions {
        append_transaction(&mut *appender, number);
        let seq = appender.flush(Visibility::Now).unwrap();
        wait_for(&mut appender.durable(), |durable| *durable >= seq);
    }
    copy_dir(living.path(), image.path());
    image
}

pub(crate) fn last_segment(dir: &Path) -> PathBuf {
    let entries = std::fs::read_dir(dir.join(format!("{TOPIC}-0")))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .max()
        .unwrap()
}
