//! The tables of this stream, by oid: which are captured, and the version that rows are decoded by now.

use std::{collections::HashMap, sync::Arc};

use rowcast_event::{EventOptions, Table, TableDescription};

use crate::{
    SourceError,
    captured::{Kept, without_columns},
    catalog::{Catalog, relation},
    config::ConnectorConfig,
    query::qualified,
    shared_topic,
};

/// Oids below this are PostgreSQL's own types, which never change (`FirstNormalObjectId`).
const FIRST_USER_OID: u32 = 16_384;

/// What is known of a table.
#[derive(Debug)]
pub(crate) enum Known {
    /// Not captured: its rows are counted, not decoded.
    Ignored,
    /// Captured.
    Captured(Captured),
}

/// A captured table, and what the server's tuples of it are like.
#[derive(Debug)]
pub(crate) struct Captured {
    pub(crate) table: Arc<Table>,
    /// Columns in a tuple; `None` until the server has described the table.
    pub(crate) columns: Option<usize>,
    /// Which of them are delivered.
    pub(crate) kept: Kept,
}

/// All tables that the walsender has named.
#[derive(Debug)]
pub(crate) struct Relations {
    known: HashMap<u32, Known>,
    options: Arc<EventOptions>,
}

impl Relations {
    /// Starts with the tables of the snapshot, which need no second announcement unless they changed.
    pub(crate) fn new(options: Arc<EventOptions>, tables: Vec<Arc<Table>>) -> Relations {
        let known = tables
            .into_iter()
            .map(|table| {
                let captured = Captured {
                    columns: None,
                    kept: None,
                    table,
                };
                (captured.table.description.oid, Known::Captured(captured))
            })
            .collect();
        Relations { known, options }
    }

    /// The table of a row. A row of a table that was not named before is a server's mistake.
    pub(crate) fn get(&self, oid: u32) -> Option<&Known> {
        self.known.get(&oid)
    }

    /// The captured table with this oid.
    pub(crate) fn table(&self, oid: u32) -> Option<&Arc<Table>> {
        self.captured(oid).map(|captured| &captured.table)
    }

    /// The same, with how its tuples are read.
    pub(crate) fn captured(&self, oid: u32) -> Option<&Captured> {
        match self.known.get(&oid) {
            Some(Known::Captured(captured)) => Some(captured),
            _ => None,
        }
    }

    /// Takes in a RELATION message. True when rows have another shape from now on.
    pub(crate) async fn learn(
        &mut self,
        config: &ConnectorConfig,
        catalog: &mut Catalog,
        message: &relation::Relation<'_>,
    ) -> Result<bool, SourceError> {
        if !config.captures(message.schema, message.table) {
            self.known.insert(message.oid, Known::Ignored);
            return Ok(false);
        }
        let with_types = self.types_may_have_changed(message, catalog);
        let in_catalog = catalog.look_up(message.oid, with_types).await?;
        let description = relation::merge(message, in_catalog.as_ref(), &config.keys);
        let untold = untold_key(message, &description);
        let columns = Some(description.columns.len());
        let (description, kept) = without_columns(description, &config.columns);
        let table = Table::compile(description, catalog.types(), &self.options);
        self.check_topic(&table)?;
        let same = self
            .table(message.oid)
            .is_some_and(|known| known.description == table.description && known.schema_json() == table.schema_json());
        match self.known.get_mut(&message.oid) {
            // A table of the snapshot, or one whose left-out columns changed.
            Some(Known::Captured(known)) if same => (known.columns, known.kept) = (columns, kept),
            _ => {
                let table = Arc::new(table);
                let captured = Captured { table, columns, kept };
                self.known.insert(message.oid, Known::Captured(captured));
            }
        }
        if let Some(column) = untold.filter(|_| !same) {
            warn_of_untold_key(message, column);
        }
        Ok(!same)
    }

    /// A table that comes later may have the topic of one that is there. The same name under another oid is a table made
    /// anew.
    fn check_topic(&self, table: &Table) -> Result<(), SourceError> {
        let name = |table: &Table| (table.description.schema.clone(), table.description.table.clone());
        let twin = self.known.values().find_map(|known| match known {
            Known::Captured(Captured { table: known, .. })
                if known.topic == table.topic
                    && known.description.oid != table.description.oid
                    && name(known) != name(table) =>
            {
                Some(name(known))
            }
            _ => None,
        });
        match (twin, name(table)) {
            (Some(twin), new) => Err(shared_topic::refusal(
                &table.topic,
                (&twin.0, &twin.1),
                (&new.0, &new.1),
            )),
            (None, _) => Ok(()),
        }
    }

    /// A type that we have never seen; or one of the user's in a table that is described again, for an enum's labels
    /// change without a new oid.
    fn types_may_have_changed(&self, message: &relation::Relation<'_>, catalog: &Catalog) -> bool {
        let again = self.known.contains_key(&message.oid);
        let may_have_changed = |oid: u32| catalog.types().get(oid).is_none() || (again && oid >= FIRST_USER_OID);
        message.columns.iter().any(|column| may_have_changed(column.type_oid))
    }
}

/// A column of the key, of which the old row of an update or a delete says nothing.
fn untold_key<'m>(message: &relation::Relation<'m>, description: &TableDescription) -> Option<&'m str> {
    let mut key = description.key.iter().filter_map(|&place| message.columns.get(place));
    key.find(|column| !column.key).map(|column| column.name)
}

/// Debezium says nothing of it: `message.key.columns` can name any column.
fn warn_of_untold_key(message: &relation::Relation<'_>, column: &str) {
    let name = qualified(message.schema, message.table);
    tracing::warn!(
        "column {column:?} is in the key of table {name}, and not in its replica identity: deletes, and updates that change \
         it, do not tell the key that the row had; ALTER TABLE {name} REPLICA IDENTITY FULL"
    );
}

/// As in Debezium, a TRUNCATE is left out unless it is asked for; whoever did not know keeps rows that are gone.
pub(crate) fn warn_of_skipped_truncate(table: &Table) {
    tracing::warn!(
        "table {}.{} was truncated, and readers keep its rows: skipped.operations leaves truncates out (its default is \"t\", \
         as in Debezium); set skipped.operations to \"none\" to carry them",
        table.description.schema,
        table.description.table
    );
}
