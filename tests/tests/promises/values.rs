//! A value is a value: what PostgreSQL reads back from a record is what it had, from the snapshot as from the stream. (T55.)

use anyhow::{Result, ensure};
use rowcast_tests::{
    client::Follower,
    postgres::{Postgres, Version},
    process::Rowcast,
};
use tokio_postgres::Client;

/// Random values of each type, beside its extremes.
const RANDOM: usize = 45;
/// What the stream's rows have added to their ids.
const STREAMED: i64 = 1_000;

/// A type, how its values are made, and how PostgreSQL reads a record's value `v` (text) back.
struct Kind {
    sql: &'static str,
    extremes: &'static [&'static str],
    /// An expression of `random()` and `n`, the row's number.
    random: &'static str,
    back: Back,
}

enum Back {
    /// Its text is the type's.
    Cast,
    /// A JSON array of texts.
    Elements,
    /// An expression of `v`.
    By(&'static str),
    /// Not the text of the column `c` is compared but the first expression, with the second one of `v`.
    Same(&'static str, &'static str),
}

const fn kind(sql: &'static str, extremes: &'static [&'static str], random: &'static str) -> Kind {
    read(sql, extremes, random, Back::Cast)
}

const fn read(sql: &'static str, extremes: &'static [&'static str], random: &'static str, back: Back) -> Kind {
    Kind {
        sql,
        extremes,
        random,
        back,
    }
}

const NUMERIC: Back = Back::By(
    "(CASE v WHEN 'NAN' THEN 'NaN' WHEN 'POSITIVE_INFINITY' THEN 'Infinity' WHEN 'NEGATIVE_INFINITY' THEN '-Infinity' ELSE v END)::numeric",
);
const BYTES: Back = Back::By("decode(v, 'hex')");
/// Little-endian, cut at the highest bit that is set.
const BITS: Back = Back::By(
    "(SELECT coalesce(sum(get_byte(b, i)::bigint << (8 * i)), 0)::bigint::bit(9) \
      FROM (SELECT decode(v, 'base64') AS b) d LEFT JOIN LATERAL generate_series(0, length(b) - 1) i ON true)",
);
/// Types that Debezium does not map are their text as bytes.
const UNMAPPED: Back = Back::By("convert_from(decode(v, 'hex'), 'UTF8')");
const TEXT: &str = "(SELECT string_agg(chr(1 + (random() * 55000)::int), '') FROM generate_series(1, n % 20))";
const INSTANT: &str =
    "timestamp '4713-01-01 00:00:00 BC' + random() * interval '290000 years' + random() * interval '1 second'";

const KINDS: &[Kind] = &[
    kind("bool", &["true", "false"], "random() < 0.5"),
    kind("int2", &["-32768", "32767", "0"], "(random() * 65535 - 32768)::int"),
    kind(
        "int4",
        &["-2147483648", "2147483647", "0"],
        "(random() * 4294967295 - 2147483648)::int8",
    ),
    kind(
        "int8",
        &["-9223372036854775808", "9223372036854775807", "9007199254740993"],
        "(random() * 9.2e18)::int8",
    ),
    kind("oid", &["0", "4294967295"], "(random() * 4294967295)::int8"),
    kind(
        "float4",
        &[
            "'-0'",
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "'1e-45'",
            "'3.4028235e38'",
            "'1.17549435e-38'",
            "'0.1'",
            "'16777217'",
        ],
        "(random() - 0.5) * power(10, (random() * 60 - 30)::int)",
    ),
    kind(
        "float8",
        &[
            "'-0'",
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "'5e-324'",
            "'1.7976931348623157e308'",
            "'2e23'",
            "0.1::float8 + 0.2",
        ],
        "(random() - 0.5) * power(10::float8, (random() * 600 - 300)::int)",
    ),
    read(
        "numeric",
        &[
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "repeat('9', 131072)::numeric",
            "1e-16383",
            "-1e-30",
            "0",
            "0.000",
            "10.00",
        ],
        "(random() - 0.5)::numeric * power(10::numeric, (random() * 60 - 30)::int)",
        NUMERIC,
    ),
    read(
        "numeric(9,4)",
        &["-99999.9999", "99999.9999", "0", "'NaN'"],
        "(random() - 0.5) * 199999",
        NUMERIC,
    ),
    read(
        "money",
        &["'-92233720368547758.08'", "'92233720368547758.07'", "0"],
        "(random() * 1e9)::numeric",
        Back::By("v::numeric::money"),
    ),
    kind(
        "text",
        &[
            "''",
            "'NULL'",
            "E'\\\\N'",
            "E'a\\tb\\nc\\\\d\\re\\u0001\\u007f'",
            "'😀 𝒳'",
            "'\"{}'",
        ],
        TEXT,
    ),
    kind("varchar(20)", &["''", "'größe'"], TEXT),
    kind("char(6)", &["''", "'ab'", "'größe'"], "substr(md5(n::text), 1, n % 6)"),
    kind("\"char\"", &["'c'", "''"], "chr(65 + n % 26)"),
    kind("name", &["'pg_class'", "''"], "md5(n::text)"),
    kind("uuid", &["'00000000-0000-0000-0000-000000000000'"], "gen_random_uuid()"),
    kind(
        "json",
        &[
            "'{\"a\":  1, \"a\" : 2}'",
            "'null'",
            "'9007199254740993.000'",
            "'\"\\ud83d\\ude00\"'",
            "' [ ] '",
        ],
        "json_build_object(n, random())",
    ),
    kind(
        "jsonb",
        &[
            "'{\"b\":  1, \"a\": [1e400, null]}'",
            "'null'",
            "'9007199254740993.000'",
        ],
        "jsonb_build_object(n, random())",
    ),
    kind(
        "xml",
        &["''", "'<a b=\"1\">&lt;</a>'", "'text'"],
        "xmlelement(name a, n)",
    ),
    read(
        "bytea",
        &["''", "'\\x00ff'", "repeat('x', 100000)::bytea"],
        "decode(md5(random()::text), 'hex')",
        BYTES,
    ),
    read(
        "bit(9)",
        &["B'000000000'", "B'100000000'", "B'000000001'", "B'111111111'"],
        "(random() * 511)::int::bit(9)",
        BITS,
    ),
    read("bit(1)", &["B'0'", "B'1'"], "(n % 2)::bit(1)", Back::By("v::bool::int")),
    read(
        "date",
        &["'0001-01-01'", "'5874897-12-31'", "'2024-02-29'", "'1582-10-10'"],
        "date '0001-01-01' + (random() * 2e9)::int",
        Back::By("rtrim(calendar(v), 'Z')::date"),
    ),
    kind(
        "time",
        &["'00:00'", "'23:59:59.999999'"],
        "time '00:00' + random() * interval '1 day'",
    ),
    read(
        "timetz",
        &["'00:00+15:59'", "'23:59:59.999999-15:59'", "'10:00+05:30'"],
        "(time '00:00' + random() * interval '1 day') AT TIME ZONE interval '1 hour'",
        Back::Same("c AT TIME ZONE 'UTC'", "v::timetz AT TIME ZONE 'UTC'"),
    ),
    read(
        "timestamp",
        &[
            "'4713-01-01 00:00:00 BC'",
            "'0001-12-31 23:59:59.999999 BC'",
            "'1970-01-01'",
            "'1969-12-31 23:59:59.999999'",
        ],
        INSTANT,
        Back::By("calendar(v)::timestamp"),
    ),
    read(
        "timestamptz",
        &[
            "'4713-01-01 00:00:00+00 BC'",
            "'1970-01-01 00:00+00'",
            "'294276-12-31 23:59:59.999999+00'",
        ],
        INSTANT,
        Back::By("calendar(v)::timestamptz"),
    ),
    kind(
        "interval",
        &[
            "'178000000 years'",
            "'-178000000 years'",
            "'0'",
            "'1 mon -2 days 03:04:05.000006'",
            "'-00:00:00.000001'",
        ],
        "make_interval(years => (random() * 100 - 50)::int, days => (random() * 100 - 50)::int, secs => random() * 1e6 - 5e5)",
    ),
    kind(
        "inet",
        &["'::'", "'255.255.255.255'", "'10.1.2.3/8'", "'fe80::1/64'"],
        "'0.0.0.0'::inet + (random() * 4e9)::int8",
    ),
    kind(
        "cidr",
        &["'10.0.0.0/8'", "'::/0'"],
        "network(set_masklen('0.0.0.0'::inet + (random() * 4e9)::int8, n % 33))",
    ),
    kind(
        "macaddr",
        &["'00:00:00:00:00:00'"],
        "substr(md5(n::text), 1, 12)::macaddr",
    ),
    kind(
        "macaddr8",
        &["'ff:ff:ff:ff:ff:ff:ff:ff'"],
        "substr(md5(n::text), 1, 16)::macaddr8",
    ),
    kind(
        "tsvector",
        &["''", "'a:1A \"b c\":2'::tsvector"],
        "to_tsvector('simple', md5(n::text))",
    ),
    kind("int4range", &["'empty'", "'(,)'", "'[1,1]'"], "int4range(n, n + 5)"),
    kind(
        "tstzrange",
        &["'empty'", "'(,infinity)'"],
        "tstzrange(NULL, timestamptz '2020-01-01 00:00+00' + n * interval '1 hour')",
    ),
    read(
        "point",
        &["'(0,-0)'", "'(1e300,-1e-300)'"],
        "point(random(), random() * 1e20)",
        Back::By("point((v::json->>'x')::float8, (v::json->>'y')::float8)"),
    ),
    read(
        "text[]",
        &[
            "'{}'",
            "'{NULL,\"NULL\",\"\",\"a,b\",\"{c}\",\"d\\\"e\",\"f\\\\\\\\g\"}'",
        ],
        "ARRAY(SELECT md5((n * m)::text) FROM generate_series(1, n % 5) m)",
        Back::Elements,
    ),
    read(
        "int8[]",
        &["'{}'", "'{NULL,9223372036854775807,-9223372036854775808}'"],
        "ARRAY[n, NULL, -n]",
        Back::Elements,
    ),
    read(
        "float8[]",
        &["'{NaN,Infinity,-Infinity,-0,NULL,5e-324}'"],
        "ARRAY[random(), random() * 1e30]",
        Back::Elements,
    ),
    read("bool[]", &["'{t,f,NULL}'"], "ARRAY[n % 2 = 0]", Back::Elements),
    read("uuid[]", &["'{NULL}'"], "ARRAY[gen_random_uuid()]", Back::Elements),
    read(
        "jsonb[]",
        &["ARRAY['{\"a\": [1, \"\\\\\"]}'::jsonb, NULL, 'null']"],
        "ARRAY[jsonb_build_object(n, random())]",
        Back::Elements,
    ),
    read(
        "pg_lsn",
        &["'0/0'", "'FFFFFFFF/FFFFFFFF'"],
        "'0/0'::pg_lsn + (random() * 1e18)::numeric",
        UNMAPPED,
    ),
    read(
        "int4multirange",
        &["'{}'", "'{[1,2),[5,)}'"],
        "int4multirange(int4range(n, n + 1), int4range(n + 9, NULL))",
        UNMAPPED,
    ),
];

/// The functions and tables that the comparison needs; the type of a column is in no query's text twice.
async fn tables(database: &Client) -> Result<()> {
    let columns = KINDS
        .iter()
        .enumerate()
        .map(|(place, kind)| format!("c{place} {}", kind.sql));
    let columns = columns.collect::<Vec<_>>().join(", ");
    // A year before the first has a sign in ISO 8601, where there is a year 0, and an era in PostgreSQL.
    let calendar = r"CREATE FUNCTION calendar(v text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
        SELECT CASE WHEN y <= 0 THEN to_char(1 - y, 'FM0000') || rest || ' BC' ELSE to_char(y, 'FM9990000') || rest END
        FROM (SELECT substring(v from '^[+-]?\d+')::int AS y, regexp_replace(v, '^[+-]?\d+', '') AS rest) parts $$";
    database
        .batch_execute(&format!(
            "SET TimeZone = 'UTC'; {calendar}; CREATE TABLE corpus (id int PRIMARY KEY, {columns}); CREATE TABLE told (id int, after json)"
        ))
        .await?;
    Ok(())
}

/// Rows of extremes, then of random values, whose seed is always the same one.
async fn fill(database: &Client) -> Result<()> {
    let extremes = KINDS.iter().map(|kind| kind.extremes.len()).max().unwrap_or(0);
    for row in 0..extremes {
        let values = KINDS
            .iter()
            .map(|kind| kind.extremes.get(row).map_or("NULL", |value| *value));
        let values = values.collect::<Vec<_>>().join(", ");
        database
            .batch_execute(&format!("INSERT INTO corpus VALUES ({row}, {values})"))
            .await?;
    }
    let values = KINDS.iter().map(|kind| format!("({})::{}", kind.random, kind.sql));
    let values = values.collect::<Vec<_>>().join(", ");
    let random = format!(
        "SELECT setseed(0.55); INSERT INTO corpus SELECT {extremes} + n, {values} FROM generate_series(1, {RANDOM}) n"
    );
    Ok(database.batch_execute(&random).await?)
}

/// The values of a column that differ by this condition: what the table has, what the record says.
async fn differing(database: &Client, place: usize, condition: &str) -> Result<Vec<String>> {
    let query = format!(
        "SELECT left(format('row %s: %s is told as %s', id, c, v), 300)
         FROM (SELECT id, c{place} AS c, after->>'c{place}' AS v, after->'c{place}' AS j FROM corpus JOIN told USING (id)) values
         WHERE {condition} LIMIT 3"
    );
    let rows = database.query(&query, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn condition(kind: &Kind) -> String {
    let type_name = kind.sql;
    let (column, read) = match &kind.back {
        Back::Cast => ("c", "v".to_owned()),
        Back::Elements => (
            "c",
            "CASE WHEN v IS NOT NULL THEN ARRAY(SELECT json_array_elements_text(CASE WHEN v IS NOT NULL THEN j ELSE '[]' END)) END"
                .to_owned(),
        ),
        Back::By(expression) => ("c", (*expression).to_owned()),
        Back::Same(column, expression) => {
            return format!("({column})::text IS DISTINCT FROM ({expression})::text");
        }
    };
    format!("({column})::text IS DISTINCT FROM (CASE WHEN v IS NOT NULL THEN ({read})::{type_name} END)::text")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_values_are_read_back_as_they_were() -> Result<()> {
    let postgres = Postgres::start(Version::Installed)?;
    let database = postgres.connect().await?;
    tables(&database).await?;
    fill(&database).await?;
    let mut rowcast = Rowcast::new(&postgres, "public.corpus")?;
    for (property, value) in [
        ("decimal.handling.mode", "string"),
        ("time.precision.mode", "isostring"),
        ("interval.handling.mode", "string"),
        ("binary.handling.mode", "hex"),
        ("include.unknown.datatypes", "true"),
    ] {
        rowcast.set(property, value);
    }
    rowcast.start_ready().await?;
    let columns = (0..KINDS.len())
        .map(|place| format!("c{place}"))
        .collect::<Vec<_>>()
        .join(", ");
    let again = format!("INSERT INTO corpus SELECT id + {STREAMED}, {columns} FROM corpus ORDER BY id");
    let rows = database.execute(&again, &[]).await?;
    database.batch_execute("INSERT INTO corpus VALUES (-1)").await?;
    let follower = Follower::start(rowcast.address(), "corpus", true);
    follower.row(-1).await?;

    for record in rowcast.tail("corpus").await? {
        let insert =
            "INSERT INTO told SELECT (after->>'id')::int, after FROM (SELECT $1::text::json->'after' AS after) record";
        database.execute(insert, &[&record["value"].as_str()]).await?;
    }
    let told: i64 = database.query_one("SELECT count(*) FROM told", &[]).await?.get(0);
    ensure!(told == 2 * rows as i64 + 1, "{told} records of {rows} rows twice");
    let (mut wrong, mut values) = (Vec::new(), 0);
    for (place, kind) in KINDS.iter().enumerate() {
        for found in differing(&database, place, &condition(kind)).await? {
            wrong.push(format!("{}: {found}", kind.sql));
        }
        let two_ways = format!(
            "EXISTS (SELECT FROM told streamed WHERE streamed.id = values.id + {STREAMED} AND streamed.after->>'c{place}' IS DISTINCT FROM v)"
        );
        for found in differing(&database, place, &two_ways).await? {
            wrong.push(format!("{}: {found} in the snapshot, not in the stream", kind.sql));
        }
        values += kind.extremes.len() + RANDOM;
    }
    eprintln!("{values} values, each by snapshot and stream");
    ensure!(values >= 2_000, "{values} values");
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
