//! Text arrives as Unicode whatever the database's encoding, and what is no text is refused by a sentence, for PostgreSQL
//! decodes nothing beyond it. (T56.)

use anyhow::Result;
use rowcast_tests::{
    client::Follower,
    postgres::{Postgres, Version},
    process::Rowcast,
};
use tokio_postgres::Client;

crate::on_every_postgres!(
    text_of_other_encodings_arrives_as_unicode,
    bytes_that_are_no_text_are_refused_and_do_no_harm_once_mended,
);

/// A database in this encoding, a table in it, and a connector for that.
async fn database_in(postgres: &Postgres, encoding: &str) -> Result<(Client, Rowcast)> {
    let name = encoding.to_lowercase();
    postgres
        .connect()
        .await?
        .batch_execute(&format!(
            "CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        ))
        .await?;
    let database = postgres.connect_to(&name).await?;
    database
        .batch_execute("CREATE TABLE t (id int PRIMARY KEY, note text)")
        .await?;
    let mut rowcast = Rowcast::new(postgres, "public.t")?;
    rowcast.set("database.dbname", &name);
    rowcast.set("slot.name", &name);
    Ok((database, rowcast))
}

async fn text_of_other_encodings_arrives_as_unicode(version: Version) -> Result<()> {
    let postgres = Postgres::start(version)?;
    for (encoding, text) in [
        ("LATIN1", "größe ÿ"),
        ("EUC_JP", "日本語 ｶﾅ"),
        ("SQL_ASCII", "größe 日本 🦀"),
    ] {
        let (database, mut rowcast) = database_in(&postgres, encoding).await?;
        let insert = "INSERT INTO t VALUES ($1, $2)";
        database.execute(insert, &[&1_i32, &text]).await?;
        rowcast.start_ready().await?;
        let follower = Follower::start(rowcast.address(), "t", true);
        follower.live().await?;
        database.execute(insert, &[&2_i32, &text]).await?;
        follower.row(2).await?;
        for (key, row) in follower.stop().rows {
            assert_eq!(row["note"], text, "{key} of {encoding}");
        }
        rowcast.terminate().await?;
    }
    Ok(())
}

async fn bytes_that_are_no_text_are_refused_and_do_no_harm_once_mended(version: Version) -> Result<()> {
    let postgres = Postgres::start(version)?;
    let (database, mut rowcast) = database_in(&postgres, "SQL_ASCII").await?;
    let spoil = "INSERT INTO t VALUES (1, E'not \\xff UTF-8')";
    database.batch_execute(spoil).await?;
    rowcast.start().await?;
    let reason = rowcast.refused(|reason| reason.contains("public")).await?;
    assert!(reason.contains("mend it") && !reason.contains("not \\"), "{reason}");
    // Mended, and started again: the snapshot has all rows.
    rowcast.terminate().await?;
    database
        .batch_execute("UPDATE t SET note = 'mended' WHERE id = 1")
        .await?;
    rowcast.start_ready().await?;
    let follower = Follower::start(rowcast.address(), "t", true);
    follower.row(1).await?;
    // The row before it arrives, and it is said why those behind it do not.
    database.batch_execute("INSERT INTO t VALUES (2, 'before')").await?;
    follower.row(2).await?;
    database
        .batch_execute("DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (1, E'not \\xff UTF-8')")
        .await?;
    let reason = rowcast.refused(|reason| reason.contains("reading changes")).await?;
    assert!(
        reason.contains("mend such rows") && reason.contains("take a new snapshot"),
        "{reason}"
    );
    Ok(())
}
