//! Include and exclude lists choose tables as Debezium's do.

use proptest::prelude::*;
use rowcast_postgres::{ConfigErrors, ConnectorConfig};

fn lists(lists: &[(&str, &str)]) -> Result<ConnectorConfig, ConfigErrors> {
    let mut config = serde_json::json!({
        "name": "n", "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "plugin.name": "pgoutput",
        "topic.prefix": "p", "database.hostname": "h", "database.user": "u", "database.dbname": "d",
    });
    for (name, list) in lists {
        config[*name] = (*list).into();
    }
    ConnectorConfig::from_json(&config.to_string())
}

fn captured(given: &[(&str, &str)], tables: &[&str]) -> Vec<String> {
    let config = lists(given).expect("good lists");
    let captured = tables.iter().filter(|name| {
        let (schema, table) = name.split_once('.').expect("schema.table");
        config.captures(schema, table)
    });
    captured.map(|name| (*name).to_owned()).collect()
}

fn error(given: &[(&str, &str)]) -> String {
    lists(given).expect_err("bad lists").to_string()
}

const TABLES: [&str; 6] = [
    "public.orders",
    "public.orders_old",
    "public.Customers",
    "audit.orders",
    "audit.log",
    "old_public.orders",
];

#[test]
fn without_lists_all_tables_but_the_system_s_own_are_captured() {
    assert_eq!(captured(&[], &TABLES), TABLES);
    let builtin = [
        "pg_catalog.pg_class",
        "information_schema.tables",
        "pg_temp_3.t",
        "public.spatial_ref_sys",
    ];
    assert_eq!(captured(&[], &builtin), [""; 0]);
    assert_eq!(captured(&[("table.ignore.builtin", "false")], &builtin), builtin);
}

#[test]
fn a_pattern_matches_the_whole_name_in_any_case() {
    assert_eq!(
        captured(&[("table.include.list", "public.orders")], &TABLES),
        ["public.orders"]
    );
    assert_eq!(captured(&[("table.include.list", "orders")], &TABLES), [""; 0]);
    assert_eq!(
        captured(&[("table.include.list", "PUBLIC.customers")], &TABLES),
        ["public.Customers"]
    );
    assert_eq!(
        captured(&[("table.include.list", "public.orders|public.orders_old")], &TABLES),
        TABLES[..2]
    );
    assert_eq!(
        captured(&[("table.include.list", "audit.log|x")], &TABLES),
        ["audit.log"]
    );
    assert_eq!(captured(&[("schema.include.list", "public")], &TABLES), TABLES[..3]);
    assert_eq!(captured(&[("schema.include.list", "^public$")], &TABLES), TABLES[..3]);
}

#[test]
fn a_list_is_trimmed_and_a_backslash_keeps_a_comma() {
    let tables = ["s.a", "s.b", "s.a,b", "s.aaa", "s.aaaa"];
    assert_eq!(
        captured(&[("table.include.list", " s.a , ,s\\.b,")], &tables),
        ["s.a", "s.b"]
    );
    assert_eq!(captured(&[("table.include.list", r"s.a\,b")], &tables), ["s.a,b"]);
    assert_eq!(
        captured(&[("table.include.list", r"s.a{3\,4}")], &tables),
        ["s.aaa", "s.aaaa"]
    );
    assert_eq!(captured(&[("table.include.list", " , ")], &tables), [""; 0]);
}

#[test]
fn schema_and_table_lists_must_both_agree() {
    let both = [
        ("schema.include.list", "public"),
        ("table.exclude.list", "public.orders.*"),
    ];
    assert_eq!(captured(&both, &TABLES), ["public.Customers"]);
    let both = [
        ("schema.exclude.list", "audit,old_.*"),
        ("table.include.list", ".*\\.orders"),
    ];
    assert_eq!(captured(&both, &TABLES), ["public.orders"]);
}

#[test]
fn include_and_exclude_of_one_kind_are_an_error() {
    assert_eq!(
        error(&[("table.include.list", "a.b"), ("table.exclude.list", "c.d")]),
        "table.exclude.list: cannot stand beside table.include.list; keep one of them"
    );
    assert_eq!(
        error(&[("schema.include.list", "a"), ("schema.exclude.list", "c")]),
        "schema.exclude.list: cannot stand beside schema.include.list; keep one of them"
    );
}

#[test]
fn a_bad_pattern_names_its_property() {
    let list = |pattern| error(&[("table.include.list", pattern)]);
    assert_eq!(
        list("good.one,public.(orders"),
        "table.include.list: \"public.(orders\" is not a regular expression that is understood here: unclosed group; \
         write it without, or use the other list"
    );
    assert_eq!(
        list("(?!public).*"),
        "table.include.list: \"(?!public).*\" is not a regular expression that is understood here: look-around, \
         including look-ahead and look-behind, is not supported; write it without, or use the other list"
    );
    // Alone each is broken; put between our own parentheses they would not be.
    assert!(list("a)|(b").contains("\"a)|(b\" is not a regular expression"));
    assert!(list("(?x) a #").contains("is not a regular expression"));
    assert_eq!(
        list(r"(\w{1000}){1000}"),
        r#"table.include.list: "(\\w{1000}){1000}" is not a regular expression of reasonable size; write it with fewer repetitions"#
    );
    let many = "a.b,".repeat(10_001);
    assert!(list(&many).starts_with("table.include.list: takes at most 10000 regular expressions and 524288 bytes; "));
}

