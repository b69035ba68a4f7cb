//! Reads all captured tables as they were at the slot's consistent point, so that the stream goes on exactly there.
//!
//! Runs under the snapshot that the slot's creation exported: a transaction is in these rows, or in the stream, never in
//! both and never in neither. Memory is bounded by the longest row. One row is held back, for only the next one tells
//! whether it was its table's last. Knows nothing of what becomes of the rows.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use bumpalo::Bump;
use rowcast_event::{
    Cell, Change, Lsn, Operation, Origin, Position, SnapshotMarker, Table, TransactionMark, TypeCatalog,
};

use crate::{
    SourceError, Stream,
    captured::{captured, check_readable, read_by_snapshot, without_columns},
    catalog::{
        Catalog,
        narrowed::{narrowed, publishes_generated},
        tables,
        tables::ListedTable,
    },
    connection::{Connection, Purpose, error::ConnectionError, unexpected},
    copy_text,
    query::{Row, identifier, literal, number, qualified, text},
    server,
    stream::{
        Start,
        failure::{NOT_IN_ENCODING, NOT_IN_UNICODE},
        transaction::{before, snapshot_mark},
    },
    turn,
};

/// Reads all captured tables as of one moment.
pub struct SnapshotReader {
    /// Streams afterwards, if anything does.
    walsender: Option<Connection>,
    /// In a transaction with the snapshot.
    reader: Connection,
    catalog: Catalog,
    start: Start,
    /// In reading order.
    tables: Vec<Arc<Table>>,
    /// What reads each of them.
    statements: Vec<String>,
    /// How many of them the caller knows of.
    announced: usize,
    /// How many of them were begun to be read.
    begun: usize,
    /// A COPY is under way, of the table begun last.
    copying: bool,
    finished: bool,
    /// Rows read so far: the next ordinal.
    rows: u64,
    held_back: Option<HeldRow>,
    held_line: Vec<u8>,
    /// The row to hand out next, with its final marker.
    outgoing: Option<(HeldRow, SnapshotMarker)>,
    outgoing_line: Vec<u8>,
    unescaped: Vec<u8>,
    /// Empty; kept for its memory.
    spare: Vec<Cell<'static>>,
    cells: Bump,
    ts_us: i64,
    xid: Option<u32>,
}

/// A row whose marker depends on what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HeldRow {
    table: usize,
    ordinal: u64,
    first_of_table: bool,
}

/// What a snapshot yields, in order.
#[derive(Debug)]
pub enum SnapshotEvent<'a> {
    /// The rows that follow are of this table. Sent for empty tables as well.
    Table(Arc<Table>),
    /// A row.
    Row(Change<'a>),
    /// All rows were read. The mark to commit them with.
    End(TransactionMark),
}

/// The transaction that the tables are read in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Transaction<'a> {
    /// With the snapshot that the creation of a slot exported.
    Imported(&'a str),
    /// With one of its own, of this moment.
    Own {
        /// It waits until it can be serializable.
        serializable: bool,
    },
}

impl Transaction<'_> {
    fn statement(self) -> String {
        match self {
            Transaction::Imported(snapshot) => format!(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}",
                literal(snapshot)
            ),
            Transaction::Own { serializable: true } => {
                "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE".to_owned()
            }
            Transaction::Own { serializable: false } => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned(),
        }
    }
}

/// Tables named in one LOCK statement.
const TABLES_PER_LOCK: usize = 500;

