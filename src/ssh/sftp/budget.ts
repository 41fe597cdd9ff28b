/** Bounds what is in flight: a count of requests and the bytes that they and their replies hold. */
export class Budget {
  readonly #maxCount: number;
  readonly #maxBytes: number;
  #count = 0;
  #bytes = 0;
  #waiting: { readonly bytes: number; readonly admit: () => void }[] = [];

  constructor(maxCount: number, maxBytes: number) {
    this.#maxCount = maxCount;
    this.#maxBytes = maxBytes;
  }

  /** Bytes taken now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Requests admitted now. */
  get count(): number {
    return this.#count;
  }

  #fits(bytes: number): boolean {
    // One alone always fits, or it would wait for ever.
    return this.#count === 0 || (this.#count < this.#maxCount && this.#bytes + bytes <= this.#maxBytes);
  }

  #take(bytes: number): void {
    this.#count++;
    this.#bytes += bytes;
  }

  /** Resolves when one more request of `bytes` may start; first come, first served. Pair it with {@link release}. */
  async acquire(bytes: number): Promise<void> {
    if (this.#waiting.length === 0 && this.#fits(bytes)) return this.#take(bytes);
    await new Promise<void>((admit) => this.#waiting.push({ bytes, admit }));
  }

  /** Gives back what one {@link acquire} took. */
  release(bytes: number): void {
    this.#count--;
    this.#bytes -= bytes;
    while (this.#waiting.length > 0 && this.#fits(this.#waiting[0].bytes)) {
      const next = this.#waiting.shift()!;
      this.#take(next.bytes);
      next.admit();
    }
  }
}
