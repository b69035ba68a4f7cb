//! Tables that nobody thought of: random columns, keys and identities, random rows and changes of shape, from one printed seed.
//!
//! A case is a scenario of its own; many play in one pair of connectors. Nothing may differ: what `EXPECTED` allows is left
//! out of what is generated.

use rowcast_tests::random::Random;

use super::scenario::{Group, Scenario, Step};

/// A type, what its values may be, and defaults that a column of it may have.
struct Type {
    sql: &'static str,
    values: &'static [&'static str],
    defaults: &'static [&'static str],
}

const fn of(sql: &'static str, values: &'static [&'static str], defaults: &'static [&'static str]) -> Type {
    Type { sql, values, defaults }
}

const TYPES: &[Type] = &[
    of("bool", &["true", "false"], &["true", "(not true)"]),
    of("int2", &["0", "-32768", "32767"], &["7"]),
    of("int4", &["0", "-2147483648", "2147483647"], &["-7", "(1 + 1)"]),
    of("int8", &["0", "9223372036854775807"], &["9223372036854775807"]),
    of("float4", &["0", "1.5", "'NaN'", "'-Infinity'"], &["1.5"]),
    of("float8", &["-0.0", "1e7", "0.0001", "'Infinity'"], &["'NaN'"]),
    of("numeric", &["0", "1.50", "-1e30", "100"], &["1.5"]),
    of("numeric(7,3)", &["0", "1.5", "-9999.999"], &["1.5", "random()"]),
    of("money", &["0", "'-12.34'"], &["1"]),
    of(
        "text",
        &["''", "'ü😀\"\\'", "E'tab\\t'", "repeat('long', 2000)"],
        &["'x'", "'it''s'", "current_user"],
    ),
    of("varchar(9)", &["''", "'größe'"], &["'abc'"]),
    of("char(5)", &["''", "'ab'"], &["'ab'"]),
    of(
        "uuid",
        &["'3f2504e0-4f89-11d3-9a0c-0305e82c3301'"],
        &["gen_random_uuid()"],
    ),
    of("json", &["'{\"a\":  1}'", "'null'"], &["'{}'"]),
    of("jsonb", &["'{\"a\":  1}'", "'[1, \"x\"]'"], &["'{\"a\":1}'"]),
    of("bytea", &["''", "'\\x00ff'"], &["'\\x01'"]),
    of("bit(1)", &["B'0'", "B'1'"], &["B'1'"]),
    of("bit(9)", &["B'000000000'", "B'100000001'"], &["B'000000101'"]),
    of("varbit", &["B''", "B'10101'"], &["B'101'"]),
    of(
        "date",
        &["'1500-02-28'", "'2024-02-29'", "'9999-12-31'"],
        &["'2020-01-01'", "CURRENT_DATE"],
    ),
    of("time", &["'00:00'", "'24:00'", "'09:55:10.123456'"], &["'10:00'"]),
    of("time(2)", &["'09:55:10.12'"], &["'10:00'"]),
    of("timetz", &["'10:00+05:30'", "'09:55:10.5-12'"], &["'10:00+02'"]),
    of(
        "timestamp",
        &["'infinity'", "'1969-12-31 23:59:59.999999'", "'0044-03-15 BC'"],
        &["now()", "'2020-01-01'"],
    ),
    of(
        "timestamp(3)",
        &["'-infinity'", "'2020-01-01 10:00:00.123'"],
        &["'2020-01-01'"],
    ),
    of(
        "timestamptz",
        &["'infinity'", "'2020-01-01 10:00+05'"],
        &["now()", "'2020-01-01 10:00+02'"],
    ),
    of("timestamptz(0)", &["'2020-01-01 10:00+05'"], &["now()"]),
    of("interval", &["'1 mon -3 days 04:05:06.78'", "'0'"], &["'1 day'"]),
    of("inet", &["'10.0.0.1'", "'::1/64'"], &["'10.0.0.1'"]),
    of("macaddr", &["'08:00:2b:01:02:03'"], &["'08:00:2b:01:02:03'"]),
    of("int4range", &["'empty'", "'[1,5]'"], &["'[1,2)'"]),
    of("tstzrange", &["'[2020-01-01 00:00+05,)'"], &["'(,)'"]),
    of("point", &["'(1,2.5)'"], &["'(1,2)'"]),
    of("xml", &["'<a/>'"], &["'<a/>'"]),
    of("tsvector", &["'a fat cat'"], &["'a'"]),
    of("mood", &["'sad'", "'ok'"], &["'ok'"]),
    of("price", &["1.5", "0"], &["2.25"]),
    of("box", &["'(2,2),(0,0)'"], &["'(1,1),(0,0)'"]),
    of("int4[]", &["'{}'", "'{1,NULL,3}'"], &["'{1}'"]),
    of("text[]", &["'{}'", "'{\"a\\\"b\",NULL,\"NULL\"}'"], &["'{x}'"]),
    of("numeric(7,3)[]", &["'{1.5,NULL}'"], &["'{}'"]),
    of("timestamptz[]", &["'{\"2020-01-01 00:00+05\",NULL}'"], &["'{}'"]),
    of("uuid[]", &["'{3f2504e0-4f89-11d3-9a0c-0305e82c3301,NULL}'"], &["'{}'"]),
    of("bool[]", &["'{t,NULL}'"], &["'{}'"]),
];
/// Whose columns may be in a key: they can be compared, and their values are few.
const KEYS: [&str; 9] = [
    "bool",
    "int2",
    "int8",
    "text",
    "varchar(9)",
    "uuid",
    "date",
    "timestamptz",
    "numeric(7,3)",
];
/// Columns beside `n`, which every table has and which tells its rows apart.
const COLUMNS_MAX: u64 = 9;
/// Rounds of changes, with a change of shape between two.
const ROUNDS: usize = 3;
/// Statements of one round.
const STATEMENTS: u64 = 12;

struct Column {
    name: String,
    kind: &'static Type,
    nullable: bool,
}

/// A table as it is now.
struct Table {
    columns: Vec<Column>,
    key: Vec<String>,
    rows: u64,
    named: u64,
}

/// `count` cases, one table each.
pub(crate) fn group(random: &mut Random, count: usize) -> Group {
    Group {
        scenarios: (0..count).map(|number| case(&mut random.fork(), number)).collect(),
        ..Group::default()
    }
}

fn case(random: &mut Random, number: usize) -> Scenario {
    let name = format!("case_{number}");
    let mut table = Table {
        columns: Vec::new(),
        key: Vec::new(),
        rows: 0,
        named: 0,
    };
    let mut setup = vec![
        "CREATE TYPE mood AS ENUM ('sad', 'ok');".to_owned(),
        "CREATE DOMAIN price AS numeric(6,2);".to_owned(),
    ];
    setup.extend(create(random, &mut table));
    setup.extend((0..random.below(4)).map(|_| insert(random, &mut table)));
    let mut stream = Vec::new();
    for round in 0..ROUNDS {
        let mut statements = Vec::new();
        if round > 0 {
            statements.extend(reshape(random, &mut table));
        }
        for _ in 0..1 + random.below(STATEMENTS) {
            change(random, &mut table, &mut statements);
        }
        stream.push(Step::Statements(statements));
    }
    Scenario {
        tables: vec![format!("{name}\\..*")],
        about: "random".to_owned(),
        name,
        setup,
        stream,
        ..Scenario::default()
    }
}

fn pick<'a, T>(random: &mut Random, from: &'a [T]) -> &'a T {
    &from[random.below(from.len() as u64) as usize]
}

