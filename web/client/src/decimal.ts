/**
 * Exact decimals: from Debezium's bytes to text, and in order.
 *
 * PostgreSQL's numeric has up to 131072 digits before its point; a JavaScript number has 15. So a decimal is text here,
 * and is never made a number on the way.
 */

/** Base64 of a big-endian two's complement integer, times 10^-scale: `"0eUB"`, 4 becomes `-301.0303`. */
export function decimalFromBase64(base64: string, scale: number): string {
  return withPoint(integerFromBytes(bytesFromBase64(base64)), scale);
}

/** Base64, standard or URL-safe, to bytes. */
export function bytesFromBase64(base64: string): Uint8Array {
  const binary = atob(base64.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

/** Lower-case hexadecimal digits. */
export function hexFromBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Below, at or above zero, as `a` is below, at or above `b`. Both are plain decimal notation. */
export function compareDecimals(a: string, b: string): number {
  const [x, y] = [Number(a), Number(b)];
  if (x < y) return -1;
  if (x > y) return 1;
  if (a === b || Number.isNaN(x) || Number.isNaN(y)) return 0;
  const scale = Math.max(fractionDigits(a), fractionDigits(b));
  const [exactA, exactB] = [scaled(a, scale), scaled(b, scale)];
  return exactA < exactB ? -1 : exactA > exactB ? 1 : 0;
}

function integerFromBytes(bytes: Uint8Array): bigint {
  if (bytes.length === 0) return 0n;
  const unsigned = BigInt(`0x${hexFromBytes(bytes)}`);
  return (bytes[0] ?? 0) & 0x80 ? unsigned - (1n << BigInt(8 * bytes.length)) : unsigned;
}

function withPoint(unscaled: bigint, scale: number): string {
  if (scale <= 0) return (unscaled * 10n ** BigInt(-scale)).toString();
  const sign = unscaled < 0n ? "-" : "";
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, "0");
  return `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

function fractionDigits(text: string): number {
  const point = text.indexOf(".");
  return point < 0 ? 0 : text.length - point - 1;
}

function scaled(text: string, scale: number): bigint {
  const missing = scale - fractionDigits(text);
  return BigInt(text.replace(".", "") + "0".repeat(missing));
}
