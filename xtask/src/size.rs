//! Names the files that grew long, because a long file is usually two thoughts.
//!
//! Promises: a note, never an error: some tables are long and should be. Knows nothing of what is in the files.

use std::{fs, path::Path};

use crate::{
    root,
    run::{self, command},
};

/// Where a file begins to be two thoughts.
const LINES_MAX: usize = 500;

/// One line per source file that is longer than [`LINES_MAX`].
pub(crate) fn long_files() -> anyhow::Result<Vec<String>> {
    let listed = run::quiet(command("git").args(["ls-files", "*.rs", "*.ts", "*.svelte", "*.mjs", "*.css"]))?;
    let mut long: Vec<(usize, &str)> = listed
        .lines()
        .map(|file| (lines_of(&root().join(file)), file))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .collect();
    long.sort_by(|a, b| b.cmp(a));
    Ok(long
        .into_iter()
        .map(|(lines, file)| format!("{file}: {lines} lines"))
        .collect())
}

fn lines_of(path: &Path) -> usize {
    fs::read(path)
        .map(|bytes| bytes.iter().filter(|byte| **byte == b'\n').count())
        .unwrap_or(0)
}
