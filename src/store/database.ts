/**
 * A database as a store needs it: one connection that runs SQL (SQLite's dialect) at once, without waiting in the
 * background. `src/deno/sqlite.ts` has the runtime's.
 */

/** A value of a column. */
export type Column = string | number | null;

/** One row, columns by name. */
export type Row = Readonly<Record<string, Column>>;

/** A statement that is compiled once and run often. What it throws: {@link DatabaseFailure}. */
export interface Statement {
  /** The first row of the result, or undefined. */
  get(...parameters: readonly Column[]): Row | undefined;
  /** Every row of the result. */
  all(...parameters: readonly Column[]): Row[];
}

/**
 * One connection. Calls block: statements are short, and a lock of another process is waited for no longer than a moment,
 * then the statement fails with SQLITE_BUSY.
 */
export interface Database {
  /** Where it is, for messages. */
  readonly path: string;
  /** Runs statements without a result. @throws {DatabaseFailure} */
  run(sql: string): void;
  /** @throws {DatabaseFailure} */
  prepare(sql: string): Statement;
  close(): void;
}

/** What a database throws, as far as a store looks at it: an `Error` with SQLite's result code where there is one. */
export interface DatabaseFailure {
  readonly message: string;
  /** Extended result code of SQLite. */
  readonly errcode?: number;
}
