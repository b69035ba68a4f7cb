/**
 * One topic, as one listener follows it: rows, then changes, with the cursor from which to go on.
 *
 * Knows nothing of sockets: `client.ts` hands it messages and tells it when the connection comes and goes. What
 * it promises: every message is handed on once and in order, and `state` is never better than the truth.
 */

import type { Change, Failure, Reset, Schema, ServerMessage, Subscribe } from "./protocol.js";
import type { Json } from "./json.js";
import type { State } from "./state.js";

/** Where a subscription begins, and who listens. All callbacks are optional and are called in the order of arrival. */
export interface SubscribeOptions {
  /** Whether the rows come before the changes (default true). */
  snapshot?: boolean;
  /** Where to go on from, if a cursor was kept. */
  cursor?: string | null;
  /** The topic's shape: first of all, and again whenever it changes. Null: nobody knows it. */
  onSchema?: (schema: Schema | null) => void;
  /** A part of the rows; `first` says that earlier rows are to be forgotten. `keys` has the keys that rows do not say. */
  onRows?: (rows: Json[], first: boolean, keys?: Json[]) => void;
  /** One change of one row. */
  onChange?: (change: Change) => void;
  /** Rows or missed changes are complete; changes follow as they happen. */
  onLive?: (cursor: string) => void;
  /** The server cannot go on from our cursor: forget the rows, they come again. */
  onReset?: (reset: Reset) => void;
  /** A refusal by the server, or a word on what is wrong with the topic. `state` tells whether it is final. */
  onError?: (error: Failure) => void;
  /** The state has changed. */
  onState?: (state: State) => void;
}

/** What a subscription needs of its client. */
export interface Link {
  send(subscription: Subscription): void;
  end(subscription: Subscription): void;
  retry(subscription: Subscription): void;
}

/** Why rows are not live although the server answers. */
const SOURCE_AWAY = "the server waits to hear of its source again";

export class Subscription {
  #state: State = { phase: "connecting", error: null };
  #cursor: string | null;
  /** The next `rows` message begins the rows anew. */
  #fresh = true;
  /** Live once, so that there is something that can be stale. */
  #staleSince: Date | null = null;

  constructor(
    readonly topic: string,
    readonly ref: string,
    readonly options: SubscribeOptions,
    readonly link: Link,
  ) {
    this.#cursor = options.cursor ?? null;
  }

  get state(): State {
    return this.#state;
  }

  /** The place after the last message that was handed on; null before there is one. Keep it to go on from there. */
  get cursor(): string | null {
    return this.#cursor;
  }

  get closed(): boolean {
    return this.#state.phase === "closed";
  }

  /** Ends it. Nothing is handed on afterwards. */
  close(): void {
    if (this.closed) return;
    this.link.end(this);
    this.#enter({ phase: "closed", code: "closed", reason: "closed by this page", staleSince: this.#staleSince });
  }

  /** The message that asks for it, from where it stands. */
  request(): Subscribe {
    const { topic, ref } = this;
    return { type: "subscribe", topic, snapshot: this.options.snapshot ?? true, cursor: this.#cursor, ref };
  }

  /** A message under this subscription's number, or its answer. */
  on(message: ServerMessage): void {
    if (this.closed) return;
    switch (message.type) {
      case "subscribed":
        this.options.onSchema?.(message.schema);
        return this.#begin();
      case "schema":
        return this.options.onSchema?.(message.schema);
      case "rows":
        this.options.onRows?.(message.rows as Json[], this.#takeFresh(), message.keys as Json[] | undefined);
        return;
      case "change":
        this.options.onChange?.(message);
        this.#cursor = message.cursor;
        return;
      case "live":
        return this.#live(message.cursor);
      case "stale":
        return this.#stale(new Date(message.since_ms));
      case "fresh":
        return this.#fresher();
      case "reset":
        return this.#reset(message);
      case "error":
        return this.#refused(message);
    }
  }

  /** The connection is gone, and comes back. */
  disconnected(state: State & { phase: "connecting" | "reconnecting" }): void {
    if (this.closed) return;
    if (this.#state.phase === "live" && state.phase === "reconnecting") this.#staleSince = state.staleSince;
    if (this.#staleSince === null) return this.#enter({ phase: "connecting", error: state.error });
    this.#enter(state.phase === "reconnecting" ? { ...state, staleSince: this.#staleSince } : state);
  }

  /** Nobody has heard of the server since then: until it answers, rows are not called live. */
  doubted(since: Date): void {
    if (this.#state.phase !== "live") return;
    this.#staleSince = since;
    this.#enter({ phase: "catching-up", staleSince: since, reason: null });
  }

  /** The server has answered after a doubt; nothing was missed, or it would have come first. */
  reassured(): void {
    if (this.#state.phase === "catching-up" && this.#state.reason === null && this.#cursor !== null) {
      this.#enter({ phase: "live" });
    }
  }

  /** The connection is gone for good. */
  ended(code: string, reason: string, since: Date): void {
    if (this.closed) return;
    const staleSince = this.#state.phase === "live" ? since : this.#staleSince;
    this.#enter({ phase: "closed", code, reason, staleSince });
  }

  #begin(): void {
    if (this.#cursor === null && this.#staleSince === null) return this.#enter({ phase: "loading" });
    this.#enter({ phase: "catching-up", staleSince: this.#staleSince, reason: "resuming" });
  }

  #takeFresh(): boolean {
    const fresh = this.#fresh;
    this.#fresh = false;
    return fresh;
  }

  #live(cursor: string): void {
    // A table without rows sends none: the listener still has to forget what it had.
    if (this.#fresh && this.#cursor === null && this.options.snapshot !== false) this.options.onRows?.([], this.#takeFresh());
    this.#cursor = cursor;
    this.#fresh = false;
    this.options.onLive?.(cursor);
    this.#enter({ phase: "live" });
  }

  /** The server is there, and does not hear of its source: the rows stay as they were. */
  #stale(since: Date): void {
    if (this.#state.phase !== "live") return;
    this.#staleSince = since;
    this.#enter({ phase: "catching-up", staleSince: since, reason: SOURCE_AWAY });
  }

  #fresher(): void {
    if (this.#state.phase === "catching-up" && this.#state.reason === SOURCE_AWAY) this.#enter({ phase: "live" });
  }

  #reset(reset: Reset): void {
    this.#forgetCursor();
    this.options.onReset?.(reset);
    this.#enter({ phase: "catching-up", staleSince: this.#staleSince, reason: reset.message });
  }

  /** A cursor that is not taken costs the view once more; a server that failed, or does not know yet, is asked again; the rest
   * is final. */
  #refused(failure: Failure): void {
    this.options.onError?.(failure);
    if (failure.code === "bad_cursor" && this.#cursor !== null) {
      this.#forgetCursor();
      return this.link.send(this);
    }
    if (failure.code === "internal" || failure.code === "not_ready") {
      if (this.#staleSince === null && this.#state.phase === "live") this.#staleSince = new Date();
      this.#enter({ phase: "catching-up", staleSince: this.#staleSince, reason: failure.message });
      return this.link.retry(this);
    }
    this.#enter({ phase: "closed", code: failure.code, reason: failure.message, staleSince: this.#staleSince });
  }

  /** Called when a load was cut off before its cursor came, too: what has arrived is not a view. */
  #forgetCursor(): void {
    this.#cursor = null;
    this.#fresh = true;
  }

  /** Before it is asked for (again): without a cursor the rows begin anew. */
  prepare(): void {
    if (this.#cursor === null) this.#fresh = true;
  }

  #enter(state: State): void {
    this.#state = state;
    this.options.onState?.(state);
  }
}
