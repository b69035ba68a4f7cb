//! Fetches npm packages, because pages and test readers need some.
//!
//! Promises: exactly what the lock file names, and only when it changed. Knows nothing of what they are for.

use std::{fs, path::Path, process::Command, time::SystemTime};

use crate::run::{self, command};

/// Fetches the packages that `dir/package-lock.json` names.
pub(crate) fn fetch(what: &str, dir: &Path) -> anyhow::Result<()> {
    let wanted = modified(&dir.join("package-lock.json"));
    let fetched = modified(&dir.join("node_modules/.package-lock.json"));
    if fetched.is_some() && fetched >= wanted {
        return Ok(());
    }
    run::loud(
        &format!("fetch {what} (npm ci)"),
        npm(dir).args(["ci", "--no-audit", "--no-fund"]),
    )
}

/// npm, in the folder of a package.
pub(crate) fn npm(dir: &Path) -> Command {
    let mut npm = command("npm");
    npm.current_dir(dir);
    npm
}

/// When the file was last written, if it is there.
pub(crate) fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}
