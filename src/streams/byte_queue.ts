/** Bytes that arrived before somebody read them. */
import type { Bytes } from "../bytes/bytes.ts";
import { BufferPool } from "../bytes/pool.ts";

const blocks = new BufferPool(64 * 1024, 64);

/** Bytes of a buffer for little, and up to how many a queue has such buffers: thousands of channels may hold little each. */
const SMALL_BLOCK = 1024;
const LITTLE = 8 * SMALL_BLOCK;

interface Block {
  readonly buffer: Bytes;
  start: number;
  end: number;
}

/** First in, first out; copies in and out. Unbounded by itself: who pushes keeps the bound. */
export class ByteQueue {
  #blocks: Block[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(bytes: Bytes): void {
    this.#length += bytes.length;
    const last = this.#blocks.at(-1);
    if (last) {
      const part = bytes.subarray(0, last.buffer.length - last.end);
      last.buffer.set(part, last.end);
      last.end += part.length;
      bytes = bytes.subarray(part.length);
    }
    if (bytes.length === 0) return;
    // The first few bytes get a buffer of their own size, a few more small ones, bulk gets pooled blocks.
    if (bytes.length <= SMALL_BLOCK && this.#length <= LITTLE) {
      const buffer = new Uint8Array(last ? SMALL_BLOCK : bytes.length);
      buffer.set(bytes);
      this.#blocks.push({ buffer, start: 0, end: bytes.length });
      return;
    }
    for (let at = 0; at < bytes.length; at += blocks.size) {
      const buffer = blocks.take();
      const part = bytes.subarray(at, at + blocks.size);
      buffer.set(part);
      this.#blocks.push({ buffer, start: 0, end: part.length });
    }
  }

  /** Moves as much as fits to the start of `into`; returns the count. */
  shift(into: Bytes): number {
    let count = 0;
    while (count < into.length && this.#blocks.length > 0) {
      const block = this.#blocks[0];
      const part = block.buffer.subarray(block.start, Math.min(block.end, block.start + into.length - count));
      into.set(part, count);
      count += part.length;
      block.start += part.length;
      if (block.start === block.end) {
        this.#blocks.shift();
        blocks.give(block.buffer);
      }
    }
    this.#length -= count;
    return count;
  }

  /** Drops everything; returns how much that was. */
  clear(): number {
    const dropped = this.#length;
    for (const block of this.#blocks) blocks.give(block.buffer);
    this.#blocks = [];
    this.#length = 0;
    return dropped;
  }
}
