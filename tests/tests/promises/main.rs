//! What Rowcast promises, one file for each promise, on real PostgreSQL with the binary that users run.
//!
//! Numbers like T07 are the traps of PostgreSQL's logical replication that a test was written for:
//! each is explained where it is tested.

mod beside;
mod clients;
mod columns;
mod copy;
mod crash_postgres;
mod demo;
mod encodings;
mod filter;
mod identity;
mod idle;
mod kafka;
mod kafka_anew;
mod kafka_away;
mod kafka_foreign;
mod kafka_gateway;
mod kafka_kit;
mod kafka_life;
mod kafka_refusals;
mod kafka_security;
mod kafka_snapshots;
mod kafka_topics;
mod kafka_two;
mod kafka_war;
mod keys;
mod kill_rowcast;
mod kit;
mod names;
mod order;
mod publication;
mod refusals;
mod replication_options;
mod reshape;
mod resume;
mod schemas;
mod shutdown;
mod slots;
mod snapshot;
mod snapshot_modes;
mod stalled;
mod stalled_disk;
mod texts;
mod topology;
mod truncate;
mod values;
mod versions;
mod walsender;

/// Makes one test for Debian's PostgreSQL and one for the newest.
#[macro_export]
macro_rules! on_every_postgres {
    ($($(#[$attribute:meta])* $name:ident),+ $(,)?) => {
        mod on_the_installed_postgres {
            $($(#[$attribute])* #[tokio::test(flavor = "multi_thread")]
            async fn $name() -> anyhow::Result<()> { super::$name(rowcast_tests::postgres::Version::Installed).await })+
        }
        mod on_postgres_18 {
            $($(#[$attribute])* #[tokio::test(flavor = "multi_thread")]
            async fn $name() -> anyhow::Result<()> { super::$name(rowcast_tests::postgres::Version::Newest).await })+
        }
    };
}
