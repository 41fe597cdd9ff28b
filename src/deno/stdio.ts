/** Standard input and output as one connection, for programs that serve or speak a protocol on them. */
import type { Bytes } from "../bytes/bytes.ts";
import { type PlainDuplex, PlainDuplexBase } from "../streams/duplex.ts";

class StandardStreams extends PlainDuplexBase {
  #closed?: { reason: unknown };

  async read(into: Bytes): Promise<number | null> {
    if (this.#closed) throw this.#closed.reason;
    return await Deno.stdin.read(into);
  }

  async write(from: Bytes): Promise<void> {
    if (this.#closed) throw this.#closed.reason;
    for (let at = 0; at < from.length;) at += await Deno.stdout.write(at === 0 ? from : from.subarray(at));
  }

  closeWrite(): Promise<void> {
    try {
      Deno.stdout.close();
    } catch {
      // It is closed.
    }
    return Promise.resolve();
  }

  /** A read that waits for input stays until some comes: the process ends, or the other end closes. */
  close(reason?: unknown): void {
    if (this.#closed) return;
    this.#closed = { reason: reason ?? new Error("the connection was closed") };
    this.closeWrite();
  }
}

/** At most once per process. */
export function standardStreams(): PlainDuplex {
  return new StandardStreams();
}
