/** A store that lasts as long as the process: for tests, and for gateways whose state may go with them. */
import { Listeners } from "./listeners.ts";
import {
  type Collection,
  type Json,
  type ListOptions,
  type Store,
  type Stored,
  StoreError,
} from "./types.ts";
import { compareKeys, requireCollectionName, requireKey } from "./names.ts";

/** Opens an empty store. */
export function openMemoryStore(): Store {
  return new MemoryStore();
}

class MemoryStore implements Store {
  readonly #collections = new Map<string, MemoryCollection<Json>>();
  #closed = false;

  collection<T extends Json>(name: string): Collection<T> {
    requireCollectionName(name);
    let collection = this.#collections.get(name);
    if (!collection) this.#collections.set(name, collection = new MemoryCollection(() => this.#closed));
    return collection as Collection<Json> as Collection<T>;
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#collections.clear();
    return Promise.resolve();
  }
}

class MemoryCollection<T extends Json> implements Collection<T> {
  /** JSON texts, so that nobody holds on to what is stored, and what cannot be stored elsewhere cannot be here. */
  readonly #documents = new Map<string, { text: string; version: string }>();
  readonly #listeners = new Listeners();
  readonly #isClosed: () => boolean;
  #writes = 0;

  constructor(isClosed: () => boolean) {
    this.#isClosed = isClosed;
  }

  // deno-lint-ignore require-await
  async get(key: string): Promise<Stored<T> | undefined> {
    this.#requireOpen();
    return this.#read(key);
  }

  // deno-lint-ignore require-await
  async insert(key: string, value: T): Promise<Stored<T> | undefined> {
    this.#requireOpen();
    requireKey(key);
    if (this.#documents.has(key)) return undefined;
    return this.#write(key, value);
  }

  // deno-lint-ignore require-await
  async replace(
    { key, version }: Pick<Stored<T>, "key" | "version">,
    value: T,
  ): Promise<Stored<T> | undefined> {
    this.#requireOpen();
    if (this.#documents.get(key)?.version !== version) return undefined;
    return this.#write(key, value);
  }

  // deno-lint-ignore require-await
  async remove({ key, version }: { readonly key: string; readonly version?: string }): Promise<boolean> {
    this.#requireOpen();
    const found = this.#documents.get(key);
    if (!found || (version !== undefined && version !== found.version)) return false;
    this.#documents.delete(key);
    this.#listeners.tell(key);
    return true;
  }

  // deno-lint-ignore require-await
  async list({ prefix = "", after, limit = 1000 }: ListOptions = {}): Promise<Stored<T>[]> {
    this.#requireOpen();
    return [...this.#documents.keys()]
      .filter((key) => key.startsWith(prefix) && (after === undefined || compareKeys(key, after) > 0))
      .sort(compareKeys)
      .slice(0, limit)
      .map((key) => this.#read(key)!);
  }

  watch(listener: (change: { readonly key: string }) => void): () => void {
    this.#requireOpen();
    return this.#listeners.add(listener);
  }

  #read(key: string): Stored<T> | undefined {
    const found = this.#documents.get(key);
    return found && { key, value: JSON.parse(found.text), version: found.version };
  }

  #write(key: string, value: T): Stored<T> {
    this.#documents.set(key, { text: JSON.stringify(value), version: String(++this.#writes) });
    this.#listeners.tell(key);
    return this.#read(key)!;
  }

  #requireOpen(): void {
    if (this.#isClosed()) throw new StoreError("closed", "the store has been closed");
  }
}
