// Written by `cargo run -p rowcast-protocol --example generate_types` from crates/protocol. Do not edit.

/** JSON in Debezium's encoding, as the log holds it; `values.ts` turns it into what a person reads. */
export type Encoded = unknown;

export const SUBPROTOCOL = "rowcast.v1";

/** What happened: create, read by a snapshot, update, delete, truncate. */
export type Op = "c" | "r" | "u" | "d" | "t";

/** Why a request was refused. */
export type ErrorCode = "bad_message" | "unknown_topic" | "not_ready" | "bad_cursor" | "unsupported" | "no_key" | "too_many_subscriptions" | "already_subscribed" | "not_subscribed" | "not_json" | "internal";

/** Why a subscription begins anew. */
export type ResetReason = "other_epoch" | "other_topic" | "expired" | "fell_behind" | "truncated";

/** A topic's rows. */
export interface Schema {
  /** The topic's name. */
  topic: string;
  /** `schema.table` in PostgreSQL, where it is known. */
  table?: string | null;
  /** In the table's order. */
  columns: Column[];
}

/** One column of a topic's rows. */
export interface Column {
  /** Its name in the row object. */
  name: string;
  /** Kafka Connect's type: `int64`, `string`, `bytes`, `struct`, `array`, … */
  type: string;
  /** What the value means, such as `io.debezium.time.MicroTimestamp`. */
  semantic?: string | null;
  /** The version of that meaning. */
  version?: number | null;
  /** What the meaning needs: a decimal's `scale`, an enum's `allowed`. */
  parameters?: Record<string, string> | null;
  /** Whether it is part of the row's key. */
  key?: boolean;
  /** Whether it may be null. */
  optional?: boolean;
  /** The default, in the row's encoding. */
  default?: unknown | null;
  /** For arrays: what the elements are. */
  items?: Items | null;
}

/** The elements of an array. */
export interface Items {
  /** Kafka Connect's type. */
  type: string;
  /** What the value means. */
  semantic?: string | null;
  /** The version of that meaning. */
  version?: number | null;
  /** What the meaning needs. */
  parameters?: Record<string, string> | null;
  /** Whether an element may be null. */
  optional?: boolean;
  /** For arrays of arrays: what the elements are. */
  items?: Items | null;
}

/** Asks for a table: its rows, then every change to it. */
export interface Subscribe {
  type: "subscribe";
  /** The topic, such as `orders.public.orders`. */
  topic: string;
  /** Whether to send the rows first. Ignored when a cursor is given. */
  snapshot?: boolean;
  /** Where to go on from: the last cursor that was received. */
  cursor?: string | null;
  /** Any text; comes back with the answer. */
  ref?: string | null;
  /** Which rows. Not supported yet: refused. */
  where?: Encoded | null;
  /** Which columns. Not supported yet: refused. */
  columns?: Encoded | null;
  /** All changes or only the latest of each row. Not supported yet: refused. */
  mode?: Encoded | null;
}

/** Ends a subscription. */
export interface Unsubscribe {
  type: "unsubscribe";
  /** The number that `subscribed` gave. */
  sub: number;
}

/** Asks whether the server is there; browsers cannot see WebSocket's own pings. */
export interface Ping {
  type: "ping";
  /** Any text; comes back with the answer. */
  ref?: string | null;
}

export type ClientMessage = Subscribe | Unsubscribe | Ping;

/** The answer to `subscribe`: what is sent under this number from now on. */
export interface Subscribed {
  type: "subscribed";
  /** The subscription's number. It is the feed's: other sessions have the same. */
  sub: number;
  /** The topic asked for. */
  topic: string;
  /** The request's `ref`. */
  ref: string | null;
  /** How to read the rows; null when nobody knows (then values are shown as they are). */
  schema: Schema | null;
}

/** A part of the table as of the cursor that `live` will name. */
export interface Rows {
  type: "rows";
  /** Which subscription. */
  sub: number;
  /** Row objects in Debezium's encoding, in no particular order, each key once. */
  rows: Encoded[];
  /** The key of each row, where columns and schema do not say it; null for a row that says it. */
  keys?: Encoded[];
}

