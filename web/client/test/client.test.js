import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { connect } from "../dist/index.js";
import { mayReconnect, reconnectDelayMs } from "../dist/backoff.js";
import { FakeSocket, options } from "./fake-socket.js";

const SCHEMA = {
  topic: "t",
  columns: [
    { name: "id", type: "int64", key: true },
    { name: "note", type: "string", key: false },
    { name: "status", type: "string", key: false },
  ],
};
const row = (id, note = "n", status = "new") => ({ id, note, status });
const subscribed = (ref = "1", sub = 5) => ({ type: "subscribed", sub, topic: "t", ref, schema: SCHEMA });
const rows = (...list) => ({ type: "rows", sub: 5, rows: list });
const live = (cursor) => ({ type: "live", sub: 5, cursor });
const change = (op, id, after, cursor, more = {}) => ({
  type: "change", sub: 5, op, key: { id }, before: op === "d" ? { id } : null, after, ts_ms: 1000, ts_us: 1000500, cursor, ...more,
});

let client, table, states, changes;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  FakeSocket.all = [];
  [states, changes] = [[], []];
  client = connect("ws://127.0.0.1:1/ws", options);
  table = client.table("t", { onState: (state) => states.push(state.phase), onChange: (c) => changes.push(c) });
});

const start = () => FakeSocket.last().open().say(subscribed(), rows(row(1), row(2)), live("c0"));
const shown = () => [...table.rows.values()].map((r) => `${r.key}:${r.encoded.note}:${r.encoded.status}`);

test("the table is its rows, then every change to it", () => {
  const socket = start();
  assert.deepEqual(socket.sent, [{ type: "subscribe", topic: "t", snapshot: true, cursor: null, ref: "1" }]);
  socket.say(change("c", 3, row(3), "c1"), change("u", 1, row(1, "n", "sent"), "c2"), change("d", 2, null, "c3"), change("r", 4, row(4), "c4"));
  assert.deepEqual(shown(), ["1:n:sent", "3:n:new", "4:n:new"]);
  assert.deepEqual(changes.map(({ op, key, before, after }) => [op, key, before?.encoded.status, after?.encoded.status]), [
    ["c", "3", undefined, "new"], ["u", "1", "new", "sent"], ["d", "2", "new", undefined], ["r", "4", undefined, "new"],
  ]);
  assert.equal(changes[0].committedAt, 1000.5);
  socket.say({ ...change("t", null, null, "c5"), key: null });
  assert.deepEqual(shown(), []);
  assert.deepEqual(states, ["loading", "live"]);
});

test("a large value that was not sent is filled in from the row", () => {
  start().say(change("u", 1, row(1, "__debezium_unavailable_value", "sent"), "c1", { unchanged: ["note"] }));
  assert.deepEqual(shown(), ["1:n:sent", "2:n:new"]);
});

test("after a disconnect it goes on from its cursor, and is not called live before it is", () => {
  start().say(change("u", 1, row(1, "a"), "c7")).drop();
  assert.equal(table.state.phase, "reconnecting");
  assert.equal(table.state.staleSince.getTime(), 1_000_000);
  assert.deepEqual(shown(), ["1:a:new", "2:n:new"]);
  mock.timers.tick(1000);
  const socket = FakeSocket.last().open();
  assert.equal(socket.sent[0].cursor, "c7");
  socket.say(subscribed());
  assert.equal(table.state.phase, "catching-up");
  socket.say(change("d", 2, null, "c8"));
  assert.equal(table.state.phase, "catching-up");
  socket.say(live("c8"));
  assert.equal(table.state.phase, "live");
  assert.deepEqual(shown(), ["1:a:new"]);
});

test("after a reset the old rows stay until the new ones are whole", () => {
  start().drop(1012);
  mock.timers.tick(1000);
  const socket = FakeSocket.last().open().say(subscribed(), { type: "reset", sub: 5, reason: "expired", message: "gone" }, rows(row(9)));
  assert.deepEqual(shown(), ["1:n:new", "2:n:new"]);
  assert.equal(table.state.phase, "catching-up");
  socket.say(live("d0"));
  assert.deepEqual(shown(), ["9:n:new"]);
  assert.equal(table.state.phase, "live");
});

test("after a reset to an empty table nothing is left", () => {
  start().say({ type: "reset", sub: 5, reason: "other_epoch", message: "m" }, live("d0"));
  assert.deepEqual(shown(), []);
});

test("a load that was cut off is begun anew", () => {
  FakeSocket.last().open().say(subscribed(), rows(row(1), row(2))).drop();
  assert.equal(table.state.phase, "connecting");
  mock.timers.tick(1000);
  const socket = FakeSocket.last().open();
  assert.equal(socket.sent[0].cursor, null);
  socket.say(subscribed(), rows(row(2)), live("c0"));
  assert.deepEqual(shown(), ["2:n:new"]);
});

test("a cursor that is refused costs the view once more", () => {
  start().drop();
  mock.timers.tick(1000);
  const socket = FakeSocket.last().open().say({ type: "error", code: "bad_cursor", message: "m", ref: "1" });
  assert.deepEqual(socket.sent.map((m) => m.cursor), ["c0", null]);
  socket.say(subscribed(), rows(row(3)), live("e0"));
  assert.deepEqual(shown(), ["3:n:new"]);
});