fn one_in(random: &mut Random, chance: u64) -> bool {
    random.below(chance) == 0
}

fn create(random: &mut Random, table: &mut Table) -> Vec<String> {
    let mut lines = vec!["n int NOT NULL".to_owned()];
    for _ in 0..=random.below(COLUMNS_MAX) {
        lines.push(new_column(random, table, false));
    }
    table.key.push("n".to_owned());
    let may_be_key = |column: &&Column| KEYS.contains(&column.kind.sql) && !column.nullable;
    let others = table
        .columns
        .iter()
        .filter(may_be_key)
        .map(|column| column.name.clone());
    let others: Vec<String> = others.take(random.below(3) as usize).collect();
    for other in others {
        let place = random.below(table.key.len() as u64 + 1) as usize;
        table.key.insert(place, other);
    }
    let key = table.key.join(", ");
    let mut statements = Vec::new();
    let full = "ALTER TABLE t REPLICA IDENTITY FULL;".to_owned();
    match random.below(5) {
        0 => {
            statements.push(format!("CREATE TABLE t ({});", lines.join(", ")));
            statements.push(full);
            if one_in(random, 2) {
                statements.push(format!("CREATE UNIQUE INDEX ON t ({key});"));
            }
        }
        kind => {
            statements.push(format!("CREATE TABLE t ({}, PRIMARY KEY ({key}));", lines.join(", ")));
            statements.extend((kind == 1).then_some(full));
        }
    }
    statements
}

