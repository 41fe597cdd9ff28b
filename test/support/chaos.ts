/** Connections that misbehave on purpose, around good ones. */
import type { Bytes } from "../../src/bytes/bytes.ts";
import { type PlainDuplex, PlainDuplexBase } from "../../src/streams/duplex.ts";

/** What a fault looks like to whoever reads or writes. */
export class InjectedFault extends Error {
  override readonly name = "InjectedFault";
}

export interface Chaos {
  /** The read with this number (from 0) fails, and the connection with it. */
  readonly failRead?: number;
  /** The write with this number (from 0) fails, and the connection with it. */
  readonly failWrite?: number;
  /** No read gives more than this many bytes: 1 makes every boundary fall everywhere. */
  readonly chunk?: number;
  /** The bit with this number of the incoming stream is flipped. */
  readonly flipBit?: number;
}

/** A view of `inner` that misbehaves as told. */
export class ChaosDuplex extends PlainDuplexBase {
  /** Reads and writes so far, to learn how many faults there are to inject. */
  reads = 0;
  writes = 0;
  readonly #inner: PlainDuplex;
  readonly #chaos: Chaos;
  #received = 0;

  constructor(inner: PlainDuplex, chaos: Chaos) {
    super();
    this.#inner = inner;
    this.#chaos = chaos;
  }

  async read(into: Bytes): Promise<number | null> {
    const { failRead, chunk = into.length, flipBit = -1 } = this.#chaos;
    if (this.reads++ === failRead) throw this.#fail("read");
    const count = await this.#inner.read(into.subarray(0, chunk));
    if (count === null) return null;
    const at = (flipBit >> 3) - this.#received;
    if (at >= 0 && at < count) into[at] ^= 1 << (flipBit & 7);
    this.#received += count;
    return count;
  }

  async write(from: Bytes): Promise<void> {
    if (this.writes++ === this.#chaos.failWrite) throw this.#fail("write");
    await this.#inner.write(from);
  }

  closeWrite(): Promise<void> {
    return this.#inner.closeWrite();
  }

  close(reason?: unknown): void {
    this.#inner.close(reason);
  }

  #fail(what: string): InjectedFault {
    const fault = new InjectedFault(`injected: ${what} failed`);
    this.#inner.close(fault);
    return fault;
  }
}
