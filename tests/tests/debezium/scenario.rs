//! Reads the scenarios: SQL files that say what happens in the database, and under which configuration.
//!
//! A file begins with lines `-- word: value`: `about` (a sentence), `set` (a connector property, `name=value`; as many as
//! needed), `server` (`vectors`: the one that has pgvector; the installed one when it does not say), `publication` (what the publication publishes that somebody made, with `publication.autocreate.mode=disabled`; all
//! tables when it does not say), `tables` (what is captured, as in `table.include.list`; all tables of the scenario's own schema when it does not
//! say), `topics` (further topics that are its own, without prefix), `postgres` (majors; all when it does not say), `like`
//! (another scenario, whose sections are played before its own), `group` (a word: only scenarios with the same one share a pair), `fails`
//! (why Debezium's task fails in this one, which then has a pair of its own; ours must deliver all the same). After
//! `-- setup` comes what exists before the connectors start; after `-- stream` what is done when both stream. Each statement
//! is sent alone and ends at the end of a line. `-- then` waits until both have delivered all that was done before: between
//! a row and the next change of its table's shape, for Debezium looks shapes up when it reads the row. `-- restart` stops
//! both and starts them again; with `name=value` behind it, with this property changed. Statements that stand below it are
//! sent while both are stopped.
//!
//! A scenario works in a schema with its own name, `search_path` is set to it. Scenarios with the same properties share one
//! pair of connectors.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};

/// One file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) tables: Vec<String>,
    pub(crate) topics: Vec<String>,
    pub(crate) majors: Vec<u32>,
    pub(crate) fails: bool,
    pub(crate) like: Option<String>,
    pub(crate) setup: Vec<String>,
    pub(crate) stream: Vec<Step>,
}

/// What is done before both must have delivered it.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Statements(Vec<String>),
    Restart(Restart),
}

/// What is different afterwards.
#[derive(Clone, Debug, Default)]
pub(crate) struct Restart {
    pub(crate) property: Option<(String, String)>,
    pub(crate) meanwhile: Vec<String>,
}

/// Stands among the properties for the group's word.
pub(crate) const GROUP: &str = "(group)";

/// Stands among the properties for the server, when it is not the installed one.
pub(crate) const SERVER: &str = "(server)";

/// Stands among the properties for what a publication publishes that is made by hand.
pub(crate) const PUBLICATION: &str = "(publication)";

/// Scenarios that one pair of connectors runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) scenarios: Vec<Scenario>,
}

/// All scenarios, by name.
pub(crate) fn all() -> Result<Vec<Scenario>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/debezium/scenarios");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.sort();
    let read = |file: &std::path::PathBuf| {
        let text = fs::read_to_string(file)?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        parse(&name, &text).with_context(|| file.display().to_string())
    };
    let mut scenarios: Vec<Scenario> = files.iter().map(read).collect::<Result<_>>()?;
    for place in 0..scenarios.len() {
        let Some(like) = scenarios[place].like.take() else {
            continue;
        };
        let other = scenarios.iter().find(|other| other.name == like);
        let other = other.with_context(|| format!("like {like}, which is none"))?.clone();
        scenarios[place].setup.splice(0..0, other.setup);
        scenarios[place].stream.splice(0..0, other.stream);
    }
    Ok(scenarios)
}

/// Those that this major runs, by configuration.
pub(crate) fn groups(scenarios: Vec<Scenario>, major: u32) -> Vec<Group> {
    let mut groups: BTreeMap<BTreeMap<String, String>, Group> = BTreeMap::new();
    for scenario in scenarios {
        if !scenario.majors.is_empty() && !scenario.majors.contains(&major) {
            continue;
        }
        let group = groups.entry(scenario.settings.clone()).or_default();
        group.settings.clone_from(&scenario.settings);
        group.scenarios.push(scenario);
    }
    groups.into_values().collect()
}

pub(crate) fn parse(name: &str, text: &str) -> Result<Scenario> {
    let mut scenario = Scenario {
        name: name.to_owned(),
        ..Scenario::default()
    };
    let mut section = Section::Header;
    let mut statement = String::new();
    for line in text.lines() {
        let direction = line.strip_prefix("-- ").map(str::trim).unwrap_or_default();
        if let Some(next) = Section::begun_by(direction) {
            ensure!(statement.trim().is_empty(), "before {line:?} a statement has no end");
            section = next;
            match next {
                Section::Restart => scenario.stream.push(Step::Restart(restart(direction)?)),
                Section::Stream => scenario.stream.push(Step::Statements(Vec::new())),
                _ => {}
            }
            continue;
        }
        match section {
            Section::Header => header(&mut scenario, direction)?,
            _ => {
                // A line that is only a comment is ours, not the server's.
                if statement.is_empty() && (line.starts_with("--") || line.trim().is_empty()) {
                    continue;
                }
                statement.push_str(line);
                statement.push('\n');
                if is_whole(&statement) {
                    add(&mut scenario, section, std::mem::take(&mut statement))?;
                }
            }
        }
    }
    ensure!(
        statement.trim().is_empty(),
        "the last statement has no end: {statement}"
    );
    ensure!(!scenario.about.is_empty(), "it does not say what it is about");
    if scenario.tables.is_empty() {
        scenario.tables.push(format!("{name}\\..*"));
    }
    Ok(scenario)
}

