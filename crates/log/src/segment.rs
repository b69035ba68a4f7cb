//! One file of a partition's batches, `<base offset>.log`, and its index.
//!
//! A segment promises that a reader gets whole batches whose checksums are right, or an error that names the file and
//! the byte. It knows how far it was written (`len`) but not how far readers may see: [`crate::partition`] tells it.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    Chunk, LogError, Offset,
    batch::{HEADER_BYTES, Header, Span},
    index::Index,
    storage::{Storage, failed},
};

/// One segment. Shared by its writer, the sync thread and readers.
#[derive(Debug)]
pub(crate) struct Segment {
    /// The offset of its first batch.
    pub(crate) base: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    /// Bytes of whole batches; what may lie behind them in the file is being written, or was cut.
    len: AtomicU64,
    pub(crate) index: Index,
    /// Where a reader came to the end of what was shown: whoever follows goes on there without a search. What was shown
    /// is never cut, so this stays a batch's first byte.
    tail: Mutex<Option<Tail>>,
}

/// The same place by offset and by byte.
#[derive(Clone, Copy, Debug)]
struct Tail {
    offset: u64,
    position: u64,
}

/// The path of a segment's file: Kafka's twenty digits.
pub(crate) fn path_of(dir: &Path, base: u64, extension: &str) -> PathBuf {
    dir.join(format!("{base:020}.{extension}"))
}

/// The base offsets of the segments in a directory, in order.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let mut bases = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let digits = name
            .to_str()
            .and_then(|name| name.strip_suffix(".log"))
            .filter(|digits| digits.len() == 20);
        bases.extend(
            digits
                .and_then(|digits| digits.parse::<u64>().ok())
                .filter(|&base| base <= i64::MAX as u64),
        );
    }
    bases.sort_unstable();
    Ok(bases)
}

