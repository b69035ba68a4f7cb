//! The few file operations on which durability rests, behind a trait so that tests can fail them.
//!
//! Reads go straight to [`File`]: a fault there is a damaged file, which tests make by damaging files.

use std::{
    fmt,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use crate::LogError;

/// Writes and syncs. The default methods do what they say; `path` is for those who count or fail them.
pub trait Storage: fmt::Debug + Send + Sync + 'static {
    /// Writes all of `bytes` at byte `at`.
    fn write_at(&self, file: &File, _path: &Path, bytes: &[u8], at: u64) -> io::Result<()> {
        file.write_all_at(bytes, at)
    }
    /// Makes what was written to the file durable, its length included.
    fn sync(&self, file: &File, _path: &Path) -> io::Result<()> {
        file.sync_data()
    }
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// The disk as it is.
#[derive(Debug)]
pub(crate) struct Disk;

impl Storage for Disk {}

/// The suffix of files that are being written and get their own name when whole.
const UNFINISHED: &str = "unfinished";

/// Puts a small file in place of whatever had its name: a reader or a crash sees the old bytes or the new, never half.
pub(crate) fn replace_file(storage: &dyn Storage, path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    let unfinished = path.with_extension(UNFINISHED);
    let file = File::create(&unfinished).map_err(|e| failed("create", &unfinished, e))?;
    storage
        .write_at(&file, &unfinished, bytes, 0)
        .map_err(|e| failed("write", &unfinished, e))?;
    storage
        .sync(&file, &unfinished)
        .map_err(|e| failed("sync", &unfinished, e))?;
    std::fs::rename(&unfinished, path).map_err(|e| failed("put in place", path, e))?;
    let dir: PathBuf = path.parent().map(Path::to_path_buf).unwrap_or_default();
    storage.sync_dir(&dir).map_err(|e| failed("sync", &dir, e))
}

/// The error for an operation on a path that the operating system refused.
pub(crate) fn failed(what: &str, path: &Path, cause: io::Error) -> LogError {
    LogError::Io {
        what: format!("cannot {what} {}", path.display()),
        cause,
    }
}
