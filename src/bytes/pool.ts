/** Large buffers for reuse: allocating and clearing them anew costs more than the work done in them. */
import type { Bytes } from "./bytes.ts";

/** Buffers of one size; keeps a bounded number of unused ones. */
export class BufferPool {
  readonly #unused: Bytes[] = [];

  /**
   * @param size bytes of each buffer
   * @param keep unused buffers to hold on to
   */
  constructor(readonly size: number, readonly keep: number) {}

  /** A buffer of `size` bytes with arbitrary content. */
  take(): Bytes {
    return this.#unused.pop() ?? new Uint8Array(this.size);
  }

  /** Gives back a buffer that `take` returned; the giver must not touch it again. Others are ignored. */
  give(buffer: Bytes): void {
    if (buffer.length === this.size && this.#unused.length < this.keep) this.#unused.push(buffer);
  }
}
