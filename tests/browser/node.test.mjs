// The client library in a program without a browser: Node, the real package `ws`, the real binary on a real PostgreSQL.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { connect } from "../../web/client/dist/index.js";
import { Shop } from "./shop.mjs";

const { WebSocket } = createRequire(new URL("../../web/package.json", import.meta.url))("ws");
/** How long a program may take to have what was committed, on a machine that is busy with other tests. */
const PATIENCE_MS = 30_000;

let shop, client;

before(async () => {
  shop = await Shop.open();
});
after(async () => {
  client?.close();
  await shop?.close();
});

/** A table that is followed, and a way to wait for what it shall be. */
function follow(url) {
  client = connect(url, { webSocket: (url, protocol) => new WebSocket(url, protocol) });
  const phases = [];
  const waiting = new Set();
  const look = () => waiting.forEach((each) => each());
  const table = client.table("orders.public.orders", {
    onChange: look,
    onState: (state) => {
      phases.push(state.phase);
      look();
    },
  });
  const until = (what, is) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`gave up waiting for ${what}; ${phases.join(", ")}; ${table.rows.size} rows`)), PATIENCE_MS);
      const each = () => {
        if (!is(table)) return;
        clearTimeout(timer);
        waiting.delete(each);
        resolve();
      };
      waiting.add(each);
      each();
    });
  return { table, until };
}

test("a program with ws follows a table over deaths of the server", { timeout: 5 * PATIENCE_MS }, async () => {
  const { table, until } = follow(`ws://127.0.0.1:${shop.port}/ws`);
  await until("the first rows", () => table.state.phase === "live" && table.rows.size === 40);
  for (let round = 1; round <= 2; round += 1) {
    await shop.killRowcast();
    // Not once: nobody listens, and each attempt is an error of its own.
    await until("an attempt that was refused", () => table.state.phase === "reconnecting" && table.state.error.startsWith("No answer"));
    const id = shop.psql(`INSERT INTO orders (customer_name, status) VALUES ('Came in round ${round}', 'pending') RETURNING id`);
    await shop.startRowcast();
    await until("the row that came meanwhile", () => table.state.phase === "live" && table.rows.has(id));
  }
  // Before a connection is there, too.
  const other = connect("ws://127.0.0.1:9/ws", { webSocket: (url, protocol) => new WebSocket(url, protocol) });
  other.close();
});