impl Segment {
    /// Makes an empty segment; the caller syncs the directory.
    pub(crate) fn create(dir: &Path, base: u64) -> Result<Segment, LogError> {
        let path = path_of(dir, base, "log");
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path);
        let file = file.map_err(|e| failed("create", &path, e))?;
        let index_path = path_of(dir, base, "index");
        let index = Index::open(&index_path, 0, true).map_err(|e| failed("create", &index_path, e))?;
        index.clear();
        Ok(Segment {
            base,
            path,
            file,
            len: AtomicU64::new(0),
            index,
            tail: Mutex::default(),
        })
    }

    /// Opens a segment as it lies; `len` is the file's length until a scan says better.
    pub(crate) fn open(dir: &Path, base: u64, writable: bool) -> Result<Segment, LogError> {
        let path = path_of(dir, base, "log");
        let file = File::options()
            .read(true)
            .write(writable)
            .open(&path)
            .map_err(|e| failed("open", &path, e))?;
        let len = file.metadata().map_err(|e| failed("open", &path, e))?.len();
        let index_path = path_of(dir, base, "index");
        let index = Index::open(&index_path, len, writable).map_err(|e| failed("open", &index_path, e))?;
        Ok(Segment {
            base,
            path,
            file,
            len: AtomicU64::new(len),
            index,
            tail: Mutex::default(),
        })
    }

    pub(crate) fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    pub(crate) fn set_len(&self, len: u64) {
        self.len.store(len, Ordering::Release);
    }

    /// Appends encoded batches that lie one behind another in `bytes`, from `bytes_from` on.
    pub(crate) fn append(&self, storage: &dyn Storage, bytes: &[u8], batches: &[Span]) -> Result<(), LogError> {
        let (Some(first), Some(last)) = (batches.first(), batches.last()) else {
            return Ok(());
        };
        let at = self.len();
        let bytes = &bytes[first.start..last.start + last.bytes];
        if let Err(e) = storage.write_at(&self.file, &self.path, bytes, at) {
            // Best effort: what was half written is beyond `len`, and cut by the next open if it stays.
            let _ = self.file.set_len(at);
            return Err(failed("write", &self.path, e));
        }
        for batch in batches {
            let position = at + (batch.start - first.start) as u64;
            self.index
                .observe((batch.last_offset - self.base) as u32, position, batch.bytes);
        }
        self.set_len(at + bytes.len() as u64);
        Ok(())
    }

    /// Cuts the file and its index at a batch's first byte.
    pub(crate) fn cut(&self, position: u64) -> Result<(), LogError> {
        self.index.cut(position);
        self.set_len(position);
        self.file.set_len(position).map_err(|e| failed("cut", &self.path, e))
    }

    /// The batch that holds the offset, and where it begins; `None` when the segment ends below it.
    pub(crate) fn locate(&self, offset: u64) -> Result<Option<(u64, Header)>, LogError> {
        let len = self.len();
        let relative = u32::try_from(offset.saturating_sub(self.base)).unwrap_or(u32::MAX);
        let known = self.at_tail(offset).or_else(|| self.indexed(relative));
        let (mut position, mut expected) = known.unwrap_or((0, self.base));
        while position < len {
            let header = self.header_at(position, expected)?;
            self.check_follows(&header, position, expected)?;
            if header.last_offset() >= offset {
                return Ok(Some((position, header)));
            }
            position += header.bytes as u64;
            expected = header.next_offset();
        }
        Ok(None)
    }

    fn at_tail(&self, offset: u64) -> Option<(u64, u64)> {
        let tail = (*self.tail.lock())?;
        (tail.offset == offset).then_some((tail.position, offset))
    }

    /// A batch at or before the offset, by the index: a stale index is passed over, not believed.
    fn indexed(&self, relative: u32) -> Option<(u64, u64)> {
        let entry = self.index.lookup(relative)?;
        let position = u64::from(entry.position);
        let header = self.header_at(position, self.base).ok()?;
        (header.last_offset() == self.base + u64::from(entry.relative)).then_some((position, header.base_offset))
    }

    /// The checksum leaves the base offset out (Kafka's brokers assign it), so the batch before it is what tells.
    fn check_follows(&self, header: &Header, position: u64, expected: u64) -> Result<(), LogError> {
        if header.base_offset == expected {
            return Ok(());
        }
        Err(self.corrupt(
            position,
            expected,
            "the batch has another offset than the one that is next",
        ))
    }

    /// The header at a position, which must be a batch's first byte. `offset` is for the error alone.
    pub(crate) fn header_at(&self, position: u64, offset: u64) -> Result<Header, LogError> {
        let mut bytes = [0; HEADER_BYTES];
        let whole = self.len().saturating_sub(position) >= HEADER_BYTES as u64;
        if !whole {
            return Err(self.corrupt(position, offset, "the batch header is cut short"));
        }
        self.file
            .read_exact_at(&mut bytes, position)
            .map_err(|e| self.unreadable(position, offset, e))?;
        let header = Header::parse(&bytes).map_err(|why| self.corrupt(position, offset, why))?;
        if position + header.bytes as u64 > self.len() {
            return Err(self.corrupt(position, offset, "the batch is longer than the file"));
        }
        Ok(header)
    }

    /// Whole checked batches from the one that holds `from` and below `end`, at least one and then up to `bytes_max`.
    pub(crate) fn read(&self, from: u64, end: u64, bytes_max: usize) -> Result<Option<Chunk>, LogError> {
        let Some((position, first)) = self.locate(from)? else {
            return Ok(None);
        };
        if first.base_offset >= end {
            return Ok(None);
        }
        let available = usize::try_from(self.len() - position).unwrap_or(usize::MAX);
        let bytes = self.bytes_at(position, available.min(bytes_max.max(first.bytes)), from)?;
        let mut taken = 0;
        let mut expected = first.base_offset;
        while expected < end && bytes.len() - taken >= HEADER_BYTES {
            let at = position + taken as u64;
            let header = Header::parse(&bytes[taken..]).map_err(|why| self.corrupt(at, expected, why))?;
            self.check_follows(&header, at, expected)?;
            let Some(batch) = bytes[taken..].get(..header.bytes) else {
                if taken == 0 {
                    return Err(self.corrupt(at, expected, "the batch is longer than the file"));
                }
                break;
            };
            header.check(batch).map_err(|why| self.corrupt(at, expected, why))?;
            taken += header.bytes;
            expected = header.next_offset();
        }
        if expected >= end {
            *self.tail.lock() = Some(Tail {
                offset: expected,
                position: position + taken as u64,
            });
        }
        Ok(Some(Chunk::of_checked(
            Bytes::from(bytes).slice(..taken),
            Offset(from),
            Offset(expected),
        )))
    }

    pub(crate) fn bytes_at(&self, position: u64, len: usize, offset: u64) -> Result<Vec<u8>, LogError> {
        let mut bytes = vec![0; len];
        self.file
            .read_exact_at(&mut bytes, position)
            .map_err(|e| self.unreadable(position, offset, e))?;
        Ok(bytes)
    }

    fn unreadable(&self, position: u64, offset: u64, source: io::Error) -> LogError {
        match source.kind() {
            io::ErrorKind::UnexpectedEof => self.corrupt(position, offset, "the file was cut while it was open"),
            _ => failed("read", &self.path, source),
        }
    }

    pub(crate) fn corrupt(&self, at: u64, offset: u64, why: &str) -> LogError {
        LogError::Corrupt {
            file: self.path.display().to_string(),
            at,
            offset,
            why: why.to_owned(),
        }
    }
}
