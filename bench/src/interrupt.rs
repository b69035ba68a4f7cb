//! Ctrl-C and SIGTERM: the programs under measurement are stopped before the benchmark leaves.
//!
//! A normal end needs none of this (whoever started a program stops it when it goes out of scope); a signal ends a
//! process without unwinding, and a forgotten PostgreSQL or load generator would spoil the next measurement.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::Result;
use parking_lot::Mutex;
use tokio::signal::unix::{SignalKind, signal};

/// Everything that runs now.
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());
/// PostgreSQL stops its backends and writes its last files in this time; nothing of it is needed afterwards.
const LEAVING_TIME: Duration = Duration::from_secs(3);
/// What shells expect of a program that a signal ended.
const INTERRUPTED: i32 = 130;

pub(crate) fn remember(pid: u32) {
    RUNNING.lock().insert(pid);
}

pub(crate) fn forget(pid: u32) {
    RUNNING.lock().remove(&pid);
}

/// Waits for a signal on a thread of its own, stops all that runs, removes `folder`; the measurements know nothing of it.
pub(crate) fn stop_everything_when_told(folder: PathBuf) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let told = runtime.block_on(async {
            let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            std::io::Result::Ok(())
        });
        if told.is_ok() {
            for pid in RUNNING.lock().iter() {
                let _ = Command::new("kill")
                    .arg("-TERM")
                    .arg(pid.to_string())
                    .stderr(Stdio::null())
                    .status();
            }
            std::thread::sleep(LEAVING_TIME);
            let _ = std::fs::remove_dir_all(&folder);
            std::process::exit(INTERRUPTED);
        }
    })?;
    Ok(())
}
