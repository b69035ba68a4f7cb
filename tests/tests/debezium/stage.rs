//! PostgreSQL, a real Debezium and ours on it, each with a Kafka of its own: topics of the same name must not meet.
//!
//! Promises: both sides get the same properties, slot and publication aside; a step is over when each side's slot says that
//! what was written before is durable in its Kafka, which no clock decides. Knows nothing of what is compared.

use std::cell::{Cell, OnceCell, RefCell};

use anyhow::{Context, Result, bail};
use rowcast_tests::{
    debezium::Debezium,
    http,
    kafka::{Kafka, Record},
    postgres::{self, Postgres, Version},
    process::{Rowcast, connector},
    until,
};
use serde_json::{Map, Value};
use tokio_postgres::{Client, SimpleQueryMessage, types::PgLsn};

use super::{
    compare::Recorded,
    record,
    scenario::{Group, PUBLICATION, Restart, SERVER, Scenario, Step},
};

/// What each database has beside the scenarios': a row here tells that all that was written before has arrived.
const MARKER: &str = "differential.marker";
/// How slots and publications are told apart: Debezium's, ours with the same configuration, ours without schemas.
const SIDES: [&str; 3] = ["debezium", "rowcast", "plain"];
/// Of all servers. A zone that is far from UTC shows what depends on the server's.
const SETTINGS: [(&str, &str); 4] = [
    ("timezone", "Pacific/Pago_Pago"),
    ("max_wal_senders", "60"),
    ("max_replication_slots", "400"),
    ("max_connections", "300"),
];
/// Between two questions to Debezium whether it still runs: about two seconds of looks at the slots.
const LOOKS_UNTIL_ASKED: usize = 100;

/// Servers that serve all groups.
pub(crate) struct Stage {
    pub(crate) postgres: Postgres,
    /// The one with pgvector, started by the first group that plays there.
    vectors: OnceCell<Postgres>,
    debezium: Debezium,
    theirs: Kafka,
    ours: [Kafka; 2],
}

/// What came of a group.
pub(crate) enum Outcome {
    /// Records of both, and why Debezium's task has failed, where it has.
    Recorded {
        debezium: Recorded,
        rowcast: Recorded,
        /// Of ours with `schemas.enable=false`, unless the group says itself whether there are schemas.
        plain: Option<Recorded>,
        failed: Option<String>,
    },
    /// Ours does not take the configuration; what it says.
    Refused(String),
}

impl Stage {
    pub(crate) async fn start(version: Version) -> Result<Stage> {
        let postgres = Postgres::start_with(version, &SETTINGS)?;
        let theirs = Kafka::start().await?;
        let ours = [Kafka::start().await?, Kafka::start().await?];
        // Debezium confirms what Connect has noted as durable: often, for the steps wait for it.
        let debezium = Debezium::start_with(&theirs.address(), &[("offset.flush.interval.ms", "100")]).await?;
        Ok(Stage {
            postgres,
            vectors: OnceCell::new(),
            debezium,
            theirs,
            ours,
        })
    }

    /// The same with another PostgreSQL.
    pub(crate) fn on(self, version: Version) -> Result<Stage> {
        let postgres = Postgres::start_with(version, &SETTINGS)?;
        Ok(Stage { postgres, ..self })
    }

    /// The server that the group plays on.
    fn server(&self, group: &Group) -> Result<&Postgres> {
        if !group.settings.contains_key(SERVER) {
            return Ok(&self.postgres);
        }
        if let Some(vectors) = self.vectors.get() {
            return Ok(vectors);
        }
        // Another group may have been quicker; then this one stops again.
        let _ = self.vectors.set(Postgres::start_with(Version::Vectors, &SETTINGS)?);
        self.vectors.get().context("the server that was just started")
    }