impl fmt::Debug for SnapshotReader {
    /// Never the rows that are held.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotReader")
            .field("slot", &self.start.config.slot_name)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl SnapshotReader {
    /// Begins the transaction in a session of its own, locks the tables against being rewritten, and describes them. The
    /// exported snapshot is needed until this returns.
    pub(crate) async fn begin(
        walsender: Option<Connection>,
        catalog: Catalog,
        mut start: Start,
        transaction: Transaction<'_>,
    ) -> Result<SnapshotReader, SourceError> {
        let doing = "beginning the snapshot";
        let failed = |error: ConnectionError| error.during(doing);
        let mut reader = Connection::open(catalog.options(), Purpose::Sql)
            .await
            .map_err(failed)?;
        server::prepare_session(&mut reader).await.map_err(failed)?;
        reader.query(&transaction.statement()).await.map_err(failed)?;
        let (ts_us, xid, wal_end) = transaction_facts(&mut reader).await.map_err(failed)?;
        if let Transaction::Own { .. } = transaction {
            start.confirmed = wal_end;
        }
        let described = describe(&mut reader, catalog.types(), &start).await?;
        let (tables, statements): (Vec<_>, Vec<_>) = described.into_iter().unzip();
        tracing::info!(tables = tables.len(), "snapshot begins");
        Ok(SnapshotReader {
            walsender,
            reader,
            catalog,
            start,
            tables,
            statements,
            announced: 0,
            begun: 0,
            copying: false,
            finished: false,
            rows: 0,
            held_back: None,
            held_line: Vec::new(),
            outgoing: None,
            outgoing_line: Vec::new(),
            unescaped: Vec::new(),
            spare: Vec::new(),
            cells: Bump::new(),
            ts_us,
            xid,
        })
    }

    /// From here on the session that reads keeps other captures from the slot, and no longer the one that prepared it.
    pub(crate) async fn take_turn_over(&mut self) -> Result<(), SourceError> {
        let slot = &self.start.config.slot_name;
        turn::read(&mut self.reader, slot).await?;
        match self.catalog.session() {
            Some(session) => turn::give_back(session, slot).await,
            None => Ok(()),
        }
    }

    /// The slot's consistent point (or where the WAL ended, if there is no slot), `source.lsn` of every row. The rows'
    /// positions lie just before it.
    pub fn consistent_point(&self) -> Lsn {
        self.start.confirmed
    }

    /// The next event; waits for the server. Not cancel-safe: after a dropped call, drop the reader.
    pub async fn next(&mut self) -> Result<SnapshotEvent<'_>, SourceError> {
        loop {
            if let Some((row, marker)) = self.outgoing {
                if self.announced <= row.table {
                    return Ok(self.announce());
                }
                self.outgoing = None;
                return self.row(row, marker).map(SnapshotEvent::Row);
            }
            if self.finished {
                return Ok(match self.announced < self.tables.len() {
                    true => self.announce(),
                    false => SnapshotEvent::End(self.mark()),
                });
            }
            self.read().await?;
        }
    }

    /// After [`SnapshotEvent::End`] and once the log has it durably: starts the stream at the consistent point. `None` if
    /// there is nothing to stream from.
    pub async fn into_stream(self) -> Result<Option<Stream>, SourceError> {
        let held = Some(self.mark());
        let start = Start {
            held,
            tables: self.tables,
            ..self.start
        };
        let stream = match self.walsender {
            Some(walsender) => Some(Stream::start(walsender, self.catalog, start).await?),
            None => None,
        };
        // Last: it holds the turn.
        self.reader.close().await;
        Ok(stream)
    }

    /// What ends the snapshot in the log: once all rows were read.
    pub fn mark(&self) -> TransactionMark {
        snapshot_mark(self.consistent_point(), self.rows, self.ts_us)
    }

