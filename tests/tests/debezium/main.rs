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

use anyhow::{Result, ensure};
use futures_util::StreamExt;
use rowcast_tests::{postgres::Version, random::Random, repetitions};

use judge::Verdict;
use stage::Stage;

/// Groups that are played at once: a connector's start is mostly waiting, and two cores have room for three.
const AT_ONCE: usize = 3;

/// Plays all scenarios that this PostgreSQL runs, or those that `ROWCAST_SCENARIO` names.
async fn zoo(version: Version) -> Result<()> {
    let stage = Stage::start(version).await?;
    let mut scenarios = scenario::all()?;
    let only = std::env::var("ROWCAST_SCENARIO").ok();
    if let Some(only) = &only {
        scenarios.retain(|scenario| only.split(',').any(|name| name == scenario.name));
    }
    let groups = scenario::groups(scenarios, stage.postgres.major());
    let mut verdict = Verdict::default();
    let runs = groups.iter().enumerate().map(|(number, group)| {
        let stage = &stage;
        async move {
            let started = std::time::Instant::now();
            (number, group, started, stage.run(group, number).await)
        }
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
    let report = verdict.report();
    ensure!(report.is_empty(), "{report}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_gives_the_bytes_that_debezium_writes() -> Result<()> {
    zoo(Version::Installed).await
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