    /// Runs the group's scenarios, in a database of its own; `number` tells it from the others of this PostgreSQL.
    pub(crate) async fn run(&self, group: &Group, number: usize) -> Result<Outcome> {
        // The topics outlive the server: those of another major have other names.
        let name = format!("zoo{}_{number:03}", self.postgres.major());
        let postgres = self.server(group)?;
        let database = database(postgres, &name, group).await?;
        let config = config(postgres, &name, group);
        if config["publication.autocreate.mode"] == "disabled" {
            let what = group.settings.get(PUBLICATION).map_or("FOR ALL TABLES", String::as_str);
            for side in SIDES {
                let publication = format!("CREATE PUBLICATION {name}_{side} {what}");
                database.batch_execute(&publication).await?;
            }
        }
        let described = match record::is_wanted() {
            true => record::describe(&database, group).await?,
            false => Vec::new(),
        };
        let mut ours = Vec::new();
        for (kafka, side) in self.ours.iter().zip(&SIDES[1..]) {
            let mut config = config.clone();
            if *side == "plain" {
                if says_schemas(group) {
                    break;
                }
                for property in SCHEMAS {
                    config.insert(property.to_owned(), "false".into());
                }
            }
            let mut rowcast = Rowcast::capture(postgres, MARKER, &kafka.address())?;
            rowcast.configure(&name, with_slot(&config, &name, side));
            if let Some(why) = started(&mut rowcast).await? {
                return Ok(Outcome::Refused(why));
            }
            ours.push(rowcast);
        }
        let theirs = with_slot(&config, &name, SIDES[0]);
        let may_fail = group.scenarios.iter().any(|scenario| scenario.fails);
        let failed = match self.debezium.register(&name, &theirs).await {
            Err(_) if may_fail => self.trace(&name).await?,
            registered => registered.map(|()| None)?,
        };
        let mut pair = Pair {
            may_fail,
            failed: RefCell::new(failed),
            name: &name,
            stage: self,
            ours,
            database,
            theirs,
        };
        let began = pair.draw_line().await?;
        let said = pair.play(group).await;
        let Pair { mut ours, failed, .. } = pair;
        if let Err(error) = said {
            let log = ours.iter().map(Rowcast::log_text).collect::<Vec<_>>().join("\n");
            let noteworthy: Vec<&str> = log.lines().filter(|line| !line.contains("NULL is delivered")).collect();
            return Err(error.context(format!("Rowcast logged:\n{}", noteworthy.join("\n"))));
        }
        for rowcast in &mut ours {
            rowcast.terminate().await?;
            // Shown if the test fails: a connection that ended, for one, is the reason of a difference.
            for line in rowcast.log_text().lines().filter(|line| line.contains("\"WARN\"")) {
                eprintln!("{name}: {line}");
            }
        }
        self.debezium.remove(&name).await?;
        let debezium = recorded(&self.theirs, &name, began).await?;
        record::write(&described, &name, &debezium)?;
        Ok(Outcome::Recorded {
            debezium,
            rowcast: recorded(&self.ours[0], &name, began).await?,
            plain: match ours.len() {
                2 => Some(recorded(&self.ours[1], &name, began).await?),
                _ => None,
            },
            failed: failed.into_inner(),
        })
    }

    /// The Java trace of a task that has failed.
    async fn trace(&self, name: &str) -> Result<Option<String>> {
        let status = self.debezium.status(name).await?;
        Ok(status["tasks"][0]["trace"].as_str().map(str::to_owned))
    }
}

/// Makes the database and what the scenarios set up.
async fn database(postgres: &Postgres, name: &str, group: &Group) -> Result<Client> {
    let server = postgres.connect().await?;
    server.batch_execute(&format!("CREATE DATABASE {name}")).await?;
    let database = postgres::connect(postgres.port(), name).await?;
    database
        .batch_execute(&format!(
            "CREATE SCHEMA differential; CREATE TABLE {MARKER} (id serial PRIMARY KEY)"
        ))
        .await?;
    for scenario in &group.scenarios {
        let schema = format!("CREATE SCHEMA {}", scenario.name);
        database.batch_execute(&schema).await?;
        execute(&database, scenario, &scenario.setup).await?;
    }
    Ok(database)
}

/// Both connectors on one database.
struct Pair<'a> {
    name: &'a str,
    stage: &'a Stage,
    ours: Vec<Rowcast>,
    database: Client,
    theirs: Map<String, Value>,
    may_fail: bool,
    /// Why Debezium's task has failed.
    failed: RefCell<Option<String>>,
}

