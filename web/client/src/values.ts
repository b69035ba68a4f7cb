/**
 * Turns Debezium's encoding into values that a program can use and a person can read, without losing any of them.
 *
 * On the wire a timestamp is a number of microseconds and a decimal is base64. The topic's schema says which: `decode` gives the
 * JavaScript value, `format` its text, `compare` its order, `toDate` an instant. A value that is not what the schema
 * promised is passed through as it is, never dropped: the reader sees it, the page goes on.
 */

import { interval, isoDate, isoTime, isoTimestamp, trimFraction } from "./calendar.js";
import { bytesFromBase64, compareDecimals, decimalFromBase64, hexFromBytes } from "./decimal.js";
import { stringify, type Json } from "./json.js";
import type { Items } from "./protocol.js";

/** What `decode` gives: 64-bit integers are bigint; decimals, times and intervals exact text; bytea is bytes. */
export type Value = null | boolean | number | bigint | string | Uint8Array | Value[] | { [name: string]: Json };

/** What has to be known of a value: a column of a schema, or the items of an array. */
export type ValueType = Pick<Items, "type" | "semantic" | "parameters" | "items">;

/** How a value is best shown and ordered. */
export type Kind = "number" | "boolean" | "text" | "time" | "bytes" | "other";

interface Semantic {
  kind: Kind;
  decode?: (raw: Json, type: ValueType) => Value;
  /** Values order by their number, not by their letters. */
  decimal?: boolean;
  date?: (raw: Json) => Date | null;
}

/** What Debezium writes for PostgreSQL's infinities, which no count of days or microseconds can hold. */
const INFINITIES = new Map<bigint, string>([
  [9223372036825200000n, "infinity"],
  [-9223372036832400000n, "-infinity"],
  [9223372036825200n, "infinity"],
  [-9223372036832400n, "-infinity"],
  [9223372036854775807n, "infinity"],
  [-9223372036854775808n, "-infinity"],
]);
const DATE_INFINITIES = new Map<bigint, string>([
  [-2147472692n, "infinity"],
  [-2147472691n, "-infinity"],
  // Rows of a snapshot, where Debezium reads dates by another way.
  [-622191234n, "infinity"],
  [-625821272n, "-infinity"],
]);

const SEMANTICS: Record<string, Semantic> = {
  "org.apache.kafka.connect.data.Decimal": { kind: "number", decimal: true, decode: decimal },
  "io.debezium.data.VariableScaleDecimal": { kind: "number", decimal: true, decode: variableScaleDecimal },
  "io.debezium.time.Date": { kind: "time", decode: (raw) => days(raw), date: (raw) => millis(raw, 86_400_000) },
  "org.apache.kafka.connect.data.Date": { kind: "time", decode: (raw) => days(raw), date: (raw) => millis(raw, 86_400_000) },
  "io.debezium.time.Time": { kind: "time", decode: (raw) => clock(raw, 1000n, 3) },
  "org.apache.kafka.connect.data.Time": { kind: "time", decode: (raw) => clock(raw, 1000n, 3) },
  "io.debezium.time.MicroTime": { kind: "time", decode: (raw) => clock(raw, 1n, 6) },
  "io.debezium.time.NanoTime": { kind: "time", decode: (raw) => nanos(raw, (micros) => isoTime(micros, 6)) },
  "io.debezium.time.Timestamp": { kind: "time", decode: (raw) => timestamp(raw, 1000n, 3), date: (raw) => millis(raw, 1) },
  "org.apache.kafka.connect.data.Timestamp": {
    kind: "time",
    decode: (raw) => timestamp(raw, 1000n, 3),
    date: (raw) => millis(raw, 1),
  },
  "io.debezium.time.MicroTimestamp": { kind: "time", decode: (raw) => timestamp(raw, 1n, 6), date: (raw) => millis(raw, 1e-3) },
  "io.debezium.time.NanoTimestamp": {
    kind: "time",
    decode: (raw) => nanos(raw, (micros) => isoTimestamp(micros, 6)),
    date: (raw) => millis(raw, 1e-6),
  },
  "io.debezium.time.ZonedTimestamp": { kind: "time", date: (raw) => instant(raw) },
  "io.debezium.time.IsoTimestamp": { kind: "time", date: (raw) => instant(raw) },
  "io.debezium.time.ZonedTime": { kind: "time" },
  "io.debezium.time.IsoDate": { kind: "time", date: (raw) => instant(raw) },
  "io.debezium.time.IsoTime": { kind: "time" },
  "io.debezium.time.MicroDuration": { kind: "time", decode: duration },
  "io.debezium.time.Interval": { kind: "time" },
  "io.debezium.data.Bits": { kind: "bytes", decode: bits },
  "io.debezium.data.geometry.Point": { kind: "other" },
};

