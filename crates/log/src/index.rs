//! Where in a segment a batch with a given offset lies, to within [`INTERVAL_BYTES`]: Kafka's `.index` file.
//!
//! The file is Kafka's exactly: entries of two big-endian 32-bit numbers, the last offset of a batch (relative to the
//! segment's base) and the batch's position. An entry is written only after the batch was synced, and only for
//! committed transactions, so after a crash the file tells where damage can no longer be a torn write. It is never
//! needed: a missing, cut or wrong index costs a longer scan, not an answer.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

use crate::storage::Storage;

/// Bytes of log between two entries: Kafka's `index.interval.bytes` default.
const INTERVAL_BYTES: u64 = 4096;

/// Bytes of one entry on disk.
const ENTRY_BYTES: usize = 8;

/// A batch that the index knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The batch's last offset, from the segment's base.
    pub(crate) relative: u32,
    /// The batch's first byte in the segment.
    pub(crate) position: u32,
}

/// One segment's index: in memory while the segment grows, on disk alone once it is sealed.
#[derive(Debug)]
pub(crate) struct Index {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Opened for writing by a log's owner; absent for a reader that found no file.
    file: Option<File>,
    entries: Vec<Entry>,
    /// How many of the entries are in the file.
    written: usize,
    bytes_since_entry: u64,
    /// Set when `entries` was given up and the file holds them all.
    sealed: bool,
}

impl Index {
    /// Loads the entries that make sense. `create` is for the owner, who may write.
    pub(crate) fn open(path: &Path, segment_bytes: u64, create: bool) -> io::Result<Index> {
        let file = match File::options()
            .read(true)
            .write(create)
            .create(create)
            .truncate(false)
            .open(path)
        {
            Ok(file) => Some(file),
            Err(e) if e.kind() == io::ErrorKind::NotFound && !create => None,
            Err(e) => return Err(e),
        };
        let entries = match &file {
            Some(file) => load(file, segment_bytes)?,
            None => Vec::new(),
        };
        let written = entries.len();
        if let (true, Some(file)) = (create, &file) {
            file.set_len((written * ENTRY_BYTES) as u64)?;
        }
        let state = State {
            file,
            entries,
            written,
            bytes_since_entry: 0,
            sealed: false,
        };
        Ok(Index {
            path: path.to_path_buf(),
            state: Mutex::new(state),
        })
    }

