//! The lines that a started program prints, kept over all its lives, so that a test can wait for one of them.

use std::sync::{Arc, Mutex};

use anyhow::Context;
use tokio::sync::watch;

use crate::PATIENCE;

/// What a program has printed, from all its lives.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    count: watch::Sender<usize>,
}

impl Default for Lines {
    fn default() -> Self {
        Lines {
            lines: Arc::default(),
            count: watch::Sender::new(0),
        }
    }
}

impl Lines {
    /// Stands where a life's output ended.
    pub(crate) const END: &'static str = "(end of output)";

    pub(crate) fn push(&self, line: String) {
        let mut lines = self.lines.lock().expect("nobody panics while holding it");
        lines.push(line);
        self.count.send_replace(lines.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.lock().expect("nobody panics while holding it").len()
    }

    pub(crate) fn text_from(&self, from: usize) -> String {
        self.lines.lock().expect("nobody panics while holding it")[from..].join("\n")
    }

    /// Waits for a line that `is_it` knows, at or after the line `from`.
    pub(crate) async fn wait_from(&self, from: usize, is_it: impl Fn(&str) -> bool) -> anyhow::Result<String> {
        let found = tokio::time::timeout(PATIENCE, self.find_from(from, is_it)).await;
        found.with_context(|| format!("the expected line was not logged:\n{}", self.text_from(from)))
    }

    /// The same, however long it takes.
    pub(crate) async fn find_from(&self, from: usize, is_it: impl Fn(&str) -> bool) -> String {
        let mut count = self.count.subscribe();
        loop {
            let found = self.lines.lock().expect("nobody panics while holding it")[from..]
                .iter()
                .find(|line| is_it(line))
                .cloned();
            if let Some(line) = found {
                return line;
            }
            count.changed().await.expect("we hold the sender");
        }
    }
}
