/** Who wants to know that documents of a collection have changed. */
export class Listeners {
  readonly #all = new Set<(change: { readonly key: string }) => void>();
  #waiting: string[] = [];

  get size(): number {
    return this.#all.size;
  }

  /** @returns stops it */
  add(listener: (change: { readonly key: string }) => void): () => void {
    // A wrapper of its own: the same function may listen twice, and each stops for itself.
    const own = (change: { readonly key: string }) => listener(change);
    this.#all.add(own);
    return () => void this.#all.delete(own);
  }

  /** Tells everybody, after whoever made the change has its answer under way. */
  tell(key: string): void {
    if (this.#all.size === 0) return;
    this.#waiting.push(key);
    if (this.#waiting.length > 1) return;
    queueMicrotask(() => {
      const keys = this.#waiting;
      this.#waiting = [];
      for (const key of keys) for (const listener of this.#all) listener({ key });
    });
  }
}
