//! Kafka's own `DumpLogSegments` reads our segments, and agrees with us record by record.
//!
//! Needs Java 17 and Kafka's jars, as `cargo xtask prepare` fetches them. Without them the test fails: a format that only we
//! can read is not Kafka's.

#![allow(clippy::unwrap_used, reason = "in a test a refusal is a failure")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use rowcast_log::{
    EmbeddedLog, EmbeddedOptions, Log, NewRecord, Offset, TopicCreation, Visibility, WriterId,
    contract::{Held, partition, read_from},
};

/// Kafka's jars, where xtask keeps them for all tests.
fn jars() -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/kafka/libs");
    assert!(
        dir.exists(),
        "{} is missing; fetch Kafka's jars: cargo xtask prepare",
        dir.display()
    );
    dir
}

/// What the tool prints of the files.
fn dump(files: &[PathBuf]) -> String {
    let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    let mut java = Command::new("java");
    java.arg("-cp")
        .arg(format!("{}/*", jars().display()))
        .arg("org.apache.kafka.tools.DumpLogSegments");
    java.args(["--print-data-log", "--deep-iteration", "--files", &files.join(",")]);
    let output = java
        .output()
        .expect("Java 17 is installed (apt install openjdk-17-jre-headless)");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}{complaints}");
    printed
}

/// A record as the tool prints it.
fn as_printed(held: &Held) -> String {
    let size = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(-1, |bytes| bytes.len() as i64);
    let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).expect("this test writes text");
    let names: Vec<&str> = held.headers.iter().map(|(name, _)| &**name).collect();
    let mut line = format!(
        "| offset: {} CreateTime: {} keySize: {} valueSize: {} sequence: -1 headerKeys: [{}]",
        held.offset,
        held.timestamp_ms,
        size(&held.key),
        size(&held.value),
        names.join(",")
    );
    if let Some(key) = &held.key {
        line += &format!(" key: {}", text(key));
    }
    if let Some(value) = &held.value {
        line += &format!(" payload: {}", text(value));
    }
    line
}

/// Keys, values, nulls, headers, times that go back, texts of all lengths and planes, large transactions and small.
fn fill(log: &dyn Log) {
    let topic = partition("dumped");
    let texts = [
        "",
        "plain",
        "zwölf",
        "день",
        "日本語",
        "🦀 crab",
        "a \"quoted\" {json}",
        "<img onerror=x>",
    ];
    let mut appender = log.appender(&WriterId::new("test")).unwrap();
    for number in 0..3000usize {
        let (key, value) = (
            format!("{{\"id\":{number}}}"),
            texts[number % texts.len()].repeat(number % 90),
        );
        let header_value = number.to_be_bytes();
        let headers = [
            ("source", &b"orders"[..]),
            ("größe", &header_value),
            ("source", &[][..]),
        ];
        let record = NewRecord {
            timestamp_ms: 1_700_000_000_000 + (number as i64 % 13) * 1000 - number as i64,
            key: (number % 11 != 0).then_some(key.as_bytes()),
            value: (number % 7 != 0).then_some(value.as_bytes()),
            headers: &headers[..number % 4],
        };
        appender.append(&topic, record).unwrap();
        if number % 50 == 0 || number % 50 > 45 {
            appender.commit(number.to_string().as_bytes()).unwrap();
        }
        if number % 170 == 0 {
            appender.flush(Visibility::Now).unwrap();
        }
    }
    appender.commit(b"end").unwrap();
    appender.flush(Visibility::Now).unwrap();
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    files.sort();
    files
}

#[test]
fn kafkas_own_tool_reads_our_segments_and_agrees_record_by_record() {
    let dir = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions {
        segment_bytes: 1 << 20,
        ..EmbeddedOptions::default()
    };
    let log = EmbeddedLog::open(dir.path(), options.clone()).unwrap();
    log.ensure_topic("dumped", &TopicCreation::default()).unwrap();
    fill(&*log);
    drop(log);
    let topic_dir = dir.path().join("dumped-0");
    let (segments, indexes) = (files(&topic_dir, "log"), files(&topic_dir, "index"));
    assert!(segments.len() > 1, "the log rolled");

    let log = EmbeddedLog::open(dir.path(), options).unwrap();
    let expected: Vec<_> = read_from(&*log, &partition("dumped"), Offset(0), 1 << 20).unwrap();
    assert_eq!(expected.len(), 3000);
    let printed = dump(&segments);
    let batches: Vec<&str> = printed.lines().filter(|line| line.starts_with("baseOffset:")).collect();
    let (control, data): (Vec<&str>, Vec<&str>) = printed
        .lines()
        .filter(|line| line.starts_with("| offset:"))
        .partition(|line| line.contains("controlType"));
    for (printed, expected) in data.iter().zip(&expected) {
        assert_eq!(*printed, as_printed(expected));
    }
    assert_eq!(data.len(), expected.len());
    assert!(control.iter().all(|line| line.contains("UNKNOWN(1000)")), "{control:?}");
    let taken: BTreeSet<u64> = expected.iter().map(|held| held.offset).collect();
    let end = log.end(&partition("dumped")).unwrap().borrow().0;
    assert_eq!(control.len(), (0..end).filter(|offset| !taken.contains(offset)).count());
    assert!(
        batches
            .iter()
            .all(|line| line.contains("isvalid: true") && line.contains("magic: 2"))
    );
    assert!(!batches.is_empty());

    let printed = dump(&indexes);
    let entries = printed.lines().filter(|line| line.starts_with("offset: ")).count();
    let bytes: u64 = indexes.iter().map(|index| index.metadata().unwrap().len()).sum();
    assert!(
        entries > 10 && entries as u64 == bytes / 8,
        "{entries} entries of {bytes} bytes:\n{printed}"
    );
    let complaints = ["mismatch", "Mismatch", "not found", "Non-consecutive", "Found", "empty"];
    assert!(
        !complaints.iter().any(|complaint| printed.contains(complaint)),
        "{printed}"
    );
}