    /// The last entry at or below the offset.
    pub(crate) fn lookup(&self, relative: u32) -> Option<Entry> {
        let state = self.state.lock();
        if !state.sealed {
            let after = state.entries.partition_point(|entry| entry.relative <= relative);
            return after.checked_sub(1).map(|i| state.entries[i]);
        }
        let file = state.file.as_ref()?;
        let (mut low, mut high) = (0, state.written);
        let mut found = None;
        while low < high {
            let middle = low.midpoint(high);
            let entry = read_entry(file, middle).ok()?;
            if entry.relative <= relative {
                found = Some(entry);
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        found
    }

    /// The last entry that begins before the position.
    pub(crate) fn last_before(&self, position: u64) -> Option<Entry> {
        self.with_entries(|entries| {
            let after = entries.partition_point(|entry| u64::from(entry.position) < position);
            after.checked_sub(1).map(|i| entries[i])
        })
    }

    /// Whether a batch is known to begin at the position.
    pub(crate) fn knows(&self, position: u64) -> bool {
        self.with_entries(|entries| {
            entries
                .binary_search_by_key(&position, |e| u64::from(e.position))
                .is_ok()
        })
    }

    fn with_entries<T>(&self, ask: impl FnOnce(&[Entry]) -> T) -> T {
        let state = self.state.lock();
        match &state.file {
            Some(file) if state.sealed => ask(&load(file, u64::MAX).unwrap_or_default()),
            _ => ask(&state.entries),
        }
    }

    /// Tells the index of a batch that was written behind all others.
    pub(crate) fn observe(&self, relative: u32, position: u64, bytes: usize) {
        let mut state = self.state.lock();
        let newest = state.entries.last().map_or(0, |entry| u64::from(entry.position));
        if state.bytes_since_entry > INTERVAL_BYTES && position > newest && u32::try_from(position).is_ok() {
            state.entries.push(Entry {
                relative,
                position: position as u32,
            });
            state.bytes_since_entry = 0;
        }
        state.bytes_since_entry += bytes as u64;
    }

    /// Forgets all entries: they were found to be of another file.
    pub(crate) fn clear(&self) {
        self.cut(0);
        self.state.lock().bytes_since_entry = 0;
    }

    /// Forgets batches from the position on, which were cut.
    pub(crate) fn cut(&self, position: u64) {
        let mut state = self.state.lock();
        let kept = state
            .entries
            .partition_point(|entry| u64::from(entry.position) < position);
        if kept < state.entries.len() {
            state.entries.truncate(kept);
            // Too soon is harmless: the next entry comes at the next batch.
            state.bytes_since_entry = INTERVAL_BYTES + 1;
        }
        if let (true, Some(file)) = (state.written > kept, &state.file) {
            // Best effort: entries that stay behind are told by what they point at.
            let _ = file.set_len((kept * ENTRY_BYTES) as u64);
        }
        state.written = state.written.min(kept);
    }

    /// Writes the entries of batches that end below the offset, which are synced and committed.
    pub(crate) fn persist_below(&self, storage: &dyn Storage, relative: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        let upto = state
            .entries
            .partition_point(|entry| u64::from(entry.relative) < relative);
        if upto <= state.written {
            return Ok(());
        }
        let bytes: Vec<u8> = state.entries[state.written..upto]
            .iter()
            .flat_map(|entry| entry.to_bytes())
            .collect();
        let at = (state.written * ENTRY_BYTES) as u64;
        if let Some(file) = &state.file {
            storage.write_at(file, &self.path, &bytes, at)?;
            state.written = upto;
        }
        Ok(())
    }

    /// Writes and syncs all entries; from now on the file is asked.
    pub(crate) fn seal(&self, storage: &dyn Storage) -> io::Result<()> {
        self.persist_below(storage, u64::MAX)?;
        let mut state = self.state.lock();
        if let Some(file) = &state.file {
            file.set_len((state.written * ENTRY_BYTES) as u64)?;
            storage.sync(file, &self.path)?;
            state.entries = Vec::new();
            state.sealed = true;
        }
        Ok(())
    }

    /// Takes a sealed index back into memory: its segment grows again.
    pub(crate) fn unseal(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        if let (true, Some(file)) = (state.sealed, &state.file) {
            state.entries = load(file, u64::MAX)?;
            state.written = state.entries.len();
            state.sealed = false;
        }
        Ok(())
    }

    /// Bytes on disk.
    pub(crate) fn size_bytes(&self) -> u64 {
        (self.state.lock().written * ENTRY_BYTES) as u64
    }
}

impl Entry {
    fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        (u64::from(self.relative) << 32 | u64::from(self.position)).to_be_bytes()
    }

    fn from_bytes(bytes: [u8; ENTRY_BYTES]) -> Entry {
        let both = u64::from_be_bytes(bytes);
        Entry {
            relative: (both >> 32) as u32,
            position: both as u32,
        }
    }
}

/// The entries up to the first that cannot follow the one before it (a crash leaves zeros) or lies past the segment.
fn load(file: &File, segment_bytes: u64) -> io::Result<Vec<Entry>> {
    let mut bytes = vec![0; file.metadata()?.len() as usize];
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], read as u64)? {
            0 => break,
            n => read += n,
        }
    }
    let mut entries: Vec<Entry> = Vec::new();
    for chunk in bytes[..read].as_chunks::<ENTRY_BYTES>().0 {
        let entry = Entry::from_bytes(*chunk);
        let follows = entries
            .last()
            .is_none_or(|e| e.relative < entry.relative && e.position < entry.position);
        if !follows || entry.position == 0 || u64::from(entry.position) >= segment_bytes {
            break;
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn read_entry(file: &File, number: usize) -> io::Result<Entry> {
    let mut bytes = [0; ENTRY_BYTES];
    file.read_exact_at(&mut bytes, (number * ENTRY_BYTES) as u64)?;
    Ok(Entry::from_bytes(bytes))
}
