//! Holds the crates to the one direction that `ARCHITECTURE.md` draws, because an arrow added by habit is never removed.
//!
//! Promises: every dependency between two crates of ours is one of those written here. Knows nothing of the crates' insides.

use anyhow::{Context, bail};
use serde_json::Value;

use crate::run::{self, command};

/// Who may need whom. `*` is everyone of ours.
const ARROWS: [(&str, &[&str]); 12] = [
    ("rowcast-event", &[]),
    ("rowcast-librdkafka", &[]),
    ("rowcast-log", &["rowcast-librdkafka"]),
    ("rowcast-protocol", &[]),
    ("rowcast-postgres", &["rowcast-event"]),
    ("rowcast-connect", &["rowcast-event", "rowcast-postgres", "rowcast-log"]),
    ("rowcast-gateway", &["rowcast-event", "rowcast-log", "rowcast-protocol"]),
    (
        "rowcast-console",
        &[
            "rowcast-event",
            "rowcast-postgres",
            "rowcast-log",
            "rowcast-connect",
            "rowcast-protocol",
            "rowcast-gateway",
        ],
    ),
    ("rowcast", &["*"]),
    ("rowcast-tests", &["*"]),
    ("rowcast-bench", &["*"]),
    ("xtask", &[]),
];

/// Fails with every arrow that is not drawn above.
pub(crate) fn check() -> anyhow::Result<()> {
    let metadata = run::quiet(command("cargo").args(["metadata", "--format-version", "1", "--no-deps", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata is JSON")?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists packages")?;
    let ours: Vec<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    let mut wrong = Vec::new();
    for package in packages {
        let from = package["name"].as_str().unwrap_or_default();
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = dependency["name"].as_str().unwrap_or_default();
            if ours.contains(&to) && !is_drawn(from, to) {
                wrong.push(format!("{from} -> {to}"));
            }
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!(
        "{}: a new arrow is a decision, written down (docs/decisions/, then xtask/src/direction.rs)",
        wrong.join(", ")
    )
}

/// A crate may need itself: its tests switch on a feature of its own so.
fn is_drawn(from: &str, to: &str) -> bool {
    from == to
        || ARROWS
            .iter()
            .any(|(name, needs)| *name == from && needs.iter().any(|need| *need == "*" || *need == to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_drawn_arrows_pass() {
        assert!(is_drawn("rowcast-connect", "rowcast-log"));
        assert!(is_drawn("rowcast", "rowcast-gateway"));
        assert!(is_drawn("rowcast-log", "rowcast-log"));
        assert!(is_drawn("rowcast-log", "rowcast-log"));
        assert!(!is_drawn("rowcast-log", "rowcast-event"));
        assert!(!is_drawn("rowcast-gateway", "rowcast-postgres"));
        assert!(!is_drawn("a-new-crate", "rowcast-log"));
    }
}
