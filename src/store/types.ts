/**
 * What outlives the process: collections of documents by key. One interface for every place that keeps them: a database
 * in the state folder, memory, later a cluster's.
 *
 * A document is a JSON value with a version that changes with each write. Whoever replaces or removes one names the
 * version that it has read, so of two writers one is told that it came too late. Keys are ordered by their code points.
 */

/** What can be stored. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** One document at one moment. */
export interface Stored<T> {
  readonly key: string;
  readonly value: T;
  /** Compare for equality only. */
  readonly version: string;
}

export interface ListOptions {
  /** Only keys that begin so. */
  readonly prefix?: string;
  /** Only keys behind this one: to go on where the last list ended. */
  readonly after?: string;
  /** At most so many. Default 1000. */
  readonly limit?: number;
}

/**
 * Documents of one kind. What has been acknowledged survives the death of process and machine.
 * Every method may throw {@link StoreError}.
 */
export interface Collection<T> {
  get(key: string): Promise<Stored<T> | undefined>;
  /** Stores a new document. Undefined when there is one under `key` already, which stays as it is. */
  insert(key: string, value: T): Promise<Stored<T> | undefined>;
  /** Replaces the document as it was read. Undefined when it has changed or gone since. */
  replace(read: Pick<Stored<T>, "key" | "version">, value: T): Promise<Stored<T> | undefined>;
  /** Removes the document as it was read, or whatever is there when no version is given. False when there was no such. */
  remove(read: { readonly key: string; readonly version?: string }): Promise<boolean>;
  /** In order of keys. */
  list(options?: ListOptions): Promise<Stored<T>[]>;
  /**
   * Calls `listener` after each change, by this process or another, from now on. Changes may come together; order per
   * key is kept. @param listener must not throw
   * @returns stops it
   */
  watch(listener: (change: { readonly key: string }) => void): () => void;
}

/** A place for collections. */
export interface Store {
  /** @param name lower-case letters, digits and `-`; the type is the caller's promise */
  collection<T extends Json>(name: string): Collection<T>;
  /** Flushes and lets go. Nothing may be called afterwards. */
  close(): Promise<void>;
}

export type StoreErrorCode =
  /** The disk is full, the file is broken or another process keeps it busy. */
  | "failed"
  /** It was written by a newer version of this program. */
  | "newer"
  /** It has been closed. */
  | "closed";

/** The store cannot do it, in a sentence for the operator. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  constructor(readonly code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