const CONNECT_TYPES: Record<string, Semantic> = {
  int8: { kind: "number" },
  int16: { kind: "number" },
  int32: { kind: "number" },
  int64: { kind: "number", decode: int64 },
  float: { kind: "number", decode: float },
  double: { kind: "number", decode: float },
  float32: { kind: "number", decode: float },
  float64: { kind: "number", decode: float },
  boolean: { kind: "boolean" },
  string: { kind: "text" },
  bytes: { kind: "bytes", decode: bytes },
  array: { kind: "other", decode: array },
};

const UNKNOWN: Semantic = { kind: "other" };

/** The JavaScript value of an encoded one. Null stays null; undefined (a column that was not sent) becomes null. */
export function decode(type: ValueType, raw: Json | undefined): Value {
  if (raw === null || raw === undefined) return null;
  return semanticOf(type).decode?.(raw, type) ?? raw;
}

/** How values of this type are best shown. */
export function kindOf(type: ValueType): Kind {
  return semanticOf(type).kind;
}

/** The text of a decoded value, exact. Null is the empty text: how to show its absence is the page's choice. */
export function format(type: ValueType, value: Value): string {
  if (value === null) return "";
  if (value instanceof Uint8Array) return `\\x${hexFromBytes(value)}`;
  if (Array.isArray(value)) return `[${value.map((item) => (item === null ? "null" : formatItem(type, item))).join(", ")}]`;
  if (typeof value === "object") return stringify(value);
  if (typeof value === "string" && kindOf(type) === "time") return readableTime(value);
  return String(value);
}

