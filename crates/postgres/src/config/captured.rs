//! Which tables are captured: Debezium's include and exclude lists.
//!
//! A list is regular expressions between commas (`\,` is a comma), each matched against the whole of `schema` or
//! `schema.table`, in any case. Schema and table lists must both agree. The regular expressions are Java's as far as
//! Rust's engine can do them (`java.rs`): look-around and back-references are errors.

use regex::{Regex, RegexBuilder};

use super::{java, kind::shown, property::shown_name, values::Values};

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

/// Which logical messages are wanted, by their prefixes.
#[derive(Clone, Debug)]
pub struct CapturedMessages(Lists);

impl CapturedMessages {
    /// Whether messages with this prefix are wanted.
    pub fn capture(&self, prefix: &str) -> bool {
        self.0.allow(prefix)
    }

    pub(super) fn compile(values: &Values, errors: &mut Vec<String>) -> Option<Self> {
        Lists::compile(
            values,
            "message.prefix.include.list",
            "message.prefix.exclude.list",
            errors,
        )
        .map(Self)
    }
}

/// An include list and an exclude list of one kind; at most one of them is given.
#[derive(Clone, Debug)]
pub(super) struct Lists {
    include: Option<Patterns>,
    exclude: Patterns,
}

impl Lists {
    pub(super) fn allow(&self, name: &str) -> bool {
        self.include.as_ref().is_none_or(|list| list.match_any(name)) && !self.exclude.match_any(name)
    }

    pub(super) fn restrict(&self) -> bool {
        self.include.is_some() || !self.exclude.0.is_empty()
    }

    pub(super) fn compile(values: &Values, include: &str, exclude: &str, errors: &mut Vec<String>) -> Option<Lists> {
        let before = errors.len();
        if values.given(include).is_some() && values.given(exclude).is_some() {
            errors.push(format!("{exclude}: cannot stand beside {include}; keep one of them"));
        }
        let included = values
            .given(include)
            .map(|_| Patterns::compile(values, include, errors));
        let excluded = Patterns::compile(values, exclude, errors);
        (errors.len() == before).then_some(Lists {
            include: included,
            exclude: excluded,
        })
    }
}

/// One list's regular expressions.
#[derive(Clone, Debug, Default)]
pub(super) struct Patterns(Vec<Pattern>);

/// One regular expression, and how its author wrote it.
#[derive(Clone, Debug)]
struct Pattern {
    regex: Regex,
    written: String,
}

impl Patterns {
    /// The list of this property; empty if it is not given, or if it is wrong, which is an error.
    pub(super) fn compile(values: &Values, property: &str, errors: &mut Vec<String>) -> Patterns {
        let list = values.given(property).unwrap_or_default();
        Patterns(compile_list(&shown_name(property), list, errors))
    }

    /// The list in a text that is not a property's whole value.
    pub(super) fn of(property: &str, list: &str, errors: &mut Vec<String>) -> Patterns {
        Patterns(compile_list(property, list, errors))
    }

    pub(super) fn match_any(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    /// Which of them is the first to match.
    fn place(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|pattern| pattern.regex.is_match(name))
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
        let listed = self.tables.include.as_ref().and_then(|list| list.place(&name));
        (listed.unwrap_or(usize::MAX), name.encode_utf16().collect())
    }

    /// The items of `table.include.list` that match none of these tables, `schema.table` each.
    pub fn unmatched(&self, tables: &[String]) -> Vec<String> {
        let Some(list) = &self.tables.include else {
            return Vec::new();
        };
        let idle = |pattern: &&Pattern| !tables.iter().any(|table| pattern.regex.is_match(table));
        list.0
            .iter()
            .filter(idle)
            .map(|pattern| pattern.written.clone())
            .collect()
    }

    /// Whether any list restricts what is captured; if none does, every table of the database is.
    pub fn is_restricted(&self) -> bool {
        self.schemas.restrict() || self.tables.restrict()
    }

    pub(super) fn compile(values: &Values, errors: &mut Vec<String>) -> Option<Self> {
        let schemas = Lists::compile(values, "schema.include.list", "schema.exclude.list", errors);
        let tables = Lists::compile(values, "table.include.list", "table.exclude.list", errors);
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

fn compile_list(property: &str, list: &str, errors: &mut Vec<String>) -> Vec<Pattern> {
    let patterns = split(list);
    if patterns.len() > PATTERNS_MAX || list.len() > SOURCE_BYTES_MAX {
        errors.push(format!(
            "{property}: takes at most {PATTERNS_MAX} regular expressions and {SOURCE_BYTES_MAX} bytes; \
             say it with fewer, such as \"public\\..*\""
        ));
        return Vec::new();
    }
    let compiled = patterns
        .into_iter()
        .filter_map(|written| match compile(&written, Case::Any) {
            Ok(regex) => Some(Pattern { regex, written }),
            Err(why) => {
                errors.push(format!("{property}: {} is not {why}", shown(&written)));
                None
            }
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

/// Whether a pattern tells letters' case apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Any,
    Exact,
}

/// One pattern, which matches whole names only.
pub(super) fn compile(pattern: &str, case: Case) -> Result<Regex, String> {
    const UNDERSTOOD: &str = "a regular expression that is understood here";
    const OTHERWISE: &str = "write it without, or use the other list";
    let pattern = java::translate(pattern).map_err(|why| format!("{UNDERSTOOD}: {why}; {OTHERWISE}"))?;
    // Alone first, so that `a)|(b` does not become whole by what is put around it.
    build(&pattern, case)
        .and_then(|_| build(&format!(r"\A(?:{pattern})\z"), case))
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                "a regular expression of reasonable size; write it with fewer repetitions".to_owned()
            }
            error => {
                let text = error.to_string();
                let reason = text.rsplit("error: ").next().unwrap_or_default().trim();
                format!("{UNDERSTOOD}: {reason}; {OTHERWISE}")
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