test("close codes say whether to come back", () => {
  start().drop(4001);
  assert.equal(table.state.phase, "reconnecting");
  mock.timers.tick(1000);
  FakeSocket.last().open().say(subscribed(), live("c1")).drop(1008, "too many messages");
  assert.deepEqual({ ...table.state, staleSince: null }, { phase: "closed", code: "1008", reason: "too many messages", staleSince: null });
  mock.timers.tick(100_000);
  assert.equal(FakeSocket.all.length, 2);
  assert.deepEqual([4499, 4500, 1006, 1013, 1002].map(mayReconnect), [true, false, true, true, false]);
});

test("waits grow, are left to chance by half, and end at a bound", () => {
  const waits = [0, 1, 2, 9, 1000].map((attempt) => [0, 1].map((chance) => reconnectDelayMs(attempt, 1006, chance)));
  assert.deepEqual(waits, [[200, 400], [400, 800], [800, 1600], [7500, 15000], [7500, 15000]]);
  assert.ok(reconnectDelayMs(0, 1013, 0) >= 5000, "a full server is left alone");
});

test("a connection that died without a word is found out", () => {
  const socket = start();
  mock.timers.tick(20_000);
  assert.equal(socket.asked("ping").length, 1);
  socket.say({ type: "pong" });
  mock.timers.tick(20_000);
  assert.equal(table.state.phase, "live");
  mock.timers.tick(20_000);
  assert.equal(socket.asked("ping").length, 2);
  mock.timers.tick(20_000);
  assert.equal(table.state.phase, "reconnecting");
  assert.ok(socket.closedByClient);
  mock.timers.tick(1000);
  assert.equal(FakeSocket.all.length, 2);
});

test("after sleep rows are not called live until the server has answered", () => {
  FakeSocket.all = [];
  const events = new EventTarget();
  client = connect("ws://127.0.0.1:1/ws", { ...options, events });
  table = client.table("t");
  const socket = FakeSocket.last().open().say(subscribed(), rows(row(1)), live("c0"));
  mock.timers.setTime(9_000_000);
  events.dispatchEvent(new Event("online"));
  assert.equal(table.state.phase, "catching-up");
  assert.equal(table.state.staleSince.getTime(), 1_000_000);
  socket.say(change("u", 1, row(1, "late"), "c1"));
  assert.equal(table.state.phase, "catching-up");
  socket.say({ type: "pong" });
  assert.equal(table.state.phase, "live");
  client.close();
});

test("a refusal is final for its subscription only", () => {
  const socket = start();
  let refused;
  const other = client.subscribe("nope", { onError: (error) => (refused = error.code) });
  socket.say({ type: "error", code: "unknown_topic", message: "there is no topic nope", ref: other.ref });
  assert.equal(refused, "unknown_topic");
  assert.equal(other.state.phase, "closed");
  assert.equal(table.state.phase, "live");
});

test("what was closed is not handed on, and its number can be used again", () => {
  const socket = start();
  table.close();
  assert.deepEqual(socket.asked("unsubscribe"), [{ type: "unsubscribe", sub: 5 }]);
  const again = client.table("t");
  socket.say(change("c", 8, row(8), "c9"), { type: "unsubscribed", sub: 5 }, subscribed(again.subscription.ref), rows(row(1)), live("c9"));
  assert.deepEqual([...again.rows.keys()], ["1"]);
  assert.equal(changes.length, 0);
});

test("a topic without schema is shown as it is, and finds its key", () => {
  const socket = FakeSocket.last().open();
  socket.say({ ...subscribed(), schema: null }, rows(row(1), row(2)), live("c0"), change("u", 2, row(2, "b"), "c1"));
  assert.deepEqual(shown(), ["1:n:new", "2:b:new"]);
  assert.deepEqual(table.schema.columns.map((column) => column.name), ["id", "note", "status"]);
});

test("64-bit keys are told apart", () => {
  start().say(`{"type":"rows","sub":5,"rows":[{"id":9007199254740993},{"id":9007199254740992}]}`);
  assert.ok(table.rows.has("9007199254740993") && table.rows.has("9007199254740992"));
});

test("a message of a newer server is ignored", () => {
  start().say({ type: "weather", sub: 5 }, { type: "note" });
  assert.equal(table.state.phase, "live");
});

/** A topic that somebody else fills: nothing is known of it but what its messages say. */
function foreign(...messages) {
  const socket = FakeSocket.last().open().say({ ...subscribed(), schema: null }, ...messages, live("c0"));
  return { socket, keys: () => [...table.rows.keys()].sort(), columns: () => table.schema.columns.map(({ name, key }) => (key ? `*${name}` : name)) };
}

