/** A WebSocket whose other side is the test. */
export class FakeSocket {
  static all = [];
  sent = [];

  constructor(url, protocol) {
    Object.assign(this, { url, protocol });
    FakeSocket.all.push(this);
  }

  static last() {
    return FakeSocket.all.at(-1);
  }

  open() {
    this.onopen?.({});
    return this;
  }

  say(...messages) {
    for (const message of messages) this.onmessage?.({ data: typeof message === "string" ? message : JSON.stringify(message) });
    return this;
  }

  drop(code = 1006, reason = "") {
    this.onclose?.({ code, reason });
  }

  /** An error that no close follows, as some sockets have it. */
  fail() {
    this.onerror?.({ message: "ECONNREFUSED" });
    return this;
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.closedByClient = true;
  }

  asked(type) {
    return this.sent.filter((message) => message.type === type);
  }
}

export const options = { webSocket: (url, protocol) => new FakeSocket(url, protocol), random: () => 1, events: null };
