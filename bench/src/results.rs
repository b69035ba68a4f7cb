//! What a measurement found, what it should have reached, and the three forms in which that is told: a table on the
//! terminal, `target/bench.json`, and the results section of `bench/README.md`.

use std::{fmt, fs, path::Path};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// The README's results stand between these; everything else in it is written by people.
const BEGIN: &str = "<!-- results: begin (written by cargo xtask bench) -->";
const END: &str = "<!-- results: end -->";

/// One number with its name and unit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) label: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
}

/// A figure, for lists of them.
pub(crate) fn figure(label: &str, value: f64, unit: &str) -> Figure {
    Figure {
        label: label.to_owned(),
        value,
        unit: unit.to_owned(),
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.label, number(self.value), self.unit)
    }
}

/// Three significant digits below a hundred, thousands separated above.
fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 100.0 {
        return format!("{value:.0}");
    }
    match value.abs() {
        small if small < 10.0 => format!("{value:.2}"),
        medium if medium < 100.0 => format!("{value:.1}"),
        _ => thousands(value.round() as i64),
    }
}

fn thousands(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0 { format!("-{text}") } else { text }
}

/// What somebody measured, ours or a peer's.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) who: String,
    pub(crate) figures: Vec<Figure>,
    /// Set instead of figures when it could not be measured: never a silent gap.
    pub(crate) failed: Option<String>,
}

impl Measured {
    pub(crate) fn new(who: &str, figures: Vec<Figure>) -> Measured {
        Measured {
            who: who.to_owned(),
            figures,
            failed: None,
        }
    }

    /// The figures, or the reason that there are none.
    pub(crate) fn from_result(who: &str, result: Result<Vec<Figure>>) -> Measured {
        match result {
            Ok(figures) => Measured::new(who, figures),
            Err(error) => Measured {
                who: who.to_owned(),
                figures: Vec::new(),
                failed: Some(format!("{error:#}")),
            },
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(failed) = &self.failed {
            return write!(f, "not measured: {failed}");
        }
        let figures: Vec<String> = self.figures.iter().map(Figure::to_string).collect();
        f.write_str(&figures.join(", "))
    }
}

/// A bound and what was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) what: String,
    pub(crate) found: f64,
    pub(crate) bound: f64,
    pub(crate) unit: String,
    pub(crate) at_least: bool,
    pub(crate) met: bool,
}

impl Check {
    pub(crate) fn at_most(what: &str, found: f64, bound: f64, unit: &str) -> Check {
        Check {
            what: what.to_owned(),
            found,
            bound,
            unit: unit.to_owned(),
            at_least: false,
            met: found <= bound,
        }
    }

    pub(crate) fn at_least(what: &str, found: f64, bound: f64, unit: &str) -> Check {
        Check {
            what: what.to_owned(),
            found,
            bound,
            unit: unit.to_owned(),
            at_least: true,
            met: found >= bound,
        }
    }

    fn target(&self) -> String {
        let sign = if self.at_least { ">=" } else { "<=" };
        format!("{} {sign} {} {}", self.what, number(self.bound), self.unit)
            .trim_end()
            .to_owned()
    }

    fn verdict(&self) -> String {
        if self.met {
            return "met".to_owned();
        }
        if self.bound == 0.0 {
            return format!("**missed**: {}", number(self.found));
        }
        format!(
            "**missed by {:.0} %**: {}",
            (self.found / self.bound - 1.0).abs() * 100.0,
            number(self.found)
        )
    }
}

/// One measurement, with everything that stood beside it in the same run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) what: String,
    pub(crate) ours: Measured,
    pub(crate) peers: Vec<Measured>,
    pub(crate) checks: Vec<Check>,
    /// When it was measured and by which command; set when the row is done.
    #[serde(default)]
    pub(crate) measured_at: String,
    #[serde(default)]
    pub(crate) command: String,
}

/// Everything that `target/bench.json` holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

impl Results {
    /// The results of earlier runs on this machine; none if the file is missing or of another version.
    pub(crate) fn load(path: &Path) -> Results {
        fs::read(path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// Puts `row` in the place of the one with its name.
    pub(crate) fn put(&mut self, row: Row) {
        match self.rows.iter_mut().find(|old| old.name == row.name) {
            Some(old) => *old = row,
            None => self.rows.push(row),
        }
    }

    /// Rows in the order in which the benchmark runs them.
    pub(crate) fn sort(&mut self, order: &[&str]) {
        self.rows
            .sort_by_key(|row| order.iter().position(|name| *name == row.name).unwrap_or(order.len()));
    }

    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let parent = path.parent().context("a results file has a folder")?;
        fs::create_dir_all(parent)?;
        fs::write(path, serde_json::to_vec_pretty(self)?).with_context(|| format!("writing {}", path.display()))
    }

    /// Replaces the results section of the README.
    pub(crate) fn write_readme(&self, path: &Path) -> Result<()> {
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let (before, rest) = text
            .split_once(BEGIN)
            .with_context(|| format!("{} has no line {BEGIN}", path.display()))?;
        let (_, after) = rest
            .split_once(END)
            .with_context(|| format!("{} has no line {END}", path.display()))?;
        fs::write(path, format!("{before}{BEGIN}\n\n{}\n{END}{after}", self.markdown()))?;
        Ok(())
    }

    fn markdown(&self) -> String {
        let mut text = String::new();
        for fact in &self.machine {
            text.push_str(&format!("- {fact}\n"));
        }
        text.push_str("\n| measurement | who | figures | target | verdict |\n|---|---|---|---|---|\n");
        for row in &self.rows {
            let targets: Vec<String> = row.checks.iter().map(Check::target).collect();
            let verdicts: Vec<String> = row.checks.iter().map(Check::verdict).collect();
            text.push_str(&format!(
                "| **{}** {} | Rowcast | {} | {} | {} |\n",
                row.name,
                row.what,
                row.ours,
                targets.join("<br>"),
                verdicts.join("<br>")
            ));
            for peer in &row.peers {
                text.push_str(&format!("| | {} | {peer} | | |\n", peer.who));
            }
        }
        text.push_str("\nWhen and how:\n\n");
        for row in &self.rows {
            text.push_str(&format!("- {}: {}, `{}`\n", row.name, row.measured_at, row.command));
        }
        text
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.name, self.what)?;
        writeln!(f, "  {:<28} {}", "Rowcast", self.ours)?;
        for peer in &self.peers {
            writeln!(f, "  {:<28} {peer}", peer.who)?;
        }
        for check in &self.checks {
            writeln!(
                f,
                "  target {:<40} {}",
                check.target(),
                check.verdict().replace("**", "")
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_target_says_by_how_much() {
        let check = Check::at_most("p50", 15.6, 13.0, "ms");
        assert!(!check.met);
        assert_eq!(check.target(), "p50 <= 13 ms");
        assert_eq!(check.verdict(), "**missed by 20 %**: 15.6");
        assert_eq!(
            Check::at_least("deliveries", 800_000.0, 800_000.0, "/s").verdict(),
            "met"
        );
    }

    #[test]
    fn numbers_are_printed_as_people_read_them() {
        assert_eq!(number(1.234), "1.23");
        assert_eq!(number(12.34), "12.3");
        assert_eq!(number(1_046_000.4), "1,046,000");
        assert_eq!(number(0.0), "0");
    }
}