    fn announce(&mut self) -> SnapshotEvent<'static> {
        let table = self.tables[self.announced].clone();
        self.announced += 1;
        SnapshotEvent::Table(table)
    }

    /// Takes in one message, or begins the next table.
    async fn read(&mut self) -> Result<(), SourceError> {
        if !self.copying {
            return self.begin_table().await;
        }
        let frame = match self.reader.receive().await {
            Ok(frame) => frame,
            Err(error) => return Err(self.failed(error)),
        };
        match frame.tag {
            b'd' => {
                std::mem::swap(&mut self.held_line, &mut self.outgoing_line);
                self.held_line.clear();
                self.held_line.extend_from_slice(self.reader.body(frame));
                self.hold_back();
            }
            b'H' | b'c' | b'C' => {}
            b'Z' => self.copying = false,
            tag => return Err(self.failed(unexpected(tag, "COPY"))),
        }
        Ok(())
    }

    /// The row just read is held back; the one before it is no more.
    fn hold_back(&mut self) {
        let table = self.begun - 1;
        let before = self.held_back;
        let first_of_table = before.is_none_or(|before| before.table != table);
        self.held_back = Some(HeldRow {
            table,
            ordinal: self.rows,
            first_of_table,
        });
        self.rows += 1;
        self.outgoing = before.map(|row| (row, marker(row, first_of_table, false)));
    }

    async fn begin_table(&mut self) -> Result<(), SourceError> {
        let Some(statement) = self.statements.get(self.begun) else {
            return self.finish().await;
        };
        self.begun += 1;
        self.reader
            .send_query(statement)
            .await
            .map_err(|error| error.during("reading the snapshot"))?;
        self.copying = true;
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), SourceError> {
        self.reader
            .query("COMMIT")
            .await
            .map_err(|error| error.during("ending the snapshot"))?;
        if let Some(row) = self.held_back.take() {
            std::mem::swap(&mut self.held_line, &mut self.outgoing_line);
            self.outgoing = Some((row, marker(row, true, true)));
        }
        self.finished = true;
        tracing::info!(rows = self.rows, "snapshot read");
        Ok(())
    }

    /// A table that was dropped or altered after the consistent point makes the snapshot begin anew.
    fn failed(&self, error: ConnectionError) -> SourceError {
        let table = self.begun.checked_sub(1).and_then(|index| self.tables.get(index));
        let name = table.map_or_else(String::new, |table| {
            qualified(&table.description.schema, &table.description.table)
        });
        match error.sqlstate() {
            Some("42P01" | "42703") => SourceError::Gone(format!(
                "table {name} was changed while the snapshot was taken ({error}); the snapshot begins anew"
            )),
            Some(NOT_IN_ENCODING | NOT_IN_UNICODE) => SourceError::Refused(format!(
                "reading the snapshot of table {name}: {error}; a row of it holds text that is none in the database's encoding, \
                 or has no place in Unicode: mend it"
            )),
            _ => error.during(&format!("reading the snapshot of table {name}")),
        }
    }

    fn row(&mut self, row: HeldRow, marker: SnapshotMarker) -> Result<Change<'_>, SourceError> {
        self.cells.reset();
        let table = &self.tables[row.table].description;
        let mut split = reuse(std::mem::take(&mut self.spare));
        if !table.columns.is_empty() {
            copy_text::split_row(&self.outgoing_line, &mut self.unescaped, &mut split)
                .map_err(|error| SourceError::Refused(format!("table {}.{}: {error}", table.schema, table.table)))?;
        }
        let cells: &[Cell<'_>] = self.cells.alloc_slice_copy(&split);
        self.spare = reuse(split);
        if cells.len() != table.columns.len() {
            return Err(SourceError::Refused(format!(
                "table {}.{}: a row with {} columns where {} were asked for; please report this",
                table.schema,
                table.table,
                cells.len(),
                table.columns.len()
            )));
        }
        Ok(Change {
            position: Position {
                commit_lsn: before(self.start.confirmed),
                ordinal: row.ordinal,
            },
            operation: Operation::Read(cells),
            origin: Origin {
                ts_us: self.ts_us,
                xid: self.xid,
                last_commit_lsn: None,
                lsn: self.start.confirmed,
                snapshot: marker,
            },
        })
    }
}

/// Debezium's marker: the first rule that holds.
fn marker(row: HeldRow, last_of_table: bool, last: bool) -> SnapshotMarker {
    match row {
        _ if last => SnapshotMarker::Last,
        HeldRow {
            table: 0,
            first_of_table: true,
            ..
        } => SnapshotMarker::First,
        _ if last_of_table => SnapshotMarker::LastInDataCollection,
        HeldRow {
            first_of_table: true, ..
        } => SnapshotMarker::FirstInDataCollection,
        _ => SnapshotMarker::Row,
    }
}

/// The same memory for cells of another lifetime (collecting in place, as the standard library does for equal layouts).
fn reuse<'to>(mut cells: Vec<Cell<'_>>) -> Vec<Cell<'to>> {
    cells.clear();
    cells.into_iter().map(|_| Cell::Null).collect()
}

/// `COPY table`, not `COPY (SELECT …)`: the same text without an executor in between, and without the rows of tables
/// that inherit from it, which come under their own name. A partitioned table has no rows but its partitions', of one with a
/// row filter only some are published, and generated columns can only be selected.
fn copy_statement(table: &Table, partitioned: bool, generated: bool, published: Option<&str>) -> String {
    let name = qualified(&table.description.schema, &table.description.table);
    let columns = table.description.columns.iter();
    let columns: Vec<String> = columns.map(|column| identifier(&column.name)).collect();
    let columns = columns.join(", ");
    let only = if partitioned { "" } else { "ONLY " };
    let condition = published.map_or_else(String::new, |rows| format!(" WHERE {rows}"));
    match (partitioned || generated || published.is_some(), columns.is_empty()) {
        (true, _) => format!("COPY (SELECT {columns} FROM {only}{name}{condition}) TO STDOUT"),
        (false, true) => format!("COPY {name} TO STDOUT"),
        (false, false) => format!("COPY {name} ({columns}) TO STDOUT"),
    }
}

