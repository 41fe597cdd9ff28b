/** What a session runs, and the bytes between it and the channel. */
import { encodeText } from "../../bytes/bytes.ts";
import type { ExitStatus, PipeReader, PipeWriter, TerminalSize } from "../../platform/process.ts";
import type { Channel } from "../connection/types.ts";
import { exitRequest, NO_DATA } from "./requests.ts";

/** A started program with pipes; the session owns them from then on. */
export interface Program {
  readonly stdin: PipeWriter;
  readonly stdout: PipeReader;
  /** Without one, as on a terminal, everything is on `stdout`. */
  readonly stderr?: PipeReader;
  readonly status: Promise<ExitStatus>;
  /** Delivers a signal. @param name without `SIG` */
  signal?(name: string): void;
  /** The window has changed. */
  resize?(size: TerminalSize): void;
  /** Sends a break. @returns whether it could */
  sendBreak?(milliseconds: number): boolean;
  /** The session is over, or the client has gone: hang up, free what is left. Called once. */
  close?(): void;
}

/** A program inside this process, which reads and writes the channel itself. */
export interface Service {
  /**
   * Runs until it resolves with its status; must leave the closing to its caller.
   * A rejection is reported as exit status 1 with the message on stderr.
   */
  serve(channel: Channel): Promise<ExitStatus>;
}

/** Bytes moved at once in each direction: as much as a pipe holds. */
const BUFFER_SIZE = 64 * 1024;

/** How long EOF waits for the status of a program whose pipes have ended, in milliseconds. */
const STATUS_PATIENCE_MS = 50;

/** Resolves with `event`, or after `ms` when that comes first. */
function within(ms: number, event: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    event.finally(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** A program and a channel that are connected. */
export interface Relay {
  /** The client reads no more output (`eow@openssh.com`). */
  stopOutput(): void;
  /** Resolves when the channel is closed and nothing of the program is held any more. */
  readonly done: Promise<void>;
}

/**
 * Connects `program` with `channel`, both ways with back-pressure.
 *
 * The client's EOF closes the program's stdin and nothing else. The program's end does not end the session: first
 * everything that comes out of its pipes is sent, even if that is from a process it left behind; then come
 * exit-status or exit-signal, EOF and CLOSE. A program that closes its output before it ends sends EOF before its status.
 */
export function relayProgram(channel: Channel, program: Program): Relay {
  let status: ExitStatus | undefined;
  const ended = program.status.then((value) => status = value, () => status = { code: 255 });
  const gone = channel.closed;

  const feed = async () => {
    const buffer = new Uint8Array(BUFFER_SIZE);
    let listening = true;
    for (;;) {
      const count = await channel.read(buffer).catch(() => null);
      if (count === null) break;
      // Input that nobody reads is discarded, so that the client is not stuck in front of a full window.
      if (!listening) continue;
      try {
        await program.stdin.write(buffer.subarray(0, count));
      } catch {
        listening = false;
        // OpenSSH PROTOCOL §2.1: end of write, with the other direction left open.
        channel.request("eow@openssh.com", NO_DATA, false).catch(() => {});
      }
    }
    await program.stdin.close().catch(() => {});
  };

  const drain = async (pipe: PipeReader, sink: Pick<Channel, "write">) => {
    const buffer = new Uint8Array(BUFFER_SIZE);
    try {
      for (let count = await pipe.read(buffer); count !== null; count = await pipe.read(buffer)) {
        await sink.write(buffer.subarray(0, count));
      }
    } catch {
      // Either side has gone: the program learns it by SIGPIPE.
    }
    pipe.close();
  };

  const stop = () => {
    program.stdout.close();
    program.stderr?.close();
  };

  const run = async () => {
    // The program may end, or the client go, with the other side's bytes still on the way.
    feed();
    const outputs = [drain(program.stdout, channel)];
    if (program.stderr) outputs.push(drain(program.stderr, channel.stderr));
    const drained = Promise.all(outputs);
    await Promise.race([drained, gone.then(stop)]);
    // A program's end closes its pipes a moment before its status is known. PuTTY leaves at EOF, without the status.
    if (status === undefined) await within(STATUS_PATIENCE_MS, Promise.race([ended, gone]));
    if (status === undefined) {
      await channel.closeWrite().catch(() => {});
      await Promise.race([ended, gone]);
    }
    if (status !== undefined) await sendStatus(channel, status);
    program.close?.();
    await channel.closeWrite().catch(() => {});
    channel.close();
    await gone;
    await program.stdin.close().catch(() => {});
  };
  return { stopOutput: stop, done: run() };
}

/** Runs `service` on `channel`, reports its status and closes. */
export async function runService(channel: Channel, service: Service): Promise<void> {
  let status: ExitStatus;
  try {
    status = await service.serve(channel);
  } catch (error) {
    status = { code: 1 };
    const message = error instanceof Error ? error.message : String(error);
    await channel.stderr.write(encodeText(`${message}\r\n`)).catch(() => {});
  }
  await sendStatus(channel, status);
  await channel.closeWrite().catch(() => {});
  channel.close();
  await channel.closed;
}

async function sendStatus(channel: Channel, status: ExitStatus): Promise<void> {
  const { type, data } = exitRequest(status);
  await channel.request(type, data, false).catch(() => {});
}
