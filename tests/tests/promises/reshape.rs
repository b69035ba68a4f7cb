//! A table whose shape changes again and again, between transactions and inside them, is the same table in every view.
//! (T39, T40, T42, T43: a row's columns are those of its place in the WAL, never those of today's catalog or yesterday's cache.)

use anyhow::{Context, Result};
use rowcast_tests::{
    checker,
    client::{Follower, Seen},
    oracle,
    postgres::{Postgres, Version},
    process::Rowcast,
    random::Random,
    repetitions,
};
use tokio_postgres::Client;

crate::on_every_postgres!(
    a_table_that_is_reshaped_again_and_again_stays_the_table,
    rows_of_a_table_that_is_gone_arrive_in_their_own_shape,
);

/// Longer than a page of PostgreSQL's, and not compressed: an update that leaves it alone does not send it.
const LONG: &str = "repeat('long ', 3000)";
/// Types of columns that come and go: JSON of PostgreSQL's own shows their values as the records do.
const TYPES: [&str; 4] = ["int", "bigint", "text", "bool"];
/// Columns beside `id` and `long`.
const COLUMNS_MAX: usize = 8;
/// Transactions between two kills.
const BETWEEN_KILLS: usize = 60;
/// The row that is written last.
const LAST: u64 = 1_000_000_000;

