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

  constructor(
    client: Client,
    readonly topic: string,
    readonly options: TableOptions = {},
  ) {
    this.#schema = { topic, columns: [] };
    this.subscription = client.subscribe(topic, {
      cursor: options.cursor ?? null,
      onSchema: (schema) => this.#describe(schema),
      onRows: (rows, first) => this.#load(rows, first),
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
    this.#schema = schema;
    this.#schemaKnown = true;
    const key = schema.columns.filter((column) => column.key).map((column) => column.name);
    if (key.length > 0) this.#rekey(key);
    this.options.onSchema?.(schema);
  }

  #load(rows: Encoded[], first: boolean): void {
    if (first) this.#staged = this.#rows.size > 0 ? new Map() : null;
    const target = this.#staged ?? this.#rows;
    if (rows[0]) this.#look(rows[0]);
    for (const encoded of rows) {
      const key = this.#keyOf(encoded);
      target.set(key, new Row(key, encoded));
    }
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
    const encoded = (op === "d" ? change.before : change.after) as Encoded | null;
    const key = this.#keyOfChange(change.key as Encoded | null, encoded);
    if (key === null) return null;
    // Only now: the first key that is seen may have put all rows under other keys.
    const rows = this.#staged ?? this.#rows;
    const before = rows.get(key) ?? null;
    if (op === "d" || encoded === null) {
      rows.delete(key);
      return { op, key, before, after: null, committedAt };
    }
    this.#look(encoded);
    const after = new Row(key, withUnchanged(encoded, before, change.unchanged));
    rows.set(key, after);
    return { op, key, before, after, committedAt };
  }

  #keyOfChange(key: Encoded | null, row: Encoded | null): string | null {
    if (key !== null && typeof key === "object") {
      if (this.#keyColumns === null) this.#rekey(Object.keys(key));
      return this.#keyOf(key);
    }
    return row === null ? null : this.#keyOf(row);
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
    if (rows.length > 0) this.options.onRows?.();
  }

  /** Without a schema the first row's members are the columns, and values are shown as they are. */
  #look(encoded: Encoded): void {
    if (this.#schemaKnown || this.#schema.columns.length > 0) return;
    const key = new Set(this.#keyColumns ?? []);
    const columns = Object.keys(encoded).map((name) => ({ name, type: "unknown", key: key.has(name), optional: true }));
    this.#schema = { topic: this.topic, columns };
    this.options.onSchema?.(this.#schema);
  }
}

/** PostgreSQL does not send large values that an update did not touch: the row we have still holds them. */
function withUnchanged(encoded: Encoded, before: Row | null, unchanged: string[] | undefined): Encoded {
  if (!unchanged || !before) return encoded;
  const kept = unchanged.filter((name) => name in before.encoded).map((name) => [name, before.encoded[name] as Json]);
  return { ...encoded, ...Object.fromEntries(kept) };
}
