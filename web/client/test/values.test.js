import assert from "node:assert/strict";
import { test } from "node:test";
import { compare, decode, format, kindOf, parse, toDate } from "../dist/index.js";

const semantic = (type, name, parameters = null) => ({ type, semantic: name, parameters });
const text = (type, json) => format(type, decode(type, parse(json)));

const INT64 = { type: "int64" };
const DECIMAL = (scale) => semantic("bytes", "org.apache.kafka.connect.data.Decimal", { scale: String(scale) });
const VARIABLE = semantic("struct", "io.debezium.data.VariableScaleDecimal");
const DATE = semantic("int32", "io.debezium.time.Date");
const MICRO = semantic("int64", "io.debezium.time.MicroTimestamp");
const MILLI = semantic("int64", "io.debezium.time.Timestamp");
const ZONED = semantic("string", "io.debezium.time.ZonedTimestamp");
const base64 = (...bytes) => JSON.stringify(Buffer.from(bytes).toString("base64"));

test("bigint columns are bigint, whatever their size", () => {
  assert.equal(decode(INT64, parse("7")), 7n);
  assert.equal(decode(INT64, parse("-9223372036854775808")), -9223372036854775808n);
});

test("decimals are exact", () => {
  assert.equal(text(DECIMAL(2), base64(0x04, 0xd2)), "12.34");
  assert.equal(text(DECIMAL(2), base64(0xff)), "-0.01");
  assert.equal(text(DECIMAL(2), base64(0x00)), "0.00");
  assert.equal(text(DECIMAL(0), base64(0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)), "2361183241434822606847");
  assert.equal(text(DECIMAL(5), base64(0x07)), "0.00007");
  assert.equal(text(VARIABLE, `{"scale":0,"value":${base64(10)}}`), "10");
  assert.equal(text(VARIABLE, `{"scale":3,"value":${base64(0x80)}}`), "-0.128");
});

test("decimals order by their value, beyond what a number can tell apart", () => {
  const sorted = ["10.5", "-3", "2.25", "9007199254740993.1", "9007199254740993.05"].sort((a, b) => compare(DECIMAL(2), a, b));
  assert.deepEqual(sorted, ["-3", "2.25", "10.5", "9007199254740993.05", "9007199254740993.1"]);
});

test("dates are right for all of PostgreSQL's years", () => {
  const cases = { 0: "1970-01-01", 19782: "2024-02-29", "-171606": "1500-02-28", "-735160": "-0043-03-15", "-2440550": "-4712-01-01" };
  for (const [days, expected] of Object.entries(cases)) assert.equal(text(DATE, days), expected);
  assert.equal(text(DATE, "2932897"), "+10000-01-01");
  assert.equal(text(DATE, "2145042905"), "+5874897-12-31");
  assert.equal(text(DATE, "-2147472692"), "infinity");
  assert.equal(text(DATE, "-622191234"), "infinity");
  assert.equal(text(DATE, "-625821272"), "-infinity");
});

test("timestamps keep their microseconds", () => {
  assert.equal(decode(MICRO, parse("1700000000123456")), "2023-11-14T22:13:20.123456");
  assert.equal(text(MICRO, "1700000000120000"), "2023-11-14 22:13:20.12");
  assert.equal(text(MICRO, "1700000000000000"), "2023-11-14 22:13:20");
  assert.equal(text(MICRO, "-1"), "1969-12-31 23:59:59.999999");
  assert.equal(text(MICRO, "-210831897600000001"), "-4712-12-31 23:59:59.999999");
  assert.equal(text(MICRO, "9223372036825200000"), "infinity");
  assert.equal(text(MILLI, "1700000000123"), "2023-11-14 22:13:20.123");
  assert.equal(text(ZONED, '"2020-01-01T10:00:00.120000Z"'), "2020-01-01 10:00:00.12Z");
});

test("an instant is there for what has one", () => {
  assert.equal(toDate(MICRO, 1700000000123456).toISOString(), "2023-11-14T22:13:20.123Z");
  assert.equal(toDate(ZONED, "2020-01-01T10:00:00.120000Z").toISOString(), "2020-01-01T10:00:00.120Z");
  assert.equal(toDate(ZONED, "infinity"), null);
  assert.equal(toDate(MICRO, 9223372036825200000n), null);
  assert.equal(toDate(INT64, 5), null);
});

test("times, intervals, bits and bytes are readable", () => {
  assert.equal(text(semantic("int64", "io.debezium.time.MicroTime"), "86399999999"), "23:59:59.999999");
  assert.equal(text(semantic("int64", "io.debezium.time.MicroTime"), "86400000000"), "24:00:00");
  assert.equal(text(semantic("int32", "io.debezium.time.Time"), "36000500"), "10:00:00.5");
  assert.equal(text(semantic("int64", "io.debezium.time.NanoTimestamp"), "1700000000123456789"), "2023-11-14 22:13:20.123456789");
  assert.equal(text(semantic("int64", "io.debezium.time.MicroDuration"), "273906780000"), "3 days 04:05:06.78");
  assert.equal(text(semantic("int64", "io.debezium.time.MicroDuration"), "-86400000000"), "-1 day");
  assert.equal(text(semantic("bytes", "io.debezium.data.Bits", { length: "7" }), base64(0x40)), "1000000");
  assert.equal(text(semantic("bytes", "io.debezium.data.Bits", { length: "10" }), base64(0x01, 0x02)), "1000000001");
  assert.equal(text({ type: "bytes" }, base64(0xde, 0xad)), "\\xdead");
});

test("arrays are decoded item by item", () => {
  const numbers = { type: "array", items: DECIMAL(1) };
  assert.deepEqual(decode(numbers, JSON.parse(`[${base64(15)},null]`)), ["1.5", null]);
  assert.equal(text(numbers, `[${base64(15)},null]`), "[1.5, null]");
});

test("floats that JSON cannot write are numbers again", () => {
  assert.equal(decode({ type: "float64" }, "NaN"), NaN);
  assert.equal(decode({ type: "float32" }, "-Infinity"), -Infinity);
  assert.equal(decode({ type: "double" }, "NaN"), NaN);
  assert.equal(decode({ type: "float" }, "Infinity"), Infinity);
});

test("null stays null and comes last", () => {
  assert.equal(decode(INT64, null), null);
  assert.deepEqual([null, 2n, 1n].sort((a, b) => compare(INT64, a, b)), [1n, 2n, null]);
});

test("a value that is not what the schema promised is shown as it is", () => {
  for (const type of [INT64, DECIMAL(2), VARIABLE, DATE, MICRO, { type: "array", items: INT64 }, { type: "no such type" }]) {
    for (const raw of ["<img onerror=alert(1)>", true, { a: 1 }, "%%%"]) assert.doesNotThrow(() => format(type, decode(type, raw)));
  }
  assert.equal(decode(DATE, "tomorrow"), "tomorrow");
  assert.equal(kindOf({ type: "no such type" }), "other");
});
