/**
 * Keeps the rows in the order and selection that the reader asked for, while they change.
 *
 * A hundred thousand rows are sorted once; after that a change costs two binary searches, not a sort. Changes are
 * gathered (`put`, `remove`) and take effect together (`settle`), once per painted frame. A row that was deleted can linger in
 * its place for a moment, so that the eye sees it leave; it is not counted.
 *
 * Knows nothing of the DOM.
 */

import { kindOf, type Column, type Row } from "@rowcast/client";

/** A row's place in the view. The object stays the same while the row lives; its members change. */
export interface Entry {
  readonly key: string;
  row: Row;
  /** Deleted, and still shown. */
  gone: boolean;
  /** Counts the row's versions, so that a painter knows what to paint again. */
  version: number;
  /** When each column last changed, for those that did while this page looked. */
  changed: ReadonlyMap<string, number> | null;
  /** When the row came, if this page saw it come. */
  entered: number;
  /** Order of arrival: breaks ties, so that the order is total. */
  readonly arrival: number;
  /** The value it is sorted by. */
  sort: SortKey;
  /** All its text in lower case; null until a search needs it. */
  text: string | null;
  shown: boolean;
}

export type SortKey = number | bigint | string | null;

export interface Sorting {
  column: Column;
  descending: boolean;
}

/** More changes at once than this share of the rows are cheaper to sort in than to place one by one. */
const REBUILD_SHARE = 0.02;
const REBUILD_LEAST = 64;

interface Pending {
  row: Row | null;
  columns: Set<string>;
  fresh: boolean;
}

export class View {
  #entries = new Map<string, Entry>();
  #order: Entry[] = [];
  #columns: Column[] = [];
  #sorting: Sorting | null = null;
  #query = "";
  #arrivals = 0;
  #pending = new Map<string, Pending>();
  #leaving: { entry: Entry; until: number }[] = [];

  /** What is shown, in order; rows that are leaving included. */
  get order(): readonly Entry[] {
    return this.#order;
  }

  /** How many rows there are, shown or not. */
  get total(): number {
    return this.#entries.size;
  }

  /** How many rows the search has found. */
  get found(): number {
    return this.#order.length - this.#leaving.length;
  }

  get sorting(): Sorting | null {
    return this.#sorting;
  }

  /** The row of a key, as it was last settled. */
  entry(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  describe(columns: Column[]): void {
    this.#columns = columns;
    const sorted = columns.find((column) => column.name === this.#sorting?.column.name);
    this.#sorting = sorted && this.#sorting ? { ...this.#sorting, column: sorted } : firstOrder(columns);
    for (const entry of this.#entries.values()) entry.text = null;
    this.#rebuild();
  }

  sortBy(sorting: Sorting): void {
    this.#sorting = sorting;
    this.#rebuild();
  }

  search(query: string): void {
    const wanted = query.trim().toLowerCase();
    if (wanted === this.#query) return;
    const narrower = this.#query !== "" && wanted.startsWith(this.#query);
    this.#query = wanted;
    // What did not hold the shorter text does not hold the longer.
    if (narrower) this.#keep((entry) => entry.shown && this.#matches(entry));
    else this.#rebuild();
  }

  /** All rows are other than before. */
  replace(rows: Iterable<Row>): void {
    const before = this.#entries;
    this.#entries = new Map();
    this.#pending.clear();
    this.#leaving = [];
    for (const row of rows) {
      const known = before.get(row.key);
      if (known && known.row === row) this.#entries.set(row.key, known);
      else this.#entries.set(row.key, this.#arrive(row, 0));
    }
    this.#rebuild();
  }

  /** A row has come or changed. `columns` are those that changed. */
  put(row: Row, columns: readonly string[]): void {
    const waiting = this.#pending.get(row.key);
    // Deleted and inserted within one frame: another row, not a changed one.
    const fresh = waiting ? waiting.fresh || waiting.row === null : !this.#entries.has(row.key);
    this.#pending.set(row.key, { row, fresh, columns: new Set([...(waiting?.columns ?? []), ...columns]) });
  }

  /** A row is gone. */
  remove(key: string): void {
    this.#pending.set(key, { row: null, columns: new Set(), fresh: this.#pending.get(key)?.fresh ?? false });
  }

  /** All rows are gone. */
  clear(): void {
    this.replace([]);
  }

  /** Lets all that was gathered take effect. Deleted rows linger for `lingerMs`. */
  settle(now: number, lingerMs: number): void {
    const [changes, leaving] = [this.#pending, this.#leaving.length];
    if (changes.size === 0 && leaving === 0) return;
    this.#pending = new Map();
    if (changes.size > Math.max(REBUILD_LEAST, this.#entries.size * REBUILD_SHARE)) {
      for (const [key, change] of changes) this.#change(key, change, now, null);
      this.#rebuild();
    } else {
      for (const [key, change] of changes) this.#change(key, change, now, lingerMs);
    }
    this.#leaving = this.#leaving.filter(({ entry, until }) => until > now || !this.#take(entry));
  }

  /** When the next lingering row has to go; null if none lingers. */
  nextLeave(): number | null {
    return this.#leaving[0]?.until ?? null;
  }

  /** The place of an entry; -1 if it is not shown. */
  indexOf(entry: Entry): number {
    if (!entry.shown) return -1;
    const at = this.#placeFor(entry);
    return this.#order[at] === entry ? at : -1;
  }

  /** Prepares the text that searches look at, for up to `count` rows; false when there is nothing left to do. */
  warm(from: number, count: number): boolean {
    const end = Math.min(from + count, this.#order.length);
    for (let i = from; i < end; i++) this.#textOf(this.#order[i] as Entry);
    return end < this.#order.length;
  }

  #arrive(row: Row, entered: number): Entry {
    const sort = this.#sortKey(row);
    const arrival = this.#arrivals++;
    return { key: row.key, row, gone: false, version: 0, changed: null, entered, arrival, sort, text: null, shown: false };
  }

  /** One change. `lingerMs` null: entries only, the order is made anew afterwards. */
  #change(key: string, change: Pending, now: number, lingerMs: number | null): void {
    const place = lingerMs !== null;
    const known = this.#entries.get(key);
    if (known && (change.row === null || change.fresh)) {
      this.#entries.delete(key);
      if (place) this.#leave(known, now, change.row === null ? (lingerMs ?? 0) : 0);
    }
    if (change.row === null) return;
    if (known && !change.fresh) return this.#update(known, change.row, change.columns, now, place);
    const entry = this.#arrive(change.row, now);
    this.#entries.set(key, entry);
    if (place && this.#matches(entry)) this.#place(entry);
  }

  #update(entry: Entry, row: Row, columns: Set<string>, now: number, place: boolean): void {
    const sort = this.#sortKey(row);
    const moves = sort !== entry.sort;
    if (place && entry.shown && moves) this.#take(entry);
    entry.row = row;
    entry.sort = sort;
    entry.text = null;
    entry.version++;
    if (columns.size > 0) entry.changed = withTimes(entry.changed, columns, now);
    if (!place) return;
    const matches = this.#matches(entry);
    if (entry.shown && !matches) this.#take(entry);
    else if (!entry.shown && matches) this.#place(entry);
  }

  #leave(entry: Entry, now: number, lingerMs: number): void {
    if (!entry.shown) return;
    if (lingerMs === 0) return void this.#take(entry);
    entry.gone = true;
    entry.version++;
    this.#leaving.push({ entry, until: now + lingerMs });
  }

  #place(entry: Entry): void {
    this.#order.splice(this.#placeFor(entry), 0, entry);
    entry.shown = true;
  }

  /** Takes an entry out of the order; true, for use in filters. */
  #take(entry: Entry): true {
    const at = this.indexOf(entry);
    if (at >= 0) this.#order.splice(at, 1);
    entry.shown = false;
    return true;
  }

  /** The first place whose entry is not before this one. */
  #placeFor(entry: Entry): number {
    let [low, high] = [0, this.#order.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#compare(this.#order[middle] as Entry, entry) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #rebuild(): void {
    this.#leaving = [];
    for (const entry of this.#entries.values()) entry.sort = this.#sortKey(entry.row);
    this.#order = [...this.#entries.values()];
    this.#keep((entry) => this.#matches(entry));
    this.#order.sort((a, b) => this.#compare(a, b));
  }

  #keep(wanted: (entry: Entry) => boolean): void {
    this.#order = this.#order.filter((entry) => {
      entry.shown = !entry.gone && wanted(entry);
      return entry.shown;
    });
    this.#leaving = [];
  }

