//! Writes down what Debezium made of each value, as golden files for tests that need no server: `ROWCAST_RECORD=1`.
//!
//! One file for each scenario that plays types: how the catalog describes table `t`, the text in which PostgreSQL sends each
//! value, what Debezium's snapshot and stream made of it, to the byte, and each column's schema. A row of the stream is known
//! by the scenarios' habit to insert again what the snapshot had, under the id 20 higher.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use rowcast_tests::kafka::Record;
use serde_json::{Value, json};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::{
    compare::Recorded,
    normal::payload,
    scenario::{Group, Scenario},
    spans,
};

/// What the rows of the stream have added to their ids.
const STREAMED: i64 = 20;
/// The modes that a golden file may need: others shape more than values.
const MODES: [&str; 7] = [
    "binary.handling.mode",
    "decimal.handling.mode",
    "hstore.handling.mode",
    "include.unknown.datatypes",
    "interval.handling.mode",
    "money.fraction.digits",
    "time.precision.mode",
];
/// The first oid that a database gives out itself, which is another one at each recording.
const USERS_OIDS: u32 = 16_384;
/// Where those begin in the files.
const GOLDEN_OIDS: u32 = 100_000;

/// The session that Rowcast's own connections have: the text of values depends on it.
const SESSION: &str = "RESET ALL; SET DateStyle = 'ISO, MDY'; SET IntervalStyle = postgres; SET bytea_output = hex; \
     SET lc_monetary = 'C'; SET extra_float_digits = 3; SET TimeZone = 'UTC'";

/// A scenario's table before the connectors start.
#[derive(Debug)]
pub(crate) struct Described {
    scenario: String,
    settings: BTreeMap<String, String>,
    types: Vec<Value>,
    columns: Vec<Value>,
    rows: Vec<(i64, Vec<Option<String>>)>,
}

/// True when the files are to be written.
pub(crate) fn is_wanted() -> bool {
    std::env::var_os("ROWCAST_RECORD").is_some()
}

/// Describes the tables `t` of the group's scenarios, if it plays types.
pub(crate) async fn describe(database: &Client, group: &Group) -> Result<Vec<Described>> {
    let mut described = Vec::new();
    if group.settings.keys().all(|property| MODES.contains(&property.as_str())) {
        for scenario in &group.scenarios {
            described.extend(table(database, scenario).await?);
        }
    }
    Ok(described)
}

async fn table(database: &Client, scenario: &Scenario) -> Result<Option<Described>> {
    database.batch_execute(SESSION).await?;
    let found = "SELECT c.oid FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = 1
        WHERE c.oid = to_regclass($1::text) AND a.attname = 'id' AND a.atttypid = 'int4'::regtype";
    let Some(row) = database.query_opt(found, &[&format!("{}.t", scenario.name)]).await? else {
        return Ok(None);
    };
    let oid: u32 = row.get(0);
    let mut golden_oids = GoldenOids::default();
    let columns = columns(database, oid, &mut golden_oids).await?;
    let types = types(database, oid, &mut golden_oids).await?;
    let names = columns.iter().map(|column| format!("{}", column["name"]));
    let select = format!(
        "SELECT {} FROM {}.t ORDER BY id",
        names.collect::<Vec<_>>().join(", "),
        scenario.name
    );
    let mut rows = Vec::new();
    for message in database.simple_query(&select).await? {
        if let SimpleQueryMessage::Row(row) = message {
            let texts: Vec<_> = (0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect();
            let id = texts[0].as_deref().context("ids are not null")?.parse()?;
            rows.push((id, texts));
        }
    }
    Ok(Some(Described {
        scenario: scenario.name.clone(),
        settings: scenario.settings.clone(),
        types,
        columns,
        rows,
    }))
}

/// Oids of the user's types, in the order in which they are met.
#[derive(Default)]
struct GoldenOids(Vec<u32>);

impl GoldenOids {
    fn of(&mut self, oid: u32) -> u32 {
        if oid < USERS_OIDS {
            return oid;
        }
        let place = self.0.iter().position(|known| *known == oid).unwrap_or_else(|| {
            self.0.push(oid);
            self.0.len() - 1
        });
        GOLDEN_OIDS + u32::try_from(place).unwrap_or_default()
    }
}

async fn columns(database: &Client, table: u32, oids: &mut GoldenOids) -> Result<Vec<Value>> {
    let query = "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.atttypid, a.atttypmod,
            a.attnotnull OR t.typtype = 'd' AND t.typnotnull, pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
            LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum";
    let rows = database.query(query, &[&table]).await?;
    let column = |row: &tokio_postgres::Row| {
        json!({
            "name": row.get::<_, String>(0),
            "type": row.get::<_, String>(1),
            "oid": oids.of(row.get(2)),
            "modifier": row.get::<_, i32>(3),
            "nullable": !row.get::<_, bool>(4),
            "default": row.get::<_, Option<String>>(5),
        })
    };
    Ok(rows.iter().map(column).collect())
}

/// The types that the columns are made of, as far as the database made them itself.
async fn types(database: &Client, table: u32, oids: &mut GoldenOids) -> Result<Vec<Value>> {
    let query = "WITH RECURSIVE used(oid) AS (
            SELECT atttypid FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped
            UNION SELECT unnest(ARRAY[t.typbasetype, t.typelem]) FROM used JOIN pg_type t USING (oid))
        SELECT t.oid, t.typname::text, t.typtype::text, t.typelem, t.typbasetype, t.typtypmod, t.typcategory = 'A',
            ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder)
        FROM used JOIN pg_type t USING (oid) WHERE t.oid >= $2 ORDER BY t.oid";
    let rows = database.query(query, &[&table, &USERS_OIDS]).await?;
    let user_type = |row: &tokio_postgres::Row| {
        let kind: String = row.get(2);
        let what = match (kind.as_str(), row.get::<_, bool>(6)) {
            ("e", _) => json!({ "enum": row.get::<_, Vec<String>>(7) }),
            ("d", _) => json!({ "domain": oids.of(row.get(4)), "modifier": row.get::<_, i32>(5) }),
            ("c", _) => json!("composite"),
            (_, true) => json!({ "array": oids.of(row.get(3)) }),
            _ => json!("base"),
        };
        json!({ "oid": oids.of(row.get(0)), "name": row.get::<_, String>(1), "kind": what })
    };
    Ok(rows.iter().map(user_type).collect())
}

