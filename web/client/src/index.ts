/**
 * Follow a PostgreSQL table from a browser: its rows now, then every committed change, once and in order.
 *
 * ```ts
 * const client = connect("ws://localhost:3000/ws");
 * const orders = client.table("orders.public.orders", {
 *   onChange: ({ op, key, after }) => console.log(op, key, after?.encoded),
 *   onState: (state) => console.log(state.phase),
 * });
 * ```
 */

export { connect, Client, type ClientOptions, type Socket } from "./client.js";
export { Subscription, type SubscribeOptions } from "./subscription.js";
export { Row, Table, type TableChange, type TableOptions } from "./table.js";
export { compare, decode, format, kindOf, toDate, type Kind, type Value, type ValueType } from "./values.js";
export { parse, stringify, type Json } from "./json.js";
export type { Phase, State } from "./state.js";
export * from "./protocol.js";