  #compare(a: Entry, b: Entry): number {
    const order = compareKeys(a.sort, b.sort) || a.arrival - b.arrival;
    return this.#sorting?.descending ? -order : order;
  }

  #matches(entry: Entry): boolean {
    return this.#query === "" || this.#textOf(entry).includes(this.#query);
  }

  #textOf(entry: Entry): string {
    return (entry.text ??= this.#columns.map((column) => entry.row.text(column)).join("\n").toLowerCase());
  }

  #sortKey(row: Row): SortKey {
    const column = this.#sorting?.column;
    return column ? sortKey(column, row) : null;
  }
}

/** What a row is sorted by: a number where the column has numbers, else its text without regard to case. */
export function sortKey(column: Column, row: Row): SortKey {
  const value = row.get(column);
  if (value === null) return null;
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return BigInt(Number(value)) === value ? Number(value) : value;
  const text = row.text(column);
  if (kindOf(column) === "number") {
    const number = Number(text);
    // Decimals that a number cannot hold are told apart by 10^18ths, far beyond what a page shows.
    return Number.isNaN(number) ? text : number;
  }
  return text === "infinity" ? "~" : text === "-infinity" ? "!" : text.toLowerCase();
}

function compareKeys(a: SortKey, b: SortKey): number {
  if (a === b) return 0;
  if (a === null) return -1;
  if (b === null) return 1;
  if (typeof a === "string" || typeof b === "string") {
    // Text and numbers in one column: numbers first. NaN is the largest, as in PostgreSQL.
    if (typeof a !== typeof b && (typeof a !== "string" || typeof b !== "string")) return typeof a === "string" ? 1 : -1;
    return a < b ? -1 : 1;
  }
  if (Number.isNaN(a)) return Number.isNaN(b) ? 0 : 1;
  if (Number.isNaN(b)) return -1;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Newest first, where the key says which is newest; otherwise by arrival, the latest first. */
function firstOrder(columns: Column[]): Sorting | null {
  const key = columns.find((column) => column.key) ?? columns[0];
  if (!key) return null;
  return { column: key, descending: kindOf(key) === "number" };
}

function withTimes(times: ReadonlyMap<string, number> | null, columns: Set<string>, now: number): Map<string, number> {
  const next = new Map(times ?? []);
  for (const column of columns) next.set(column, now);
  return next;
}