/// A column's definition; `late` is one that finds rows in the table.
fn new_column(random: &mut Random, table: &mut Table, late: bool) -> String {
    let kind = pick(random, TYPES);
    table.named += 1;
    let name = format!("c{}", table.named);
    let default = one_in(random, 3).then(|| *pick(random, kind.defaults));
    let nullable = if late {
        default.is_none() || one_in(random, 2)
    } else {
        !one_in(random, 3)
    };
    let mut line = format!("{name} {}", kind.sql);
    if let Some(default) = default {
        line.push_str(&format!(" DEFAULT {default}"));
    }
    if !nullable {
        line.push_str(" NOT NULL");
    }
    table.columns.push(Column { name, kind, nullable });
    line
}

fn value(random: &mut Random, column: &Column) -> &'static str {
    match column.nullable && one_in(random, 4) {
        true => "NULL",
        false => pick::<&str>(random, column.kind.values),
    }
}

fn insert(random: &mut Random, table: &mut Table) -> String {
    table.rows += 1;
    let (mut names, mut values) = (vec!["n".to_owned()], vec![table.rows.to_string()]);
    for column in &table.columns {
        // A column that can do without is left to its default now and then.
        if column.nullable && one_in(random, 4) {
            continue;
        }
        names.push(column.name.clone());
        values.push(value(random, column).to_owned());
    }
    format!("INSERT INTO t ({}) VALUES ({});", names.join(", "), values.join(", "))
}

fn change(random: &mut Random, table: &mut Table, statements: &mut Vec<String>) {
    let row = 1 + random.below(table.rows.max(1));
    match random.below(10) {
        0..4 => statements.push(insert(random, table)),
        4..7 if !table.columns.is_empty() => {
            let column = pick(random, &table.columns);
            let value = value(random, column);
            statements.push(format!("UPDATE t SET {} = {value} WHERE n = {row};", column.name));
        }
        // Beyond all that an insert will ever take.
        7 => statements.push(format!("UPDATE t SET n = n + 100000 WHERE n = {row};")),
        8 => statements.push(format!("DELETE FROM t WHERE n = {row};")),
        _ => {
            statements.push("BEGIN;".to_owned());
            statements.push(insert(random, table));
            statements.push("SAVEPOINT s;".to_owned());
            statements.push("DELETE FROM t;".to_owned());
            statements.push("ROLLBACK TO s;".to_owned());
            statements.push(insert(random, table));
            statements.push(if one_in(random, 4) { "ROLLBACK;" } else { "COMMIT;" }.to_owned());
        }
    }
}

/// Another shape, between transactions. The key stays.
fn reshape(random: &mut Random, table: &mut Table) -> Option<String> {
    let free: Vec<usize> = (0..table.columns.len())
        .filter(|at| !table.key.contains(&table.columns[*at].name))
        .collect();
    if free.is_empty() || one_in(random, 3) {
        return Some(format!("ALTER TABLE t ADD COLUMN {};", new_column(random, table, true)));
    }
    let at = *pick(random, &free);
    let name = table.columns[at].name.clone();
    Some(match random.below(4) {
        0 => {
            table.columns.remove(at);
            format!("ALTER TABLE t DROP COLUMN {name};")
        }
        1 => {
            table.named += 1;
            let new = format!("\"Renamed {}\"", table.named);
            table.columns[at].name.clone_from(&new);
            format!("ALTER TABLE t RENAME COLUMN {name} TO {new};")
        }
        2 => {
            table.columns[at].nullable = true;
            format!("ALTER TABLE t ALTER COLUMN {name} DROP NOT NULL;")
        }
        _ => {
            let default = pick(random, table.columns[at].kind.defaults);
            format!("ALTER TABLE t ALTER COLUMN {name} SET DEFAULT {default};")
        }
    })
}
