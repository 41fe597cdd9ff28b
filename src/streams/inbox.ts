/** Where bytes are delivered as they come and read when somebody wants them. */
import type { Bytes } from "../bytes/bytes.ts";
import { ByteQueue } from "./byte_queue.ts";

/**
 * The receiving end of a stream. What is delivered while a read waits goes straight into that read's buffer, and
 * everything delivered in one turn ends up in one read: one copy, few wake-ups.
 */
export class Inbox {
  readonly #queue = new ByteQueue();
  readonly #onRead: (bytes: number) => void;
  #into?: Bytes;
  #filled = 0;
  #wake?: () => void;
  #ended = false;
  #failed?: { reason: unknown };

  /** @param onRead told how many bytes each read took: the time to grant the sender more */
  constructor(onRead: (bytes: number) => void) {
    this.#onRead = onRead;
  }

  /** Bytes delivered and not yet read. */
  get length(): number {
    return this.#queue.length + this.#filled;
  }

  /** Takes in `bytes` (copied). Dropped after {@link end} and {@link fail}. */
  deliver(bytes: Bytes): void {
    // Nothing is not the end: a read that was woken by it would report one.
    if (bytes.length === 0 || this.#ended || this.#failed) return;
    if (this.#into && this.#queue.length === 0) {
      const room = this.#into.length - this.#filled;
      // A view costs as much as copying a kilobyte: none for what fits whole.
      const part = bytes.length <= room ? bytes : bytes.subarray(0, room);
      this.#into.set(part, this.#filled);
      this.#filled += part.length;
      if (part.length < bytes.length) this.#queue.push(bytes.subarray(part.length));
    } else {
      this.#queue.push(bytes);
    }
    this.#wake?.();
  }

  /** Nothing more will be delivered; what was can still be read. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** Drops what was delivered and not yet read. */
  clear(): void {
    this.#queue.clear();
  }

  /** Reads reject from now on; what was delivered is dropped. */
  fail(reason: unknown): void {
    this.#failed ??= { reason };
    this.#queue.clear();
    this.#wake?.();
  }

  /** As {@link PlainDuplex.read}. */
  async read(into: Bytes): Promise<number | null> {
    if (this.#into) throw new TypeError("a read is already waiting");
    if (into.length === 0) throw new RangeError("a read needs room for at least one byte");
    let count = this.#queue.shift(into);
    if (count === 0 && !this.#ended && !this.#failed) {
      this.#into = into;
      this.#filled = 0;
      await new Promise<void>((resolve) => this.#wake = resolve);
      count = this.#filled;
      this.#into = this.#wake = undefined;
      this.#filled = 0;
    }
    if (this.#failed) throw this.#failed.reason;
    if (count === 0) return null;
    this.#onRead(count);
    return count;
  }
}