#[derive(Clone, Copy)]
enum Section {
    Header,
    Setup,
    Stream,
    Restart,
}

impl Section {
    fn begun_by(direction: &str) -> Option<Section> {
        match direction {
            "setup" => Some(Section::Setup),
            "stream" | "then" => Some(Section::Stream),
            "restart" => Some(Section::Restart),
            _ => direction.starts_with("restart ").then_some(Section::Restart),
        }
    }
}

fn header(scenario: &mut Scenario, line: &str) -> Result<()> {
    if line.is_empty() {
        return Ok(());
    }
    let (word, value) = line.split_once(": ").with_context(|| format!("no header: {line:?}"))?;
    match word {
        "about" => scenario.about = value.to_owned(),
        "like" => scenario.like = Some(value.to_owned()),
        "fails" => {
            scenario.fails = true;
            scenario.settings.insert(GROUP.to_owned(), scenario.name.clone());
        }
        "group" => drop(scenario.settings.insert(GROUP.to_owned(), value.to_owned())),
        "server" => {
            ensure!(value == "vectors", "no server: {value}");
            scenario.settings.insert(SERVER.to_owned(), value.to_owned());
        }
        "publication" => drop(scenario.settings.insert(PUBLICATION.to_owned(), value.to_owned())),
        "set" => {
            let (name, value) = value.split_once('=').context("set: name=value")?;
            scenario.settings.insert(name.to_owned(), value.to_owned());
        }
        "tables" => scenario.tables.push(value.to_owned()),
        "topics" => scenario.topics.push(value.to_owned()),
        "postgres" => {
            for major in value.split(' ') {
                scenario.majors.push(major.parse().context("postgres: majors")?);
            }
        }
        _ => bail!("no header: {word}"),
    }
    Ok(())
}

fn restart(direction: &str) -> Result<Restart> {
    let property = match direction.strip_prefix("restart ") {
        Some(change) => {
            let (name, value) = change.split_once('=').context("restart name=value")?;
            Some((name.to_owned(), value.to_owned()))
        }
        None => None,
    };
    Ok(Restart {
        property,
        meanwhile: Vec::new(),
    })
}

/// It ends where a line does, unless inside of `$$`.
fn is_whole(statement: &str) -> bool {
    statement.trim_end().ends_with(';') && statement.matches("$$").count().is_multiple_of(2)
}

fn add(scenario: &mut Scenario, section: Section, statement: String) -> Result<()> {
    match (section, scenario.stream.last_mut()) {
        (Section::Setup, _) => scenario.setup.push(statement),
        (Section::Stream, Some(Step::Statements(statements))) => statements.push(statement),
        (Section::Restart, Some(Step::Restart(restart))) => restart.meanwhile.push(statement),
        _ => bail!("a statement stands in no section: {statement}"),
    }
    Ok(())
}

#[test]
fn a_scenario_is_read() {
    let text = "-- about: a test\n-- set: a=b=c\n\n-- setup\n-- why\nCREATE TABLE t (\n  id int);\nDO $$ BEGIN\n  NULL;\nEND $$;\n\
                -- stream\nINSERT INTO t VALUES (1); -- one\n;\n-- then\nDROP TABLE t;\n-- restart a=b\nSELECT 2;\n-- stream\nSELECT 1;\n";
    let scenario = parse("name", text).unwrap();
    assert_eq!(scenario.setup.len(), 2);
    assert_eq!(scenario.settings["a"], "b=c");
    assert_eq!(scenario.tables, ["name\\..*"]);
    assert!(
        matches!(&scenario.stream[..], [Step::Statements(first), Step::Statements(_), Step::Restart(restart), Step::Statements(_)]
            if first.len() == 1 && restart.property.is_some() && restart.meanwhile.len() == 1)
    );
    assert!(parse("name", "-- about: a test\n-- setup\nSELECT 1\n").is_err());
    assert!(parse("name", "-- setup\nSELECT 1;\n").is_err());
}