/// A statement of the user's gives the rows: its columns by their names, null for those that it does not have.
async fn override_statement(reader: &mut Connection, table: &Table, select: &str) -> Result<String, SourceError> {
    let name = format!("{}.{}", table.description.schema, table.description.table);
    let given = reader
        .result_columns(select)
        .await
        .map_err(|error| match error.sqlstate() {
            // Of the classes "syntax error or access rule violation" and "data exception": nothing that time mends.
            Some(state) if state.starts_with("42") || state.starts_with("22") => SourceError::Refused(format!(
                "snapshot.select.statement.overrides.{name}: {error}; it takes the SELECT that reads the table"
            )),
            _ => error.during(&format!(
                "asking for the columns of snapshot.select.statement.overrides.{name}"
            )),
        })?;
    let column = |name: &String| match given.contains(name) {
        true => identifier(name),
        false => format!("NULL AS {}", identifier(name)),
    };
    let columns = table.description.columns.iter();
    let columns: Vec<String> = columns.map(|described| column(&described.name)).collect();
    Ok(format!(
        "COPY (SELECT {} FROM ({select}) AS result) TO STDOUT",
        columns.join(", ")
    ))
}

/// `source.ts_*` and `source.txId` of every row: the transaction's time and id, as Debezium shows them (a standby cannot
/// assign an id); and where the WAL ends.
async fn transaction_facts(reader: &mut Connection) -> Result<(i64, Option<u32>, Lsn), ConnectionError> {
    let statement = "SELECT (extract(epoch FROM transaction_timestamp()) * 1000000)::int8, \
                     CASE WHEN NOT pg_is_in_recovery() THEN pg_current_xact_id() END, \
                     CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END";
    let row: Row = reader.query_row(statement).await?.unwrap_or_default();
    let xid = text(&row, 1).parse::<u64>().ok().map(|xid| (xid & 0xffff_ffff) as u32);
    Ok((
        number(&row, 0, "the transaction's time")?,
        xid,
        server::parse_lsn(text(&row, 2))?,
    ))
}

/// The tables to read as the snapshot has them, which may be other ones than a moment before, and what reads each.
async fn describe(
    reader: &mut Connection,
    types: &TypeCatalog,
    start: &Start,
) -> Result<Vec<(Arc<Table>, String)>, SourceError> {
    let failed = |error: ConnectionError| error.during("describing the tables of the snapshot");
    let listed = tables::list(reader).await.map_err(failed)?;
    let captured = captured(&start.config, &listed, start.via_root);
    let read = read_by_snapshot(&start.config, &captured);
    check_readable(&read, &start.config.user)?;
    lock_all(reader, &read, start.config.snapshot.lock_timeout).await?;
    let oids: Vec<u32> = read.iter().map(|table| table.oid).collect();
    refuse_rewritten(reader, &oids).await?;
    let roots: HashSet<u32> = read
        .iter()
        .filter(|table| table.partitioned)
        .map(|table| table.oid)
        .collect();
    let publication = &start.config.publication_name;
    let mut narrowed = narrowed(reader, publication, start.watched.version)
        .await
        .map_err(failed)?;
    let publishes_generated = publishes_generated(reader, publication, start.watched.version)
        .await
        .map_err(failed)?;
    let mut described = Vec::with_capacity(read.len());
    for mut table in tables::describe(reader, &oids).await.map_err(failed)? {
        let published = narrowed.remove(&table.oid).unwrap_or_default();
        published.narrow(&mut table, publishes_generated);
        let (description, _) = without_columns(table.description(&start.config.keys), &start.config.columns);
        let is_generated = !table.generated.is_empty();
        let table = Table::compile(description, types, &start.options);
        let (schema, name) = (&table.description.schema, &table.description.table);
        let statement = match start.config.snapshot.statement(schema, name) {
            Some(select) => override_statement(reader, &table, select).await?,
            None => copy_statement(
                &table,
                roots.contains(&table.description.oid),
                is_generated,
                published.rows.as_deref(),
            ),
        };
        described.push((Arc::new(table), statement));
    }
    Ok(described)
}

