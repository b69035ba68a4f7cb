// A shop's table on a real PostgreSQL, and the real binary that follows it: what the tests in this folder look at.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";

const ROWCAST = process.env.ROWCAST_BIN ?? join(import.meta.dirname, "../../target/debug/rowcast");
const POSTGRES = join(dirname(ROWCAST), "private-postgres");

export class Shop {
  /** Where the server listens, over all its lives. */
  port;
  #postgres;
  #place;
  #folder;
  #rowcast;

  /** A database with 40 orders, and a server that follows them. */
  static async open() {
    const shop = new Shop();
    shop.#postgres = spawn(POSTGRES, { stdio: ["pipe", "pipe", "inherit"] });
    const [line] = await new Promise((resolve) => createInterface({ input: shop.#postgres.stdout }).once("line", (...line) => resolve(line)));
    shop.#place = JSON.parse(line);
    shop.psql(`CREATE TABLE orders (id serial PRIMARY KEY, customer_name text NOT NULL, status text NOT NULL, price numeric(10,2),
        updated_at timestamp NOT NULL DEFAULT now());
        INSERT INTO orders (customer_name, status, price) SELECT 'Customer ' || n, 'pending', n FROM generate_series(1, 40) n`);
    shop.#folder = mkdtempSync(join(tmpdir(), "rowcast-browser-"));
    writeFileSync(join(shop.#folder, "connector.json"), JSON.stringify({ name: "orders-connector", config: connector(shop.#place) }));
    shop.port = await freePort();
    await shop.startRowcast();
    return shop;
  }

  /** Runs SQL by psql, as a person would. */
  psql(sql) {
    const { user, password, database, port } = this.#place;
    const words = ["-v", "ON_ERROR_STOP=1", "-qAt", "-h", "127.0.0.1", "-p", port, "-U", user, database, "-c", sql];
    const ran = spawnSync("psql", words.map(String), { env: { ...process.env, PGPASSWORD: password }, encoding: "utf8" });
    assert.equal(ran.status, 0, ran.stderr || String(ran.error));
    return ran.stdout.trim();
  }

  /** Starts `rowcast run` and waits until it says that it listens. */
  async startRowcast() {
    const words = ["run", "--connector", join(this.#folder, "connector.json"), "--data-dir", join(this.#folder, "data")];
    words.push("--listen", `127.0.0.1:${this.port}`, "--metrics-listen", "127.0.0.1:0");
    const rowcast = spawn(ROWCAST, words, { stdio: ["ignore", "ignore", "pipe"] });
    this.#rowcast = rowcast;
    const said = [];
    await new Promise((resolve, reject) => {
      createInterface({ input: rowcast.stderr }).on("line", (line) => {
        said.push(line);
        if (line.includes("rowcast is up")) resolve();
      });
      rowcast.once("exit", (code, signal) => reject(new Error(`rowcast ended (${code ?? signal}):\n${said.join("\n")}`)));
    });
  }

  killRowcast() {
    return new Promise((resolve) => {
      this.#rowcast.removeAllListeners("exit").once("exit", resolve);
      this.#rowcast.kill("SIGKILL");
    });
  }

  async close() {
    if (this.#rowcast) await this.killRowcast();
    this.#postgres?.stdin.end();
    if (this.#folder) rmSync(this.#folder, { recursive: true });
  }
}

function connector(place) {
  return {
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
    "database.hostname": "127.0.0.1",
    "database.port": String(place.port),
    "database.user": place.user,
    "database.password": place.password,
    "database.dbname": place.database,
    "topic.prefix": "orders",
    "table.include.list": "public.orders",
    "plugin.name": "pgoutput",
    "publication.autocreate.mode": "filtered",
  };
}

/** A port that nobody listens on: kept over the server's restarts. */
function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
