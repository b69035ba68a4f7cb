//! Reads how many tests passed out of what the test runners print, because no two of them print it alike.
//!
//! Promises: counts only summary lines that it knows. Knows nothing of how tests are run.

use std::fmt;

/// Tests that ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

impl Counts {
    /// Adds up the summaries in the output of cargo test, nextest, Node's test runner or vitest.
    pub(crate) fn read(said: &str) -> Counts {
        said.lines().map(without_colours).fold(Counts::default(), |sum, line| {
            let line_counts = Self::of_line(line.trim_end());
            Counts {
                passed: sum.passed + line_counts.passed,
                failed: sum.failed + line_counts.failed,
            }
        })
    }

    fn of_line(line: &str) -> Counts {
        // nextest shows what a failed test said, indented, its own "test result:" included: that one is in the summary.
        if line.starts_with(' ') && line.trim_start().starts_with("test result:") {
            return Counts::default();
        }
        let line = line.trim_start();
        let words = || line.split([' ', ',', ';', ':']).filter(|word| !word.is_empty());
        let before = |name: &str| {
            let mut last = None;
            for word in words() {
                if word == name {
                    return last.unwrap_or(0);
                }
                last = word.parse().ok();
            }
            0
        };
        // cargo test: "test result: ok. 3 passed; 0 failed; …"; nextest: "Summary [0.5s] 12 tests run: 12 passed, 1 failed, …";
        // vitest: "Tests  1 failed | 12 passed (13)".
        let has_both = ["test result:", "Summary [", "Tests  "]
            .iter()
            .any(|start| line.starts_with(start));
        if has_both {
            return Counts {
                passed: before("passed"),
                failed: before("failed") + before("timed"),
            };
        }
        // node --test: "ℹ pass 4" and "ℹ fail 0", or "# pass 4" when it is not a terminal.
        let number = |name| {
            let rest = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ "))?;
            rest.strip_prefix(name)?.trim().parse().ok()
        };
        Counts {
            passed: number("pass ").unwrap_or(0),
            failed: number("fail ").unwrap_or(0),
        }
    }
}

/// Takes out terminal colour sequences (`ESC [ … m`).
fn without_colours(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runner_is_understood() {
        let said = "test result: ok. 3 passed; 1 failed; 0 ignored\n\
                    \u{1b}[32m     Summary\u{1b}[0m [   0.512s] 12 tests run: 10 passed (1 slow), 1 failed, 1 timed out, 4 skipped\n\
                    ℹ pass 4\nℹ fail 2\n# pass 1\n# fail 0\n      Tests  1 failed | 20 passed (21)\n\
                    running 7 tests\n    test result: FAILED. 0 passed; 1 failed; 0 ignored\n";
        assert_eq!(
            Counts::read(said),
            Counts {
                passed: 3 + 10 + 4 + 1 + 20,
                failed: 1 + 2 + 2 + 1
            }
        );
    }
}
