/** SQLite as the runtime has it built in (`node:sqlite`). */
import { DatabaseSync } from "node:sqlite";
import { StateError } from "../platform/state.ts";
import type { Column, Database, Row, Statement } from "../store/database.ts";

/** Milliseconds that a statement waits for another process's lock: as long, this process answers nobody. */
const BUSY_TIMEOUT = 50;
/** Bits of a mode that let others in. */
const OTHERS = 0o077;

/**
 * Opens a database file, making it (0600) where there is none. Its companions (`-wal`, `-shm`) get the same mode.
 * @throws {StateError} `too-open` when others can read or write it, `failed` when it cannot be opened
 */
export function openDatabase(path: string): Database {
  try {
    Deno.openSync(path, { write: true, create: true, mode: 0o600 }).close();
    const { mode } = Deno.statSync(path);
    if (mode !== null && (mode & OTHERS) !== 0) {
      const found = (mode & 0o7777).toString(8).padStart(4, "0");
      throw new StateError(
        "too-open",
        `${path} has mode ${found}, others get in: it must be 0600 (chmod 0600 ${path})`,
      );
    }
    return new SystemDatabase(path, new DatabaseSync(path, { timeout: BUSY_TIMEOUT }));
  } catch (cause) {
    if (cause instanceof StateError) throw cause;
    throw new StateError("failed", `${path} cannot be opened: ${(cause as Error).message}`, { cause });
  }
}

class SystemDatabase implements Database {
  readonly path: string;
  readonly #database: DatabaseSync;

  constructor(path: string, database: DatabaseSync) {
    this.path = path;
    this.#database = database;
  }

  run(sql: string): void {
    this.#database.exec(sql);
  }

  prepare(sql: string): Statement {
    const statement = this.#database.prepare(sql);
    return {
      get: (...parameters: readonly Column[]) => statement.get(...parameters) as Row | undefined,
      all: (...parameters: readonly Column[]) => statement.all(...parameters) as Row[],
    };
  }

  close(): void {
    this.#database.close();
  }
}
