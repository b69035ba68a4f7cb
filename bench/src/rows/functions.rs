//! The hot functions alone, by the examples that their crates keep beside them.
//!
//! An example prints lines of `name: number unit`; other lines are for people and are passed over here.

use std::{env, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    bench::Bench,
    results::{Figure, Measured, Row, figure},
};

/// Package and example; each is named after the function that it measures.
const EXAMPLES: [(&str, &str); 3] = [
    ("rowcast-event", "encode_rate"),
    ("rowcast-log", "append_rate"),
    ("rowcast-gateway", "fanout"),
];

pub(crate) fn run(bench: &mut Bench) -> Result<Row> {
    let mut found = Vec::new();
    for (package, example) in EXAMPLES {
        let folder = package.trim_start_matches("rowcast-");
        if bench
            .root
            .join("crates")
            .join(folder)
            .join("examples")
            .join(format!("{example}.rs"))
            .exists()
        {
            found.push(Measured::from_result(
                &format!("{package}: {example}"),
                example_figures(bench, package, example),
            ));
        }
    }
    Ok(Row {
        name: "functions".into(),
        what: "hot functions alone".into(),
        ours: Measured::new("Rowcast", vec![figure("functions", found.len() as f64, "measured")]),
        peers: found,
        ..Row::default()
    })
}

fn example_figures(bench: &Bench, package: &str, example: &str) -> Result<Vec<Figure>> {
    let own = env::current_exe()?;
    let target = own
        .ancestors()
        .nth(2)
        .context("this program lies in target/<profile>/")?;
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "run",
            "--quiet",
            "--release",
            "--package",
            package,
            "--example",
            example,
            "--target-dir",
        ])
        .arg(target)
        .current_dir(&bench.root)
        .output()
        .context("running cargo")?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {}", output.status, errors.lines().last().unwrap_or_default());
    }
    let figures: Vec<Figure> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(parse)
        .collect();
    if figures.is_empty() {
        bail!("it printed no line of the form `name: number unit`");
    }
    Ok(figures)
}

/// `name: 1,234.5 unit of any words`
fn parse(line: &str) -> Option<Figure> {
    let (label, rest) = line.trim().split_once(':')?;
    let (value, unit) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
    Some(figure(
        label.trim(),
        value.replace([',', '_'], "").parse().ok()?,
        unit.trim(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_name_number_unit_is_a_figure_and_prose_is_not() {
        let found = parse("  encode insert: 1,234.5 ns per change ").expect("a figure");
        assert_eq!(
            (found.label.as_str(), found.value, found.unit.as_str()),
            ("encode insert", 1234.5, "ns per change")
        );
        assert!(parse("warming up: please wait").is_none());
        assert!(parse("done").is_none());
    }
}
