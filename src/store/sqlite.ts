/**
 * A store in one SQLite file, for one writing process and any number that read.
 *
 * Writes that are asked for in the same turn share one transaction, and none is acknowledged before it is on disk (WAL,
 * `synchronous=FULL`): what has been acknowledged survives the death of process and machine. The others see a change
 * within {@link LOOK_INTERVAL}.
 */
import type { Clock } from "../platform/clock.ts";
import type { Column, Database, Row } from "./database.ts";
import { requireCollectionName } from "./names.ts";
import { SqliteCollection } from "./sqlite_collection.ts";
import { isBusy, storeErrorOf } from "./sqlite_error.ts";
import { SCHEMA_VERSION, setUp } from "./sqlite_schema.ts";
import { type Collection, type Json, type Store, StoreError } from "./types.ts";

/** Milliseconds between two looks for changes by other processes. */
export const LOOK_INTERVAL = 1000;
/** Largest file that is looked through at the start, in bytes: a tenth of a second. Of others each page is checked when it is read. */
export const CHECKED_SIZE = 32 * 1024 * 1024;
/** Writes in one transaction at most: some ten milliseconds in which nothing else runs. */
const MAX_BATCH = 1000;
/** Milliseconds after which a file that another process keeps locked is an error. */
const MAX_BUSY = 2000;
/** Milliseconds before a locked file is tried again, while this process goes on with other things. */
const BUSY_PAUSE = 100;

/** A write: runs within a transaction, at once. */
interface Write {
  run(): unknown;
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

/**
 * Opens the store in `database`, which it then owns: an empty one is set up, one that cannot be used is closed.
 * @throws {StoreError} `failed` for a file that is broken, no database, or another program's; `newer`
 */
export async function openSqliteStore(
  database: Database,
  { clock }: { readonly clock: Clock },
): Promise<Store> {
  const store = new SqliteStore(database, clock);
  try {
    await store.setUp();
    return store;
  } catch (error) {
    database.close();
    throw storeErrorOf(error, database.path);
  }
}

class SqliteStore implements Store {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #collections = new Map<string, SqliteCollection<Json>>();
  #waiting: Write[] = [];
  #writing?: Promise<void>;
  #closed = false;
  #dataVersion?: Column;
  #cancelLook?: () => void;

  constructor(database: Database, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  async setUp(): Promise<void> {
    const { path } = this.#database;
    await this.#patiently(() => this.#database.run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL"));
    if (this.#size() <= CHECKED_SIZE) {
      const damage = this.#database.prepare("PRAGMA quick_check(1)").get()?.quick_check;
      if (damage !== "ok") {
        throw new StoreError("failed", `the database ${path} is broken: ${damage}; put a copy of it back`);
      }
    }
    await this.#patiently(() => this.#database.run("BEGIN IMMEDIATE"));
    this.#within(() => setUp(this.#database, SCHEMA_VERSION));
  }

  /** Bytes. */
  #size(): number {
    const pragma = (name: string) => Number(this.#database.prepare(`PRAGMA ${name}`).get()?.[name]);
    return pragma("page_count") * pragma("page_size");
  }

  collection<T extends Json>(name: string): Collection<T> {
    requireCollectionName(name);
    let collection = this.#collections.get(name);
    if (!collection) {
      const { path } = this.#database;
      collection = new SqliteCollection(name, {
        read: <R>(query: () => R): R => {
          this.#requireOpen();
          try {
            return query();
          } catch (error) {
            throw storeErrorOf(error, path);
          }
        },
        write: (run) => this.#write(run),
        watched: () => this.#look(),
        database: this.#database,
      });
      this.#collections.set(name, collection);
    }
    return collection as Collection<Json> as Collection<T>;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelLook?.();
    await this.#writing;
    this.#database.close();
  }

  #requireOpen(): void {
    if (this.#closed) throw new StoreError("closed", "the store has been closed");
  }

  #write<R>(run: () => R): Promise<R> {
    this.#requireOpen();
    return new Promise<R>((resolve, reject) => {
      this.#waiting.push({ run, resolve: (result) => resolve(result as R), reject });
      this.#writing ??= this.#drain();
    });
  }

  async #drain(): Promise<void> {
    // What is asked for in the same turn goes into one transaction.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, MAX_BATCH);
      try {
        await this.#patiently(() => this.#database.run("BEGIN IMMEDIATE"));
        const results = this.#within(() => batch.map(({ run }) => run()));
        batch.forEach(({ resolve }, index) => resolve(results[index]));
      } catch (cause) {
        const error = storeErrorOf(cause, this.#database.path);
        for (const { reject } of batch) reject(error);
      }
    }
    this.#writing = undefined;
  }

  /** Runs `body` in the transaction that has begun: all of it or nothing. */
  #within<R>(body: () => R): R {
    try {
      const result = body();
      this.#database.run("COMMIT");
      return result;
    } catch (error) {
      try {
        this.#database.run("ROLLBACK");
      } catch {
        // A full disk may have rolled it back already.
      }
      throw error;
    }
  }

  /** Tries again while another process has the file locked. */
  async #patiently(attempt: () => void): Promise<void> {
    const end = this.#clock.monotonic() + MAX_BUSY;
    for (;;) {
      try {
        return attempt();
      } catch (error) {
        if (!isBusy(error) || this.#clock.monotonic() >= end) throw error;
      }
      await this.#clock.sleep(BUSY_PAUSE);
    }
  }

  /** Looks for changes by others, now and then, as long as somebody wants to know. */
  #look(): void {
    this.#requireOpen();
    if (this.#cancelLook) return;
    this.#dataVersion = this.#readDataVersion();
    const again = () => {
      this.#cancelLook = undefined;
      const watched = [...this.#collections.values()].filter((collection) => collection.isWatched);
      if (this.#closed || watched.length === 0) return;
      try {
        const version = this.#readDataVersion();
        if (version !== this.#dataVersion) {
          for (const collection of watched) collection.compare();
          this.#dataVersion = version;
        }
      } catch {
        // Whoever reads or writes next is told what is wrong; the next look tries again.
      }
      this.#cancelLook = this.#clock.after(LOOK_INTERVAL, again);
    };
    this.#cancelLook = this.#clock.after(LOOK_INTERVAL, again);
  }

  /** Changes with each commit of another connection, not with ours. */
  #readDataVersion(): Column | undefined {
    return (this.#database.prepare("PRAGMA data_version").get() as Row).data_version;
  }
}