impl Pair<'_> {
    /// Ends what the one who started first has seen of the others' start; the transaction's id.
    ///
    /// Before PostgreSQL 15 a transaction arrives that published nothing (each side makes a publication): it is the last
    /// commit of the next one, and one more of the transactions that metadata tell of. So all now see such a one.
    async fn draw_line(&self) -> Result<u64> {
        let statement = format!("COMMENT ON TABLE {MARKER} IS 'the line'; SELECT pg_current_xact_id()::text");
        let row = self.database.simple_query(&statement).await?;
        let xid = row.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
            _ => None,
        });
        xid.context("a transaction has an id")
    }

    /// Plays the scenarios side by side: the first step of each, then the second of each.
    async fn play(&mut self, group: &Group) -> Result<()> {
        self.settle().await?;
        let steps = group.scenarios.iter().map(|scenario| scenario.stream.len()).max();
        for step in 0..steps.unwrap_or(0) {
            let mut restarts: Vec<(&Scenario, &Restart)> = Vec::new();
            for scenario in &group.scenarios {
                match scenario.stream.get(step) {
                    Some(Step::Statements(statements)) => execute(&self.database, scenario, statements).await?,
                    Some(Step::Restart(restart)) => restarts.push((scenario, restart)),
                    None => {}
                }
            }
            self.settle().await?;
            if !restarts.is_empty() {
                self.restart(&restarts).await?;
                self.settle().await?;
            }
        }
        Ok(())
    }

    async fn restart(&mut self, restarts: &[(&Scenario, &Restart)]) -> Result<()> {
        for rowcast in &mut self.ours {
            rowcast.terminate().await?;
        }
        self.stage.debezium.remove(self.name).await?;
        for (scenario, restart) in restarts {
            execute(&self.database, scenario, &restart.meanwhile).await?;
            if let Some((property, value)) = &restart.property {
                self.theirs.insert(property.clone(), value.as_str().into());
                for rowcast in &mut self.ours {
                    rowcast.set(property, value);
                }
            }
        }
        for rowcast in &mut self.ours {
            rowcast.start_ready().await?;
        }
        self.stage.debezium.register(self.name, &self.theirs).await
    }

    /// Waits until both have delivered everything that was written.
    ///
    /// Debezium confirms the commit that the last acknowledged record knew of, which is the one before its own
    /// transaction: so a second marker follows the first.
    async fn settle(&self) -> Result<()> {
        let marker = format!("INSERT INTO {MARKER} DEFAULT VALUES RETURNING pg_current_wal_insert_lsn()");
        let row = self.database.query_one(&marker, &[]).await?;
        let written: PgLsn = row.get(0);
        self.database.query_one(&marker, &[]).await?;
        let looks = Cell::new(0_usize);
        let what = format!("both slots of {} to confirm {written}", self.name);
        let slots = until(&what, async || {
            looks.set(looks.get() + 1);
            if looks.get().is_multiple_of(LOOKS_UNTIL_ASKED) {
                self.still_runs().await?;
            }
            let theirs = usize::from(self.failed.borrow().is_some());
            let wanted = &SIDES[theirs..=self.ours.len()];
            let confirmed = "SELECT slot_name::text FROM pg_replication_slots
                WHERE database = current_database() AND confirmed_flush_lsn > $1";
            let rows = self.database.query(confirmed, &[&written]).await?;
            let has = |side: &&str| rows.iter().any(|row| row.get::<_, String>(0).ends_with(side));
            Ok(wanted.iter().all(has).then_some(()))
        });
        if let Err(error) = slots.await {
            let query = "SELECT string_agg(slot_name || ' ' || confirmed_flush_lsn, ', ') FROM pg_replication_slots
                WHERE database = current_database()";
            let where_they_are: Option<String> = self.database.query_one(query, &[]).await?.get(0);
            return Err(error.context(where_they_are.unwrap_or_default()));
        }
        Ok(())
    }

    async fn still_runs(&self) -> Result<()> {
        match self.stage.trace(self.name).await? {
            Some(trace) if self.may_fail => drop(self.failed.replace(Some(trace))),
            Some(trace) => bail!("Debezium's task has failed: {trace}"),
            None => {}
        }
        for rowcast in &self.ours {
            let ready = http::get(rowcast.address(), "/health/ready").await?;
            if ready.status != 200 {
                bail!("Rowcast is not ready: {}", ready.body);
            }
        }
        Ok(())
    }
}

