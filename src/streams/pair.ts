/** Two ends of a connection in memory. */
import type { Bytes } from "../bytes/bytes.ts";
import { type PlainDuplex, PlainDuplexBase } from "./duplex.ts";

/** What a pipe in memory holds before its writer waits, in bytes. */
const PIPE_CAPACITY = 64 * 1024;

/** One direction: a bounded buffer between a writer and a reader. */
class Pipe {
  #queue: Bytes[] = [];
  #held = 0;
  #ended = false;
  #broken?: { reason: unknown };
  #wakeReader?: () => void;
  #wakeWriter?: () => void;

  async read(into: Bytes): Promise<number | null> {
    while (this.#held === 0) {
      if (this.#broken) throw this.#broken.reason;
      if (this.#ended) return null;
      await new Promise<void>((resolve) => this.#wakeReader = resolve);
    }
    let count = 0;
    while (count < into.length && this.#queue.length > 0) {
      const first = this.#queue[0];
      const part = first.subarray(0, into.length - count);
      into.set(part, count);
      count += part.length;
      if (part.length === first.length) this.#queue.shift();
      else this.#queue[0] = first.subarray(part.length);
    }
    this.#held -= count;
    this.#wakeWriter?.();
    return count;
  }

  async write(from: Bytes): Promise<void> {
    if (this.#ended) throw new Error("write after the end of the stream");
    if (from.length > 0 && !this.#broken) {
      this.#queue.push(from.slice());
      this.#held += from.length;
      this.#wakeReader?.();
    }
    while (this.#held >= PIPE_CAPACITY && !this.#broken) {
      await new Promise<void>((resolve) => this.#wakeWriter = resolve);
    }
    if (this.#broken) throw this.#broken.reason;
  }

  end(): void {
    this.#ended = true;
    this.#wakeReader?.();
  }

  break(reason: unknown): void {
    this.#broken ??= { reason };
    this.#queue = [];
    this.#held = 0;
    this.#wakeReader?.();
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
    return this.#incoming.read(into);
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
    this.#outgoing.break(reason);
  }
}

/**
 * A connection in memory: what one end writes, the other reads. Writers wait at 64 KiB unread.
 *
 * ```ts
 * import { duplexPair } from "./pair.ts";
 * const [near, far] = duplexPair();
 * await near.write(new Uint8Array([1, 2, 3]));
 * const buffer = new Uint8Array(8);
 * console.assert(await far.read(buffer) === 3);
 * ```
 */
export function duplexPair(): [PlainDuplex, PlainDuplex] {
  const there = new Pipe();
  const back = new Pipe();
  return [new PipeEnd(back, there), new PipeEnd(there, back)];
}
