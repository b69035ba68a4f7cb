//! Kafka refuses: a full disk, a right that is missing, a record that is too large. The right error is said, naming topic and
//! remedy and no value of a row; the pipeline waits; nothing is lost when it goes on.

use anyhow::{Result, ensure};
use rowcast_tests::{
    kafka::{Kafka, MODES, WITH_RIGHTS},
    postgres::{Postgres, Version},
    process::{Rowcast, SLOT, topic},
    workload::{self, TABLES},
};
use tokio_postgres::Client;

use crate::kafka_away::the_topics_hold_what_was_committed;

struct Place {
    kafka: Kafka,
    capture: Rowcast,
    database: Client,
    // Dropped last.
    _postgres: Postgres,
}

impl Place {
    /// A capture at work, with one row in each topic.
    async fn streaming(mode: &str) -> Result<Place> {
        let postgres = Postgres::start(Version::Installed)?;
        let database = workload::watched_tables(&postgres).await?;
        let kafka = Kafka::start_with(&WITH_RIGHTS).await?;
        let mut capture = Rowcast::capture(&postgres, &workload::include_list(), &kafka.address())?;
        capture.set("exactly.once.support", mode);
        capture.start_streaming().await?;
        let place = Place {
            kafka,
            capture,
            database,
            _postgres: postgres,
        };
        workload::write_marker(&place.database, -1).await?;
        place.nothing_is_lost().await?;
        Ok(place)
    }

    async fn nothing_is_lost(&self) -> Result<()> {
        the_topics_hold_what_was_committed(&self.kafka, &self.database).await
    }

    /// Commits a large row, if `bytes` says so, and then one in each table. Gives the transaction, and a place in the WAL
    /// before its commit.
    async fn commit(&self, bytes: i32) -> Result<(String, String)> {
        self.database.batch_execute("BEGIN").await?;
        if bytes > 0 {
            let sql = format!("INSERT INTO {} SELECT 1, 0, 1, repeat('cAnary', $1)", TABLES[0]);
            self.database.execute(&sql, &[&(bytes / 6)]).await?;
        }
        workload::write_marker(&self.database, -2).await?;
        let sql = "SELECT pg_current_xact_id()::text, pg_current_wal_insert_lsn()::text";
        let row = self.database.query_one(sql, &[]).await?;
        self.database.batch_execute("COMMIT").await?;
        Ok((row.get(0), row.get(1)))
    }

    /// PostgreSQL was told to forget nothing from `lsn` on.
    async fn is_not_confirmed_beyond(&self, lsn: &str) -> Result<()> {
        let sql = format!("SELECT confirmed_flush_lsn <= '{lsn}' FROM pg_replication_slots WHERE slot_name = '{SLOT}'");
        let row = self.database.query_one(&sql, &[]).await?;
        ensure!(row.get::<_, bool>(0), "what Kafka has not acknowledged was confirmed");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_whose_disk_is_full_is_waited_for() -> Result<()> {
    for mode in MODES {
        let mut place = Place::streaming(mode).await?;
        place.kafka.fill_disk()?;
        let (_, before) = place.commit(0).await?;
        let waiting = format!("waiting for Kafka at {}", place.kafka.address());
        place.capture.unready(|reason| reason.contains(&waiting)).await?;
        // A broker without a disk that takes writes gives up.
        place.kafka.ended().await?;
        place.is_not_confirmed_beyond(&before).await?;
        place.kafka.restart().await?;
        place.capture.ready().await?;
        place.nothing_is_lost().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_may_not_be_written_to_is_named_and_waited_for() -> Result<()> {
    for mode in MODES {
        let mut place = Place::streaming(mode).await?;
        let forbidden = topic(TABLES[0]);
        place.kafka.forbid("Write", &forbidden).await?;
        let (xid, before) = place.commit(0).await?;
        let said = place
            .capture
            .unready(|reason| reason.contains(&forbidden) && reason.contains("is not allowed; allow it"))
            .await?;
        ensure!(
            said.contains(&format!("record 1 of transaction {xid}, which commits at LSN")),
            "{said}"
        );
        place.is_not_confirmed_beyond(&before).await?;
        place.kafka.allow_all(&forbidden).await?;
        place.capture.ready().await?;
        place.nothing_is_lost().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_may_not_be_looked_at_is_named_and_waited_for() -> Result<()> {
    let mut place = Place::streaming("requested").await?;
    place.capture.terminate().await?;
    let forbidden = topic(TABLES[0]);
    place.kafka.forbid("Describe", &forbidden).await?;
    // Who may write may look, too.
    place.kafka.forbid("All", &forbidden).await?;
    place.capture.start().await?;
    let refused = format!("refused to describe topic {forbidden}");
    place
        .capture
        .unready(|reason| reason.contains(&refused) && reason.contains("allow it"))
        .await?;
    workload::write_marker(&place.database, -2).await?;
    place.kafka.allow_all(&forbidden).await?;
    place.capture.ready().await?;
    place.nothing_is_lost().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_too_large_for_its_topic_is_named_by_its_place_and_waited_for() -> Result<()> {
    for mode in MODES {
        let mut place = Place::streaming(mode).await?;
        let small = topic(TABLES[0]);
        place.kafka.alter_topic(&small, "max.message.bytes=5000").await?;
        let (xid, before) = place.commit(12_000).await?;
        let said = place
            .capture
            .unready(|reason| reason.contains("max.message.bytes"))
            .await?;
        ensure!(
            said.contains(&small) && said.contains(&format!("of transaction {xid}, which commits at LSN")),
            "{said}"
        );
        place.is_not_confirmed_beyond(&before).await?;
        place.kafka.alter_topic(&small, "max.message.bytes=50000").await?;
        place.capture.ready().await?;
        place.nothing_is_lost().await?;
        ensure!(!place.capture.log_text().contains("cAnary"), "a row's value was logged");
    }
    Ok(())
}
