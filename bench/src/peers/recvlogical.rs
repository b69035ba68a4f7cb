//! PostgreSQL's own `pg_recvlogical` into /dev/null: how fast a walsender can be read by somebody who keeps nothing.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::run_to_end;
use crate::bench::{Bench, Database};

/// Makes the slot that [`drain`] reads later.
pub(crate) fn create_slot(database: &Database, slot: &str) -> Result<()> {
    database.connect()?.query(&format!(
        "SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')"
    ))?;
    Ok(())
}

/// From the start of the program to its end at `end_lsn`.
pub(crate) fn drain(bench: &Bench, database: &Database, slot: &str, end_lsn: &str) -> Result<Duration> {
    let mut command = Command::new(bench.postgres_program("pg_recvlogical"));
    command.args([
        "--host",
        "127.0.0.1",
        "--port",
        &database.address.port().to_string(),
        "--username",
        "postgres",
    ]);
    command.args([
        "--dbname",
        &database.name,
        "--slot",
        slot,
        "--start",
        "--no-loop",
        "--file",
        "/dev/null",
    ]);
    command.args([
        "--option",
        "proto_version=1",
        "--option",
        "publication_names=bench",
        "--endpos",
        end_lsn,
    ]);
    let started = Instant::now();
    run_to_end(&mut command, &bench.folder().join("pg_recvlogical.log"))?;
    Ok(started.elapsed())
}
