/** The client's side of a session channel (RFC 4254 §6). */
import { type Bytes, EMPTY } from "../../bytes/bytes.ts";
import type { ExitStatus, PipeReader, PipeWriter, TerminalSize } from "../../platform/process.ts";
import { deferred } from "../../streams/deferred.ts";
import type { Channel, ChannelRequest, Connection } from "../connection/types.ts";
import { SshError } from "../error.ts";
import {
  breakRequest,
  envRequest,
  NO_DATA,
  parseExitRequest,
  type PtyRequest,
  ptyRequest,
  signalRequest,
  textRequest,
  windowChange,
} from "./requests.ts";

/** What to settle before the program starts. */
export interface SessionOptions {
  /** Variables; the server takes those it likes and says nothing about the others. */
  readonly env?: Readonly<Record<string, string>>;
  /** A terminal. Pixels and modes may be left out. */
  readonly pty?: Pick<PtyRequest, "term" | "columns" | "rows"> & Partial<PtyRequest>;
  /** Lets the program use this side's agent: answer `auth-agent@openssh.com` channels then. */
  readonly agentForwarding?: boolean;
}

/** A program that runs at the other end. */
export interface RunningProgram {
  /** `close` sends EOF. `write` rejects once the program reads no more. */
  readonly stdin: PipeWriter;
  readonly stdout: PipeReader;
  /** Empty with a terminal. Both outputs share a window: read both, or close the one you don't want. */
  readonly stderr: PipeReader;
  /** Rejects with {@link SshError} `closed` when the session ends without a status. */
  readonly status: Promise<ExitStatus>;
  /** The channel underneath, for what speaks a protocol on it. */
  readonly channel: Channel;
  /** Asks the server to deliver a signal, without an answer. @param name without `SIG` */
  signal(name: string): Promise<void>;
  /** Tells the terminal's new size (RFC 4254 §6.7). */
  resize(size: TerminalSize): Promise<void>;
  /** Sends a break (RFC 4335). Resolves to whether the server could deliver it. */
  sendBreak(milliseconds: number): Promise<boolean>;
  /** Closes the channel at once. */
  close(): void;
}

/** A session channel on which nothing runs yet. Only one of the three may be started, once. */
export interface ClientSession {
  /** Runs one command. @throws {SshError} `request-refused` when the server refuses it or what was settled for it */
  exec(command: string, options?: SessionOptions): Promise<RunningProgram>;
  /** Starts the user's shell; throws as {@link exec} does. */
  shell(options?: SessionOptions): Promise<RunningProgram>;
  /** Starts a service by its name, such as `sftp`; throws as {@link exec} does. */
  subsystem(name: string, options?: SessionOptions): Promise<RunningProgram>;
  close(): void;
}

/**
 * Opens a session channel.
 *
 * ```ts ignore
 * const session = await openSession(connection);
 * const program = await session.exec("uname -a");
 * await program.stdin.close();
 * console.log(await program.status);
 * ```
 * @throws {ChannelOpenError} when the server refuses
 */
export async function openSession(
  connection: Connection,
  options?: { signal?: AbortSignal },
): Promise<ClientSession> {
  const channel = await connection.open("session", EMPTY, options);
  return sessionOver(channel);
}

/** A session over a channel that has just been opened: call it before the first await. */
export function sessionOver(channel: Channel): ClientSession {
  const program = new RemoteProgram(channel);
  channel.onRequest = (request) => program.answer(request);

  const start = async (type: string, data: Bytes, options: SessionOptions = {}) => {
    await settle(channel, options);
    await demand(channel, type, data);
    return program;
  };
  return {
    exec: (command, options) => start("exec", textRequest.encode(command), options),
    shell: (options) => start("shell", NO_DATA, options),
    subsystem: (name, options) => start("subsystem", textRequest.encode(name), options),
    close: () => channel.close(),
  };
}

async function settle(channel: Channel, options: SessionOptions): Promise<void> {
  if (options.agentForwarding) await demand(channel, "auth-agent-req@openssh.com", NO_DATA);
  if (options.pty) {
    const pty = { widthPixels: 0, heightPixels: 0, modes: new Map(), ...options.pty };
    await demand(channel, "pty-req", ptyRequest.encode(pty));
  }
  for (const [name, value] of Object.entries(options.env ?? {})) {
    await channel.request("env", envRequest.encode({ name, value }), false);
  }
}

async function demand(channel: Channel, type: string, data: Bytes): Promise<void> {
  if (!await channel.request(type, data, true)) {
    throw new SshError("request-refused", `the server refused ${type}`);
  }
}

class RemoteProgram implements RunningProgram {
  readonly stdin: PipeWriter;
  readonly stdout: PipeReader;
  readonly stderr: PipeReader;
  readonly status: Promise<ExitStatus>;
  readonly #exit = deferred<ExitStatus>();
  #unread = false;

  constructor(readonly channel: Channel) {
    this.stdin = {
      write: (from) => {
        if (this.#unread) return Promise.reject(new SshError("closed", "the program reads no more input"));
        return channel.write(from);
      },
      close: () => channel.closeWrite(),
    };
    this.stdout = pipeOf(channel);
    this.stderr = pipeOf(channel.stderr);
    this.status = this.#exit.promise;
    // Whoever does not ask for the status is not to be disturbed by its absence.
    this.status.catch(() => {});
    channel.closed.then(() =>
      this.#exit.reject(new SshError("closed", "the session ended without an exit status"))
    );
  }

  answer({ type, data }: ChannelRequest): boolean {
    if (type === "eow@openssh.com") return this.#unread = true;
    const status = parseExitRequest(type, data);
    if (status === undefined) return false;
    this.#exit.resolve(status);
    return true;
  }

  async signal(name: string): Promise<void> {
    await this.channel.request("signal", signalRequest.encode(name), false);
  }

  async resize({ columns, rows }: TerminalSize): Promise<void> {
    const data = windowChange.encode({ columns, rows, widthPixels: 0, heightPixels: 0 });
    await this.channel.request("window-change", data, false);
  }

  sendBreak(milliseconds: number): Promise<boolean> {
    return this.channel.request("break", breakRequest.encode(milliseconds), true);
  }

  close(): void {
    this.channel.close();
  }
}

/** What a pipe that nobody wants is read into. */
const DISCARD_SIZE = 16 * 1024;

/** A reader of one of the channel's streams. Closing it discards what still comes: the other stream needs the window. */
function pipeOf(stream: { read(into: Bytes): Promise<number | null> }): PipeReader {
  let closed = false;
  return {
    read: (into) => closed ? Promise.resolve(null) : stream.read(into),
    close() {
      if (closed) return;
      closed = true;
      discard(stream);
    },
  };
}

async function discard(stream: { read(into: Bytes): Promise<number | null> }): Promise<void> {
  const buffer = new Uint8Array(DISCARD_SIZE);
  try {
    while (await stream.read(buffer) !== null);
  } catch {
    // It broke: nothing more to discard.
  }
}