/// Readers' locks, as `pg_dump` takes them: writers go on, but nobody rewrites or drops a table before it was read.
async fn lock_all(
    reader: &mut Connection,
    tables: &[&ListedTable],
    timeout: Option<Duration>,
) -> Result<(), SourceError> {
    set_lock_timeout(reader, timeout.unwrap_or_default()).await?;
    for tables in tables.chunks(TABLES_PER_LOCK) {
        // A root's partitions are read with it.
        let only = |table: &&ListedTable| if table.partitioned { "" } else { "ONLY " };
        let names = tables
            .iter()
            .map(|table| format!("{}{}", only(table), qualified(&table.schema, &table.name)));
        lock(reader, &names.collect::<Vec<_>>().join(", "), timeout).await?;
    }
    set_lock_timeout(reader, Duration::ZERO).await
}

async fn set_lock_timeout(reader: &mut Connection, timeout: Duration) -> Result<(), SourceError> {
    let set = reader
        .query(&format!("SET LOCAL lock_timeout = {}", timeout.as_millis()))
        .await;
    set.map(|_| ())
        .map_err(|error| error.during("setting the snapshot's lock_timeout"))
}

async fn lock(reader: &mut Connection, names: &str, timeout: Option<Duration>) -> Result<(), SourceError> {
    let locked = reader.query(&format!("LOCK TABLE {names} IN ACCESS SHARE MODE")).await;
    locked.map(|_| ()).map_err(|error| match error.sqlstate() {
        Some("42P01") => SourceError::Gone(format!("a table was dropped while the snapshot began: {error}")),
        Some("55P03") => SourceError::Gone(format!(
            "a table of the snapshot could not be locked within {} ms (snapshot.lock.timeout.ms), because somebody alters \
             it; the snapshot begins anew",
            timeout.unwrap_or_default().as_millis()
        )),
        _ => error.during("locking the snapshot's tables against being rewritten"),
    })
}

/// TRUNCATE and the rewriting forms of ALTER TABLE are not MVCC-safe: to an older snapshot the table looks empty. One
/// that got in before the lock shows by its file, which is not the one that the snapshot's catalog names.
async fn refuse_rewritten(reader: &mut Connection, oids: &[u32]) -> Result<(), SourceError> {
    if oids.is_empty() {
        return Ok(());
    }
    let list = oids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let statement = format!(
        "SELECT c.relname FROM pg_catalog.pg_class c WHERE (c.oid IN ({list}) OR c.oid IN (SELECT p.relid FROM \
         unnest(ARRAY[{list}]::oid[]) o, pg_catalog.pg_partition_tree(o::regclass) p)) AND c.relfilenode <> 0 \
         AND c.relfilenode IS DISTINCT FROM pg_catalog.pg_relation_filenode(c.oid) LIMIT 1"
    );
    let doing = "checking the snapshot's tables";
    match reader
        .query_row(&statement)
        .await
        .map_err(|error| error.during(doing))?
    {
        None => Ok(()),
        Some(row) => Err(SourceError::Gone(format!(
            "table {:?} was rewritten while the snapshot began; the snapshot begins anew",
            text(&row, 0)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_follow_the_first_rule_that_holds() {
        let row = |table, first_of_table| HeldRow {
            table,
            ordinal: 0,
            first_of_table,
        };
        assert_eq!(marker(row(0, true), true, true), SnapshotMarker::Last);
        assert_eq!(marker(row(0, true), true, false), SnapshotMarker::First);
        assert_eq!(marker(row(1, true), true, false), SnapshotMarker::LastInDataCollection);
        assert_eq!(
            marker(row(1, true), false, false),
            SnapshotMarker::FirstInDataCollection
        );
        assert_eq!(marker(row(0, false), false, false), SnapshotMarker::Row);
    }

    #[test]
    fn cells_are_split_into_the_same_memory() {
        let cells: Vec<Cell<'static>> = Vec::with_capacity(100);
        let place = cells.as_ptr();
        let reused = reuse(cells);
        assert_eq!(reused.as_ptr(), place);
    }
}
