import assert from "node:assert/strict";
import { test } from "node:test";
import { parse, parseExactly, stringify } from "../dist/json.js";

test("64-bit integers are exact, in both parsers' reach", () => {
  const text = '{"min":-9223372036854775808,"max":9223372036854775807,"edge":9007199254740993,"safe":9007199254740991,"time":1700000000123456}';
  assert.deepEqual(parse(text), {
    min: -9223372036854775808n,
    max: 9223372036854775807n,
    edge: 9007199254740993n,
    safe: 9007199254740991,
    time: 1700000000123456,
  });
});

test("text without large integers is the same on the slow way", () => {
  const texts = [
    '{"a":[1,-0.5,1e3,true,false,null,"x",{}],"b":[]}',
    '  [ 1 , { "a" : "b" } ]  ',
    '"\\u00e9\\n\\\\\\"\\ud83d\\ude00"',
    '{"__proto__":1,"constructor":{"prototype":2}}',
    '["\\\\","\\\\\\"",""]',
    "0.30000000000000004",
  ];
  for (const text of texts) assert.deepEqual(parseExactly(text), JSON.parse(text), text);
});

test("what is not JSON is refused", () => {
  for (const text of ["", "{", "[1,]", '{"a":}', "01", "+1", '"a', '"a\\"', "nul", "1 2", "'a'", '"\n"', "[".repeat(1000)]) {
    assert.throws(() => parseExactly(text), SyntaxError, text);
  }
});

test("a column may have any name", () => {
  const row = parse('{"__proto__":12345678901234567890}');
  assert.deepEqual(Object.keys(row), ["__proto__"]);
  assert.equal({}.polluted, undefined);
});

test("a megabyte of text beside a large integer is read", () => {
  const long = 'x"\\'.repeat(400_000);
  assert.equal(parse(`{"n":12345678901234567,"s":${JSON.stringify(long)}}`).s, long);
});

test("bigints are written as the numbers they are", () => {
  assert.equal(stringify({ a: [9223372036854775807n, "x", null] }), '{"a":[9223372036854775807,"x",null]}');
});
