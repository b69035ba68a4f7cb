//! What an open makes of torn, flipped, missing and nonsensical bytes.

use std::{path::Path, time::Duration};

use rowcast_log::{
    EmbeddedLog, EmbeddedOptions, Log, LogError, Offset, TopicCreation, Visibility, WriterId,
    contract::{partition, put, read_from, wait_for},
};

use crate::image::*;

#[test]
fn a_write_torn_at_any_byte_of_the_last_group_leaves_the_transactions_before_it() {
    let before = std::fs::metadata(last_segment(crashed_after(0..4, 1 << 30).path()))
        .unwrap()
        .len();
    let image = crashed_after(0..6, 1 << 30);
    let segment = last_segment(image.path());
    let bytes = std::fs::read(&segment).unwrap();
    // The last group was never synced, so the index knows nothing of it.
    let synced_index = index_below(&segment, before);
    for torn_at in before as usize..=bytes.len() {
        for fill in [None, Some(0), Some(0xff)] {
            let mut torn = bytes[..torn_at].to_vec();
            if let Some(fill) = fill {
                torn.resize(bytes.len(), fill);
            }
            let whole = torn == bytes;
            std::fs::write(&segment, torn).unwrap();
            std::fs::write(segment.with_extension("index"), &synced_index).unwrap();
            let log = open(image.path()).unwrap();
            let held = check_prefix(&*log);
            assert!((4..=6).contains(&held), "torn at {torn_at}: {held} transactions");
            assert_eq!(held == 6, whole, "torn at {torn_at}");
            assert_eq!(
                std::fs::metadata(&segment).unwrap().len(),
                log.size_bytes() - index_bytes(&segment)
            );
            drop(log);
            std::fs::remove_file(image.path().join("recovery-point-offset-checkpoint")).unwrap();
        }
    }
}

/// The entries of an index that point below a position.
fn index_below(segment: &Path, position: u64) -> Vec<u8> {
    let bytes = std::fs::read(segment.with_extension("index")).unwrap();
    let below = |entry: &&[u8]| u64::from(u32::from_be_bytes(entry[4..8].try_into().unwrap())) < position;
    bytes.chunks(8).take_while(below).flatten().copied().collect()
}

fn index_bytes(segment: &Path) -> u64 {
    std::fs::metadata(segment.with_extension("index")).unwrap().len()
}

#[test]
fn a_flipped_bit_anywhere_is_refused_or_costs_only_what_no_later_transaction_proves() {
    const TRANSACTIONS: u64 = 8;
    let image = crashed_after(0..TRANSACTIONS, 1 << 30);
    let segment = last_segment(image.path());
    let bytes = std::fs::read(&segment).unwrap();
    let (mut refused, mut cut) = (0, 0);
    for at in (0..bytes.len()).filter(|at| at % 23 == 0 || *at < 400 || at + 400 > bytes.len()) {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(image.path(), copy.path());
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(last_segment(copy.path()), flipped).unwrap();
        match open(copy.path()).map_err(|e| e.to_string()) {
            Ok(log) => match read_from(&*log, &partition(TOPIC), Offset(0), 1 << 20) {
                // The last transaction has none behind it that says it was durable, the one before may not have yet.
                Ok(_) => {
                    let held = check_prefix(&*log);
                    assert!(
                        held + 2 >= TRANSACTIONS,
                        "a flip at byte {at} of {} lost all but {held}",
                        bytes.len()
                    );
                    cut += 1;
                }
                Err(LogError::Corrupt { .. }) => refused += 1,
                Err(e) => panic!("a flip at byte {at}: {e}"),
            },
            Err(message) => {
                let told = message.contains(".log is damaged at byte") && message.contains("offset");
                assert!(told, "a flip at byte {at}: {message}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0 && cut > 0, "{refused} refused, {cut} cut");
}

#[test]
fn after_a_clean_stop_every_flipped_bit_of_the_last_transaction_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    log.ensure_topic(TOPIC, &TopicCreation::default()).unwrap();
    let mut appender = log.appender(&WriterId::new("test")).unwrap();
    append_transaction(&mut *appender, 0);
    let first = appender.flush(Visibility::Now).unwrap();
    wait_for(&mut appender.durable(), |durable| *durable >= first);
    let before = log.size_bytes() as usize;
    append_transaction(&mut *appender, 1);
    appender.flush(Visibility::Now).unwrap();
    drop((appender, log));
    let segment = last_segment(dir.path());
    let bytes = std::fs::read(&segment).unwrap();
    for at in before..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        std::fs::write(&segment, &flipped).unwrap();
        match open(dir.path()) {
            Err(LogError::Corrupt { .. }) => {}
            // partitionLeaderEpoch is the one field that the checksum leaves out, and says nothing.
            Ok(log) => assert_eq!(check_prefix(&*log), 2, "byte {at}"),
            Err(e) => panic!("byte {at}: {e}"),
        }
    }
    for cut in before..bytes.len() {
        std::fs::write(&segment, &bytes[..cut]).unwrap();
        assert!(
            matches!(open(dir.path()), Err(LogError::Corrupt { .. })),
            "cut at byte {cut}"
        );
    }
    std::fs::write(&segment, &bytes).unwrap();
    assert_eq!(check_prefix(&*open(dir.path()).unwrap()), 2);
}

/// What was durable for a while is known to have been, whoever wrote last.
#[test]
fn a_topic_that_lost_its_end_before_a_crash_is_refused_although_another_was_written_later() {
    const LATER: &str = "later";
    let dir = tempfile::tempdir().unwrap();
    let at_once = EmbeddedOptions {
        checkpoint_after: Duration::ZERO,
        ..options(1 << 30)
    };
    let log = EmbeddedLog::open(dir.path(), at_once).unwrap();
    for topic in [TOPIC, LATER] {
        log.ensure_topic(topic, &TopicCreation::default()).unwrap();
    }
    let mut appender = log.appender(&WriterId::new("test")).unwrap();
    append_transaction(&mut *appender, 0);
    let seq = appender.flush(Visibility::Now).unwrap();
    wait_for(&mut appender.durable(), |durable| *durable >= seq);
    let before = std::fs::metadata(last_segment(dir.path())).unwrap().len();
    append_transaction(&mut *appender, 1);
    // The points that know of a sync are written before the next sync begins.
    for _ in 0..2 {
        let seq = appender.flush(Visibility::Now).unwrap();
        wait_for(&mut appender.durable(), |durable| *durable >= seq);
        put(&mut *appender, &partition(LATER), "later");
        appender.commit(b"later").unwrap();
    }
    let image = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), image.path());
    let bytes = std::fs::read(last_segment(image.path())).unwrap();
    for cut in before as usize..bytes.len() {
        for fill in [None, Some(0)] {
            let mut damaged = bytes[..cut].to_vec();
            if let Some(fill) = fill {
                damaged.resize(bytes.len(), fill);
            }
            std::fs::write(last_segment(image.path()), &damaged).unwrap();
            if damaged != bytes {
                let opened = open(image.path());
                assert!(matches!(opened, Err(LogError::Corrupt { .. })), "cut at byte {cut}");
            }
        }
    }
    std::fs::write(last_segment(image.path()), &bytes).unwrap();
    assert_eq!(check_prefix(&*open(image.path()).unwrap()), 2);
}

