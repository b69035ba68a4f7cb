//! The kit itself: a test that cannot fail proves nothing, so what judges the product is judged here first.

use anyhow::Result;
use rowcast::demo::server::StopMode;
use rowcast_tests::{
    changes::fold,
    checker, oracle,
    postgres::{Postgres, Version},
    random::Random,
    workload::{self, Load, TABLES},
};

crate::on_every_postgres!(the_oracle_tells_what_a_crashing_server_committed);

async fn the_oracle_tells_what_a_crashing_server_committed(version: Version) -> Result<()> {
    let mut random = Random::from_environment("the_oracle_tells_what_a_crashing_server_committed");
    let mut postgres = Postgres::start(version)?;
    workload::watched_tables(&postgres).await?;
    let load = Load::start(postgres.port(), 4, &mut random);
    for mode in [StopMode::Immediate, StopMode::Kill, StopMode::Fast] {
        load.wrote(200).await?;
        postgres.stop(mode)?;
        postgres.start_again()?;
    }
    let committed = load.stop().await?;
    assert!(committed > 100, "{committed} transactions are no load");

    let client = postgres.connect().await?;
    for table in TABLES {
        let changes = oracle::changes(&client, table).await?;
        let rows = oracle::select(&client, table).await?;
        eprintln!("{table}: {} changes, {} rows", changes.len(), rows.len());
        assert!(changes.len() > 300);
        checker::same_rows("the oracle's changes", &fold(&changes), &rows)?;
    }
    Ok(())
}
