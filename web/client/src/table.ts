/**
 * A topic as a table: its rows by key, kept as the database has them.
 *
 * Promises: after `live` the rows are those of the database, as of the last change that was handed on; while rows are
 * loaded again (after a reset) the old ones stay until the new ones are whole, and `state` says so. Rows stay
 * encoded; a value is decoded when it is asked for, so that a hundred thousand rows cost little more than their text.
 */

import type { Client } from "./client.js";
import { stringify, type Json } from "./json.js";
import type { Change, Column, Failure, Op, Schema } from "./protocol.js";
import type { State } from "./state.js";
import type { Subscription } from "./subscription.js";
import { decode, format, toDate, type Value } from "./values.js";

type Encoded = Record<string, Json>;

/** The column of keys that are not columns of their rows: masked or left out, or of topics that others fill. */
export const KEY_COLUMN = "(key)";
const APART: Column = { name: KEY_COLUMN, type: "unknown", key: true, optional: false };

/** Columns that are told of rows that no schema describes: objects used as maps would have one for each entry. */
const COLUMNS_MAX = 200;

/** One version of one row. Never changes: an update makes another. */
export class Row {
  constructor(
    /** The row's key as text: `7`, or JSON for keys of several columns. */
    readonly key: string,
    /** In Debezium's encoding. */
    readonly encoded: Readonly<Encoded>,
  ) {}

  /** The value of a column. */
  get(column: Column): Value {
    return decode(column, this.encoded[column.name]);
  }

  /** The value of a column as exact text. */
  text(column: Column): string {
    return format(column, this.get(column));
  }

  /** The instant of a column that holds one. */
  date(column: Column): Date | null {
    return toDate(column, this.encoded[column.name]);
  }
}

/** What one change did to the table. */
export interface TableChange {
  op: Op;
  /** The key of the row; null for a truncate. */
  key: string | null;
  /** The row as this table had it. */
  before: Row | null;
  /** The row as it is now; null when it is gone. */
  after: Row | null;
  /** When it was committed, in milliseconds since 1970, with fractions; null if the record does not say. */
  committedAt: number | null;
}

export interface TableOptions {
  /** Where to go on from, together with the rows of that moment. */
  cursor?: string | null;
  /** The shape has come or changed. */
  onSchema?: (schema: Schema) => void;
  /** All rows are other than before: loaded, or loaded again. Called for parts of the first load, too. */
  onRows?: () => void;
  /** One change was applied. */
  onChange?: (change: TableChange) => void;
  onState?: (state: State) => void;
  onError?: (error: Failure) => void;
}

export class Table {
  readonly subscription: Subscription;
  #rows = new Map<string, Row>();
  /** Rows on their way after a reset; they replace `#rows` when they are whole. */
  #staged: Map<string, Row> | null = null;
  #schema: Schema;
  #keyColumns: string[] | null = null;
  /** The schema came from the server, not from looking at rows. */
  #schemaKnown = false;
  /** Columns that were found by looking at rows. */
  readonly #seen = new Set<string>();
  /** Rows do not say their keys: each has it in `KEY_COLUMN`. */
  #apart = false;
  /** The columns that are the key of rows that do say it. */
  #named: string[] = [];

  constructor(
    client: Client,
    readonly topic: string,
    readonly options: TableOptions = {},
  ) {
    this.#schema = { topic, columns: [] };
    this.subscription = client.subscribe(topic, {
      cursor: options.cursor ?? null,
      onSchema: (schema) => this.#describe(schema),
      onRows: (rows, first, keys) => this.#load(rows, first, keys),
      onChange: (change) => this.#apply(change),
      onLive: () => this.#whole(),
      onState: (state) => options.onState?.(state),
      onError: (error) => options.onError?.(error),
    });
  }

  /** By key. Do not keep it: after a reset it is another. */
  get rows(): ReadonlyMap<string, Row> {
    return this.#rows;
  }

  /** The columns in the table's order; without a schema from the server, those that were seen. */
  get schema(): Schema {
    return this.#schema;
  }

  get state(): State {
    return this.subscription.state;
  }

  get cursor(): string | null {
    return this.subscription.cursor;
  }

  close(): void {
    this.subscription.close();
  }