/// Writes a file for each.
pub(crate) fn write(described: &[Described], prefix: &str, debezium: &Recorded) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/event/tests/golden/live");
    fs::create_dir_all(&folder)?;
    for table in described {
        let none = Vec::new();
        let records = debezium.get(&format!("{prefix}.{}.t", table.scenario)).unwrap_or(&none);
        let text = golden(table, records).with_context(|| table.scenario.clone())?;
        // Without a row that both have, the scenario is about something else.
        if text.contains("\"stream\":[") {
            fs::write(folder.join(format!("{}.json", table.scenario)), text)?;
        }
    }
    Ok(())
}

fn golden(table: &Described, records: &[Record]) -> Result<String> {
    let (mut read, mut streamed) = (BTreeMap::new(), BTreeMap::new());
    let mut schemas = BTreeMap::new();
    for value in records.iter().filter_map(|record| record.value.as_ref()) {
        let body = &value[payload(value)?];
        let op = spans::member(body, "op")?.map(|span| body[span].to_vec());
        let after = spans::member(body, "after")?.context("an envelope has a row after")?;
        let into = match op.as_deref() {
            Some(b"\"r\"") => &mut read,
            Some(b"\"c\"") => &mut streamed,
            _ => continue,
        };
        let row = members(&body[after])?;
        into.insert(row.get("id").cloned().unwrap_or_default(), row);
        if schemas.is_empty() {
            schemas = column_schemas(value)?;
        }
    }
    let names: Vec<&str> = table
        .columns
        .iter()
        .filter_map(|column| column["name"].as_str())
        .collect();
    let values = |row: Option<&BTreeMap<String, String>>| -> Option<Vec<Option<String>>> {
        let row = row?;
        Some(names.iter().map(|name| row.get(*name).cloned()).collect())
    };
    let row = |(id, texts): &(i64, Vec<Option<String>>)| {
        json!({
            "text": texts,
            "snapshot": values(read.get(&id.to_string())),
            "stream": values(streamed.get(&(id + STREAMED).to_string())),
        })
    };
    let columns = table.columns.iter().map(|column| {
        let mut column = column.clone();
        column["schema"] = json!(column["name"].as_str().and_then(|name| schemas.get(name)));
        column
    });
    let lines = |values: Vec<Value>| values.iter().map(Value::to_string).collect::<Vec<_>>().join(",\n    ");
    Ok(format!(
        "{{\n  \"settings\": {},\n  \"types\": [\n    {}\n  ],\n  \"columns\": [\n    {}\n  ],\n  \"rows\": [\n    {}\n  ]\n}}\n",
        json!(table.settings),
        lines(table.types.clone()),
        lines(columns.collect()),
        lines(table.rows.iter().map(row).collect())
    ))
}

fn members(row: &[u8]) -> Result<BTreeMap<String, String>> {
    let text = |span| String::from_utf8_lossy(&row[span]).into_owned();
    Ok(spans::members(row)?
        .into_iter()
        .map(|(name, span)| (name, text(span)))
        .collect())
}

/// Of the row after, by column.
fn column_schemas(value: &[u8]) -> Result<BTreeMap<String, String>> {
    let schema = spans::member(value, "schema")?.context("Debezium's schemas are on")?;
    let envelope = fields(&value[schema])?;
    let row = envelope.get("after").context("an envelope has a row after")?;
    fields(row.as_bytes())
}

fn fields(schema: &[u8]) -> Result<BTreeMap<String, String>> {
    let fields = spans::member(schema, "fields")?.context("a struct has fields")?;
    let fields = &schema[fields];
    let mut by_name = BTreeMap::new();
    for span in spans::elements(fields)? {
        let field = &fields[span];
        let name = spans::member(field, "field")?.context("a field has a name")?;
        let name = String::from_utf8_lossy(&field[name]).trim_matches('"').to_owned();
        by_name.insert(name, String::from_utf8_lossy(field).into_owned());
    }
    Ok(by_name)
}
