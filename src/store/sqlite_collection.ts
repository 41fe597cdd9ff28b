/** One collection's rows in the table of documents. */
import type { Database, Row } from "./database.ts";
import { Listeners } from "./listeners.ts";
import { requireKey } from "./names.ts";
import { type Collection, type Json, type ListOptions, type Stored, StoreError } from "./types.ts";

/** What a collection needs of its store. */
export interface CollectionHost {
  readonly database: Database;
  /** Runs a query; what it throws becomes a StoreError. */
  read<R>(query: () => R): R;
  /** Runs a change within a transaction; resolves once it is on disk. */
  write<R>(change: () => R): Promise<R>;
  /** Somebody watches from now on: changes by others are to be looked for. */
  watched(): void;
}

/** Behind every key that begins with a prefix: the last code point there is. */
const LAST = "\u{10ffff}";
/** A version that no document ever had before: 64 random bits. */
const NEW_VERSION = "lower(hex(randomblob(8)))";

const SQL = {
  get: "SELECT key, value, version FROM documents WHERE collection = ? AND key = ?",
  insert: `INSERT INTO documents VALUES (?, ?, ?, ${NEW_VERSION}) ON CONFLICT DO NOTHING RETURNING version`,
  replace:
    `UPDATE documents SET value = ?, version = ${NEW_VERSION} WHERE collection = ? AND key = ? AND version = ?
     RETURNING version`,
  remove:
    "DELETE FROM documents WHERE collection = ? AND key = ? AND version = coalesce(?, version) RETURNING key",
  list: `SELECT key, value, version FROM documents
     WHERE collection = ? AND key >= ? AND key <= ? AND key > ? ORDER BY key LIMIT ?`,
  versions: "SELECT key, version FROM documents WHERE collection = ?",
} as const;

export class SqliteCollection<T extends Json> implements Collection<T> {
  readonly #name: string;
  readonly #host: CollectionHost;
  readonly #statements = new Map<keyof typeof SQL, ReturnType<Database["prepare"]>>();
  readonly #listeners = new Listeners();
  /** While watched: what the listeners know, version by key. */
  #known = new Map<string, string>();

  constructor(name: string, host: CollectionHost) {
    this.#name = name;
    this.#host = host;
  }

  // deno-lint-ignore require-await
  async get(key: string): Promise<Stored<T> | undefined> {
    return this.#host.read(() => {
      const row = this.#statement("get").get(this.#name, key);
      return row && this.#stored(row);
    });
  }

  async insert(key: string, value: T): Promise<Stored<T> | undefined> {
    requireKey(key);
    const text = JSON.stringify(value);
    return await this.#put(key, text, () => this.#statement("insert").get(this.#name, key, text));
  }

  async replace(
    { key, version }: Pick<Stored<T>, "key" | "version">,
    value: T,
  ): Promise<Stored<T> | undefined> {
    const text = JSON.stringify(value);
    return await this.#put(key, text, () => this.#statement("replace").get(text, this.#name, key, version));
  }

  async remove({ key, version }: { readonly key: string; readonly version?: string }): Promise<boolean> {
    const removed = await this.#host.write(() =>
      this.#statement("remove").get(this.#name, key, version ?? null) !== undefined
    );
    if (removed && this.isWatched) {
      this.#known.delete(key);
      this.#listeners.tell(key);
    }
    return removed;
  }

  // deno-lint-ignore require-await
  async list({ prefix = "", after = "", limit = 1000 }: ListOptions = {}): Promise<Stored<T>[]> {
    return this.#host.read(() =>
      this.#statement("list").all(this.#name, prefix, prefix + LAST, after, limit).map((row) =>
        this.#stored(row)
      )
    );
  }

  watch(listener: (change: { readonly key: string }) => void): () => void {
    this.#host.watched();
    if (!this.isWatched) this.#known = this.#versions();
    return this.#listeners.add(listener);
  }

  get isWatched(): boolean {
    return this.#listeners.size > 0;
  }

  /** Tells listeners what differs from what they know: the work of another process. */
  compare(): void {
    const known = this.#known;
    this.#known = this.#versions();
    for (const [key, version] of this.#known) if (known.get(key) !== version) this.#listeners.tell(key);
    for (const key of known.keys()) if (!this.#known.has(key)) this.#listeners.tell(key);
  }

  async #put(key: string, text: string, change: () => Row | undefined): Promise<Stored<T> | undefined> {
    const row = await this.#host.write(change);
    if (!row) return undefined;
    const version = String(row.version);
    if (this.isWatched) {
      this.#known.set(key, version);
      this.#listeners.tell(key);
    }
    return { key, value: JSON.parse(text), version };
  }

  #versions(): Map<string, string> {
    const rows = this.#host.read(() => this.#statement("versions").all(this.#name));
    return new Map(rows.map(({ key, version }) => [String(key), String(version)]));
  }

  #statement(name: keyof typeof SQL): ReturnType<Database["prepare"]> {
    let statement = this.#statements.get(name);
    if (!statement) this.#statements.set(name, statement = this.#host.database.prepare(SQL[name]));
    return statement;
  }

  /** @throws {StoreError} when the text is no document: SQLite checks how its pages are built, not what is written there */
  #stored({ key, value, version }: Row): Stored<T> {
    try {
      return { key: String(key), value: JSON.parse(String(value)), version: String(version) };
    } catch (cause) {
      const { path } = this.#host.database;
      throw new StoreError(
        "failed",
        `the database ${path} is broken in ${this.#name}; put a copy of it back`,
        {
          cause,
        },
      );
    }
  }
}
