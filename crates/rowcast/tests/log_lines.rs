//! What the binary writes to a log file.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

#[test]
fn log_lines_have_colours_only_on_a_terminal() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut child = Command::new(env!("CARGO_BIN_EXE_rowcast"))
        .args([
            "run",
            "--listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
            "--data-dir",
        ])
        .arg(dir.path().join("data"))
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let first = lines.next().expect("a line").expect("text");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert!(first.contains("no connector was given"), "{first:?}");
    assert!(!first.contains('\u{1b}'), "{first:?}");
}
