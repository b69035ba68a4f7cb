/**
 * Brings one topic to the screen: the client's events in, what components show out.
 *
 * However many changes arrive, the screen is brought up to date once per animation frame; a hidden page gathers
 * changes by key, so an hour in the background costs one repaint. Rows live in `View`, outside of Svelte's
 * tracking: components see `frame` count up and ask the view for the few rows that they show.
 */

import { connect, type Client, type Column, type Failure, type Op, type State, type Table, type TableChange } from "@rowcast/client";
import { widthOf } from "./cells.js";
import { changedColumns, Feed, type FeedItem } from "./feed.js";
import { View, type Sorting } from "./view.js";
import { spokenSummary } from "./words.js";

/** How long a deleted row is seen to leave. */
const LEAVE_MS = 500;
/** While rows are loading the order is made anew this often, not for each part. */
const LOADING_FRAME_MS = 250;
/** Before any moment: what comes next is shown at once, in the first milliseconds of a page too. */
const NEVER = Number.NEGATIVE_INFINITY;
/** How often changes are summed up for screen readers. */
const SPEAK_MS = 6_000;
/** Asked again for a topic that did not exist. */
const RETRY_MS = 4_000;
/** Rows whose search text is prepared in one idle moment. */
const WARM_ROWS = 500;
/** Rows that decide the columns' widths; later rows do not move columns under the reader's eyes. */
const WIDTH_ROWS = 200;

export class LivePage {
  readonly view = new View();
  readonly feed = new Feed();
  readonly host: string;

  state = $state.raw<State>({ phase: "connecting", error: null });
  topic = $state.raw<string | null>(null);
  topics = $state.raw<string[]>([]);
  /** The list of topics has been read, so that "no topic" is known to be true. */
  topicsKnown = $state(false);
  columns = $state.raw<Column[]>([]);
  widths = $state.raw<number[]>([]);
  sorting = $state.raw<Sorting | null>(null);
  query = $state("");
  total = $state(0);
  found = $state(0);
  /** Counts up whenever rows may look other than before. */
  frame = $state(0);
  items = $state.raw<FeedItem[]>([]);
  median = $state.raw<number | null>(null);
  spoken = $state("");
  failure = $state.raw<Failure | null>(null);
  /** Why the server does not know its topics yet. */
  starting = $state<string | null>(null);
  /** What is wrong with the topic, though its changes come. */
  warning = $state<string | null>(null);
  /** The key of the row whose details are open. */
  opened = $state.raw<string | null>(null);

  /** Called around a repaint, so that the grid can keep its place. */
  beforeSettle: () => void = () => {};
  afterSettle: () => void = () => {};