test("without a schema the key comes beside the rows, and columns are those that come", () => {
  const { socket, keys, columns } = foreign({ ...rows({ id: 1, a: 1 }, { id: 2, b: 2 }), keys: [{ id: 1 }, { id: 2 }] });
  assert.deepEqual([keys(), columns()], [["1", "2"], ["*id", "a", "b"]]);
  socket.say(change("u", 2, { id: 2, c: 3 }, "c1"), change("u", 3, { id: 3 }, "c2"), { ...change("d", 1, null, "c3"), before: null });
  assert.deepEqual([keys(), columns()], [["2", "3"], ["*id", "a", "b", "c"]]);
  assert.deepEqual(changes.map(({ op, key }) => op + key), ["u2", "c3", "d1"], "an upsert of a row that was not there is an insert");
});

test("rows that mask their key, or leave it out, are told apart by the key beside them", () => {
  const { socket, keys, columns } = foreign({ ...rows({ id: "***", a: 1 }, { a: 2 }), keys: [{ id: "x" }, { id: "y" }] });
  assert.deepEqual([keys(), columns()], [['{"id":"x"}', '{"id":"y"}'], ["*(key)", "id", "a"]]);
  socket.say({ ...change("d", 0, null, "c1"), key: { id: "x" }, before: { id: "***", a: 1 } });
  assert.deepEqual(keys(), ['{"id":"y"}']);
});

test("keys that are not in their rows are a column of their own", () => {
  const { socket, keys, columns } = foreign({ ...rows({ name: "Ann" }, 7, [1]), keys: ["user-7", 7, { user: 8 }] });
  assert.deepEqual([keys(), columns()], [["7", "user-7", '{"user":8}'].sort(), ["*(key)", "name", "value"]]);
  const upsert = (op, key, value, cursor) => ({ ...change(op, 0, value, cursor), key, before: null });
  socket.say(upsert("u", "user-7", { name: "Bob" }, "c1"), upsert("d", 7, null, "c2"), upsert("u", "user-9", "text", "c3"));
  assert.deepEqual(keys(), ["user-7", "user-9", '{"user":8}'].sort());
  assert.equal(table.rows.get("user-7").encoded.name, "Bob");
  assert.equal(table.rows.get("user-9").encoded.value, "text");
});

test("rows that say their key and rows that do not may be mixed", () => {
  const socket = start();
  socket.say({ ...change("u", 0, { note: "x" }, "c1"), key: "text" }, change("u", 2, row(2, "y"), "c2"), change("d", 1, null, "c3"));
  assert.deepEqual([...table.rows.keys()], ['{"id":2}', "text"]);
  assert.equal(table.rows.get('{"id":2}').encoded.note, "y");
});

test("what is wrong with a topic is told to its subscribers, and ends nothing", () => {
  const heard = [];
  client.subscribe("other", { onError: () => heard.push("other") });
  client.subscribe("t", { onError: (error) => heard.push(error.code) });
  start().say({ type: "error", code: "not_json", message: "record 7 of t is not JSON", topic: "t" });
  assert.deepEqual(heard, ["not_json"]);
  assert.equal(table.state.phase, "live");
});

test("a server that does not know its topics yet is asked again, and nothing is lost meanwhile", () => {
  const notReady = { type: "error", code: "not_ready", message: "ask again", ref: "1" };
  FakeSocket.last().open().say(notReady);
  assert.equal(table.state.phase, "catching-up");
  mock.timers.tick(2000);
  const socket = FakeSocket.last().say(notReady);
  mock.timers.tick(2000);
  assert.equal(socket.asked("subscribe").length, 3);
  socket.say(subscribed(), rows(row(1)), live("c0")).drop(1012);
  mock.timers.tick(1000);
  // A server that was restarted: the rows stay, the cursor is kept.
  const again = FakeSocket.last().open().say(notReady);
  assert.equal(table.state.phase, "catching-up");
  assert.equal(table.state.reason, "ask again");
  mock.timers.tick(2000);
  assert.equal(again.asked("subscribe").at(-1).cursor, "c0");
  again.say(subscribed(), live("c0"));
  assert.equal(table.state.phase, "live");
  assert.deepEqual(shown(), ["1:n:new"]);
});

test("an error without a close is a lost connection, and one with a close is what the close says", () => {
  start().fail();
  mock.timers.tick(1000);
  assert.equal(table.state.phase, "reconnecting");
  mock.timers.tick(1000);
  assert.equal(FakeSocket.all.length, 2);
  // One that never came to be.
  FakeSocket.last().fail();
  mock.timers.tick(1000);
  mock.timers.tick(1000);
  assert.equal(FakeSocket.all.length, 3);
  FakeSocket.last().open().say(subscribed(), live("c1")).fail().drop(1008, "too much");
  assert.equal(table.state.phase, "closed");
  assert.equal(table.state.reason, "too much");
  mock.timers.tick(60_000);
  assert.equal(FakeSocket.all.length, 3);
});

test("where there is no WebSocket, what to do is said at once", () => {
  const own = globalThis.WebSocket;
  delete globalThis.WebSocket;
  try {
    assert.throws(() => connect("ws://127.0.0.1:1/ws"), /npm install ws.*webSocket: \(url, protocol\) => new WebSocket/);
  } finally {
    if (own) globalThis.WebSocket = own;
  }
});
