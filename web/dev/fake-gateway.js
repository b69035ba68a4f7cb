/**
 * Plays the server for the page: `rowcast.v1` over WebSocket, the built files with their Content-Security-Policy, one made-up
 * table. For work on the page without a database, and for the page's own tests; it keeps no promise that the real one keeps.
 *
 *     node web/dev/fake-gateway.js [PORT] [ROWS] [CHANGES_PER_SECOND]
 */

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const DIST = fileURLToPath(new URL("../dist", import.meta.url));
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; " +
  "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const column = (name, type, more = {}) => ({ name, type, semantic: null, version: null, parameters: null, key: false, optional: false, ...more });
const SCHEMA = {
  topic: "orders.public.orders",
  table: "public.orders",
  columns: [
    column("id", "int64", { key: true }),
    column("customer_name", "string"),
    column("product_name", "string"),
    column("quantity", "int32"),
    column("price", "bytes", { semantic: "org.apache.kafka.connect.data.Decimal", version: 1, parameters: { scale: "2", "connect.decimal.precision": "10" } }),
    column("status", "string"),
    column("note", "string", { optional: true }),
    column("created_at", "int64", { semantic: "io.debezium.time.MicroTimestamp", version: 1 }),
    column("updated_at", "string", { semantic: "io.debezium.time.ZonedTimestamp", version: 1 }),
  ],
};

const CUSTOMERS = ["Ada Lovelace", "Grace Hopper", "Edsger Dijkstra", "Barbara Liskov", "Tony Hoare", "Frances Allen", "Jim Gray", "Radia Perlman", "Li Wei", "Zoë Ångström"];
const PRODUCTS = ["Mechanical keyboard", "Fountain pen", "Desk lamp", "Slide rule", "Notebook A5, dotted", "USB-C cable 2 m", "Standing desk", "Espresso cups, set of 4"];
const STATUSES = ["pending", "packed", "shipped", "delivered"];

const base64Of = (cents) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(cents);
  return bytes.toString("base64");
};

export class FakeGateway {
  rows = new Map();
  sessions = new Set();
  topics = [SCHEMA.topic];
  /** Names of the columns that the schema tells; null for all. */
  columns = null;
  /** Says why it knows no topic yet, if it does not. */
  starting = null;
  #lsn = 1;
  #lastId = 0;
  #server = null;

  constructor(rows = 24) {
    for (let id = 1; id <= rows; id++) this.rows.set(id, this.make(id));
    this.#lastId = rows;
  }

  make(id, more = {}) {
    const at = Date.now() - Math.max(0, 1000 - id) * 61_000;
    return {
      id,
      customer_name: CUSTOMERS[(id * 7) % CUSTOMERS.length],
      product_name: PRODUCTS[(id * 5) % PRODUCTS.length],
      quantity: 1 + (id % 4),
      price: base64Of(499 + ((id * 3571) % 18_000)),
      status: STATUSES[id % 3],
      note: id % 5 === 0 ? "Please leave with the neighbour" : null,
      created_at: at * 1000,
      updated_at: new Date(at).toISOString().replace("Z", "000Z"),
      ...more,
    };
  }

