/** Peers that send one byte at a time, with a pause after each. */
import type { Bytes } from "../../src/bytes/bytes.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { type PlainDuplex, PlainDuplexBase } from "../../src/streams/duplex.ts";

/**
 * Connects to 127.0.0.1:`port`, drips `bytes` (then, while the server bears it, repeats the last one) and resolves to
 * how long the server took to cut the connection, in milliseconds. Rejects when it has not after `within`.
 */
export async function dripUntilCut(
  port: number,
  bytes: Uint8Array,
  { every = 1000, within }: { every?: number; within: number },
): Promise<number> {
  const began = performance.now();
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  connection.setNoDelay(true);
  let cut = false;
  let wake = () => {};
  const reading = (async () => {
    const buffer = new Uint8Array(4096);
    try {
      while (await connection.read(buffer) !== null);
    } catch {
      // A reset is a cut, too.
    }
    cut = true;
    wake();
  })();
  for (let i = 0; !cut && performance.now() - began < within; i++) {
    const byte = bytes.subarray(Math.min(i, bytes.length - 1)).subarray(0, 1);
    await connection.write(byte).catch(() => cut = true);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, every);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (cut) wake();
    });
  }
  if (!cut) {
    connection.close();
    await reading;
    throw new Error(`the server still bore a peer of one byte per ${every} ms after ${within} ms`);
  }
  await reading;
  return performance.now() - began;
}

/** A view of `inner` that writes as ever until it is slowed down, and then one byte at a time. */
export class DrippingDuplex extends PlainDuplexBase {
  /** Milliseconds between two bytes; undefined: as fast as it goes. */
  pause?: number;
  readonly #inner: PlainDuplex;
  readonly #life = new AbortController();

  constructor(inner: PlainDuplex) {
    super();
    this.#inner = inner;
  }

  read(into: Bytes): Promise<number | null> {
    return this.#inner.read(into);
  }

  async write(from: Bytes): Promise<void> {
    if (this.pause === undefined) return await this.#inner.write(from);
    for (let at = 0; at < from.length; at++) {
      await this.#inner.write(from.subarray(at, at + 1));
      await systemClock.sleep(this.pause, this.#life.signal);
    }
  }

  closeWrite(): Promise<void> {
    return this.#inner.closeWrite();
  }

  close(reason?: unknown): void {
    this.#life.abort(reason);
    this.#inner.close(reason);
  }
}