  /** The newest state. It is shown at once, but for "live", which is said with the rows that make it true. */
  #newest: State = this.state;
  #client: Client | null = null;
  #table: Table | null = null;
  #scheduled = false;
  #reload = false;
  #reloadedAt = NEVER;
  #unspoken = new Map<Op, number>();
  #speaking = false;
  #calm = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(readonly base: string) {
    this.host = new URL(base).host;
  }

  start(): void {
    const url = new URL("ws", this.base);
    url.protocol = url.protocol.replace("http", "ws");
    this.#client = connect(url);
    const asked = new URL(this.base).searchParams.get("topic");
    if (asked) this.follow(asked);
    void this.#readTopics();
  }

  /** Shows this topic from now on. */
  follow(topic: string): void {
    this.#table?.close();
    this.topic = topic;
    this.failure = null;
    this.warning = null;
    this.view.describe([]);
    this.view.clear();
    this.feed.clear();
    this.columns = [];
    this.#table = this.#client!.table(topic, {
      onSchema: (schema) => this.#describe(schema.columns),
      onRows: () => this.#reloadSoon(),
      onChange: (change) => this.#changed(change),
      onState: (state) => this.#entered(state),
      onError: (failure) => this.#refused(failure),
    });
    this.#schedule();
  }

  search(query: string): void {
    this.query = query;
    this.view.search(query);
    this.#schedule();
  }

  sortBy(column: Column): void {
    const same = this.sorting?.column.name === column.name;
    this.sorting = { column, descending: same ? !this.sorting!.descending : false };
    this.view.sortBy(this.sorting);
    this.#schedule();
  }

  /** The rows as a sentence of the state may name them. */
  get rowsKept(): number {
    return this.total;
  }

  #describe(columns: Column[]): void {
    this.columns = columns;
    this.view.describe(columns);
    this.sorting = this.view.sorting;
    this.widths = [];
    this.#reloadSoon();
  }

  #changed(change: TableChange): void {
    const { before, after } = change;
    const changed = before && after ? changedColumns(this.columns, before, after) : [];
    if (change.op === "t") this.view.clear();
    else if (after) this.view.put(after, changed);
    else if (change.key !== null) this.view.remove(change.key);
    const now = performance.timeOrigin + performance.now();
    this.feed.add(change, this.columns, changed, now, this.#newest.phase === "live");
    this.#unspoken.set(change.op, (this.#unspoken.get(change.op) ?? 0) + 1);
    this.#speakSoon();
    this.#schedule();
  }

  #entered(state: State): void {
    this.#newest = state;
    if (state.phase === "loading") this.failure = null;
    if (state.phase !== "live") {
      this.state = state;
      return;
    }
    this.failure = null;
    this.#reloadedAt = NEVER;
    // A page out of sight gets no frames.
    if (document.hidden) this.#paint(performance.now());
    else this.#schedule();
    this.#warm(0);
  }

  #refused(failure: Failure): void {
    if (failure.code === "not_json") {
      this.warning = failure.message;
      return;
    }
    this.failure = failure;
    if (failure.code !== "unknown_topic") return;
    const topic = this.topic;
    setTimeout(() => {
      void this.#readTopics();
      if (topic !== null && topic === this.topic && this.failure === failure) this.follow(topic);
    }, RETRY_MS);
  }

  async #readTopics(): Promise<void> {
    try {
      const answer = await fetch(new URL("topics.json", this.base), { cache: "no-store" });
      if (answer.status === 503) this.starting = ((await answer.json()) as { error: string }).error;
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const { topics } = (await answer.json()) as { topics: string[] };
      this.topics = topics;
      this.starting = null;
      this.topicsKnown = true;
    } catch {
      this.topicsKnown = false;
    }
    const first = this.topics[0];
    if (this.topic !== null) return;
    if (first !== undefined) this.follow(first);
    else setTimeout(() => void this.#readTopics(), RETRY_MS);
  }

  #reloadSoon(): void {
    this.#reload = true;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#paint(performance.now());
    });
  }

  #paint(now: number): void {
    this.beforeSettle();
    const wait = this.#settle(now);
    this.#measure();
    this.state = this.#newest;
    this.total = this.view.total;
    this.found = this.view.found;
    this.items = this.feed.items;
    this.median = this.feed.median();
    this.frame++;
    this.afterSettle();
    const leave = this.view.nextLeave();
    const next = leave === null ? wait : Math.min(wait ?? Infinity, Math.max(0, leave - now));
    if (next !== null) setTimeout(() => this.#schedule(), next);
  }

  /** Brings the view up to date; tells how many milliseconds to wait if a reload was put off. */
  #settle(now: number): number | null {
    if (this.#reload && this.#table) {
      const due = this.#reloadedAt + LOADING_FRAME_MS;
      if (now < due) return due - now;
      this.#reload = false;
      this.view.replace(this.#table.rows.values());
      this.#reloadedAt = this.#newest.phase === "loading" ? performance.now() : NEVER;
      return null;
    }
    this.view.settle(now, this.#calm.matches || document.hidden ? 0 : LEAVE_MS);
    return null;
  }

  /** Columns get their widths from the first rows, and keep them. */
  #measure(): void {
    if (this.columns.length === 0 || this.widths.length > 0) return;
    const rows = this.view.order.slice(0, WIDTH_ROWS).map((entry) => entry.row);
    const widths = this.columns.map((column) => widthOf(column, rows));
    if (rows.length > 0) this.widths = widths;
  }

  #warm(from: number): void {
    const idle = window.requestIdleCallback ?? ((callback: () => void) => setTimeout(callback, 50));
    idle(() => {
      if (this.view.warm(from, WARM_ROWS)) this.#warm(from + WARM_ROWS);
    });
  }

  #speakSoon(): void {
    if (this.#speaking) return;
    this.#speaking = true;
    setTimeout(() => {
      this.#speaking = false;
      this.spoken = spokenSummary(this.#unspoken, this.view.total);
      this.#unspoken = new Map();
    }, SPEAK_MS);
  }
}
