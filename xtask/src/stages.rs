//! Keeps what was done and how long it took, so that a run ends with one table instead of a scroll.
//!
//! Promises: a failed stage does not stop the others, and none is forgotten. Knows nothing of what the stages do.

use std::time::{Duration, Instant};

use crate::counts::Counts;

/// The stages of one run.
#[derive(Default)]
pub(crate) struct Stages {
    done: Vec<Stage>,
}

struct Stage {
    name: String,
    took: Duration,
    counts: Option<Counts>,
    failure: Option<String>,
}

impl Stages {
    /// Runs one stage and keeps its outcome.
    pub(crate) fn run(&mut self, name: &str, stage: impl FnOnce() -> anyhow::Result<()>) {
        self.run_counted(name, || stage().map(|()| None));
    }

    /// Runs one stage that counts tests.
    pub(crate) fn run_counted(&mut self, name: &str, stage: impl FnOnce() -> anyhow::Result<Option<Counts>>) {
        eprintln!("==> {name}");
        let started = Instant::now();
        let (counts, failure) = match stage() {
            Ok(counts) => (counts, None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        if let Some(why) = &failure {
            eprintln!("    {name} failed: {why}");
        }
        self.done.push(Stage {
            name: name.to_owned(),
            took: started.elapsed(),
            counts,
            failure,
        });
    }

    /// True when no stage failed.
    pub(crate) fn succeeded(&self) -> bool {
        self.done
            .iter()
            .all(|stage| stage.failure.is_none() && stage.counts.is_none_or(|counts| counts.failed == 0))
    }

    /// All tests together. A stage that failed as a whole (did not compile, could not start) counts as one failure.
    pub(crate) fn total(&self) -> Counts {
        self.done.iter().fold(Counts::default(), |sum, stage| {
            let counts = stage.counts.unwrap_or_default();
            let broken = usize::from(stage.failure.is_some());
            Counts {
                passed: sum.passed + counts.passed,
                failed: sum.failed + counts.failed + broken,
            }
        })
    }

    /// Prints the table.
    pub(crate) fn print(&self) {
        println!("\n{:<44} {:>9}  outcome", "stage", "seconds");
        for stage in &self.done {
            let outcome = match (&stage.failure, stage.counts) {
                (Some(why), _) => format!("FAILED: {}", why.lines().next().unwrap_or_default()),
                (None, Some(counts)) if counts.failed > 0 => format!("FAILED: {counts}"),
                (None, Some(counts)) => counts.to_string(),
                (None, None) => "ok".to_owned(),
            };
            println!("{:<44} {:>9.1}  {outcome}", stage.name, stage.took.as_secs_f64());
        }
        let total: Duration = self.done.iter().map(|stage| stage.took).sum();
        println!("{:<44} {:>9.1}", "all", total.as_secs_f64());
    }
}
