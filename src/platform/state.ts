/** What a program keeps between its runs: a folder of its own. */
import type { Bytes } from "../bytes/bytes.ts";

/** A folder with mode 0700 whose files have 0600. One process holds it at a time. */
export interface StateFolder {
  readonly path: string;
  /** The whole file, or undefined when there is none. @throws {StateError} `too-open`, `failed` */
  read(name: string): Promise<Bytes | undefined>;
  /**
   * Replaces a file at once or not at all, whenever the process or the machine dies: written beside it, synced, renamed.
   */
  write(name: string, content: Bytes): Promise<void>;
  /** A file that grows line by line and is set aside when it is full. */
  openJournal(name: string, limits: JournalLimits): Promise<Journal>;
  /** Lets another process have the folder. */
  close(): void;
}

export interface JournalLimits {
  /** Bytes of one file: the next line begins a new one. */
  readonly maxBytes: number;
  /** Files set aside: `NAME.1` is the youngest. */
  readonly keep: number;
  /** Lines cannot be written now and wait (the disk is full): called once until they are. Must not throw. */
  readonly onDelay?: (cause: unknown) => void;
  /** Lines are being lost, too many wait: called once until lines are written again. Must not throw. */
  readonly onLoss?: (cause: unknown) => void;
}

/** An append-only file of lines. */
export interface Journal {
  /** Appends a line; the line feed is added. Lines are written in order, a moment later. Never throws. */
  append(line: string): void;
  /** Resolves when everything appended so far is with the system. */
  flush(): Promise<void>;
  /** Flushes, syncs and closes. */
  close(): Promise<void>;
}

export type StateErrorCode =
  /** Readable or writable by others. */
  | "too-open"
  /** Another process has it. */
  | "in-use"
  | "failed";

/** A state folder that cannot be used, in a sentence for whoever started the program. */
export class StateError extends Error {
  override readonly name = "StateError";
  constructor(readonly code: StateErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
