//! The encoder of one table version: from a change to the records that Debezium writes for it.
//!
//! Which records, in which order, with which key, rows and headers is decided here; how a value is written is its
//! column's business. Pure, and safe to share between threads.

use std::{ops::Range, sync::Arc};

use crate::{
    Cell, Change, ConversionFailures, EncodedRecords, EventOptions, OldRow, Operation, SkippedRecords,
    TableDescription, TransactionCounts, TypeCatalog,
    column::Column,
    headers::{self, ContextHeaders},
    mask::Masked,
    notation::Form,
    object::{Object, Row},
    record_schema::Wrapping,
    records::RecordRanges,
    schema,
    source_block::{Envelope, Letter},
    toast::Placeholder,
    topic::topic_name,
};

/// A table version compiled to its encoder. Made once per RELATION, shared.
#[derive(Debug)]
pub struct Table {
    /// What it was compiled from.
    pub description: TableDescription,
    /// The topic its records go to (sanitised as Debezium does).
    pub topic: Arc<str>,
    /// Of the row.
    columns: Vec<Column>,
    /// Of the key, in its order; never masked.
    key_columns: Vec<Column>,
    value: Object,
    key: Object,
    key_header: Object,
    wrapping: Wrapping,
    envelope: Envelope,
    /// What its records are counted as.
    collection: Arc<str>,
    context: Arc<ContextHeaders>,
    tombstones: bool,
    skipped: SkippedRecords,
    skip_unchanged: bool,
    warnings: Vec<String>,
}

impl Table {
    /// Compiles the encoder. Never fails: a type that has no converter is left out of the row, as Debezium does;
    /// [`Table::warnings`] names it.
    pub fn compile(description: TableDescription, types: &TypeCatalog, options: &EventOptions) -> Table {
        let masked = |index| Masked::find(&description, index, types, options);
        let column = |index: usize, masked| Column::compile(index, &description.columns[index], types, options, masked);
        let columns: Vec<Column> = (0..description.columns.len())
            .filter(|index| !description.key_only.contains(index))
            .filter_map(|index| column(index, masked(index)))
            .collect();
        let key = description.key.iter();
        let key_columns: Vec<Column> = key.filter_map(|&index| column(index, None)).collect();
        let placeholder = Placeholder::new(&options.unavailable_value_placeholder);
        let object = |form, null_is_default, of: &[Column]| Object::new(form, null_is_default, of, &placeholder);
        let (keys, values) = (options.key_converter, options.value_converter);
        let topic = topic_name(options, &description.schema, &description.table);
        Table {
            value: object(Form::of_json(values), values.null_is_default, &columns),
            key: object(Form::of_json(keys), keys.null_is_default, &key_columns),
            key_header: object(Form::HeaderText, true, &key_columns),
            wrapping: Wrapping::new(&topic, &description, (&columns, &key_columns), types, options),
            topic: topic.into(),
            envelope: Envelope::new(&description, options),
            collection: format!("{}.{}", description.schema, description.table).into(),
            context: Arc::new(ContextHeaders::new(options)),
            tombstones: options.tombstones_on_delete,
            skipped: options.skipped,
            skip_unchanged: options.skip_unchanged,
            warnings: warnings(&description, (&columns, &key_columns), types, options),
            columns,
            key_columns,
            description,
        }
    }

    /// The topic's schema as the internal topic `__rowcast_schemas` and the wire protocol carry it:
    /// `{"topic":…,"table":…,"columns":[{"name","type","semantic","version","parameters","key","optional"},…]}`,
    /// with `items` for arrays and `default` where there is one. Equal table versions give equal bytes.
    pub fn schema_json(&self) -> String {
        let table = format!("{}.{}", self.description.schema, self.description.table);
        schema::topic_schema(&self.topic, &table, &self.columns, |index| {
            self.description.key.contains(&index)
        })
    }