  #describe(schema: Schema | null): void {
    if (schema === null) return;
    this.#schemaKnown = true;
    const key = schema.columns.filter((column) => column.key).map((column) => column.name);
    if (key.length > 0 && this.#apart) this.#named = key;
    else if (key.length > 0) this.#rekey(key);
    this.#schema = this.#apart ? withKeyColumn(schema) : schema;
    this.options.onSchema?.(this.#schema);
  }

  #load(rows: Json[], first: boolean, keys?: Json[]): void {
    if (first) this.#staged = this.#rows.size > 0 ? new Map() : null;
    rows.forEach((row, at) => {
      const encoded = this.#withKey(objectOf(row), keys?.[at] ?? null);
      this.#look(encoded);
      const key = this.#keyOf(encoded);
      (this.#staged ?? this.#rows).set(key, new Row(key, encoded));
    });
    if (this.#staged === null) this.options.onRows?.();
  }

  #whole(): void {
    if (this.#staged === null) return;
    this.#rows = this.#staged;
    this.#staged = null;
    this.options.onRows?.();
  }

  #apply(change: Change): void {
    const effect = this.#effect(change);
    if (this.#staged === null && effect) this.options.onChange?.(effect);
  }

  #effect(change: Change): TableChange | null {
    const committedAt = change.ts_us === null ? change.ts_ms : Number(change.ts_us) / 1000;
    const { op } = change;
    if (op === "t") {
      (this.#staged ?? this.#rows).clear();
      return { op, key: null, before: null, after: null, committedAt };
    }
    const row = (op === "d" ? change.before : change.after) as Json;
    if (row === null && change.key === null) return null;
    const encoded = this.#withKey(row === null ? null : objectOf(row), change.key as Json);
    const key = this.#keyOf(this.#apart || change.key === null ? encoded : (change.key as Encoded));
    // Only now: the first key that is seen may have put all rows under other keys.
    const rows = this.#staged ?? this.#rows;
    const before = rows.get(key) ?? null;
    if (op === "d" || row === null) {
      rows.delete(key);
      return { op, key, before, after: null, committedAt };
    }
    this.#look(encoded);
    const after = new Row(key, withUnchanged(encoded, before, change.unchanged));
    rows.set(key, after);
    // A flat row says "u" whether it was there or not; a table that is whole knows.
    const known = op === "u" && before === null && this.state.phase === "live" ? "c" : op;
    return { op: known, key, before, after, committedAt };
  }

  /** The row with its key among its columns; of a row that is gone, the key's columns. */
  #withKey(row: Encoded | null, key: Json): Encoded {
    if (key !== null) {
      const columns = columnsOf(key);
      if (columns === null || (row && !says(row, key as Encoded))) this.#setApart();
      else if (this.#keyColumns === null) this.#rekey(columns);
    }
    if (this.#apart) return this.#moveApart(row ?? {}, key);
    return row ?? (key as Encoded);
  }

  /** The first row that does not say its key: from here on every row has it in a column of its own. */
  #setApart(): void {
    if (this.#apart) return;
    this.#apart = true;
    this.#named = this.#keyColumns ?? [];
    this.#keyColumns = [KEY_COLUMN];
    const apart = (rows: Map<string, Row>): Map<string, Row> => {
      const moved = [...rows.values()].map((row) => this.#moveApart(row.encoded, null));
      return new Map(moved.map((encoded) => [this.#keyOf(encoded), new Row(this.#keyOf(encoded), encoded)]));
    };
    this.#rows = apart(this.#rows);
    this.#staged &&= apart(this.#staged);
    this.#seen.add(KEY_COLUMN);
    this.#schema = withKeyColumn(this.#schema);
    this.options.onSchema?.(this.#schema);
  }

  #moveApart(row: Encoded, key: Json): Encoded {
    return { [KEY_COLUMN]: key ?? Object.fromEntries(this.#named.map((name) => [name, row[name] ?? null])), ...row };
  }

  #keyOf(encoded: Encoded): string {
    const columns = this.#keyColumns;
    if (columns === null) return stringify(encoded);
    if (columns.length > 1) return stringify(columns.map((name) => encoded[name] ?? null));
    const value = encoded[columns[0] ?? ""] ?? null;
    return typeof value === "string" ? value : stringify(value);
  }

  /** The key's columns became known, or are others now. */
  #rekey(columns: string[]): void {
    if (this.#keyColumns?.length === columns.length && this.#keyColumns.every((name, i) => name === columns[i])) return;
    this.#keyColumns = columns;
    const rows = [...this.#rows.values()].map((row) => new Row(this.#keyOf(row.encoded), row.encoded));
    this.#rows = new Map(rows.map((row) => [row.key, row]));
    if (!this.#schemaKnown && this.#schema.columns.length > 0) this.#found([]);
    if (rows.length > 0) this.options.onRows?.();
  }

  /** Without a schema the members of the rows are the columns, as they come, and values are shown as they are. */
  #look(encoded: Encoded): void {
    if (this.#schemaKnown) return;
    const unseen = Object.keys(encoded).filter((name) => !this.#seen.has(name));
    const columns = unseen.slice(0, Math.max(0, COLUMNS_MAX - this.#seen.size));
    if (columns.length === 0) return;
    columns.forEach((name) => this.#seen.add(name));
    this.#found(columns.map((name) => ({ name, type: "unknown", optional: true })));
  }

  /** More columns, or other ones that are the key, of rows that no schema describes. */
  #found(columns: Column[]): void {
    const all = [...this.#schema.columns, ...columns];
    this.#schema = {
      topic: this.topic,
      columns: all.map((column) => ({ ...column, key: this.#keyColumns?.includes(column.name) ?? false })),
    };
    this.options.onSchema?.(this.#schema);
  }
}

/** A value that is no object is a row of one column. */
function objectOf(row: Json): Encoded {
  return columnsOf(row) === null ? { value: row } : (row as Encoded);
}

/** The names of an object's members; null for any other value. */
function columnsOf(value: Json): string[] | null {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? Object.keys(value) : null;
}

/** Whether the row has the key among its columns: it may leave some out, or have them masked. */
function says(row: Encoded, key: Encoded): boolean {
  return Object.entries(key).every(([name, value]) => name in row && stringify(row[name]) === stringify(value));
}

function withKeyColumn(schema: Schema): Schema {
  return { ...schema, columns: [APART, ...schema.columns.map((column) => ({ ...column, key: false }))] };
}

/** PostgreSQL does not send large values that an update did not touch: the row we have still holds them. */
function withUnchanged(encoded: Encoded, before: Row | null, unchanged: string[] | undefined): Encoded {
  if (!unchanged || !before) return encoded;
  const kept = unchanged.filter((name) => name in before.encoded).map((name) => [name, before.encoded[name] as Json]);
  return { ...encoded, ...Object.fromEntries(kept) };
}
