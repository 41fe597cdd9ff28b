/**
 * Pseudo-terminals, by the native half of node-pty: it forks, sets the size and waits for the child. Its own
 * JavaScript half is not used: that one destroys the terminal 200 ms after the child's end, read or unread.
 */
import { requireBinary } from "@lydell/node-pty/requireBinary.js";
import { ReadStream } from "node:tty";
import type { Bytes } from "../bytes/bytes.ts";
import {
  type Command,
  type ExitStatus,
  type PipeReader,
  type PipeWriter,
  SpawnError,
  type Terminal,
  type TerminalChild,
  type TerminalSize,
} from "../platform/process.ts";
import type { Launch } from "./launcher.ts";
import { signalGroup } from "./process_group.ts";
import { signalName } from "./signals.ts";

interface NativePty {
  fork(
    file: string,
    args: string[],
    env: string[],
    cwd: string,
    columns: number,
    rows: number,
    uid: number,
    gid: number,
    utf8: boolean,
    helperPath: string,
    onExit: (code: number, signal: number) => void,
  ): { fd: number; pid: number; pty: string };
  resize(fd: number, columns: number, rows: number): void;
}

/** -1: as this process. */
const OWN_ID = -1;

/** How long a terminal whose command has ended may be silent until it counts as ended too, in milliseconds. */
const SILENCE_AFTER_EXIT = 100;

/** What `struct winsize` can say. */
const MAX_CELLS = 65535;

/** Starts `launch` as the leader of a session on a terminal of its own. @throws {SpawnError} */
export function openTerminal(launch: Launch, command: Command, terminal: Terminal): TerminalChild {
  const cwd = command.cwd ?? Deno.cwd();
  const env = Object.entries({ ...command.env, TERM: terminal.term }).map(([name, value]) =>
    `${name}=${value}`
  );
  const { columns, rows } = cells(terminal);
  const exit = Promise.withResolvers<ExitStatus>();
  const onExit = (code: number, signal: number) =>
    exit.resolve(signal === 0 ? { code } : { signal: signalName(signal), coreDumped: false });
  let native: NativePty;
  let child: ReturnType<NativePty["fork"]>;
  try {
    native = requireBinary("pty.node") as NativePty;
    child = native.fork(launch.file, launch.args, env, cwd, columns, rows, OWN_ID, OWN_ID, false, "", onExit);
  } catch (cause) {
    throw new SpawnError("failed", "there are no pseudo-terminals here", { cause });
  }
  return new PtyChild(native, child.fd, child.pid, exit.promise);
}

/** Clients without a window say 0, which means "unknown" and is passed on as the usual size. */
function cells({ columns, rows }: TerminalSize): TerminalSize {
  const within = (value: number, usual: number) => value > 0 ? Math.min(value, MAX_CELLS) : usual;
  return { columns: within(columns, 80), rows: within(rows, 24) };
}

class PtyChild implements TerminalChild {
  /** A terminal has no half-close: the end of input changes nothing. */
  readonly input: PipeWriter = { write: (from) => this.#write(from), close: () => Promise.resolve() };
  readonly output: PipeReader = { read: (into) => this.#read(into), close: () => this.close() };
  readonly #native: NativePty;
  readonly #fd: number;
  readonly #stream: ReadStream;
  #exited = false;
  #ended = false;
  #left?: Uint8Array;
  #wake?: () => void;

  constructor(native: NativePty, fd: number, readonly pid: number, readonly status: Promise<ExitStatus>) {
    this.#native = native;
    this.#fd = fd;
    this.#stream = new ReadStream(fd);
    status.then(() => {
      this.#exited = true;
      this.#wake?.();
    });
    const end = () => {
      this.#ended = true;
      this.#wake?.();
    };
    // EIO is how Linux tells that nobody holds the other side any more.
    this.#stream.on("error", end).on("end", end).on("close", end);
    this.#stream.on("readable", () => this.#wake?.());
  }

  async #read(into: Bytes): Promise<number | null> {
    for (;;) {
      this.#left ??= this.#stream.read() ?? undefined;
      if (this.#left !== undefined) break;
      if (this.#ended) return null;
      if (!await this.#somethingHappens()) {
        this.close();
        return null;
      }
    }
    const part = this.#left.subarray(0, into.length);
    into.set(part);
    this.#left = part.length < this.#left.length ? this.#left.subarray(part.length) : undefined;
    return part.length;
  }

  /** Waits for data, end or exit. False: the command has ended and the terminal stayed silent. */
  #somethingHappens(): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = this.#exited ? setTimeout(() => resolve(false), SILENCE_AFTER_EXIT) : undefined;
      this.#wake = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }

  #write(from: Bytes): Promise<void> {
    const stream = this.#stream as ReadStream & {
      write(chunk: Uint8Array, done: (e?: Error | null) => void): void;
    };
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(new Error("the terminal has been closed"));
      stream.write(from, (error) => error ? reject(error) : resolve());
    });
  }

  resize(size: TerminalSize): void {
    if (this.#ended) return;
    const { columns, rows } = cells(size);
    this.#native.resize(this.#fd, columns, rows);
  }

  kill(signal: string): void {
    if (!this.#exited) signalGroup(this.pid, signal);
  }

  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stream.destroy();
    this.#wake?.();
  }
}