    /// One line per column that is not delivered, or not as a reader may expect.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The columns whose values could not be delivered as they are, with counts; empty in good times.
    pub fn conversion_failures(&self) -> Vec<ConversionFailures<'_>> {
        let key_only = |column: &&Column| self.description.key_only.contains(&column.tuple_index);
        let columns = self.columns.iter().chain(self.key_columns.iter().filter(key_only));
        columns.filter_map(Column::failures).collect()
    }

    /// Appends to `out` the records that Debezium writes for `change`, which may be none (`skipped.operations`). `now_ns` is the clock since 1970 in
    /// nanoseconds, for the envelope's `ts_ms`, `ts_us`, `ts_ns`.
    ///
    /// Allocates only for what is rare: numerics beyond 38 digits, array elements with backslashes, hstore, PostGIS
    /// values, text that is not UTF-8, and to grow `out`.
    pub fn encode(&self, change: &Change<'_>, now_ns: i64, out: &mut EncodedRecords) {
        self.encode_counted(change, now_ns, None, out);
    }

    /// The same; with `counts`, each record says where it stands in its transaction. Rows of a snapshot are part of none.
    pub fn encode_counted(
        &self,
        change: &Change<'_>,
        now_ns: i64,
        counts: Option<&mut TransactionCounts>,
        out: &mut EncodedRecords,
    ) {
        let mut writer = Writer {
            counts: counts.filter(|_| !matches!(change.operation, Operation::Read(_))),
            table: self,
            change,
            now_ns,
            context: out.context(&self.context),
            out,
        };
        match change.operation {
            Operation::Read(cells) => {
                let from_snapshot = true;
                let row = Row {
                    from_snapshot,
                    ..Row::of(cells)
                };
                writer.whole_row(Letter::Read, row);
            }
            Operation::Insert(row) => writer.whole_row(Letter::Create, Row::of(row)),
            Operation::Update { old: None, new } => writer.whole_row(Letter::Update, Row::of(new)),
            Operation::Update { old: Some(old), new } => writer.update(old.cells(), new),
            Operation::Delete(old) => writer.delete(Row::of(old.cells())),
            Operation::Truncate => writer.record(None, None, None, Letter::Truncate, None),
        }
    }
}

/// One call of [`Table::encode`].
struct Writer<'a> {
    table: &'a Table,
    change: &'a Change<'a>,
    now_ns: i64,
    counts: Option<&'a mut TransactionCounts>,
    context: usize,
    out: &'a mut EncodedRecords,
}

type OtherKey = (&'static str, Range<usize>);

impl Writer<'_> {
    fn whole_row(&mut self, letter: Letter, row: Row<'_>) {
        let key = self.key(row);
        self.record(key, None, Some(row), letter, None);
    }

    /// An update keeps its key, or is a delete and a create.
    fn update(&mut self, old: &[Cell<'_>], new: &[Cell<'_>]) {
        let before = Row::of(old);
        let after = Row {
            before: Some(old),
            ..Row::of(new)
        };
        let new_key = self.key(after);
        let old_key = self.key(before);
        match (old_key, new_key) {
            (Some(old_key), Some(new_key)) if self.out.slice(&old_key) != self.out.slice(&new_key) => {
                let new_key_header = (headers::NEW_KEY, self.key_header(after));
                let old_key_header = (headers::OLD_KEY, self.key_header(before));
                self.record(
                    Some(old_key.clone()),
                    Some(before),
                    None,
                    Letter::Delete,
                    Some(new_key_header.clone()),
                );
                self.tombstone(Some(old_key), Some(new_key_header));
                self.record(Some(new_key), None, Some(after), Letter::Create, Some(old_key_header));
            }
            (old_key, new_key) => {
                self.out.cut(old_key);
                if self.table.skip_unchanged && self.is_unchanged(before, after) {
                    return self.out.cut(new_key);
                }
                self.record(new_key, Some(before), Some(after), Letter::Update, None);
            }
        }
    }

    /// Whether both rows are delivered alike.
    fn is_unchanged(&mut self, before: Row<'_>, after: Row<'_>) -> bool {
        let table = self.table;
        table.value.is_same(&table.columns, before, after, self.out.arena())
    }

    fn delete(&mut self, old: Row<'_>) {
        let key = self.key(old);
        self.record(key.clone(), Some(old), None, Letter::Delete, None);
        self.tombstone(key, None);
    }

    fn record(
        &mut self,
        key: Option<Range<usize>>,
        before: Option<Row<'_>>,
        after: Option<Row<'_>>,
        letter: Letter,
        other_key: Option<OtherKey>,
    ) {
        let table = self.table;
        if table.skips(letter) {
            return;
        }
        let order = self.counts.as_mut().map(|counts| counts.count(&table.collection));
        let arena = self.out.arena();
        let start = arena.len();
        arena.extend_from_slice(table.wrapping.value(letter == Letter::Read));
        arena.extend_from_slice(b"{\"before\":");
        table.write_row(before, arena);
        arena.extend_from_slice(b",\"after\":");
        table.write_row(after, arena);
        table
            .envelope
            .write_tail(letter, &self.change.origin, order, self.now_ns, arena);
        arena.extend_from_slice(table.wrapping.value_end());
        let value = Some(start..arena.len());
        self.out.push(RecordRanges {
            key,
            value,
            other_key,
            context: Some(self.context),
        });
    }

    fn tombstone(&mut self, key: Option<Range<usize>>, other_key: Option<OtherKey>) {
        if self.table.tombstones && !self.table.skipped.deletes {
            self.out.push(RecordRanges {
                key,
                value: None,
                other_key,
                context: Some(self.context),
            });
        }
    }

    fn key(&mut self, row: Row<'_>) -> Option<Range<usize>> {
        let table = self.table;
        let arena = self.out.arena();
        let start = arena.len();
        (!table.key.is_empty()).then(|| {
            arena.extend_from_slice(table.wrapping.key());
            table.key.write(&table.key_columns, row, arena);
            arena.extend_from_slice(table.wrapping.key_end());
            start..arena.len()
        })
    }

    fn key_header(&mut self, row: Row<'_>) -> Range<usize> {
        let table = self.table;
        let arena = self.out.arena();
        let start = arena.len();
        table.key_header.write(&table.key_columns, row, arena);
        start..arena.len()
    }
}