/// Sends each statement alone, as the scenario's own session would.
async fn execute(database: &Client, scenario: &Scenario, statements: &[String]) -> Result<()> {
    let session = format!("RESET ALL; SET search_path TO {}, public", scenario.name);
    database.batch_execute(&session).await?;
    for statement in statements {
        let done = database.batch_execute(statement).await;
        done.with_context(|| format!("scenario {}: {statement}", scenario.name))?;
    }
    Ok(())
}

/// Starts ours and waits until it streams, behind its snapshot, or does not want to: why.
async fn started(rowcast: &mut Rowcast) -> Result<Option<String>> {
    if let Err(error) = rowcast.start().await {
        return Ok(Some(format!("{error:#}")));
    }
    let line = rowcast.logged(|line| line.contains("\"message\":\"streaming\"") || line.contains("\"ERROR\""));
    let line = line.await?;
    Ok(line.contains("\"ERROR\"").then_some(line))
}

const SCHEMAS: [&str; 2] = ["key.converter.schemas.enable", "value.converter.schemas.enable"];

fn says_schemas(group: &Group) -> bool {
    SCHEMAS.iter().any(|property| group.settings.contains_key(*property))
}

/// What both are told.
fn config(postgres: &Postgres, name: &str, group: &Group) -> Map<String, Value> {
    let mut config = connector(postgres, MARKER);
    let mut set = |property: &str, value: &str| config.insert(property.to_owned(), value.into());
    set("database.dbname", name);
    set("topic.prefix", name);
    set("topic.creation.default.replication.factor", "1");
    set("topic.creation.default.partitions", "1");
    // Debezium looks for new records every 500 ms by default.
    set("poll.interval.ms", "20");
    for property in SCHEMAS {
        set(property, "true");
    }
    for side in ["key", "value"] {
        set(
            &format!("{side}.converter"),
            "org.apache.kafka.connect.json.JsonConverter",
        );
    }
    let filters = [
        "table.include.list",
        "table.exclude.list",
        "schema.include.list",
        "schema.exclude.list",
    ];
    match filters.iter().any(|filter| group.settings.contains_key(*filter)) {
        true => drop(config.remove("table.include.list")),
        false => {
            let mut tables: Vec<&str> = Vec::new();
            for scenario in &group.scenarios {
                tables.extend(scenario.tables.iter().map(String::as_str));
            }
            tables.push("differential\\.marker");
            config.insert("table.include.list".to_owned(), tables.join(",").into());
        }
    }
    for (property, value) in &group.settings {
        if !property.starts_with('(') {
            config.insert(property.clone(), value.as_str().into());
        }
    }
    config
}

fn with_slot(config: &Map<String, Value>, name: &str, side: &str) -> Map<String, Value> {
    let mut config = config.clone();
    config.insert("slot.name".to_owned(), format!("{name}_{side}").into());
    config.insert("publication.name".to_owned(), format!("{name}_{side}").into());
    config
}

/// What came into the topics of this prefix, without what is told of the beginnings and ends of transactions before `began`.
async fn recorded(kafka: &Kafka, prefix: &str, began: u64) -> Result<Recorded> {
    // Topics of other kinds have the prefix elsewhere: heartbeats.
    let ends = format!(".{prefix}");
    let mut recorded = kafka
        .topics()
        .read_all(|name| name.starts_with(prefix) || name.ends_with(&ends))
        .await?;
    for records in recorded.values_mut() {
        let of_a_pair = |record: &Record| transaction(record).is_none_or(|xid| xid >= began);
        records.retain(of_a_pair);
    }
    Ok(recorded)
}

/// The transaction whose beginning or end the record tells, if it is one of those.
fn transaction(record: &Record) -> Option<u64> {
    let value: Value = serde_json::from_slice(record.value.as_deref()?).ok()?;
    let told = value.get("payload").unwrap_or(&value);
    told.get("status")?;
    told["id"].as_str()?.split(':').next()?.parse().ok()
}
