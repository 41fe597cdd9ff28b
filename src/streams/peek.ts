/** Looks at the first bytes of a connection, which can be read afterwards all the same. */
import type { Bytes } from "../bytes/bytes.ts";
import { deferred } from "./deferred.ts";
import { type PlainDuplex, PlainDuplexBase } from "./duplex.ts";

/** The part of a clock that peeking needs; `Clock` of `platform/clock.ts` fits. */
export interface PeekClock {
  /** Calls `callback` once after `ms`; the result cancels it. */
  after(ms: number, callback: () => void): () => void;
}

/** How much to look at, and for how long. */
export interface PeekOptions {
  /** Whether the bytes so far tell enough. Asked after each arrival; the view is only lent. */
  readonly enough: (seen: Bytes) => boolean;
  /** Most bytes that are looked at: memory that a stranger may take. */
  readonly limit: number;
  /** Milliseconds that the peer has for them. */
  readonly timeout: number;
  readonly clock: PeekClock;
}

/** The connection, and what was seen of it. */
export interface Peeked {
  /** Stands for the connection from now on, with the first bytes still to be read. Owns it. */
  readonly connection: PlainDuplex;
  /** A copy of what was seen. */
  readonly seen: Bytes;
  /** Why it is not more: there was `enough`, `limit` bytes, no more in time, the peer's `end` or a connection that `broke`. */
  readonly reason: "enough" | "limit" | "timeout" | "end" | "broke";
}

/**
 * Reads until there is enough, and gives it all back. Never rejects: a connection that breaks says so when it is read.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { systemClock } from "../platform/clock.ts";
 * import { duplexPair } from "./pair.ts";
 * import { peek } from "./peek.ts";
 * const [near, far] = duplexPair();
 * await far.write(new Uint8Array([1, 2, 3]));
 * const enough = (seen: Uint8Array) => seen.length > 0;
 * const { connection, seen } = await peek(near, { enough, limit: 16, timeout: 1000, clock: systemClock });
 * assert.deepEqual([...seen], [1, 2, 3]);
 * assert.equal(await connection.read(new Uint8Array(16)), 3);
 * ```
 */
export async function peek(connection: PlainDuplex, options: PeekOptions): Promise<Peeked> {
  const { enough, limit, timeout, clock } = options;
  const peeked = new PeekedDuplex(connection, limit);
  let late = false;
  const timedOut = deferred();
  const cancel = clock.after(timeout, () => {
    late = true;
    timedOut.resolve();
  });
  const answer = (reason: Peeked["reason"]): Peeked => ({
    connection: peeked,
    seen: peeked.buffered.slice(),
    reason,
  });
  try {
    for (;;) {
      const arrival = await Promise.race([peeked.fill(), timedOut.promise]);
      if (arrival === "end" || arrival === "broke") return answer(arrival);
      if (enough(peeked.buffered)) return answer("enough");
      if (late) return answer("timeout");
      if (peeked.buffered.length === limit) return answer("limit");
    }
  } finally {
    cancel();
  }
}

class PeekedDuplex extends PlainDuplexBase {
  readonly #inner: PlainDuplex;
  readonly #buffer: Bytes;
  #start = 0;
  #end = 0;
  /** A read into the buffer that has not settled: there is one at a time, and it outlives the peek. */
  #filling?: Promise<"bytes" | "end" | "broke">;
  #broken?: { error: unknown };
  #ended = false;

  constructor(inner: PlainDuplex, limit: number) {
    super();
    this.#inner = inner;
    this.#buffer = new Uint8Array(limit);
  }

  get closed(): Promise<unknown> | undefined {
    return this.#inner.closed;
  }

  get buffered(): Bytes {
    return this.#buffer.subarray(this.#start, this.#end);
  }

  fill(): Promise<"bytes" | "end" | "broke"> {
    return this.#filling ??= this.#fill();
  }

  async #fill(): Promise<"bytes" | "end" | "broke"> {
    try {
      const count = await this.#inner.read(this.#buffer.subarray(this.#end));
      this.#ended = count === null;
      this.#end += count ?? 0;
    } catch (error) {
      this.#broken = { error };
    }
    this.#filling = undefined;
    return this.#broken ? "broke" : this.#ended ? "end" : "bytes";
  }

  read(into: Bytes): Promise<number | null> {
    const passes = this.#start === this.#end && !this.#filling && !this.#broken && !this.#ended;
    return passes ? this.#inner.read(into) : this.#readFirst(into);
  }

  async #readFirst(into: Bytes): Promise<number | null> {
    if (this.#start === this.#end) await this.#filling;
    const part = this.buffered.subarray(0, into.length);
    if (part.length > 0) {
      into.set(part);
      this.#start += part.length;
      return part.length;
    }
    if (this.#broken) throw this.#broken.error;
    return null;
  }

  write(from: Bytes): Promise<void> {
    return this.#inner.write(from);
  }

  closeWrite(): Promise<void> {
    return this.#inner.closeWrite();
  }

  close(reason?: unknown): void {
    this.#inner.close(reason);
  }
}
