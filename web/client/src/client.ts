/**
 * Keeps one connection to a Rowcast server, for as long as the page lives.
 *
 * Promises: it comes back by itself, with back-off and jitter, whenever the server's close code allows it; each
 * subscription goes on from its cursor; a connection that died without a word (sleep, lost network, a proxy that
 * forgot us) is found out by pings of our own, because a browser cannot see WebSocket's. Until then nothing is called live
 * that was not heard of.
 *
 * Does not know what a row is: `table.ts` does.
 */

import { mayReconnect, meaningOf, reconnectDelayMs } from "./backoff.js";
import { parse } from "./json.js";
import { SUBPROTOCOL, type ClientMessage, type ServerMessage } from "./protocol.js";
import type { State } from "./state.js";
import { Subscription, type Link, type SubscribeOptions } from "./subscription.js";
import { Table, type TableOptions } from "./table.js";

/** Silence after which the server is asked whether it is there. */
const HEARTBEAT_MS = 20_000;
/** How long an answer may take; background tabs run their timers once a minute, so the clock is looked at too. */
const ANSWER_MS = 20_000;
/** The same for a page that has just woken up: somebody is looking at it. */
const WAKE_ANSWER_MS = 4_000;
/** A page that heard of the server within this time needs no question when it is looked at again. */
const FRESH_MS = 5_000;
/** A server that failed on one subscription, or cannot answer yet, is asked again after this. */
const RETRY_MS = 2_000;
/** An error is followed by the close that says more; a socket that keeps that to itself is given up after this. */
const CLOSE_MS = 1_000;