/** The order of two decoded values of this type: null last, numbers by value, text by the reader's language. */
export function compare(type: ValueType, a: Value, b: Value): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  const semantic = semanticOf(type);
  if (semantic.decimal) return compareDecimals(String(a), String(b));
  if (typeof a === "string" && typeof b === "string" && semantic.kind === "text") return COLLATOR.compare(a, b);
  if (isNumeric(a) && isNumeric(b)) return a < b ? -1 : a > b ? 1 : 0;
  const [x, y] = [orderable(type, a), orderable(type, b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

/** The instant of an encoded date or time stamp; null where there is none (other types, infinities, far years). */
export function toDate(type: ValueType, raw: Json | undefined): Date | null {
  if (raw === null || raw === undefined) return null;
  const date = semanticOf(type).date?.(raw) ?? null;
  return date && Number.isFinite(date.getTime()) ? date : null;
}

const COLLATOR = new Intl.Collator(undefined, { numeric: true });

function semanticOf(type: ValueType): Semantic {
  return SEMANTICS[type.semantic ?? ""] ?? CONNECT_TYPES[type.type] ?? UNKNOWN;
}

function formatItem(type: ValueType, item: Value): string {
  return type.items ? format(type.items, item) : format({ type: "unknown" }, item);
}

/** ISO's T becomes a space, and zeros that say nothing go. */
function readableTime(text: string): string {
  const zoned = /^(.*?)(Z?)$/.exec(text);
  return `${trimFraction((zoned?.[1] ?? text).replace("T", " "))}${zoned?.[2] ?? ""}`;
}

function isNumeric(value: Value): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

/** Texts whose letters order as their values do: ISO times of the years 0 to 9999, hexadecimal bytes. */
function orderable(type: ValueType, value: Value): string {
  if (value === "infinity") return "~";
  if (value === "-infinity") return "!";
  return format(type, value);
}

function integer(raw: Json): bigint | null {
  if (typeof raw === "bigint") return raw;
  return typeof raw === "number" && Number.isInteger(raw) ? BigInt(raw) : null;
}

function int64(raw: Json): Value {
  return integer(raw) ?? (raw as Value);
}

function float(raw: Json): Value {
  if (raw === "NaN" || raw === "Infinity" || raw === "-Infinity") return Number(raw);
  return typeof raw === "bigint" ? Number(raw) : (raw as Value);
}

function bytes(raw: Json): Value {
  return typeof raw === "string" ? attempt<Value>(() => bytesFromBase64(raw), raw) : (raw as Value);
}

function decimal(raw: Json, type: ValueType): Value {
  const scale = Number(type.parameters?.["scale"] ?? 0);
  return typeof raw === "string" ? attempt(() => decimalFromBase64(raw, scale), raw) : (raw as Value);
}

function variableScaleDecimal(raw: Json): Value {
  if (raw === null || typeof raw !== "object" || Array.isArray(raw)) return raw as Value;
  const { scale, value } = raw;
  if (typeof scale !== "number" || typeof value !== "string") return raw;
  return attempt(() => decimalFromBase64(value, scale), value);
}

function days(raw: Json): Value {
  const count = integer(raw);
  return count === null ? (raw as Value) : (DATE_INFINITIES.get(count) ?? isoDate(count));
}

function clock(raw: Json, microsPerUnit: bigint, digits: number): Value {
  const count = integer(raw);
  return count === null ? (raw as Value) : isoTime(count * microsPerUnit, digits);
}

function timestamp(raw: Json, microsPerUnit: bigint, digits: number): Value {
  const count = integer(raw);
  return count === null ? (raw as Value) : (INFINITIES.get(count) ?? isoTimestamp(count * microsPerUnit, digits));
}

/** The three digits below a microsecond are put behind the rest. */
function nanos(raw: Json, write: (micros: bigint) => string): Value {
  const count = integer(raw);
  if (count === null) return raw as Value;
  const below = ((count % 1000n) + 1000n) % 1000n;
  return INFINITIES.get(count) ?? write((count - below) / 1000n) + below.toString().padStart(3, "0");
}

function duration(raw: Json): Value {
  const count = integer(raw);
  return count === null ? (raw as Value) : interval(count);
}

/** Debezium's bits are little-endian bytes, cut at the highest set bit: put back to the column's length. */
function bits(raw: Json, type: ValueType): Value {
  if (typeof raw !== "string") return raw as Value;
  const length = Number(type.parameters?.["length"] ?? 0);
  const text = attempt(() => {
    const digits = Array.from(bytesFromBase64(raw), (byte) => byte.toString(2).padStart(8, "0"));
    return digits.reverse().join("").replace(/^0+/, "");
  }, raw);
  return length < 65_536 ? text.padStart(length, "0") : text || "0";
}

function array(raw: Json, type: ValueType): Value {
  const { items } = type;
  return Array.isArray(raw) && items ? raw.map((item) => decode(items, item)) : (raw as Value);
}

function millis(raw: Json, perUnit: number): Date | null {
  const count = integer(raw);
  return count === null || INFINITIES.has(count) ? null : new Date(Math.floor(Number(count) * perUnit));
}

function instant(raw: Json): Date | null {
  return typeof raw === "string" ? new Date(raw) : null;
}

function attempt<T>(convert: () => T, otherwise: T): T {
  try {
    return convert();
  } catch {
    return otherwise;
  }
}
