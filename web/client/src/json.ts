/**
 * Reads JSON without losing a digit.
 *
 * PostgreSQL's bigint has 64 bits, JavaScript's number 53: `JSON.parse` would round 9223372036854775807 without a word. A
 * text in which no such number can be goes to `JSON.parse`; only the others pay for the small parser below, in which an
 * integer beyond 2^53 becomes a bigint. So every browser reads the same values, newer than others or not.
 */

export type Json = null | boolean | number | bigint | string | Json[] | { [name: string]: Json };

/** 17 digits, or 16 that begin with 9: all that could be an integer beyond 2^53 (9007199254740992). */
const MAY_HOLD_LARGE_INTEGER = /\d{17}|9\d{15}/;

/** How deep values may nest: as JSON columns are text on this wire, arrays and structs need only a few. */
const NESTING_MAX = 500;

export function parse(text: string): Json {
  return MAY_HOLD_LARGE_INTEGER.test(text) ? parseExactly(text) : (JSON.parse(text) as Json);
}

/** The same result on the slow way, whatever the text holds. */
export function parseExactly(text: string): Json {
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.end();
  return value;
}

/** JSON text of a value that may hold bigints. */
export function stringify(value: unknown): string {
  if (typeof value === "bigint") return value.toString();
  if (Array.isArray(value)) return `[${value.map(stringify).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "null";
  const members = Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}:${stringify(member)}`);
  return `{${members.join(",")}}`;
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const SPACE = /[ \t\n\r]*/y;

class Reader {
  #at = 0;

  constructor(readonly text: string) {}

  value(depth: number): Json {
    if (depth > NESTING_MAX) throw new SyntaxError("JSON nests too deep");
    this.#skip(SPACE);
    const value = this.#here(depth);
    this.#skip(SPACE);
    return value;
  }

  end(): void {
    if (this.#at < this.text.length) throw this.#unexpected();
  }

  #here(depth: number): Json {
    switch (this.text[this.#at]) {
      case "{":
        return this.#object(depth);
      case "[":
        return this.#array(depth);
      case '"':
        return this.#string();
      case "t":
        return this.#word("true", true);
      case "f":
        return this.#word("false", false);
      case "n":
        return this.#word("null", null);
      default:
        return this.#number();
    }
  }

  #object(depth: number): Json {
    // Members are defined, not assigned: a column may be named "__proto__".
    const members: [string, Json][] = [];
    this.#at++;
    this.#skip(SPACE);
    if (this.#take("}")) return {};
    do {
      this.#skip(SPACE);
      const name = this.#string();
      this.#skip(SPACE);
      if (!this.#take(":")) throw this.#unexpected();
      members.push([name, this.value(depth + 1)]);
    } while (this.#take(","));
    if (!this.#take("}")) throw this.#unexpected();
    return Object.fromEntries(members);
  }

  #array(depth: number): Json {
    const items: Json[] = [];
    this.#at++;
    this.#skip(SPACE);
    if (this.#take("]")) return items;
    do items.push(this.value(depth + 1));
    while (this.#take(","));
    if (!this.#take("]")) throw this.#unexpected();
    return items;
  }

  /** Jumps from quote to quote: a string may be a megabyte. JSON.parse reads it, escapes and all. */
  #string(): string {
    if (this.text[this.#at] !== '"') throw this.#unexpected();
    let end = this.text.indexOf('"', this.#at + 1);
    while (end > 0 && this.#escaped(end)) end = this.text.indexOf('"', end + 1);
    if (end < 0) throw this.#unexpected();
    const raw = this.text.slice(this.#at, end + 1);
    this.#at = end + 1;
    return JSON.parse(raw) as string;
  }

  /** An odd number of backslashes stands before this place. */
  #escaped(at: number): boolean {
    let first = at;
    while (this.text[first - 1] === "\\") first--;
    return (at - first) % 2 === 1;
  }

  #number(): number | bigint {
    const raw = this.#match(NUMBER);
    const value = Number(raw);
    return Number.isSafeInteger(value) || /[.eE]/.test(raw) ? value : BigInt(raw);
  }

  #word<T>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.#at)) throw this.#unexpected();
    this.#at += word.length;
    return value;
  }

  #take(character: string): boolean {
    if (this.text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text);
    if (!found) throw this.#unexpected();
    this.#at = pattern.lastIndex;
    return found[0];
  }

  #skip(pattern: RegExp): void {
    pattern.lastIndex = this.#at;
    pattern.test(this.text);
    this.#at = pattern.lastIndex;
  }

  #unexpected(): SyntaxError {
    return new SyntaxError(`unexpected text at position ${this.#at} of a JSON message`);
  }
}
