// The whole way, psql to pixels: real PostgreSQL, the real binary, real Chromium. The page's own tests (web/live/test)
// play a server; this one does not.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { openPage } from "../../web/dev/browser.js";
import { Shop } from "./shop.mjs";

/** How long the page may take to show what was committed, on a machine that is busy with other tests. */
const PATIENCE_MS = 30_000;

let shop, opened;

const psql = (sql) => shop.psql(sql);

before(async () => {
  shop = await Shop.open();
});
after(() => shop?.close());
afterEach(async () => {
  await opened?.close();
  opened = null;
});

async function openLive() {
  opened = await openPage(`http://127.0.0.1:${shop.port}/`);
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
    await shop.killRowcast();
    await page.waitForSelector('[data-testid="state"]:not([data-phase="live"])', { timeout: PATIENCE_MS });
    const id = psql(`INSERT INTO orders (customer_name, status) VALUES ('Came in round ${round}', 'pending') RETURNING id`);
    psql(`DELETE FROM orders WHERE id = ${gone}; UPDATE orders SET status = 'round ${round}' WHERE id = ${id}`);
    await shop.startRowcast();
    await live(page);
    await shows(page, id, "status", `round ${round}`);
    await leaves(page, gone);
    await counts(page, total());
  }
  assert.equal(await page.evaluate(() => window.notReloaded), true);
});
