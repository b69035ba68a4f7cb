//! The embedded log keeps the contract of every log, with segments as large as usual and as small as can be.

use std::sync::Arc;

use rowcast_log::{EmbeddedLog, EmbeddedOptions, Log, contract::Fixture};
use tempfile::TempDir;

fn open(dir: &TempDir, options: EmbeddedOptions) -> Arc<dyn Log> {
    EmbeddedLog::open(dir.path(), options).expect("the log opens")
}

struct Usual(TempDir);

impl Fixture for Usual {
    fn new() -> Self {
        Usual(tempfile::tempdir().expect("a directory"))
    }
    fn open(&self) -> Arc<dyn Log> {
        open(&self.0, EmbeddedOptions::default())
    }
}

/// Nearly every batch begins a segment.
struct SmallSegments(TempDir);

impl Fixture for SmallSegments {
    fn new() -> Self {
        SmallSegments(tempfile::tempdir().expect("a directory"))
    }
    fn open(&self) -> Arc<dyn Log> {
        open(
            &self.0,
            EmbeddedOptions {
                segment_bytes: 1000,
                ..EmbeddedOptions::default()
            },
        )
    }
}

mod usual {
    rowcast_log::contract_tests!(super::Usual);
}

mod small_segments {
    rowcast_log::contract_tests!(super::SmallSegments);
}
