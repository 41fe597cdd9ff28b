/** Child processes, with pipes or on a pseudo-terminal. */
import type { Bytes } from "../bytes/bytes.ts";

/** How a process ended: an exit code, or the signal (without `SIG`) that killed it. */
export type ExitStatus = { readonly code: number } | {
  readonly signal: string;
  readonly coreDumped: boolean;
};

export interface Command {
  /** Absolute path, or a name looked up in `PATH`. */
  readonly file: string;
  readonly args: readonly string[];
  /** The whole environment: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** `argv[0]`, where it is not `file`: `-bash` for a login shell. */
  readonly argv0?: string;
}

/** A readable end of a pipe. */
export interface PipeReader {
  /** As {@link PlainDuplex.read}. */
  read(into: Bytes): Promise<number | null>;
  close(): void;
}

/** A writable end of a pipe. */
export interface PipeWriter {
  /** As {@link PlainDuplex.write}. Rejects when nobody reads any more. */
  write(from: Bytes): Promise<void>;
  close(): Promise<void>;
}

export interface Child {
  readonly pid: number;
  readonly stdin: PipeWriter;
  readonly stdout: PipeReader;
  readonly stderr: PipeReader;
  readonly status: Promise<ExitStatus>;
  /** Signals the child and its process group. @param signal name without `SIG`. No error when it has gone. */
  kill(signal: string): void;
}

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** A child on a pseudo-terminal: one stream each way. */
export interface TerminalChild {
  readonly pid: number;
  readonly input: PipeWriter;
  /** Ends when the child's side is closed by the last process that held it. */
  readonly output: PipeReader;
  readonly status: Promise<ExitStatus>;
  resize(size: TerminalSize): void;
  kill(signal: string): void;
}

export interface Processes {
  /** @throws {Error} when the file cannot be executed */
  spawn(command: Command): Promise<Child>;
  /** @param term value of `TERM` */
  spawnOnTerminal(command: Command, terminal: TerminalSize & { term: string }): Promise<TerminalChild>;
}
