//! A real Debezium and ours on the same PostgreSQL write the same bytes: every scenario of `scenarios/`, record by record.

mod compare;
mod expected;
mod judge;
mod normal;
mod random;
mod record;
mod scenario;
mod seeded;
mod spans;
mod stage;

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use rowcast_tests::{postgres::Version, random::Random, repetitions};

use judge::Verdict;
use scenario::Scenario;
use stage::Stage;

/// Groups that are played at once: a connector's start is mostly waiting, and two cores have room for three.
const AT_ONCE: usize = 3;

/// What every run plays on the oldest and the newest PostgreSQL: where their catalogues, `pgoutput` or output of types differ.
const SAMPLE: &[&str] = &[
    "decimals",
    "defaults",
    "defaults_newer",
    "generated",
    "generated_published",
    "generated_virtual",
    "identities",
    "keys",
    "keys_nulls_not_distinct",
    "keys_without_overlaps",
    "messages",
    "partitioned",
    "publication_filtered",
    "publication_of_schema",
    "toast",
    "transactions",
    "truncates",
    "unmapped",
];

/// The scenarios that are to be played: all, or those that `ROWCAST_SCENARIO` names.
fn scenarios() -> Result<Vec<Scenario>> {
    let mut scenarios = scenario::all()?;
    if let Ok(only) = std::env::var("ROWCAST_SCENARIO") {
        scenarios.retain(|scenario| only.split(',').any(|name| name == scenario.name));
    }
    Ok(scenarios)
}

/// Plays those of the scenarios that this PostgreSQL runs; what differs, in words.
async fn zoo(stage: &Stage, scenarios: Vec<Scenario>) -> Result<String> {
    let groups = scenario::groups(scenarios, stage.postgres.major());
    let mut verdict = Verdict::default();
    let runs = groups.iter().enumerate().map(|(number, group)| async move {
        let started = std::time::Instant::now();
        (number, group, started, stage.run(group, number).await)
    });
    let mut runs = futures_util::stream::iter(runs).buffered(AT_ONCE);
    while let Some((number, group, started, outcome)) = runs.next().await {
        match outcome {
            Ok(outcome) => verdict.judge(group, &outcome)?,
            Err(error) => verdict.broke(group, &error),
        }
        eprintln!(
            "group {number}: {} scenarios, {:?}, {} ms",
            group.scenarios.len(),
            group.settings,
            started.elapsed().as_millis()
        );
    }
    Ok(verdict.report())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_gives_the_bytes_that_debezium_writes() -> Result<()> {
    let stage = Stage::start(Version::Installed).await?;
    let report = zoo(&stage, scenarios()?).await?;
    ensure!(report.is_empty(), "{report}");
    Ok(())
}

/// Those that every run plays come first.
const OTHER_MAJORS: [(&str, Version); 4] = [
    ("14", Version::V14),
    ("18", Version::V18),
    ("17", Version::V17),
    ("16", Version::V16),
];

/// The first two, with `--long` all, or those that `ROWCAST_MAJOR` names.
fn other_majors() -> Vec<Version> {
    let mut majors = OTHER_MAJORS[..repetitions(2, OTHER_MAJORS.len())].to_vec();
    if let Ok(only) = std::env::var("ROWCAST_MAJOR") {
        majors = OTHER_MAJORS.to_vec();
        majors.retain(|(major, _)| only.split(',').any(|name| name == *major));
    }
    majors.into_iter().map(|(_, version)| version).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_majors_give_the_bytes_that_debezium_writes() -> Result<()> {
    let mut scenarios = scenarios()?;
    if repetitions(0, 1) == 0 {
        scenarios.retain(|scenario| SAMPLE.contains(&scenario.name.as_str()));
    }
    let mut majors = other_majors().into_iter();
    let mut stage = Stage::start(majors.next().context("ROWCAST_MAJOR names none of the others")?).await?;
    let mut wrong = String::new();
    loop {
        let report = zoo(&stage, scenarios.clone()).await?;
        if !report.is_empty() {
            let of_major = format!("PostgreSQL {}:\n{report}", stage.postgres.major());
            // The other majors take minutes.
            eprintln!("{of_major}");
            wrong.push_str(&of_major);
        }
        let Some(next) = majors.next() else { break };
        stage = stage.on(next)?;
    }
    ensure!(wrong.is_empty(), "{wrong}");
    Ok(())
}

/// Cases that share a pair of connectors.
const CASES_AT_ONCE: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn random_tables_give_the_bytes_that_debezium_writes() -> Result<()> {
    let mut random = Random::from_environment("random_tables_give_the_bytes_that_debezium_writes");
    let stage = Stage::start(Version::Installed).await?;
    let mut verdict = Verdict::default();
    for number in 0..repetitions(100, 2000) / CASES_AT_ONCE {
        let group = random::group(&mut random, CASES_AT_ONCE);
        match stage.run(&group, number).await {
            Ok(outcome) => verdict.judge(&group, &outcome)?,
            Err(error) => verdict.broke(&group, &error),
        }
    }
    let report = verdict.report();
    ensure!(report.is_empty(), "{report}");
    Ok(())
}
