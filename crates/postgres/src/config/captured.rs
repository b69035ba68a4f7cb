//! Which tables are captured: Debezium's include and exclude lists.
//!
//! A list is regular expressions between commas (`\,` is a comma), each matched against the whole of `schema` or
//! `schema.table`, in any case. Schema and table lists must both agree. The regular expressions are Rust's, so
//! Java's look-around and back-references are errors, and "any case" is Unicode's.

use regex::{Regex, RegexBuilder};

use super::{kind::shown, values::Values};

/// Compiled size of one regular expression.
///
/// `(foo|bar).*` is below 10 KiB; 1 MiB leaves room for a hundred alternatives and none for `\w{1000}{1000}`.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// Regular expressions in one list: beyond this, a pattern is the better way to say it.
const PATTERNS_MAX: usize = 10_000;

/// Bytes of one list.
///
/// Ten thousand names of fifty bytes.
const SOURCE_BYTES_MAX: usize = 512 * 1024;

/// Schemas that belong to PostgreSQL.
const BUILTIN_SCHEMAS: [&str; 2] = ["pg_catalog", "information_schema"];

/// How temporary tables' schemas begin.
const TEMPORARY_SCHEMA_PREFIX: &str = "pg_temp";

/// PostGIS's own table, in whichever schema it was installed.
const BUILTIN_TABLES: [&str; 1] = ["spatial_ref_sys"];

/// The tables that a connector captures.
#[derive(Clone, Debug)]
pub struct CapturedTables {
    schemas: Lists,
    tables: Lists,
    ignore_builtin: bool,
}

#[derive(Clone, Debug)]
struct Lists {
    include: Option<Vec<Regex>>,
    exclude: Vec<Regex>,
}

impl Lists {
    fn allow(&self, name: &str) -> bool {
        let included = self
            .include
            .as_ref()
            .is_none_or(|list| list.iter().any(|pattern| pattern.is_match(name)));
        included && !self.exclude.iter().any(|pattern| pattern.is_match(name))
    }
}

impl CapturedTables {
    /// Whether changes of this table are wanted.
    pub fn captures(&self, schema: &str, table: &str) -> bool {
        !(self.ignore_builtin && is_builtin(schema, table))
            && self.schemas.allow(schema)
            && self.tables.allow(&format!("{schema}.{table}"))
    }

    /// Sorts tables as Debezium's snapshot reads them: by the first pattern of `table.include.list` that matches, then
    /// by `schema.table`, compared as Java compares (by UTF-16 units).
    pub fn snapshot_order(&self, schema: &str, table: &str) -> (usize, Vec<u16>) {
        let name = format!("{schema}.{table}");
        let list = self.tables.include.as_deref().unwrap_or_default();
        let listed = list
            .iter()
            .position(|pattern| pattern.is_match(&name))
            .unwrap_or(list.len());
        (listed, name.encode_utf16().collect())
    }

    /// The items of `table.include.list` that match none of these tables, `schema.table` each.
    pub fn unmatched(&self, tables: &[String]) -> Vec<String> {
        let list = self.tables.include.as_deref().unwrap_or_default();
        let idle = |pattern: &&Regex| !tables.iter().any(|table| pattern.is_match(table));
        list.iter().filter(idle).map(written).collect()
    }

    /// Whether any list restricts what is captured; if none does, every table of the database is.
    pub fn is_restricted(&self) -> bool {
        let restricts = |lists: &Lists| lists.include.is_some() || !lists.exclude.is_empty();
        restricts(&self.schemas) || restricts(&self.tables)
    }

    pub(super) fn compile(values: &Values, errors: &mut Vec<String>) -> Option<Self> {
        let schemas = compile_lists(values, "schema.include.list", "schema.exclude.list", errors);
        let tables = compile_lists(values, "table.include.list", "table.exclude.list", errors);
        Some(Self {
            schemas: schemas?,
            tables: tables?,
            ignore_builtin: values.switch("table.ignore.builtin"),
        })
    }
}

fn is_builtin(schema: &str, table: &str) -> bool {
    BUILTIN_SCHEMAS.contains(&schema) || schema.starts_with(TEMPORARY_SCHEMA_PREFIX) || BUILTIN_TABLES.contains(&table)
}

fn compile_lists(values: &Values, include: &str, exclude: &str, errors: &mut Vec<String>) -> Option<Lists> {
    let before = errors.len();
    if values.given(include).is_some() && values.given(exclude).is_some() {
        errors.push(format!("{exclude}: cannot stand beside {include}; keep one of them"));
    }
    let included = values.given(include).map(|list| compile_list(include, list, errors));
    let excluded = values.given(exclude).map(|list| compile_list(exclude, list, errors));
    (errors.len() == before).then(|| Lists {
        include: included,
        exclude: excluded.unwrap_or_default(),
    })
}

pub(super) fn compile_list(property: &str, list: &str, errors: &mut Vec<String>) -> Vec<Regex> {
    let patterns = split(list);
    if patterns.len() > PATTERNS_MAX || list.len() > SOURCE_BYTES_MAX {
        errors.push(format!(
            "{property}: takes at most {PATTERNS_MAX} regular expressions and {SOURCE_BYTES_MAX} bytes; \
             say it with fewer, such as \"public\\..*\""
        ));
        return Vec::new();
    }
    let compiled = patterns.iter().filter_map(|pattern| {
        compile(pattern, Case::Any)
            .map_err(|why| errors.push(format!("{property}: {} is not {why}", shown(pattern))))
            .ok()
    });
    compiled.collect()
}

/// The list's elements: trimmed, `\,` undone, empty ones left out.
fn split(list: &str) -> Vec<String> {
    let (mut parts, mut part, mut escaped) = (Vec::new(), String::new(), false);
    for c in list.chars() {
        match c {
            ',' if !escaped => parts.push(std::mem::take(&mut part)),
            _ => part.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    parts.push(part);
    parts
        .iter()
        .map(|part| part.trim().replace("\\,", ","))
        .filter(|part| !part.is_empty())
        .collect()
}

/// What makes a pattern match whole names only.
const WHOLE: (&str, &str) = (r"\A(?:", r")\z");

/// The pattern as its author wrote it.
fn written(pattern: &Regex) -> String {
    let (before, after) = WHOLE;
    let inner = pattern
        .as_str()
        .strip_prefix(before)
        .and_then(|rest| rest.strip_suffix(after));
    inner.unwrap_or(pattern.as_str()).to_owned()
}

/// Whether a pattern tells letters' case apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Any,
    Exact,
}

/// One pattern, which matches whole names only.
pub(super) fn compile(pattern: &str, case: Case) -> Result<Regex, String> {
    let (before, after) = WHOLE;
    // Alone first, so that `a)|(b` does not become whole by what is put around it.
    build(pattern, case)
        .and_then(|_| build(&format!("{before}{pattern}{after}"), case))
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                "a regular expression of reasonable size; write it with fewer repetitions".to_owned()
            }
            error => {
                let text = error.to_string();
                let reason = text.rsplit("error: ").next().unwrap_or_default().trim();
                format!(
                    "a regular expression that is understood here: {reason}; write it without, or use the other list"
                )
            }
        })
}

fn build(pattern: &str, case: Case) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern)
        .case_insensitive(case == Case::Any)
        .size_limit(PATTERN_BYTES_MAX)
        .nest_limit(64)
        .build()
}
