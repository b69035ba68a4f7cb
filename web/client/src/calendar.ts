/**
 * Writes counts of days and microseconds since 1970 as ISO 8601, for every value that PostgreSQL can hold.
 *
 * JavaScript's Date ends in the year 275760, has no microseconds and would add a time zone; PostgreSQL's dates end in
 * 5874897. All arithmetic is on bigint, in the proleptic Gregorian calendar, as PostgreSQL's own.
 */

const DAY_US = 86_400_000_000n;

/** Days since 1970 to `2024-02-29`; years beyond 9999 as `+10000`, before the year 1 as `-0043` (44 BC). */
export function isoDate(days: bigint): string {
  // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": eras of 400 years that begin in March.
  const shifted = days + 719_468n;
  const era = floorDivide(shifted, 146_097n);
  const dayOfEra = shifted - era * 146_097n;
  const yearOfEra = (dayOfEra - dayOfEra / 1460n + dayOfEra / 36_524n - dayOfEra / 146_096n) / 365n;
  const dayOfYear = dayOfEra - (365n * yearOfEra + yearOfEra / 4n - yearOfEra / 100n);
  const shiftedMonth = (5n * dayOfYear + 2n) / 153n;
  const day = dayOfYear - (153n * shiftedMonth + 2n) / 5n + 1n;
  const month = shiftedMonth < 10n ? shiftedMonth + 3n : shiftedMonth - 9n;
  const year = yearOfEra + era * 400n + (month <= 2n ? 1n : 0n);
  return `${isoYear(year)}-${pad(month, 2)}-${pad(day, 2)}`;
}

/** Microseconds since midnight to `23:59:59.123456`; `digits` after the point, none if 0. */
export function isoTime(micros: bigint, digits: number): string {
  const seconds = micros / 1_000_000n;
  const clock = `${pad(seconds / 3600n, 2)}:${pad((seconds / 60n) % 60n, 2)}:${pad(seconds % 60n, 2)}`;
  const fraction = pad(micros % 1_000_000n, 6).slice(0, digits);
  return fraction ? `${clock}.${fraction}` : clock;
}

/** Microseconds since 1970 to `2024-02-29T10:00:00.123456`, without a zone. */
export function isoTimestamp(micros: bigint, digits: number): string {
  const days = floorDivide(micros, DAY_US);
  return `${isoDate(days)}T${isoTime(micros - days * DAY_US, digits)}`;
}

/** Microseconds to PostgreSQL's way of writing an interval: `3 days 04:05:06.78`. */
export function interval(micros: bigint): string {
  const sign = micros < 0n ? "-" : "";
  const length = micros < 0n ? -micros : micros;
  const days = length / DAY_US;
  const time = trimFraction(isoTime(length % DAY_US, 6));
  if (days === 0n) return sign + time;
  return `${sign}${days} ${days === 1n ? "day" : "days"}${length % DAY_US === 0n ? "" : ` ${time}`}`;
}

/** Cuts zeros behind a decimal point, and the point if nothing is left behind it. */
export function trimFraction(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function isoYear(year: bigint): string {
  if (year < 0n) return `-${pad(-year, 4)}`;
  return year > 9999n ? `+${year}` : pad(year, 4);
}

function pad(value: bigint, width: number): string {
  return value.toString().padStart(width, "0");
}

function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b;
  return a % b < 0n ? quotient - 1n : quotient;
}
