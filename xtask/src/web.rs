//! Builds and checks the pages under `web/`, which the binary embeds.
//!
//! Promises: packages are fetched only when the lock file changed, pages are built only when a source is newer than
//! they are. Knows nothing of what is on the pages.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use crate::{
    root,
    run::{self, command},
};

/// Folders that hold what is made, not what is written.
const MADE: [&str; 4] = ["node_modules", "dist", "coverage", ".svelte-kit"];

/// True once there are pages to build.
pub(crate) fn exists() -> bool {
    dir().join("package.json").exists()
}

/// Fetches the packages that the lock file names.
pub(crate) fn prepare() -> anyhow::Result<()> {
    let wanted = modified(&dir().join("package-lock.json"));
    let fetched = modified(&dir().join("node_modules/.package-lock.json"));
    if fetched.is_some() && fetched >= wanted {
        return Ok(());
    }
    run::loud(
        "fetch the pages' packages (npm ci)",
        npm().args(["ci", "--no-audit", "--no-fund"]),
    )
}

/// Builds the pages.
pub(crate) fn build() -> anyhow::Result<()> {
    if !exists() {
        return Ok(());
    }
    prepare()?;
    let stamp = crate::tools_dir().join("pages-built");
    let built = modified(&stamp);
    if built.is_some() && dir().join("dist").exists() && built >= newest_source(&dir()) {
        return Ok(());
    }
    run::loud("build the pages", npm().args(["run", "build"]))?;
    fs::create_dir_all(crate::tools_dir())?;
    Ok(fs::write(&stamp, "")?)
}

/// Runs one of `package.json`'s scripts and returns whether it succeeded and what it said.
pub(crate) fn script(name: &str) -> anyhow::Result<(bool, String)> {
    prepare()?;
    run::heard(npm().args(["run", "--silent", name]))
}

/// True when `package.json` has this script.
pub(crate) fn has_script(name: &str) -> bool {
    let text = fs::read_to_string(dir().join("package.json")).unwrap_or_default();
    let package: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    !package["scripts"][name].is_null()
}

fn dir() -> PathBuf {
    root().join("web")
}

fn npm() -> Command {
    let mut npm = command("npm");
    npm.current_dir(dir());
    npm
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// When anything under `dir` was last written.
fn newest_source(dir: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let sources = entries.filter(|entry| !MADE.iter().any(|made| entry.file_name() == *made));
    let times = sources.map(|entry| {
        if entry.path().is_dir() {
            newest_source(&entry.path())
        } else {
            modified(&entry.path())
        }
    });
    times.max().flatten()
}
