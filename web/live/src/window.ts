/**
 * Paints the few rows that can be seen: entries of the view become cells of text.
 *
 * A row that did not change keeps its painted form, so a frame costs what changed in it. Moods are names of animations in the
 * style sheet; each comes in two versions that take turns, because an animation only begins again under another name.
 */

import type { Column } from "@rowcast/client";
import { alignsRight, cellText } from "./cells.js";
import type { Entry, View } from "./view.js";

export interface PaintedCell {
  text: string;
  title: string;
  null: boolean;
  right: boolean;
  key: boolean;
  mood: string;
}

export interface Painted {
  /** Unlike the key it is never used twice: a row that leaves and its successor are two rows. */
  id: number;
  key: string;
  gone: boolean;
  mood: string;
  cells: PaintedCell[];
}

/** Rows above and below the visible part, so that scrolling finds them painted. */
const MARGIN_ROWS = 8;
/** How long a change is marked: the animation's length in the style sheet. */
export const GLOW_MS = 1200;

interface Kept {
  version: number;
  glowing: boolean;
  painted: Painted;
}

export class Window {
  #kept = new Map<Entry, Kept>();
  #columns: readonly Column[] = [];

  /** The rows to show at a scroll position, and the place of the first. */
  paint(view: View, columns: readonly Column[], top: number, height: number, rowPx: number): { start: number; rows: Painted[] } {
    const { order } = view;
    const first = Math.min(Math.floor(top / rowPx), Math.max(0, order.length - 1));
    const start = Math.max(0, first - MARGIN_ROWS);
    const end = Math.min(order.length, Math.ceil((top + height) / rowPx) + MARGIN_ROWS);
    if (columns !== this.#columns) this.#kept = new Map();
    this.#columns = columns;
    const kept = this.#kept;
    this.#kept = new Map();
    const now = performance.now();
    const rows = order.slice(start, end).map((entry) => this.#row(entry, kept.get(entry), now));
    return { start, rows };
  }

  #row(entry: Entry, kept: Kept | undefined, now: number): Painted {
    const current = kept?.version === entry.version && !kept.glowing ? kept : this.#render(entry, now);
    const use = kept?.version === entry.version && kept.glowing ? this.#rest(entry, kept, now) : current;
    this.#kept.set(entry, use);
    return use.painted;
  }

  /** A row that glowed when it was last painted: as long as it does, nothing begins again; then it rests. */
  #rest(entry: Entry, kept: Kept, now: number): Kept {
    return latest(entry) + GLOW_MS > now ? kept : this.#render(entry, now);
  }

  #render(entry: Entry, now: number): Kept {
    const turn = entry.version % 2 === 0 ? "a" : "b";
    const glowing = latest(entry) + GLOW_MS > now;
    const cells = this.#columns.map((column) => {
      const since = entry.changed?.get(column.name) ?? -Infinity;
      const mood = since + GLOW_MS > now ? `glow-${turn}` : "";
      return { ...cellText(column, entry.row), right: alignsRight(column), key: column.key === true, mood };
    });
    const mood = entry.gone ? "leaving" : entry.entered > 0 && entry.entered + GLOW_MS > now ? "entering" : glowing ? "moved" : "";
    return { version: entry.version, glowing, painted: { id: entry.arrival, key: entry.key, gone: entry.gone, mood, cells } };
  }
}

function latest(entry: Entry): number {
  let time = entry.entered > 0 ? entry.entered : -Infinity;
  for (const changed of entry.changed?.values() ?? []) time = Math.max(time, changed);
  return time;
}
