//! `message.key.columns`: which columns a record's key has, instead of the primary key's.
//!
//! `table:column,column;table:column`, a regular expression over `schema.table` and one for each column; the key has the
//! columns in the order of these expressions, those of one expression in the table's order.

use rowcast_event::ColumnDescription;

use super::{captured::Patterns, values::Values};

/// Its name.
const PROPERTY: &str = "message.key.columns";

/// The keys that a connector's configuration chooses.
#[derive(Clone, Debug, Default)]
pub struct MessageKeys(Vec<Patterns>);

impl MessageKeys {
    /// The places of the key's columns; `None` if the table keeps the key that it has.
    pub fn of<'c>(
        &self,
        schema: &str,
        table: &str,
        columns: impl Iterator<Item = &'c ColumnDescription> + Clone,
    ) -> Option<Vec<usize>> {
        let mut key = Vec::new();
        for patterns in &self.0 {
            for (place, column) in columns.clone().enumerate() {
                let named = patterns.match_any(&format!("{schema}.{table}.{}", column.name));
                // A column that is named twice is there once: Debezium's task fails.
                if named && !key.contains(&place) {
                    key.push(place);
                }
            }
        }
        (!key.is_empty()).then_some(key)
    }

    pub(super) fn compile(values: &Values, errors: &mut Vec<String>) -> MessageKeys {
        let text = values.given(PROPERTY).unwrap_or_default();
        let tables = text.trim_end_matches(';').split(';').filter(|_| !text.is_empty());
        let mut keys = Vec::new();
        for table in tables {
            match table.split_once(':').filter(|(name, columns)| is_key(name, columns)) {
                Some((table, columns)) => keys.extend(
                    columns
                        .split(',')
                        .map(|column| Patterns::of(PROPERTY, &format!("{table}.{}", column.trim()), errors)),
                ),
                None => errors.push(format!(
                    "{PROPERTY}: takes table:column,column;table:column, regular expressions of schema.table and of its \
                     columns each"
                )),
            }
        }
        MessageKeys(keys)
    }
}

fn is_key(table: &str, columns: &str) -> bool {
    let is_column = |column: &str| !column.trim().is_empty() && !column.contains(':');
    !table.trim().is_empty() && columns.split(',').all(is_column)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConnectorConfig, config::sample::config};

    #[test]
    fn columns_come_in_the_order_that_was_asked_for() {
        let config = config(r#","message.key.columns":"s\\.t:b,a;(.*)\\.U: id , b ; s.v:.*""#);
        let columns = ["a", "b", "id"].map(|name| ColumnDescription {
            name: name.to_owned(),
            type_oid: 23,
            type_modifier: -1,
            nullable: false,
            default_expression: None,
        });
        let key = |table| config.keys.of("s", table, columns.iter());
        assert_eq!(key("t"), Some(vec![1, 0]));
        assert_eq!(key("u"), Some(vec![2, 1]));
        assert_eq!(key("v"), Some(vec![0, 1, 2]));
        assert_eq!(key("w"), None);
    }

    #[test]
    fn what_names_no_columns_is_refused() {
        for wrong in ["s.t", "s.t:", ":a", "s.t:a:b", "s.t:a,,b", "s.t:a;;s.u:b"] {
            let json = format!(
                r#"{{"name":"c","config":{{"connector.class":"io.debezium.connector.postgresql.PostgresConnector",
                "database.hostname":"h","database.user":"u","database.dbname":"d","topic.prefix":"t","{PROPERTY}":"{wrong}"}}}}"#
            );
            let error = ConnectorConfig::from_json(&json).expect_err(wrong).to_string();
            assert!(error.contains("message.key.columns: takes table:column"), "{error}");
        }
    }
}
