//! A process that is killed while it appends.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use rowcast_log::{
    EmbeddedLog, FlushSeq, Log, TopicCreation, Visibility, WriterId,
    contract::{partition, wait_for},
};

use crate::image::*;

/// Set for the child of the kill test: its data directory.
const CHILD_DIR: &str = "ROWCAST_LOG_TEST_CHILD_DIR";

#[test]
fn killed_at_any_moment_the_log_holds_every_acknowledged_transaction_once() {
    let mut random = Random::seeded("kill");
    let rounds = if std::env::var_os("ROWCAST_LONG").is_some() {
        500
    } else {
        20
    };
    let dir = tempfile::tempdir().unwrap();
    let mut held = 0;
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", "kill::the_child_that_is_killed", "--nocapture"])
            .env(CHILD_DIR, dir.path());
        let mut child = child.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let mut acknowledged = lines.filter_map(|line| line.strip_prefix("durable ")?.parse::<u64>().ok());
        let wait_for = 1 + random.below(40) as usize;
        let mut last = acknowledged
            .by_ref()
            .nth(wait_for)
            .expect("the child acknowledges until it is killed");
        child.kill().unwrap();
        last = acknowledged.last().unwrap_or(last);
        child.wait().unwrap();
        let before = held;
        held = check_prefix(&*EmbeddedLog::open(dir.path(), options(1 << 20)).unwrap());
        assert!(
            held >= last && last > before,
            "round {round}: {last} acknowledged, {held} held, {before} before"
        );
    }
}

/// Appends where the log ends until it is killed, telling what is durable. Does nothing as an ordinary test.
#[test]
fn the_child_that_is_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let log = EmbeddedLog::open(Path::new(&dir), options(1 << 20)).unwrap();
    log.ensure_topic(TOPIC, &TopicCreation::default()).unwrap();
    let position = log.position(&partition(TOPIC)).unwrap();
    let mut next = position.map_or(0, |bytes| u64::from_be_bytes(bytes[..].try_into().unwrap()) + 1);
    let mut appender = log.appender(&WriterId::new("test")).unwrap();
    let mut durable = appender.durable();
    let (mut told, mut flushed) = (FlushSeq(0), HashMap::new());
    loop {
        append_transaction(&mut *appender, next);
        next += 1;
        if next.is_multiple_of(3) {
            let seq = appender.flush(Visibility::Now).unwrap();
            flushed.insert(seq, next);
            let done = if seq.0.is_multiple_of(8) {
                wait_for(&mut durable, |done| *done >= seq)
            } else {
                *durable.borrow()
            };
            if done > told {
                told = done;
                println!("durable {}", flushed[&told]);
            }
        }
    }
}
