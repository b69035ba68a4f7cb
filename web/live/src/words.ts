/**
 * Puts states, changes and counts into words, in one place, so that the page speaks with one voice.
 */

import type { Op, State } from "@rowcast/client";

export const OPERATIONS: Record<Op, string> = {
  c: "inserted",
  r: "read",
  u: "changed",
  d: "deleted",
  t: "emptied",
};

/** The state in a word or two, and in a sentence where there is more to say. */
export function stateWords(state: State, rows: number): { word: string; sentence: string | null } {
  switch (state.phase) {
    case "connecting":
      return { word: "Connecting", sentence: state.error };
    case "loading":
      return { word: "Loading rows", sentence: null };
    case "live":
      return { word: "Live", sentence: null };
    case "catching-up":
      return { word: waits(state.reason) ? "Waiting" : "Catching up", sentence: stale(state.staleSince, rows, reasonOf(state.reason)) };
    case "reconnecting":
      return { word: "Reconnecting", sentence: `${state.error} ${stale(state.staleSince, rows, "trying again")}` };
    case "closed":
      return { word: "Disconnected", sentence: state.reason };
  }
}

/** The server is there and says what it waits for. */
function waits(reason: string | null): reason is string {
  return reason !== null && reason !== "resuming";
}

function reasonOf(reason: string | null): string {
  return waits(reason) ? reason : "the missed changes are on their way";
}

export function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${count === 1 ? noun : `${noun}s`}`;
}

export function clock(date: Date): string {
  return date.toLocaleTimeString("en-GB");
}

/** Milliseconds as a reader takes them in: `0.8 ms`, `12 ms`, `3.4 s`, `5 min`. */
export function duration(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 3_600_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 3_600_000)} h`;
}

/** One sentence for those who listen instead of look. */
export function spokenSummary(counts: ReadonlyMap<Op, number>, rows: number): string {
  const parts = [...counts].map(([op, count]) => `${count} ${OPERATIONS[op]}`);
  return `${parts.join(", ")}. ${counted(rows, "row")}.`;
}

function stale(since: Date | null, rows: number, otherwise: string): string {
  return since && rows > 0 ? `These rows are as of ${clock(since)}; ${otherwise}.` : `${otherwise}.`;
}
