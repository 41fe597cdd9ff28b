/** Two ends of a connection in memory. */
import type { Bytes } from "../bytes/bytes.ts";
import { type PlainDuplex, PlainDuplexBase } from "./duplex.ts";
import { Inbox } from "./inbox.ts";

/** What a pipe in memory holds before its writer waits, in bytes. */
const PIPE_CAPACITY = 64 * 1024;

/** One direction: a bounded buffer between a writer and a reader. */
class Pipe {
  readonly inbox = new Inbox(() => this.#wakeWriter?.());
  #ended = false;
  #abandoned = false;
  #broken?: { reason: unknown };
  #wakeWriter?: () => void;

  async write(from: Bytes): Promise<void> {
    if (this.#ended) throw new TypeError("write after the end of the stream");
    this.inbox.deliver(from);
    while (this.inbox.length >= PIPE_CAPACITY && !this.#broken && !this.#abandoned) {
      await new Promise<void>((resolve) => this.#wakeWriter = resolve);
    }
    if (this.#broken) throw this.#broken.reason;
  }

  end(): void {
    this.#ended = true;
    this.inbox.end();
  }

  /** The writer has gone: what it wrote before a proper end still arrives, otherwise the pipe breaks. */
  abandon(reason: unknown): void {
    if (!this.#ended) return this.break(reason);
    this.#abandoned = true;
    this.#wakeWriter?.();
  }

  break(reason: unknown): void {
    this.#broken ??= { reason };
    this.inbox.fail(reason);
    this.#wakeWriter?.();
  }
}

class PipeEnd extends PlainDuplexBase {
  readonly #incoming: Pipe;
  readonly #outgoing: Pipe;

  constructor(incoming: Pipe, outgoing: Pipe) {
    super();
    this.#incoming = incoming;
    this.#outgoing = outgoing;
  }

  read(into: Bytes): Promise<number | null> {
    return this.#incoming.inbox.read(into);
  }

  write(from: Bytes): Promise<void> {
    return this.#outgoing.write(from);
  }

  closeWrite(): Promise<void> {
    this.#outgoing.end();
    return Promise.resolve();
  }

  close(reason: unknown = new Error("the connection was closed")): void {
    this.#incoming.break(reason);
    this.#outgoing.abandon(reason);
  }
}

/**
 * A connection in memory: what one end writes, the other reads. Writers wait at 64 KiB unread.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { duplexPair } from "./pair.ts";
 * const [near, far] = duplexPair();
 * await near.write(new Uint8Array([1, 2, 3]));
 * const buffer = new Uint8Array(8);
 * assert.equal(await far.read(buffer), 3);
 * ```
 */
export function duplexPair(): [PlainDuplex, PlainDuplex] {
  const there = new Pipe();
  const back = new Pipe();
  return [new PipeEnd(back, there), new PipeEnd(there, back)];
}
