//! Builds and checks the pages under `web/`, which the binary embeds.
//!
//! Promises: packages are fetched only when the lock file changed, pages are built only when a source is newer than
//! they are. Knows nothing of what is on the pages.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{
    npm::{self, modified},
    root, run,
};

/// Folders that hold what is made, not what is written.
const MADE: [&str; 4] = ["node_modules", "dist", "coverage", ".svelte-kit"];

/// True once there are pages to build.
pub(crate) fn exists() -> bool {
    dir().join("package.json").exists()
}

/// Fetches the packages that the lock file names.
pub(crate) fn prepare() -> anyhow::Result<()> {
    npm::fetch("the pages' packages", &dir())
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
    run::loud("build the pages", npm::npm(&dir()).args(["run", "build"]))?;
    fs::create_dir_all(crate::tools_dir())?;
    Ok(fs::write(&stamp, "")?)
}

/// Runs one of `package.json`'s scripts and returns whether it succeeded and what it said.
pub(crate) fn script(name: &str) -> anyhow::Result<(bool, String)> {
    prepare()?;
    run::heard(npm::npm(&dir()).args(["run", "--silent", name]))
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