  async listen(port) {
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#server.on("upgrade", (request, socket) => this.#upgrade(request, socket));
    await new Promise((ready) => this.#server.listen(port, "127.0.0.1", ready));
    return this.#server.address().port;
  }

  async stop(code = 1012) {
    for (const session of this.sessions) session.close(code);
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  insert(more = {}) {
    const id = more.id ?? this.#lastId + 1;
    this.#lastId = Math.max(this.#lastId, id);
    this.rows.set(id, this.make(id, { status: "pending", created_at: Date.now() * 1000, ...more }));
    this.#change("c", id, null, this.rows.get(id));
    return id;
  }

  update(id, more) {
    const row = { ...this.rows.get(id), ...more, updated_at: new Date().toISOString().replace("Z", "000Z") };
    this.rows.set(id, row);
    this.#change("u", id, null, row);
  }

  delete(id) {
    this.rows.delete(id);
    this.#change("d", id, { id }, null);
  }

  /** One believable step of the shop. */
  play(chance = Math.random) {
    const id = this.#lastId - Math.floor(chance() * Math.min(400, this.#lastId));
    const status = this.rows.get(id)?.status;
    const roll = chance();
    if (roll < 0.25 || status === undefined) return this.insert();
    if (roll < 0.3) return this.delete(id);
    const next = STATUSES[STATUSES.indexOf(status) + 1];
    if (next) this.update(id, { status: next });
    else this.update(id, { price: base64Of(Math.floor(chance() * 20_000)), quantity: 1 + Math.floor(chance() * 6) });
  }

  #change(op, id, before, after) {
    const now = (performance.timeOrigin + performance.now()) * 1000;
    const message = { type: "change", sub: 1, op, key: { id }, before, after, ts_ms: Math.floor(now / 1000), ts_us: Math.floor(now), cursor: this.cursor() };
    this.#lsn++;
    const text = JSON.stringify(message);
    for (const session of this.sessions) if (session.subscribed) session.send(text);
  }

  /** Tells everybody that the source is away, or there again. */
  away(isAway) {
    const message = isAway ? { type: "stale", sub: 1, since_ms: Date.now() } : { type: "fresh", sub: 1 };
    for (const session of this.sessions) if (session.subscribed) session.send(JSON.stringify(message));
  }

  schema() {
    return { ...SCHEMA, columns: SCHEMA.columns.filter(({ name }) => this.columns?.includes(name) ?? true) };
  }

  cursor() {
    return `fake-${this.#lsn}`;
  }

  on(session, message) {
    if (message.type === "ping") return session.send(JSON.stringify({ type: "pong" }));
    if (message.type === "unsubscribe") {
      session.subscribed = false;
      return session.send(JSON.stringify({ type: "unsubscribed", sub: message.sub }));
    }
    if (this.starting) return session.send(JSON.stringify({ type: "error", code: "not_ready", message: this.starting, ref: message.ref }));
    if (!this.topics.includes(message.topic)) {
      return session.send(JSON.stringify({ type: "error", code: "unknown_topic", message: `there is no topic ${message.topic}`, ref: message.ref }));
    }
    session.send(JSON.stringify({ type: "subscribed", sub: 1, topic: message.topic, ref: message.ref, schema: this.schema() }));
    if (message.cursor !== null && message.cursor !== this.cursor()) {
      session.send(JSON.stringify({ type: "reset", sub: 1, reason: "expired", message: "the cursor is older than what the log keeps" }));
    }
    if (message.cursor !== this.cursor()) {
      const rows = [...this.rows.values()];
      for (let i = 0; i < rows.length; i += 500) session.send(JSON.stringify({ type: "rows", sub: 1, rows: rows.slice(i, i + 500) }));
    }
    session.send(JSON.stringify({ type: "live", sub: 1, cursor: this.cursor() }));
    session.subscribed = true;
  }

  async #serve(request, response) {
    const { pathname } = new URL(request.url, "http://x");
    if (pathname === "/topics.json" && this.starting) {
      response.writeHead(503, { "content-type": "application/json", "retry-after": "2" });
      return response.end(JSON.stringify({ error: this.starting }));
    }
    if (pathname === "/topics.json") {
      response.writeHead(200, { "content-type": "application/json" });
      return response.end(JSON.stringify({ topics: this.topics }));
    }
    const name = pathname === "/" ? "index.html" : normalize(pathname).replace(/^\/+/, "");
    try {
      const body = await readFile(join(DIST, name));
      response.writeHead(200, { "content-type": TYPES[extname(name)] ?? "application/octet-stream", "content-security-policy": POLICY });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  }

  #upgrade(request, socket) {
    const key = request.headers["sec-websocket-key"];
    const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: rowcast.v1\r\n\r\n`,
    );
    const session = new Session(socket, (message) => this.on(session, message));
    this.sessions.add(session);
    socket.on("close", () => this.sessions.delete(session));
    socket.on("error", () => socket.destroy());
  }
}

/** As much of RFC 6455 as a page needs: unfragmented text both ways. */
class Session {
  subscribed = false;
  #unread = Buffer.alloc(0);

  constructor(socket, onMessage) {
    this.socket = socket;
    this.onMessage = onMessage;
    socket.on("data", (bytes) => this.#read(bytes));
  }

  send(text) {
    this.#frame(1, Buffer.from(text));
  }

  close(code) {
    const payload = Buffer.alloc(2);
    payload.writeUInt16BE(code);
    this.#frame(8, payload);
    this.socket.end();
  }

  #frame(opcode, payload) {
    const { length } = payload;
    const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
    head[0] = 0x80 | opcode;
    head[1] = length < 126 ? length : length < 65_536 ? 126 : 127;
    if (head.length === 4) head.writeUInt16BE(length, 2);
    if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
    this.socket.write(Buffer.concat([head, payload]));
  }

  #read(bytes) {
    this.#unread = Buffer.concat([this.#unread, bytes]);
    for (;;) {
      const data = this.#unread;
      if (data.length < 2) return;
      const long = (data[1] & 0x7f) === 126;
      const length = long ? data.readUInt16BE(2) : data[1] & 0x7f;
      const start = long ? 8 : 6;
      if (data.length < start + length) return;
      const payload = Buffer.from(data.subarray(start, start + length));
      for (let i = 0; i < payload.length; i++) payload[i] ^= data[start - 4 + (i % 4)];
      this.#unread = data.subarray(start + length);
      const opcode = data[0] & 0x0f;
      if (opcode === 1) this.onMessage(JSON.parse(payload.toString()));
      if (opcode === 8) return this.close(1000);
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [port = 3999, rows = 240, rate = 2] = process.argv.slice(2).map(Number);
  const gateway = new FakeGateway(rows);
  console.log(`http://127.0.0.1:${await gateway.listen(port)}`);
  if (rate > 0) setInterval(() => gateway.play(), 1000 / rate);
}
