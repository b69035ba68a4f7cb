//! Reads all captured tables as they were at the slot's consistent point, so that the stream goes on exactly there.
//!
//! Runs under the snapshot that the slot's creation exported: a transaction is in these rows, or in the stream, never in
//! both and never in neither. Memory is bounded by the longest row. One row is held back, for only the next one tells
//! whether it was its table's last. Knows nothing of what becomes of the rows.

use std::{fmt, sync::Arc};

use bumpalo::Bump;
use rowcast_event::{
    Cell, Change, Lsn, Operation, Origin, Position, SnapshotMarker, Table, TransactionMark, TypeCatalog,
};

use crate::{
    SourceError, Stream,
    catalog::{Catalog, tables, tables::ListedTable},
    connection::{Connection, Purpose, error::ConnectionError, unexpected},
    copy_text,
    query::{Row, identifier, literal, number, qualified, text},
    server,
    source::{captured, check_readable},
    stream::{
        Start,
        transaction::{before, snapshot_mark},
    },
};

/// Reads all captured tables under the slot's exported snapshot.
pub struct SnapshotReader {
    /// Does nothing meanwhile: its next command would end the exported snapshot.
    walsender: Connection,
    /// In a transaction with the imported snapshot.
    reader: Connection,
    catalog: Catalog,
    start: Start,
    /// In reading order.
    tables: Vec<Arc<Table>>,
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
    /// Imports the snapshot into a second session, locks the tables against being rewritten, and describes them.
    pub(crate) async fn begin(
        walsender: Connection,
        catalog: Catalog,
        start: Start,
        snapshot: &str,
    ) -> Result<SnapshotReader, SourceError> {
        let doing = "beginning the snapshot";
        let failed = |error: ConnectionError| error.during(doing);
        let mut reader = Connection::open(catalog.options(), Purpose::Sql)
            .await
            .map_err(failed)?;
        server::prepare_session(&mut reader).await.map_err(failed)?;
        let import = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}",
            literal(snapshot)
        );
        reader.query(&import).await.map_err(failed)?;
        let (ts_us, xid) = transaction_facts(&mut reader).await.map_err(failed)?;
        let tables = describe(&mut reader, catalog.types(), &start).await?;
        tracing::info!(tables = tables.len(), "snapshot begins");
        Ok(SnapshotReader {
            walsender,
            reader,
            catalog,
            start,
            tables,
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

    /// The slot's consistent point, `source.lsn` of every snapshot row. The rows' positions lie just before it.
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
                    false => SnapshotEvent::End(snapshot_mark(self.consistent_point(), self.rows)),
                });
            }
            self.read().await?;
        }
    }

    /// After [`SnapshotEvent::End`] and once the log has it durably: starts the stream at the consistent point.
    pub async fn into_stream(self) -> Result<Stream, SourceError> {
        self.reader.close().await;
        let start = Start {
            tables: self.tables,
            ..self.start
        };
        Stream::start(self.walsender, self.catalog, start).await
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
        let Some(table) = self.tables.get(self.begun) else {
            return self.finish().await;
        };
        let statement = copy_statement(table);
        self.begun += 1;
        self.reader
            .send_query(&statement)
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
/// that inherit from it, which come under their own name.
fn copy_statement(table: &Table) -> String {
    let name = qualified(&table.description.schema, &table.description.table);
    let columns: Vec<String> = table
        .description
        .columns
        .iter()
        .map(|column| identifier(&column.name))
        .collect();
    match columns.is_empty() {
        true => format!("COPY {name} TO STDOUT"),
        false => format!("COPY {name} ({}) TO STDOUT", columns.join(", ")),
    }
}

/// `source.ts_*` and `source.txId` of every row: the transaction's time and id, as Debezium shows them. A standby cannot
/// assign an id.
async fn transaction_facts(reader: &mut Connection) -> Result<(i64, Option<u32>), ConnectionError> {
    let statement = "SELECT (extract(epoch FROM transaction_timestamp()) * 1000000)::int8, \
                     CASE WHEN NOT pg_is_in_recovery() THEN pg_current_xact_id() END";
    let row: Row = reader.query_row(statement).await?.unwrap_or_default();
    let xid = text(&row, 1).parse::<u64>().ok().map(|xid| (xid & 0xffff_ffff) as u32);
    Ok((number(&row, 0, "the transaction's time")?, xid))
}

/// The captured tables as the snapshot has them, which may be other ones than a moment before.
async fn describe(reader: &mut Connection, types: &TypeCatalog, start: &Start) -> Result<Vec<Arc<Table>>, SourceError> {
    let failed = |error: ConnectionError| error.during("describing the tables of the snapshot");
    let listed = tables::list(reader).await.map_err(failed)?;
    let captured = captured(&start.config, &listed);
    check_readable(&captured, &start.config.user)?;
    for tables in captured.chunks(TABLES_PER_LOCK) {
        let only = |table: &&ListedTable| format!("ONLY {}", qualified(&table.schema, &table.name));
        let names: Vec<String> = tables.iter().map(only).collect();
        lock(reader, &names.join(", ")).await?;
    }
    let oids: Vec<u32> = captured.iter().map(|table| table.oid).collect();
    refuse_rewritten(reader, &oids).await?;
    let described = tables::describe(reader, &oids).await.map_err(failed)?;
    let compile = |table: &tables::CatalogTable| Arc::new(Table::compile(table.description(), types, &start.options));
    Ok(described.iter().map(compile).collect())
}

/// Readers' locks, as `pg_dump` takes them: writers go on, but nobody rewrites or drops a table before it was read.
async fn lock(reader: &mut Connection, names: &str) -> Result<(), SourceError> {
    let locked = reader.query(&format!("LOCK TABLE {names} IN ACCESS SHARE MODE")).await;
    locked.map(|_| ()).map_err(|error| match error.sqlstate() {
        Some("42P01") => SourceError::Gone(format!("a table was dropped while the snapshot began: {error}")),
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
        "SELECT c.relname FROM pg_catalog.pg_class c WHERE c.oid IN ({list}) AND c.relfilenode <> 0 \
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
