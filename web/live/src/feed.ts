/**
 * Turns changes into lines that say what happened: to which row, from what to what, when, and how long it took to get here.
 */

import { stringify, type Column, type Op, type Row, type TableChange } from "@rowcast/client";
import { cellText } from "./cells.js";
import { clock, duration, OPERATIONS } from "./words.js";

/** Lines that are kept: more than a reader scrolls back through. */
export const FEED_MAX = 120;
/** Columns of a line; the row's details hold the rest. */
const FIELDS_MAX = 4;
/** Latencies that the median is taken of. */
const LATENCIES_MAX = 101;

export interface FeedField {
  name: string;
  from: string | null;
  to: string | null;
}

export interface FeedItem {
  id: number;
  op: Op;
  word: string;
  key: string | null;
  keyText: string;
  time: string;
  latency: string;
  fields: FeedField[];
  more: number;
}

export class Feed {
  #items: FeedItem[] = [];
  #nextId = 1;
  #latencies: number[] = [];

  /** Newest first. */
  get items(): FeedItem[] {
    return this.#items;
  }

  /** The middle of the last hundred latencies; null before there is one. */
  median(): number | null {
    const sorted = [...this.#latencies].sort((a, b) => a - b);
    return sorted[sorted.length >> 1] ?? null;
  }

  clear(): void {
    this.#items = [];
  }

  /** A change arrived at `now` (milliseconds since 1970, with fractions). `live`: it came as it happened. */
  add(change: TableChange, columns: Column[], changed: readonly string[], now: number, live: boolean): void {
    const latency = change.committedAt === null ? null : Math.max(0, now - change.committedAt);
    if (latency !== null && live) this.#latencies = [...this.#latencies.slice(1 - LATENCIES_MAX), latency];
    const fields = fieldsOf(change, columns, changed);
    this.#items = [
      {
        id: this.#nextId++,
        op: change.op,
        word: OPERATIONS[change.op],
        key: change.key,
        keyText: keyText(change, columns),
        time: change.committedAt === null ? "" : clock(new Date(change.committedAt)),
        latency: latency === null ? "" : duration(latency),
        fields: fields.slice(0, FIELDS_MAX),
        more: Math.max(0, fields.length - FIELDS_MAX),
      },
      ...this.#items.slice(0, FEED_MAX - 1),
    ];
  }
}

/** The columns in which two versions of a row differ. */
export function changedColumns(columns: Column[], before: Row, after: Row): string[] {
  return columns.filter(({ name }) => !same(before.encoded[name], after.encoded[name])).map(({ name }) => name);
}

function same(a: unknown, b: unknown): boolean {
  return a === b || (typeof a === "object" && typeof b === "object" && stringify(a ?? null) === stringify(b ?? null));
}

function fieldsOf(change: TableChange, columns: Column[], changed: readonly string[]): FeedField[] {
  const { before, after } = change;
  const wanted = before && after ? columns.filter(({ name }) => changed.includes(name)) : columns.filter((c) => !c.key);
  return wanted
    .map((column) => ({
      name: column.name,
      from: before && text(column, before),
      to: after && text(column, after),
      null: (after ?? before)?.encoded[column.name] == null,
    }))
    .filter((field) => (before && after) || !field.null);
}

function text(column: Column, row: Row): string {
  return cellText(column, row).text.slice(0, 80);
}

function keyText(change: TableChange, columns: Column[]): string {
  const row = change.after ?? change.before;
  const key = columns.filter((column) => column.key);
  if (!row || key.length === 0) return change.key?.slice(0, 80) ?? "";
  return key.map((column) => `${column.name} ${text(column, row)}`).join(", ");
}
