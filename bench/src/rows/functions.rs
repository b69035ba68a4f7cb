//! The hot functions alone, by the examples that their crates keep beside them.
//!
//! Every number that an example prints is taken, with the words before it and its unit.

use std::{env, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    bench::Bench,
    results::{Figure, Measured, Row, figure},
};

/// Package and example; each is named after the function that it measures.
const EXAMPLES: [(&str, &str); 3] = [
    ("rowcast-event", "encode"),
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
    let cargo = |arguments: &[&str]| {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(arguments)
            .args(["--quiet", "--release", "--package", package, "--target-dir"])
            .arg(target);
        cargo.current_dir(&bench.root).output().context("running cargo")
    };
    // All of them: the fan-out starts its clients from the example beside it.
    cargo(&["build", "--examples"])?;
    let output = cargo(&["run", "--example", example])?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {}", output.status, errors.lines().last().unwrap_or_default());
    }
    let figures: Vec<Figure> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .flat_map(parse)
        .collect();
    if figures.is_empty() {
        bail!("it printed no number");
    }
    Ok(figures)
}

/// `best 812 ns, median 840 ns`: each piece that holds a number is a figure, named by the words before it.
fn parse(line: &str) -> Vec<Figure> {
    line.split([',', ';', ':']).filter_map(piece).collect()
}

fn piece(text: &str) -> Option<Figure> {
    let text = text.trim();
    let start = text.find(|letter: char| letter.is_ascii_digit())?;
    let (label, rest) = text.split_at(start);
    let end = rest
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(rest.len());
    let (value, unit) = rest.split_at(end);
    Some(figure(label.trim(), value.parse().ok()?, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_with_a_number_is_a_figure_and_prose_is_not() {
        let found = parse("orders change: best 812 ns, median 840.5 ns, appended 1200000/s, 656 bytes");
        let found: Vec<_> = found
            .iter()
            .map(|f| (f.label.as_str(), f.value, f.unit.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("best", 812.0, "ns"),
                ("median", 840.5, "ns"),
                ("appended", 1_200_000.0, "/s"),
                ("", 656.0, "bytes")
            ]
        );
        assert!(parse("warming up: please wait").is_empty());
    }
}
