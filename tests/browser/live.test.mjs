// The whole way, psql to pixels: real PostgreSQL, the real binary, real Chromium. The page's own tests (web/live/test)
// play a server; this one does not.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { after, afterEach, before, test } from "node:test";
import { openPage } from "../../web/dev/browser.js";

const ROWCAST = process.env.ROWCAST_BIN ?? join(import.meta.dirname, "../../target/debug/rowcast");
const POSTGRES = join(dirname(ROWCAST), "private-postgres");
/** How long the page may take to show what was committed, on a machine that is busy with other tests. */
const PATIENCE_MS = 30_000;

let postgres, place, folder, port, rowcast, opened;

/** Runs SQL by psql, as a person would. */
function psql(sql) {
  const { user, password, database } = place;
  const words = ["-v", "ON_ERROR_STOP=1", "-qAt", "-h", "127.0.0.1", "-p", place.port, "-U", user, database, "-c", sql];
  const ran = spawnSync("psql", words.map(String), { env: { ...process.env, PGPASSWORD: password }, encoding: "utf8" });
  assert.equal(ran.status, 0, ran.stderr || String(ran.error));
  return ran.stdout.trim();
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

/** Starts `rowcast run` and waits until it says that it listens. */
async function startRowcast() {
  const words = ["run", "--connector", join(folder, "connector.json"), "--data-dir", join(folder, "data")];
  words.push("--listen", `127.0.0.1:${port}`, "--metrics-listen", "127.0.0.1:0");
  rowcast = spawn(ROWCAST, words, { stdio: ["ignore", "ignore", "pipe"] });
  const said = [];
  await new Promise((resolve, reject) => {
    createInterface({ input: rowcast.stderr }).on("line", (line) => {
      said.push(line);
      if (line.includes("rowcast is up")) resolve();
    });
    rowcast.once("exit", (code, signal) => reject(new Error(`rowcast ended (${code ?? signal}):\n${said.join("\n")}`)));
  });
}

function killRowcast() {
  return new Promise((resolve) => {
    rowcast.removeAllListeners("exit").once("exit", resolve);
    rowcast.kill("SIGKILL");
  });
}

before(async () => {
  postgres = spawn(POSTGRES, { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = await new Promise((resolve) => createInterface({ input: postgres.stdout }).once("line", (...line) => resolve(line)));
  place = JSON.parse(line);
  psql(`CREATE TABLE orders (id serial PRIMARY KEY, customer_name text NOT NULL, status text NOT NULL, price numeric(10,2),
        updated_at timestamp NOT NULL DEFAULT now());
        INSERT INTO orders (customer_name, status, price) SELECT 'Customer ' || n, 'pending', n FROM generate_series(1, 40) n`);
  folder = mkdtempSync(join(tmpdir(), "rowcast-browser-"));
  const config = {
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
  writeFileSync(join(folder, "connector.json"), JSON.stringify({ name: "orders-connector", config }));
  port = await freePort();
  await startRowcast();
});

after(async () => {
  if (rowcast) await killRowcast();
  postgres?.stdin.end();
  if (folder) rmSync(folder, { recursive: true });
});

afterEach(async () => {
  await opened?.close();
  opened = null;
});

async function openLive() {
  opened = await openPage(`http://127.0.0.1:${port}/`);
  await live(opened.page);
  return opened.page;
}
const live = (page) => page.waitForSelector('[data-testid="state"][data-phase="live"]', { timeout: PATIENCE_MS });
const row = (id) => `[data-testid="row"][data-key="${id}"]`;
const shows = (page, id, column, text) =>
  page.waitForFunction(
    ([selector, text]) => document.querySelector(selector)?.textContent === text,
    [`${row(id)} [data-column="${column}"]`, text],
    { timeout: PATIENCE_MS },
  );
const leaves = (page, id) => page.waitForSelector(row(id), { state: "detached", timeout: PATIENCE_MS });
const counts = (page, rows) =>
  page.waitForFunction((rows) => document.querySelector('[data-testid="count"]')?.dataset.total === rows, String(rows), {
    timeout: PATIENCE_MS,
  });
const total = () => Number(psql("SELECT count(*) FROM orders"));

test("insert, update and delete in psql appear without a reload", async () => {
  const page = await openLive();
  await counts(page, total());
  await page.evaluate(() => (window.notReloaded = true));
  const id = psql("INSERT INTO orders (customer_name, status, price) VALUES ('Ada Lovelace', 'pending', 1234.50) RETURNING id");
  await shows(page, id, "customer_name", "Ada Lovelace");
  await shows(page, id, "price", "1234.50");
  psql(`UPDATE orders SET status = 'shipped' WHERE id = ${id}`);
  await shows(page, id, "status", "shipped");
  psql(`DELETE FROM orders WHERE id = ${id}`);
  await leaves(page, id);
  await counts(page, total());
  assert.equal(await page.evaluate(() => window.notReloaded), true);
  assert.deepEqual(opened.problems, []);
});

test("text from the database is shown as text", async () => {
  const page = await openLive();
  for (const text of ["<img src=x onerror=window.hurt=1>", "</script><script>window.hurt=1</script>", "\\u0000 🦀 𝒳"]) {
    const id = psql(`INSERT INTO orders (customer_name, status) VALUES ($text$${text}$text$, 'pending') RETURNING id`);
    await shows(page, id, "customer_name", text);
    psql(`DELETE FROM orders WHERE id = ${id}`);
    await leaves(page, id);
  }
  assert.equal(await page.evaluate(() => window.hurt), undefined);
  assert.deepEqual(opened.problems, []);
});

test("a page whose server was killed recovers by itself, with the right rows", async () => {
  const page = await openLive();
  await page.evaluate(() => (window.notReloaded = true));
  const gone = psql("INSERT INTO orders (customer_name, status) VALUES ('Leaves meanwhile', 'pending') RETURNING id");
  await shows(page, gone, "customer_name", "Leaves meanwhile");
  for (let round = 1; round <= 3; round += 1) {
    await killRowcast();
    await page.waitForSelector('[data-testid="state"]:not([data-phase="live"])', { timeout: PATIENCE_MS });
    const id = psql(`INSERT INTO orders (customer_name, status) VALUES ('Came in round ${round}', 'pending') RETURNING id`);
    psql(`DELETE FROM orders WHERE id = ${gone}; UPDATE orders SET status = 'round ${round}' WHERE id = ${id}`);
    await startRowcast();
    await live(page);
    await shows(page, id, "status", `round ${round}`);
    await leaves(page, gone);
    await counts(page, total());
  }
  assert.equal(await page.evaluate(() => window.notReloaded), true);
});
