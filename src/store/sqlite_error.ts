/** What SQLite says went wrong, as a sentence for the operator. */
import type { DatabaseFailure } from "./database.ts";
import { StoreError } from "./types.ts";

// SQLite's primary result codes (the low byte of an extended one).
const BUSY = 5;
const LOCKED = 6;
const CORRUPT = 11;
const NOT_A_DATABASE = 26;

const SENTENCES: Readonly<Record<number, string>> = {
  [BUSY]: "is kept busy by another process",
  [LOCKED]: "is kept busy by another process",
  8: "cannot be written: it is read-only",
  10: "cannot be read or written: the disk fails",
  [CORRUPT]: "is broken; put a copy of it back",
  13: "cannot grow: the disk is full. Nothing of the change was kept",
  14: "cannot be opened",
  [NOT_A_DATABASE]: "is no database, or broken; put a copy of it back",
};

/** Where a runtime leaves the code out, SQLite's words for it. */
const WORDS: readonly (readonly [RegExp, number])[] = [
  [/not a database/, NOT_A_DATABASE],
  [/malformed/, CORRUPT],
  [/disk is full/, 13],
  [/is locked/, BUSY],
];

/** Whether another process holds a lock that `error` is about. */
export function isBusy(error: unknown): boolean {
  const code = codeOf(error as DatabaseFailure);
  return code === BUSY || code === LOCKED;
}

/** `error` as a {@link StoreError} about the database at `path`; one that is none of SQLite's stays as it is. */
export function storeErrorOf(error: unknown, path: string): unknown {
  if (error instanceof StoreError || error instanceof TypeError) return error;
  const { message } = error as DatabaseFailure;
  const code = codeOf(error as DatabaseFailure);
  const sentence = (code !== undefined && SENTENCES[code]) || `cannot be used: ${message}`;
  return new StoreError("failed", `the database ${path} ${sentence}`, { cause: error });
}

function codeOf({ errcode, message }: DatabaseFailure): number | undefined {
  if (errcode !== undefined) return errcode & 0xff;
  return WORDS.find(([words]) => words.test(String(message)))?.[1];
}