/// What is done to an index file.
type Damage = fn(&Path);

#[test]
fn a_missing_cut_or_foreign_index_changes_no_answer() {
    let image = crashed_after(0..60, 20_000);
    let dir = image.path().join(format!("{TOPIC}-0"));
    let indexes = || {
        let paths = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
        paths
            .filter(|path| path.extension().is_some_and(|e| e == "index"))
            .collect::<Vec<_>>()
    };
    let damages: [(&str, Damage); 5] = [
        ("missing", |path| std::fs::remove_file(path).unwrap()),
        ("empty", |path| std::fs::write(path, []).unwrap()),
        ("odd", |path| std::fs::write(path, [1; 13]).unwrap()),
        ("zeros", |path| std::fs::write(path, [0; 64]).unwrap()),
        ("lying", |path| {
            std::fs::write(path, [0, 0, 0, 3, 0, 0, 9, 9, 0, 0, 0, 5, 0, 0, 20, 20]).unwrap()
        }),
    ];
    for (name, damage) in damages {
        let found = indexes();
        assert!(found.len() > 2);
        found.iter().for_each(|path| damage(path));
        let log = EmbeddedLog::open(image.path(), options(20_000)).unwrap();
        assert_eq!(check_prefix(&*log), 60, "{name}");
        drop(log);
        std::fs::remove_file(image.path().join("recovery-point-offset-checkpoint")).unwrap();
    }
}

#[test]
fn a_missing_segment_is_refused() {
    let image = crashed_after(0..60, 20_000);
    let dir = image.path().join(format!("{TOPIC}-0"));
    let paths = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .collect();
    segments.sort();
    std::fs::remove_file(&segments[1]).unwrap();
    assert!(matches!(open(image.path()), Err(LogError::Corrupt { .. })));
}

#[test]
fn two_hundred_kinds_of_nonsense_are_an_error_or_a_log_but_never_a_panic() {
    let mut random = Random::seeded("nonsense");
    let image = crashed_after(0..20, 1 << 30);
    let segment = last_segment(image.path());
    let sound = std::fs::read(&segment).unwrap();
    let index = std::fs::read(segment.with_extension("index")).unwrap();
    for round in 0..200u64 {
        let mut bytes = sound.clone();
        match round % 4 {
            0 => bytes = (0..random.below(3000)).map(|_| random.below(256) as u8).collect(),
            1 => (0..1 + random.below(20)).for_each(|_| {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] = random.below(256) as u8;
            }),
            2 => {
                let (from, len) = (random.below(bytes.len() as u64) as usize, random.below(5000) as usize);
                bytes.drain(from..(from + len).min(sound.len()));
            }
            _ => {
                let from = random.below(bytes.len() as u64) as usize;
                bytes.extend_from_within(from..);
            }
        }
        std::fs::write(&segment, &bytes).unwrap();
        if round % 8 < 4 {
            std::fs::write(segment.with_extension("index"), &index).unwrap();
        }
        let _ = std::fs::remove_file(image.path().join("recovery-point-offset-checkpoint"));
        if let Ok(log) = open(image.path()) {
            let end = log.end(&partition(TOPIC)).unwrap().borrow().0;
            for from in (0..=end).take(300) {
                let _ = log
                    .read(&partition(TOPIC), Offset(from), 10_000)
                    .map(|chunk| chunk.records().count());
            }
        }
    }
}
