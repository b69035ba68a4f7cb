/**
 * Decides when to knock again, so that ten thousand pages whose server restarts do not come back in one instant.
 *
 * Pure: chance comes in as an argument.
 */

import { CLOSE_CODES } from "./protocol.js";

/** The first wait is at most this long: a server that restarts is back within a second. */
const FIRST_MS = 400;
/** No page waits longer, however long the server was away. */
const MAX_MS = 15_000;
/** A server that says "full, try again later" is left alone for at least this long. */
const LATER_MS = 5_000;
const TRY_AGAIN_LATER = 1013;

/** Milliseconds to wait before attempt `attempt` (from 0). `chance` is from 0 to 1: half of the wait is left to it. */
export function reconnectDelayMs(attempt: number, code: number, chance: number): number {
  const ceiling = Math.min(MAX_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
  const least = code === TRY_AGAIN_LATER ? LATER_MS : 0;
  return least + ceiling * (0.5 + 0.5 * chance);
}

/** Whether a close code says to come back: the protocol's table, and for unknown numbers its rule. */
export function mayReconnect(code: number): boolean {
  return CLOSE_CODES[code]?.reconnect ?? code < 4500;
}

/** A sentence about a close code. */
export function meaningOf(code: number, reason: string): string {
  return reason || (CLOSE_CODES[code]?.meaning ?? `The connection was closed with code ${code}.`);
}
