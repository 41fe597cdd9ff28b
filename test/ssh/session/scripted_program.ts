/** A program in a test's hands, and a session server that starts it. */
import { type Bytes, concat, decodeText, encodeText } from "../../../src/bytes/bytes.ts";
import type { ExitStatus, PipeReader, TerminalSize } from "../../../src/platform/process.ts";
import type { Program } from "../../../src/ssh/session/program.ts";
import {
  serveSession,
  type SessionHandlers,
  type SessionSettings,
  type StartRequest,
} from "../../../src/ssh/session/server.ts";
import { channelPair, type FakeChannel } from "./fake_channel.ts";

/** A terminal as OpenSSH asks for one. */
export const PTY = {
  term: "xterm",
  columns: 80,
  rows: 24,
  widthPixels: 0,
  heightPixels: 0,
  modes: new Map(),
};

/** All text of a pipe, to its end. */
export async function all(pipe: { read(into: Bytes): Promise<number | null> }): Promise<string> {
  const parts: Uint8Array[] = [];
  const buffer = new Uint8Array(32 * 1024);
  for (let n = await pipe.read(buffer); n !== null; n = await pipe.read(buffer)) {
    parts.push(buffer.slice(0, n));
  }
  return decodeText(concat(...parts));
}

/** A pipe in a test's hands. */
class Pipe implements PipeReader {
  readonly reads: Bytes[] = [];
  #ended = false;
  closed = false;
  #wake?: () => void;

  push(text: string): void {
    this.reads.push(encodeText(text));
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async read(into: Bytes): Promise<number | null> {
    while (this.reads.length === 0) {
      if (this.#ended || this.closed) return null;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const chunk = this.reads.shift()!;
    into.set(chunk);
    return chunk.length;
  }

  close(): void {
    this.closed = true;
    this.#wake?.();
  }
}

/** A program in a test's hands. */
export class ScriptedProgram implements Program {
  readonly stdout = new Pipe();
  readonly stderr = new Pipe();
  readonly events: string[] = [];
  readonly exit = Promise.withResolvers<ExitStatus>();
  readonly status = this.exit.promise;
  brokenInput = false;
  readonly stdin = {
    write: (from: Bytes) => {
      if (this.brokenInput) return Promise.reject(new Error("EPIPE"));
      this.events.push(`stdin ${decodeText(from)}`);
      return Promise.resolve();
    },
    close: () => {
      if (!this.events.includes("stdin closed")) this.events.push("stdin closed");
      return Promise.resolve();
    },
  };

  signal(name: string): void {
    this.events.push(`signal ${name}`);
  }

  resize({ columns, rows }: TerminalSize): void {
    this.events.push(`resize ${columns}x${rows}`);
  }

  sendBreak(milliseconds: number): boolean {
    this.events.push(`break ${milliseconds}`);
    return true;
  }

  close(): void {
    this.events.push("closed");
  }

  finish(status: ExitStatus = { code: 0 }): void {
    this.stdout.end();
    this.stderr.end();
    this.exit.resolve(status);
  }
}

/** A session server over a channel in memory, that starts one scripted program. */
export function serve(handlers: Partial<SessionHandlers> = {}): {
  client: FakeChannel;
  server: FakeChannel;
  program: ScriptedProgram;
  starts: { request: StartRequest; settings: SessionSettings }[];
  done: Promise<void>;
} {
  const [client, server] = channelPair();
  const program = new ScriptedProgram();
  const starts: { request: StartRequest; settings: SessionSettings }[] = [];
  const done = serveSession(server, {
    acceptEnv: () => true,
    acceptPty: () => true,
    acceptAgentForwarding: () => true,
    start: (request, settings) => {
      starts.push({ request, settings });
      return Promise.resolve(program);
    },
    ...handlers,
  });
  return { client, server, program, starts, done };
}

/** Lets everything that is ready happen. */
export const settled = () => new Promise<void>((resolve) => setTimeout(resolve, 5));
