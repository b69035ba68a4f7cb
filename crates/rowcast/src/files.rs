//! Sees to it that clients never use up the files that capture and log need.
//!
//! A process may have so many files open, sockets included. Without a bound below that, idle clients take all of them, and
//! a connector whose server restarted cannot connect any more.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files kept for what comes later: two for each new segment of a topic, connections to PostgreSQL, requests of operators.
///
/// 512 is a hundred new tables and some; where the limit is small, a quarter of it.
const KEPT_FILES: u64 = 512;

/// Raises the soft limit to the hard one, which needs no privilege, and tells what it is now; `None` for no limit.
///
/// Nothing here uses select(2), for which the soft limit is low by default.
pub fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

/// How many files are open now, as far as the system tells.
pub fn open_files() -> u64 {
    std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64)
}

/// How many clients may be here at once: as many as are wanted, unless the files do not suffice.
pub fn connections_that_fit(wanted: usize, limit: Option<u64>, open: u64) -> usize {
    let Some(limit) = limit else { return wanted };
    let left = limit.saturating_sub(open + KEPT_FILES.min(limit / 4));
    wanted.min(usize::try_from(left).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_never_use_up_the_files_that_capture_needs() {
        assert_eq!(connections_that_fit(15_000, None, 40), 15_000);
        assert_eq!(connections_that_fit(15_000, Some(1 << 20), 40), 15_000);
        assert_eq!(connections_that_fit(15_000, Some(4096), 40), 4096 - 40 - 512);
        assert_eq!(connections_that_fit(15_000, Some(1024), 40), 1024 - 40 - 256);
        assert_eq!(
            connections_that_fit(15_000, Some(64), 64),
            1,
            "nobody can be served without one"
        );
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let limit = raise_limit();
        assert_eq!(getrlimit(Resource::Nofile).current, limit);
        assert_eq!(getrlimit(Resource::Nofile).maximum, limit);
        assert!(open_files() > 2);
    }
}
