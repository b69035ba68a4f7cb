/**
 * Turns changes into lines that say what happened: to which row, from what to what, when, and how long it took to get here.
 */

import { kindOf, stringify, type Column, type Op, type Row, type TableChange } from "@rowcast/client";
import { cellText } from "./cells.js";
import { clock, duration, OPERATIONS } from "./words.js";

/** Lines that are kept: a few screens; under load each frame brings new ones, and each line is a dozen elements. */
export const FEED_MAX = 60;
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
  const both = before !== null && after !== null;
  const wanted = columns.filter(({ name, key }) => (both ? changed.includes(name) : !key));
  // What people wrote first, time stamps last: every update touches those.
  const inOrder = [...wanted.filter((column) => !isTime(column)), ...wanted.filter(isTime)];
  return inOrder
    .filter(({ name }) => both || (after ?? before)?.encoded[name] != null)
    .map((column) => ({
      name: column.name,
      from: both && isTime(column) ? null : before && text(column, before),
      to: after && (both && isTime(column) ? laterTime(text(column, before), text(column, after)) : text(column, after)),
    }));
}

function isTime(column: Column): boolean {
  return kindOf(column) === "time";
}

/** A time stamp that was set anew: its day is told only if it is another. */
function laterTime(before: string, after: string): string {
  const [day, time] = after.split(" ");
  return time !== undefined && before.startsWith(`${day} `) ? time : after;
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