impl Table {
    fn skips(&self, letter: Letter) -> bool {
        match letter {
            Letter::Create => self.skipped.creates,
            Letter::Update => self.skipped.updates,
            Letter::Delete => self.skipped.deletes,
            Letter::Read | Letter::Truncate => false,
        }
    }

    fn write_row(&self, row: Option<Row<'_>>, out: &mut Vec<u8>) {
        match row {
            None => out.extend_from_slice(b"null"),
            Some(row) => self.value.write(&self.columns, row, out),
        }
    }
}

impl<'a> OldRow<'a> {
    /// A key tuple has NULL where it has nothing, and NULL and nothing are delivered alike.
    fn cells(self) -> &'a [Cell<'a>] {
        match self {
            OldRow::Key(cells) | OldRow::Full(cells) => cells,
        }
    }
}

fn warnings(
    description: &TableDescription,
    (columns, key_columns): (&[Column], &[Column]),
    types: &TypeCatalog,
    options: &EventOptions,
) -> Vec<String> {
    let table = format!("{}.{}", description.schema, description.table);
    let find = |columns: &[Column], index: usize| columns.iter().position(|column| column.tuple_index == index);
    let type_of = |index: usize| {
        let oid = description.columns[index].type_oid;
        let name = types.get(oid).map_or("unknown", |pg_type| &pg_type.name);
        format!("type {name} (oid {oid})")
    };
    let missing = |index: usize| {
        let consequence = if description.key.contains(&index) {
            "the column is left out of rows and of the key, so rows that differ only in it share a key"
        } else {
            "the column is left out of rows"
        };
        format!("{} has no converter; {consequence}", type_of(index))
    };
    let unhidden = |index: usize| {
        let masked = Masked::find(description, index, types, options).filter(|masked| masked.hides())?;
        match (masked.is_idle(), find(key_columns, index)) {
            (true, _) => Some(format!(
                "{} is no text, so its values are delivered as they are, as Debezium does: leave the column out by \
                 column.exclude.list",
                type_of(index)
            )),
            (false, Some(_)) => Some("is masked in rows, but not in the key, as Debezium does".to_owned()),
            (false, None) => None,
        }
    };
    let warn = |index: usize| match find(columns, index) {
        None if find(key_columns, index).is_some() => None,
        None => Some(missing(index)),
        Some(at) if options.value_converter.null_is_default && columns[at].hides_null() => {
            Some("NULL is delivered as the column's default, as Debezium does (replace.null.with.default)".to_owned())
        }
        Some(_) => None,
    };
    let all = 0..description.columns.len();
    let told = all.flat_map(|index| [warn(index), unhidden(index)].map(|warning| (index, warning)));
    told.filter_map(|(index, warning)| Some(format!("{table}.{}: {}", description.columns[index].name, warning?)))
        .collect()
}
