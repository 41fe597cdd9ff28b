/** Child processes, with pipes or on a pseudo-terminal. */
import type { Bytes } from "../bytes/bytes.ts";

/** How a process ended: an exit code, or the signal (without `SIG`) that killed it. */
export type ExitStatus = { readonly code: number } | {
  readonly signal: string;
  readonly coreDumped: boolean;
};

/** What to run. */
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

/** A running process with three pipes. */
export interface Child {
  readonly pid: number;
  readonly stdin: PipeWriter;
  readonly stdout: PipeReader;
  readonly stderr: PipeReader;
  readonly status: Promise<ExitStatus>;
  /** Signals the child and its process group. @param signal name without `SIG`. No error when it has gone. */
  kill(signal: string): void;
}

/** In characters. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** A child on a pseudo-terminal: one stream each way. */
export interface TerminalChild {
  readonly pid: number;
  readonly input: PipeWriter;
  /**
   * Ends when the last process that held the child's side closed it; after the child's own end, also when the
   * terminal has been silent for a moment (a background process may hold it for ever).
   */
  readonly output: PipeReader;
  readonly status: Promise<ExitStatus>;
  resize(size: TerminalSize): void;
  /** As {@link Child.kill}. */
  kill(signal: string): void;
  /** Hangs up: the terminal goes away, and its processes get SIGHUP from the kernel. Idempotent. */
  close(): void;
}

/** The pseudo-terminal that a child is to get. */
export interface Terminal extends TerminalSize {
  /** Value of `TERM`. */
  readonly term: string;
  /** Terminal modes to set before the command runs: opcode to value, as RFC 4254 §8 numbers them. */
  readonly modes?: ReadonlyMap<number, number>;
  /** Name of an environment variable that receives the terminal's device, as `SSH_TTY` does. */
  readonly deviceVariable?: string;
}

/** Why a process could not be started. */
export class SpawnError extends Error {
  override readonly name = "SpawnError";
  constructor(
    /** `no-folder`: it cannot start in `cwd`. */
    readonly code: "not-found" | "denied" | "no-folder" | "failed",
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Starts processes. */
export interface Processes {
  /** @throws {SpawnError} when the file cannot be executed */
  spawn(command: Command): Promise<Child>;
  /** @throws {SpawnError} when the file cannot be executed or there are no pseudo-terminals */
  spawnOnTerminal(command: Command, terminal: Terminal): Promise<TerminalChild>;
}
