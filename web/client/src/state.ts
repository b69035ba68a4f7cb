/**
 * What is true of a subscription right now, in words that a page can show.
 *
 * The one promise: `live` is said only while every committed change is known to arrive. Whenever that is not known, the
 * state says so, and since when the rows may be old.
 */

export type State =
  /** No connection yet. `error` says why the last attempt failed, if there was one. */
  | { phase: "connecting"; error: string | null }
  /** The first rows are on their way. */
  | { phase: "loading" }
  /** Every change arrives as it happens. */
  | { phase: "live" }
  /** Connected, but what was missed since `staleSince` is still arriving. */
  | { phase: "catching-up"; staleSince: Date | null; reason: string | null }
  /** No connection; another attempt is made at `retryAt`. Rows are as they were at `staleSince`. */
  | { phase: "reconnecting"; staleSince: Date; retryAt: Date; error: string }
  /** It is over: by `close()`, or because trying again would not help. */
  | { phase: "closed"; code: string; reason: string; staleSince: Date | null };

export type Phase = State["phase"];
