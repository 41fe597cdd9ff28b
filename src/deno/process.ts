/** Child processes on Deno. */
import type { Bytes } from "../bytes/bytes.ts";
import {
  type Child,
  type Command,
  type ExitStatus,
  type PipeReader,
  type PipeWriter,
  type Processes,
  SpawnError,
  type Terminal,
  type TerminalChild,
} from "../platform/process.ts";
import { resolveLaunch } from "./launcher.ts";
import { signalGroup } from "./process_group.ts";

/** What one read of a pipe takes at most: a pipe of Linux holds this much. */
const PIPE_BUFFER = 64 * 1024;

export const denoProcesses: Processes = {
  async spawn(command: Command): Promise<Child> {
    await checkFolder(command.cwd);
    const launch = await resolveLaunch(command);
    let child: Deno.ChildProcess;
    try {
      child = new Deno.Command(launch.file, {
        args: launch.args,
        cwd: command.cwd,
        env: command.env,
        clearEnv: true,
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
        // A session, and so a process group, of its own: signals reach what it started.
        detached: true,
      }).spawn();
    } catch (cause) {
      throw spawnError(command, cause);
    }
    return new DenoChild(child);
  },

  async spawnOnTerminal(command: Command, terminal: Terminal): Promise<TerminalChild> {
    // The native code reports a missing folder on the terminal, where a program would take it for output.
    await checkFolder(command.cwd);
    const launch = await resolveLaunch(command, terminal);
    // Most agents never open a terminal: the native module is loaded by the first one.
    const { openTerminal } = await import("./pty.ts");
    return openTerminal(launch, command, terminal);
  },
};

async function checkFolder(path: string | undefined): Promise<void> {
  if (path === undefined) return;
  const info = await Deno.stat(path).catch(() => undefined);
  if (!info?.isDirectory) throw new SpawnError("no-folder", `cannot start in '${path}'`);
}

function spawnError(command: Command, cause: unknown): SpawnError {
  const code = cause instanceof Deno.errors.NotFound
    ? "not-found"
    : cause instanceof Deno.errors.PermissionDenied
    ? "denied"
    : "failed";
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new SpawnError(code, `'${command.file}' did not start: ${reason}`, { cause });
}

class DenoChild implements Child {
  readonly pid: number;
  readonly stdin: PipeWriter;
  readonly stdout: PipeReader;
  readonly stderr: PipeReader;
  readonly status: Promise<ExitStatus>;
  #running = true;

  constructor(child: Deno.ChildProcess) {
    this.pid = child.pid;
    this.stdin = new StreamPipeWriter(child.stdin);
    this.stdout = new StreamPipeReader(child.stdout);
    this.stderr = new StreamPipeReader(child.stderr);
    this.status = exitStatus(child).finally(() => this.#running = false);
  }

  kill(signal: string): void {
    // Once it was waited for its number may belong to another process.
    if (this.#running) signalGroup(this.pid, signal);
  }
}

async function exitStatus(child: Deno.ChildProcess): Promise<ExitStatus> {
  try {
    const { code, signal } = await child.status;
    return signal === null ? { code } : { signal: signal.replace(/^SIG/, ""), coreDumped: false };
  } catch (error) {
    // Deno has no names for the real-time signals.
    const number = /signal: (\d+)/.exec(String(error))?.[1];
    if (number === undefined) throw error;
    const { signalName } = await import("./signals.ts");
    return { signal: signalName(Number(number)), coreDumped: false };
  }
}

/** Reads a byte stream into the caller's buffers; the buffer that the stream takes away and returns is kept. */
class StreamPipeReader implements PipeReader {
  readonly #reader: ReadableStreamBYOBReader;
  #buffer?: ArrayBuffer;
  #left?: Bytes;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader({ mode: "byob" });
  }

  async read(into: Bytes): Promise<number | null> {
    while (this.#left === undefined || this.#left.length === 0) {
      const view = new Uint8Array(this.#buffer ?? new ArrayBuffer(PIPE_BUFFER));
      const { done, value } = await this.#reader.read(view);
      if (done || value === undefined) return null;
      this.#buffer = value.buffer;
      this.#left = value;
    }
    const part = this.#left.subarray(0, into.length);
    into.set(part);
    this.#left = this.#left.subarray(part.length);
    return part.length;
  }

  close(): void {
    this.#reader.cancel().catch(() => {});
  }
}

class StreamPipeWriter implements PipeWriter {
  readonly #writer: WritableStreamDefaultWriter<Bytes>;
  #closed?: Promise<void>;

  constructor(stream: WritableStream<Bytes>) {
    this.#writer = stream.getWriter();
    // A failure reaches the caller by the next write.
    this.#writer.closed.catch(() => {});
    this.#writer.ready.catch(() => {});
  }

  write(from: Bytes): Promise<void> {
    return this.#writer.write(from);
  }

  close(): Promise<void> {
    // A pipe that broke is closed as well.
    return this.#closed ??= this.#writer.close().catch(() => {});
  }
}