/** What a connection is made of: a browser's WebSocket, Node's (from version 22), or that of the package `ws`. */
export interface Socket {
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

/** What a browser has and other programs or a test replace. */
export interface ClientOptions {
  /** Makes the socket; default: the global WebSocket's. */
  webSocket?: (url: string, protocol: string) => Socket;
  /** Chance, for jitter: 0 to 1. */
  random?: () => number;
  /** Where `online`, `offline` and `visibilitychange` are heard; default: the page, if there is one. */
  events?: EventTarget | null;
}

/** Connects to `ws://…/ws`, now and whenever the connection is lost. */
export function connect(url: string | URL, options: ClientOptions = {}): Client {
  return new Client(String(url), options);
}

export class Client implements Link {
  readonly #subscriptions = new Map<string, Subscription>();
  /** By the server's number. Null: unsubscribed, what still comes is dropped. */
  readonly #numbers = new Map<number, Subscription | null>();
  readonly #events: EventTarget[];
  #socket: Socket | null = null;
  #open = false;
  #closed = false;
  #attempt = 0;
  #nextRef = 1;
  #heard = new Date();
  #everOpen = false;
  #doubting = false;
  /** The heartbeat while connected, the next attempt while not. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #beating = false;
  readonly #retries = new Set<ReturnType<typeof setTimeout>>();

  constructor(
    readonly url: string,
    readonly options: ClientOptions = {},
  ) {
    if (!options.webSocket && typeof WebSocket === "undefined") throw new Error(NO_WEBSOCKET);
    const page = typeof window === "undefined" || typeof document === "undefined" ? [] : [window, document];
    this.#events = options.events === undefined ? page : options.events ? [options.events] : [];
    for (const target of this.#events) for (const name of WAKE_EVENTS) target.addEventListener(name, this.#woken);
    this.#connect();
  }

  /** Follows a topic; the listener gets encoded rows and changes. */
  subscribe(topic: string, options: SubscribeOptions = {}): Subscription {
    const subscription = new Subscription(topic, String(this.#nextRef++), options, this);
    this.#subscriptions.set(subscription.ref, subscription);
    if (this.#open) this.send(subscription);
    return subscription;
  }

  /** Keeps a topic's rows, merged by key, as values that can be shown. */
  table(topic: string, options: TableOptions = {}): Table {
    return new Table(this, topic, options);
  }

  /** Ends all subscriptions and the connection. */
  close(): void {
    for (const subscription of [...this.#subscriptions.values()]) subscription.close();
    this.#finish();
    this.#socket?.close(1000);
  }

  /** @internal Asks for a subscription. */
  send(subscription: Subscription): void {
    if (!this.#open || subscription.closed) return;
    subscription.prepare();
    this.#say(subscription.request());
  }

  /** @internal Ends a subscription. */
  end(subscription: Subscription): void {
    this.#subscriptions.delete(subscription.ref);
    for (const [sub, known] of this.#numbers) {
      if (known !== subscription) continue;
      this.#numbers.set(sub, null);
      if (this.#open) this.#say({ type: "unsubscribe", sub });
    }
  }

  /** @internal Asks for a subscription again, a little later. */
  retry(subscription: Subscription): void {
    const timer = setTimeout(() => {
      this.#retries.delete(timer);
      this.send(subscription);
    }, RETRY_MS);
    this.#retries.add(timer);
  }

  #connect(): void {
    this.#clearTimers();
    const make = this.options.webSocket ?? ((url: string, protocol: string) => new WebSocket(url, protocol));
    const socket = make(this.url, SUBPROTOCOL);
    this.#socket = socket;
    socket.onopen = () => this.#opened(socket);
    socket.onmessage = (event: MessageEvent) => this.#received(socket, event);
    socket.onclose = (event: CloseEvent) => this.#lost(socket, event.code, event.reason);
    // Without a listener, ws ends the program. What happened is told by the close that follows, if one does.
    socket.onerror = () => this.#erred(socket);
  }

  #opened(socket: Socket): void {
    if (socket !== this.#socket) return;
    this.#open = true;
    this.#everOpen = true;
    this.#hear();
    for (const subscription of this.#subscriptions.values()) this.send(subscription);
  }

  #received(socket: Socket, event: MessageEvent): void {
    if (socket !== this.#socket || typeof event.data !== "string") return;
    this.#hear();
    // A message means that the server is well: the next loss begins with the shortest wait.
    this.#attempt = 0;
    this.#dispatch(parse(event.data) as unknown as ServerMessage);
  }

  #dispatch(message: ServerMessage): void {
    switch (message.type) {
      case "pong":
        // Only the answer to our question counts: a change could have lain in a buffer while this page slept.
        return this.#doubting ? this.#reassure() : undefined;
      case "subscribed":
        return this.#numbered(message.sub, message.ref, message);
      case "unsubscribed":
        // The number may be in use again already: only a dropped one is forgotten.
        if (this.#numbers.get(message.sub) === null) this.#numbers.delete(message.sub);
        return;
      case "error":
        return this.#failed(message);
      default:
        // Other than `unsubscribed`, a type of a newer server has no meaning here: without a number it is ignored.
        return this.#numbers.get(message.sub)?.on(message);
    }
  }

  #numbered(sub: number, ref: string | null, message: ServerMessage): void {
    const subscription = this.#subscriptions.get(ref ?? "");
    if (!subscription) {
      // Closed before its answer came.
      this.#numbers.set(sub, null);
      return this.#say({ type: "unsubscribe", sub });
    }
    this.#numbers.set(sub, subscription);
    subscription.on(message);
  }

  #failed(message: ServerMessage & { type: "error" }): void {
    const { sub, ref, topic } = message;
    if (topic !== undefined) {
      for (const each of this.#subscriptions.values()) if (each.topic === topic) each.options.onError?.(message);
      return;
    }
    const subscription = ref !== undefined ? this.#subscriptions.get(ref) : sub !== undefined ? this.#numbers.get(sub) : null;
    if (sub !== undefined) this.#numbers.delete(sub);
    subscription?.on(message);
    if (subscription?.closed) this.#subscriptions.delete(subscription.ref);
  }

  /** A close code is worth waiting for: it says whether to come back. */
  #erred(socket: Socket): void {
    if (socket !== this.#socket || this.#closed) return;
    this.#clearTimers();
    this.#beating = true;
    this.#timer = setTimeout(() => {
      if (socket !== this.#socket) return;
      this.#lost(socket, 1006, "");
      socket.close();
    }, CLOSE_MS);
  }

  #lost(socket: Socket, code: number, reason: string): void {
    if (socket !== this.#socket) return;
    const hadConnection = this.#open;
    this.#drop();
    if (this.#closed) return;
    if (!mayReconnect(code)) return this.#giveUp(code, reason);
    const delay = reconnectDelayMs(this.#attempt++, code, (this.options.random ?? Math.random)());
    this.#tell(delay, this.#whyLost(hadConnection, code, reason));
    this.#timer = setTimeout(() => this.#connect(), delay);
  }

  /** 1006 says nothing: a browser does not tell a page why it could not connect. */
  #whyLost(hadConnection: boolean, code: number, reason: string): string {
    if (code !== 1006) return meaningOf(code, reason);
    return hadConnection ? "The connection was lost." : `No answer from ${new URL(this.url).host}.`;
  }

  #tell(delay: number, error: string): void {
    const retryAt = new Date(Date.now() + delay);
    const state: State & { phase: "connecting" | "reconnecting" } = this.#everOpen
      ? { phase: "reconnecting", staleSince: this.#heard, retryAt, error }
      : { phase: "connecting", error };
    for (const subscription of this.#subscriptions.values()) subscription.disconnected(state);
  }

  #giveUp(code: number, reason: string): void {
    this.#finish();
    const name = String(code);
    for (const subscription of this.#subscriptions.values()) subscription.ended(name, meaningOf(code, reason), this.#heard);
  }

  #finish(): void {
    this.#closed = true;
    this.#clearTimers();
    for (const target of this.#events) for (const name of WAKE_EVENTS) target.removeEventListener(name, this.#woken);
  }

  /** The socket is nobody's from here on: what it still says is not heard. */
  #drop(): void {
    this.#socket = null;
    this.#open = false;
    this.#doubting = false;
    this.#numbers.clear();
    this.#clearTimers();
  }

  #clearTimers(): void {
    clearTimeout(this.#timer);
    this.#beating = false;
    for (const timer of this.#retries) clearTimeout(timer);
    this.#retries.clear();
  }

  #say(message: ClientMessage): void {
    this.#socket?.send(JSON.stringify(message));
  }

  #hear(): void {
    this.#heard = new Date();
    // One timer that looks at the clock when it rings, instead of one reset for every message.
    if (!this.#beating) this.#beat(HEARTBEAT_MS);
  }

  #beat(delay: number): void {
    this.#beating = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#beating = false;
      if (!this.#open) return;
      const silence = Date.now() - this.#heard.getTime();
      if (silence < HEARTBEAT_MS) return this.#beat(HEARTBEAT_MS - silence);
      // Far more silence than a heartbeat: this page slept. Its rows may be old already.
      this.#ask(ANSWER_MS, silence > 2 * HEARTBEAT_MS);
    }, delay);
  }

  #ask(patience: number, doubt: boolean): void {
    const [socket, asked] = [this.#socket, Date.now()];
    if (doubt) this.#doubt();
    this.#say({ type: "ping" });
    this.#beating = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#beating = false;
      if (socket !== this.#socket || !socket) return;
      if (this.#heard.getTime() >= asked) return this.#beat(HEARTBEAT_MS);
      socket.close();
      this.#lost(socket, 1006, "");
    }, patience);
  }

  #doubt(): void {
    this.#doubting = true;
    for (const subscription of this.#subscriptions.values()) subscription.doubted(this.#heard);
  }

  #reassure(): void {
    this.#doubting = false;
    for (const subscription of this.#subscriptions.values()) subscription.reassured();
  }

  readonly #woken = (event: Event): void => {
    if (event.type === "visibilitychange" && document.visibilityState !== "visible") return;
    if (this.#open) {
      const silence = Date.now() - this.#heard.getTime();
      const offline = event.type === "offline";
      if (offline || silence > FRESH_MS) this.#ask(WAKE_ANSWER_MS, offline || silence > 2 * HEARTBEAT_MS);
    } else if (this.#socket === null && event.type !== "offline") {
      this.#attempt = 0;
      this.#connect();
    }
  };
}

/** Node has one from version 22 on. */
const NO_WEBSOCKET =
  'there is no WebSocket here: npm install ws, import { WebSocket } from "ws", and connect(url, { webSocket: (url, protocol) => new WebSocket(url, protocol) })';

/** When a page may have slept, or the network has come or gone. */
const WAKE_EVENTS = ["online", "offline", "visibilitychange", "pageshow", "resume"];