/// Patterns mean what they mean in Java, where Rust's engine means something else by them.
#[test]
fn patterns_are_javas() {
    let tables = ["s.abc_1", "s.äbc", "s.ÄBC", "s.a<b>", "s.a.b", "S.A.B"];
    assert_eq!(captured(&[("table.include.list", r"s\.\w+")], &tables), ["s.abc_1"]);
    assert_eq!(
        captured(&[("table.include.list", "s.äbc")], &tables),
        ["s.äbc"],
        "case is ASCII's"
    );
    assert_eq!(captured(&[("table.include.list", r"s\.a\<b\>")], &tables), ["s.a<b>"]);
    assert_eq!(
        captured(&[("table.include.list", r"\Qs.a.b\E")], &tables),
        ["s.a.b", "S.A.B"]
    );
    assert_eq!(
        captured(&[("table.include.list", r"s\.\p{Lower}{3}_\d")], &tables),
        ["s.abc_1"]
    );
    assert!(error(&[("schema.include.list", "a++")]).starts_with("schema.include.list: \"a++\" is not"));
}

#[test]
fn column_lists_are_over_schema_table_and_column() {
    let columns = ["public.orders.id", "public.orders.Secret", "public.customers.secret"];
    let delivered = |list: &str, pattern: &str| {
        let config = lists(&[(list, pattern)]).expect("a good list");
        let wanted = columns.iter().filter(|name| {
            let mut parts = name.split('.');
            let mut part = || parts.next().expect("three parts");
            config.columns.captures(part(), part(), part())
        });
        wanted.copied().collect::<Vec<_>>()
    };
    assert_eq!(
        delivered("column.exclude.list", r"public\.orders\.secret"),
        [columns[0], columns[2]]
    );
    assert_eq!(delivered("column.exclude.list", r".*\.secret"), [columns[0]]);
    assert_eq!(
        delivered("column.exclude.list", "secret"),
        columns,
        "a name alone is no whole name"
    );
    assert_eq!(delivered("column.include.list", r"public\.orders\..*,x"), columns[..2]);
    assert_eq!(
        error(&[("column.include.list", "a.b.c"), ("column.exclude.list", "d.e.f")]),
        "column.exclude.list: cannot stand beside column.include.list; keep one of them"
    );
    assert!(error(&[("column.exclude.list", "(?<!a)b")]).starts_with("column.exclude.list: \"(?<!a)b\" is not"));
}

#[test]
fn items_that_match_no_table_are_named_as_they_were_written() {
    let config = lists(&[("table.include.list", r"public\.orders, public.ordres,s\.(a|b),\,x")]).expect("good lists");
    let tables = ["public.orders".to_owned(), "S.B".to_owned()];
    assert_eq!(config.tables.unmatched(&tables), ["public.ordres", ",x"]);
    assert!(lists(&[]).expect("none").tables.unmatched(&tables).is_empty());
}

#[test]
fn the_snapshot_s_order_is_the_list_s_then_java_s() {
    let config = lists(&[("table.include.list", "public.z,public\\..*,audit.*")]).expect("good");
    let mut tables = [
        ("audit", "a"),
        ("public", "b"),
        ("public", "B"),
        ("public", "z"),
        ("public", "\u{ffff}"),
        ("public", "😀"),
    ];
    tables.sort_by_key(|(schema, table)| config.tables.snapshot_order(schema, table));
    assert_eq!(
        tables,
        [
            ("public", "z"),
            ("public", "B"),
            ("public", "b"),
            ("public", "😀"),
            ("public", "\u{ffff}"),
            ("audit", "a")
        ]
    );
    let mut tables = [("public", "a"), ("UPPER", "a"), ("a", "b")];
    let config = lists(&[]).expect("good");
    tables.sort_by_key(|(schema, table)| config.tables.snapshot_order(schema, table));
    assert_eq!(tables, [("UPPER", "a"), ("a", "b"), ("public", "a")]);
    assert!(!config.tables.is_restricted());
}

proptest! {
    /// A list of plain names captures exactly these, whatever characters they have.
    #[test]
    fn escaped_names_capture_exactly_themselves(names in prop::collection::hash_set("[a-zäß😀 ,.|(){}+*^$\\[\\]\\\\-]{1,8}", 1..6)) {
        let names: Vec<String> = names.into_iter().filter(|name| !name.trim().is_empty()).collect();
        // Regular expressions end in a comma's backslash themselves, so a comma is written as a class of one.
        let escaped = |name: &String| format!("s\\.(?:{})", regex::escape(name).replace(',', "[\\,]"));
        let list = names[..names.len().div_ceil(2)].iter().map(escaped).collect::<Vec<_>>().join(",");
        let config = lists(&[("table.include.list", &list)]).expect("escaped");
        for (index, name) in names.iter().enumerate() {
            prop_assert_eq!(config.captures("s", name), index < names.len().div_ceil(2), "{:?} in {}", name, list);
        }
    }

    #[test]
    fn any_list_is_compiled_or_refused(list in ".{0,40}", schema in ".{0,10}", table in ".{0,10}") {
        if let Ok(config) = lists(&[("table.include.list", &list)]) {
            let _ = config.captures(&schema, &table);
        }
    }
}