/** All rows were sent, or all that was missed since the cursor: from here on changes come as they happen. */
export interface Live {
  type: "live";
  /** Which subscription. */
  sub: number;
  /** Where to go on from after a disconnect. */
  cursor: string;
}

/** One change of one row. */
export interface Change {
  type: "change";
  /** Which subscription. */
  sub: number;
  /** What happened. */
  op: Op;
  /** The row's key: for Debezium's topics an object of columns; null for a truncate, and for a record without key. */
  key: Encoded | null;
  /** The row before, where the record has it: with replica identity FULL, and for a delete at least the key's columns. */
  before: Encoded | null;
  /** The row after; null for a delete and a truncate. */
  after: Encoded | null;
  /** When it was committed, milliseconds since 1970. */
  ts_ms: number | null;
  /** The same in microseconds. */
  ts_us: number | null;
  /** Where to go on from once this change has been taken in. */
  cursor: string;
  /** Columns of `after` whose large value did not change and is not known here: keep the one you have. */
  unchanged?: string[];
}

/** The table's shape from the next message on. */
export interface SchemaChange {
  type: "schema";
  /** Which subscription. */
  sub: number;
  /** How to read the rows from now on. */
  schema: Schema | null;
}

/** The subscription begins anew: forget its rows; `rows` and `live` follow. */
export interface Reset {
  type: "reset";
  /** Which subscription. */
  sub: number;
  /** Why, as a word. */
  reason: ResetReason;
  /** Why, as a sentence. */
  message: string;
}

/** Nothing is heard of the source any more: the rows are as of then, and stay. Changes come again after `fresh`. */
export interface Stale {
  type: "stale";
  /** Which subscription. */
  sub: number;
  /** Since when, milliseconds since 1970. */
  since_ms: number;
}

/** The source is heard of again after `stale`; nothing was lost in between. */
export interface Fresh {
  type: "fresh";
  /** Which subscription. */
  sub: number;
}

/** A request was refused, or a subscription failed (then `sub` names it and it has ended). */
export interface Failure {
  type: "error";
  /** Why, as a word. */
  code: ErrorCode;
  /** Why, and what to do. */
  message: string;
  /** The subscription that has ended. */
  sub?: number;
  /** The topic that it is about, where subscriptions go on. */
  topic?: string;
  /** The request's `ref`. */
  ref?: string;
}

/** The answer to `unsubscribe`: nothing more comes under this number. */
export interface Unsubscribed {
  type: "unsubscribed";
  /** Which subscription. */
  sub: number;
}

/** The answer to `ping`. */
export interface Pong {
  type: "pong";
  /** The request's `ref`. */
  ref?: string;
}

export type ServerMessage = Subscribed | Rows | Live | Change | SchemaChange | Reset | Stale | Fresh | Failure | Unsubscribed | Pong;

/** Why a connection was closed, and whether to come back. */
export const CLOSE_CODES: Record<number, { name: string; reconnect: boolean; meaning: string }> = {
  1000: { name: "normal", reconnect: false, meaning: "One side is done." },
  1001: { name: "going_away", reconnect: true, meaning: "The server or the page goes away." },
  1002: { name: "protocol_error", reconnect: false, meaning: "The client broke the WebSocket protocol." },
  1003: { name: "unsupported_data", reconnect: false, meaning: "The client sent a binary message; ours are text." },
  1006: { name: "abnormal", reconnect: true, meaning: "The connection ended without a close frame. Never sent." },
  1007: { name: "invalid_data", reconnect: false, meaning: "The client sent text that is not UTF-8." },
  1008: { name: "policy_violation", reconnect: false, meaning: "The client sent more than it may: messages, pings or fragments." },
  1009: { name: "message_too_big", reconnect: false, meaning: "The client sent a message above the server's limit." },
  1011: { name: "internal_error", reconnect: true, meaning: "The server failed; its operator finds the cause in its output." },
  1012: { name: "service_restart", reconnect: true, meaning: "The server is being stopped or restarted." },
  1013: { name: "try_again_later", reconnect: true, meaning: "The server has all the connections it may have." },
  4000: { name: "ping_timeout", reconnect: true, meaning: "The client did not answer the server's pings." },
  4001: { name: "fell_behind", reconnect: true, meaning: "The client did not read for longer than the server allows." },
};
