/**
 * Says how a value looks in a cell: its text, its side, its width.
 *
 * A cell holds one line: long text is cut here and shown whole in the row's details. Time stamps with a zone are shown in
 * the reader's own, to the second; the exact text is a glance away (the cell's title).
 */

import { kindOf, type Column, type Row, type Value } from "@rowcast/client";

/** Characters of a cell; a megabyte of text in a line would make every scroll measure it. */
export const CELL_CHARS_MAX = 200;
/** Characters of a title. */
const TITLE_CHARS_MAX = 1000;
/** A column is never narrower or wider than this many characters. */
const [WIDTH_MIN, WIDTH_MAX] = [6, 34];
/** Letters are narrower than the figure that a `ch` is as wide as. */
const LETTER_CH = 0.9;
/** Rows that are looked at to guess a column's width. */
const WIDTH_SAMPLE = 200;

export interface CellText {
  text: string;
  title: string;
  null: boolean;
}

/** One line for a cell. */
export function cellText(column: Column, row: Row): CellText {
  const value = row.get(column);
  if (value === null) return { text: "null", title: "null", null: true };
  const exact = row.text(column);
  const text = shortTime(column, row, value) ?? oneLine(exact);
  return { text, title: exact.slice(0, TITLE_CHARS_MAX), null: false };
}

/** Whether a column's figures stand under each other. */
export function alignsRight(column: Column): boolean {
  return kindOf(column) === "number" && !column.key;
}

/** A column's width in characters: what most of its rows need. */
export function widthOf(column: Column, rows: Iterable<Row>): number {
  const lengths: number[] = [];
  for (const row of rows) {
    if (lengths.push(cellText(column, row).text.length) >= WIDTH_SAMPLE) break;
  }
  lengths.sort((a, b) => a - b);
  const most = lengths[Math.floor(lengths.length * 0.95)] ?? 0;
  const needed = kindOf(column) === "text" ? Math.ceil(most * LETTER_CH) : most;
  const heading = Math.ceil(Math.min(column.name.length, 20) * LETTER_CH) + 1;
  return Math.min(WIDTH_MAX, Math.max(WIDTH_MIN, needed, heading));
}

function shortTime(column: Column, row: Row, value: Value): string | null {
  if (typeof value !== "string" || kindOf(column) !== "time") return null;
  if (!column.semantic?.endsWith("Timestamp")) return null;
  const date = row.date(column);
  if (!date) return null;
  if (value.endsWith("Z")) return localTime(date);
  return row.text(column).replace(/\.\d+$/, "");
}

function localTime(date: Date): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

function oneLine(text: string): string {
  const start = text.length > CELL_CHARS_MAX ? `${text.slice(0, CELL_CHARS_MAX)}…` : text;
  return start.replaceAll(/\s*[\r\n]+\s*/g, " ⏎ ");
}