/// The table as it is now.
#[derive(Clone)]
struct Shape {
    /// Names and types.
    columns: Vec<(String, &'static str)>,
    /// Columns that ever were, so that no name comes back by chance.
    named: u64,
    /// Rows that ever were.
    rows: u64,
}

async fn a_table_that_is_reshaped_again_and_again_stays_the_table(version: Version) -> Result<()> {
    let mut random = Random::from_environment("a_table_that_is_reshaped_again_and_again_stays_the_table");
    let postgres = Postgres::start(version)?;
    let database = postgres.connect().await?;
    database
        .batch_execute(&format!(
            "CREATE TABLE t (id bigint PRIMARY KEY, long text);
             ALTER TABLE t ALTER long SET STORAGE EXTERNAL;
             INSERT INTO t VALUES (-1, {LONG}), (-2, {LONG}), (-3, NULL)"
        ))
        .await?;
    let mut rowcast = Rowcast::new(&postgres, "public.t")?;
    // Else a NULL is shown as its column's default, as Connect does it.
    rowcast.set("value.converter.replace.null.with.default", "false");
    rowcast.start_ready().await?;
    let follower = Follower::start(rowcast.address(), "t", true);
    follower.live().await?;
    let mut shape = Shape {
        columns: Vec::new(),
        named: 0,
        rows: 0,
    };
    for number in 1..=repetitions(300, 5_000) {
        let sql = transaction(&mut random, &mut shape);
        let context = || format!("transaction {number}: {sql}");
        database.batch_execute(&sql).await.with_context(context)?;
        if number.is_multiple_of(BETWEEN_KILLS) {
            rowcast.kill().await?;
            rowcast.start().await?;
        }
    }
    // Each row shows all of itself once in the shape of the end: adding a column sends no rows.
    database.batch_execute("UPDATE t SET id = id").await?;
    shape.rows = LAST - 1;
    database.batch_execute(&insert(&mut random, &mut shape)).await?;
    follower.row(LAST as i64).await?;
    let seen = follower.stop();
    let newcomer = first_view(&rowcast).await?;
    let rows = oracle::select(&database, "t").await?;
    assert!(rows.len() > 50, "{} rows are no table", rows.len());
    checker::same_rows("a client that was there all the time", &seen.rows, &rows)?;
    checker::same_rows("a client that came at the end", &newcomer.rows, &rows)?;
    Ok(())
}

async fn first_view(rowcast: &Rowcast) -> Result<Seen> {
    let newcomer = Follower::start(rowcast.address(), "t", true);
    newcomer.live().await?;
    newcomer.row(LAST as i64).await?;
    Ok(newcomer.stop())
}

fn one_in(random: &mut Random, chance: u64) -> bool {
    random.below(chance) == 0
}

/// A transaction of a few statements, a change of shape among them as often as not.
fn transaction(random: &mut Random, shape: &mut Shape) -> String {
    let mut after = shape.clone();
    let mut statements = Vec::new();
    for _ in 0..1 + random.below(6) {
        match random.below(9) {
            0..3 => statements.push(insert(random, &mut after)),
            3..5 => statements.push(update(random, &after)),
            5 => statements.push(format!(
                "DELETE FROM t WHERE id = {}",
                1 + random.below(after.rows.max(1))
            )),
            6 => {
                after.rows += 1;
                let row = 1 + random.below(after.rows);
                statements.push(format!("UPDATE t SET id = {} WHERE id = {row}", after.rows));
            }
            _ => statements.extend(reshape(random, &mut after)),
        }
    }
    let ends_well = !one_in(random, 6);
    if ends_well {
        *shape = after;
    }
    format!(
        "BEGIN; {}; {}",
        statements.join("; "),
        if ends_well { "COMMIT" } else { "ROLLBACK" }
    )
}

fn value(random: &mut Random, kind: &str) -> String {
    match kind {
        "bool" => format!("{}", one_in(random, 2)),
        "text" => format!("'text {}'", random.below(1_000)),
        _ => random.below(1_000).to_string(),
    }
}

fn insert(random: &mut Random, shape: &mut Shape) -> String {
    shape.rows += 1;
    let long = if one_in(random, 4) { LONG } else { "'short'" };
    let (mut names, mut values) = (vec!["id", "long"], vec![shape.rows.to_string(), long.to_owned()]);
    for (name, kind) in &shape.columns {
        names.push(name);
        values.push(value(random, kind));
    }
    format!("INSERT INTO t ({}) VALUES ({})", names.join(", "), values.join(", "))
}

fn update(random: &mut Random, shape: &Shape) -> String {
    let row = 1 + random.below(shape.rows.max(1));
    match shape.columns.get(random.below(COLUMNS_MAX as u64) as usize) {
        Some((name, kind)) => format!("UPDATE t SET {name} = {} WHERE id = {row}", value(random, kind)),
        None => format!("UPDATE t SET long = 'changed' WHERE id = {row}"),
    }
}

/// One change of shape, as the statements that make it.
fn reshape(random: &mut Random, shape: &mut Shape) -> Vec<String> {
    if shape.columns.len() < 2 || shape.columns.len() < COLUMNS_MAX && one_in(random, 3) {
        return vec![add(random, shape)];
    }
    let at = random.below(shape.columns.len() as u64) as usize;
    let (name, kind) = shape.columns[at].clone();
    match random.below(8) {
        0 => {
            shape.columns.remove(at);
            vec![format!("ALTER TABLE t DROP COLUMN {name}")]
        }
        1 => {
            shape.named += 1;
            let new = format!("\"Column {}\"", shape.named);
            shape.columns[at].0.clone_from(&new);
            vec![format!("ALTER TABLE t RENAME COLUMN {name} TO {new}")]
        }
        2 => swap(shape, at),
        3 => retype(shape, at),
        4 => vec![
            format!("UPDATE t SET {name} = {} WHERE {name} IS NULL", value(random, kind)),
            format!("ALTER TABLE t ALTER {name} SET NOT NULL"),
        ],
        5 => vec![format!("ALTER TABLE t ALTER {name} DROP NOT NULL")],
        6 => vec![format!(
            "ALTER TABLE t ALTER {name} SET DEFAULT {}",
            value(random, kind)
        )],
        _ => {
            let identity = if one_in(random, 2) { "FULL" } else { "DEFAULT" };
            vec![format!("ALTER TABLE t REPLICA IDENTITY {identity}")]
        }
    }
}

fn add(random: &mut Random, shape: &mut Shape) -> String {
    shape.named += 1;
    let kind = TYPES[random.below(TYPES.len() as u64) as usize];
    let name = format!("c{}", shape.named);
    let default = match one_in(random, 2) {
        true => format!(" NOT NULL DEFAULT {}", value(random, kind)),
        false => String::new(),
    };
    let statement = format!("ALTER TABLE t ADD COLUMN {name} {kind}{default}");
    shape.columns.push((name, kind));
    statement
}

/// Two columns take each other's name, of whatever types they are.
fn swap(shape: &mut Shape, at: usize) -> Vec<String> {
    let other = (at + 1) % shape.columns.len();
    let (a, b) = (shape.columns[at].0.clone(), shape.columns[other].0.clone());
    shape.columns[at].0.clone_from(&b);
    shape.columns[other].0.clone_from(&a);
    vec![
        format!("ALTER TABLE t RENAME COLUMN {a} TO between"),
        format!("ALTER TABLE t RENAME COLUMN {b} TO {a}"),
        format!("ALTER TABLE t RENAME COLUMN between TO {b}"),
    ]
}

/// Another type, for which PostgreSQL writes the table anew.
fn retype(shape: &mut Shape, at: usize) -> Vec<String> {
    let (name, kind) = shape.columns[at].clone();
    let (new, using) = match kind {
        "int" => ("text", format!("'was ' || {name}")),
        "text" => ("bigint", format!("length({name})")),
        _ => ("int", format!("CASE WHEN {name}::text = 'true' THEN 1 END")),
    };
    shape.columns[at].1 = new;
    vec![
        format!("ALTER TABLE t ALTER {name} DROP NOT NULL, ALTER {name} DROP DEFAULT"),
        format!("ALTER TABLE t ALTER {name} TYPE {new} USING {using}"),
    ]
}

async fn rows_of_a_table_that_is_gone_arrive_in_their_own_shape(version: Version) -> Result<()> {
    let postgres = Postgres::start(version)?;
    let database = postgres.connect().await?;
    database
        .batch_execute("CREATE TABLE t (id bigint PRIMARY KEY, old text)")
        .await?;
    let mut rowcast = Rowcast::new(&postgres, "public.t")?;
    rowcast.start_ready().await?;
    let follower = Follower::start(rowcast.address(), "t", true);
    follower.live().await?;
    insert_and_see(&database, &follower, "1, 'seen'", 1).await?;
    rowcast.terminate().await?;
    // What we come back to has no such table any more, then another one of its name, then none at all.
    for sql in [
        "INSERT INTO t VALUES (2, 'of a table that is dropped')",
        "DROP TABLE t",
        "CREATE TABLE t (fresh bool, id bigint PRIMARY KEY)",
        "ALTER PUBLICATION dbz_publication ADD TABLE t",
        "INSERT INTO t VALUES (true, 3)",
        "DROP TABLE t",
    ] {
        // A table that comes back under FOR ALL TABLES need not be added.
        match database.batch_execute(sql).await {
            Err(_) if sql.starts_with("ALTER PUBLICATION") => {}
            outcome => outcome.with_context(|| sql.to_owned())?,
        }
    }
    rowcast.start().await?;
    rowcast.ready().await?;
    follower.row(3).await.with_context(|| rowcast.log_text())?;
    let seen = follower.stop();
    let texts: Vec<String> = seen
        .changes
        .iter()
        .map(|change| format!("{:?}", change.after))
        .collect();
    assert_eq!(
        texts,
        [
            r#"{"id": Number(1), "old": String("seen")}"#,
            r#"{"id": Number(2), "old": String("of a table that is dropped")}"#,
            r#"{"fresh": Bool(true), "id": Number(3)}"#,
        ]
    );
    Ok(())
}

async fn insert_and_see(database: &Client, follower: &Follower, values: &str, id: i64) -> Result<()> {
    database
        .batch_execute(&format!("INSERT INTO t VALUES ({values})"))
        .await?;
    follower.row(id).await
}
