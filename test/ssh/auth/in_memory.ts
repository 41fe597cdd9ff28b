/** Two message streams joined in memory, and authentication run over them. */
import { type Bytes, EMPTY } from "../../../src/bytes/bytes.ts";
import type { Clock } from "../../../src/platform/clock.ts";
import { authenticateClient } from "../../../src/ssh/auth/client/authenticate.ts";
import type { ClientAuth, ClientAuthenticated } from "../../../src/ssh/auth/client/types.ts";
import {
  PasswordFields,
  ServiceRequest,
  UserauthFailure,
  UserauthRequest,
} from "../../../src/ssh/auth/messages.ts";
import { authenticateServer } from "../../../src/ssh/auth/server/authenticate.ts";
import type { Attempt, Authenticated, ServerAuth } from "../../../src/ssh/auth/server/types.ts";
import type { MessageStream } from "../../../src/ssh/auth/types.ts";
import { SshError } from "../../../src/ssh/error.ts";
import { Msg } from "../../../src/ssh/wire/numbers.ts";

/** What both ends of a stream know from the key exchange. */
export const SESSION = {
  sessionId: new Uint8Array(32).fill(0x5e),
  hostKey: new Uint8Array(51).fill(0x0c),
};

/** One end. What its peer sends it receives. */
export class MemoryStream implements MessageStream {
  readonly sessionId: Bytes;
  readonly hostKey: Bytes;
  serverSignatureAlgorithms: readonly string[] | undefined;
  publicKeyHostbound = false;
  /** Everything that was sent from here. */
  readonly sent: Bytes[] = [];
  peer?: MemoryStream;
  #queue: Bytes[] = [];
  #ended = false;
  #wake?: () => void;

  constructor(session: { sessionId: Bytes; hostKey: Bytes } = SESSION) {
    this.sessionId = session.sessionId;
    this.hostKey = session.hostKey;
  }

  send(payload: Bytes): void {
    const copy = payload.slice();
    this.sent.push(copy);
    this.peer?.push(copy);
  }

  /** As if the peer had sent `payloads`. */
  push(...payloads: Bytes[]): void {
    this.#queue.push(...payloads);
    this.#wake?.();
  }

  /** As if the connection had ended after what was sent. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async receive(): Promise<Bytes> {
    while (this.#queue.length === 0) {
      if (this.#ended) throw new SshError("connection-lost", "the connection has ended");
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.#queue.shift()!;
  }
}

export function streamPair(): { client: MemoryStream; server: MemoryStream } {
  const client = new MemoryStream();
  const server = new MemoryStream();
  client.peer = server;
  server.peer = client;
  return { client, server };
}

/** A clock that stands still unless somebody sleeps, who then wakes at once. */
export class SleepyClock implements Clock {
  time = 1000;
  readonly slept: number[] = [];
  now = () => this.time;
  monotonic = () => this.time;
  after(): never {
    throw new Error("not used");
  }
  sleep(ms: number): Promise<void> {
    this.slept.push(ms);
    this.time += ms;
    return Promise.resolve();
  }
}

/** How a meeting ended, on each side: a result or an error. */
export interface Meeting<I> {
  readonly server: Authenticated<I> | Error;
  readonly client: ClientAuthenticated | Error;
  readonly attempts: Attempt[];
  /** `publickey refused`, `password accepted`, … */
  readonly story: string[];
  readonly streams: { client: MemoryStream; server: MemoryStream };
}

/** Lets a client authenticate to a server. A side that fails ends the connection for the other. */
export async function meet<I>(
  serverAuth: ServerAuth<I>,
  clientAuth: ClientAuth,
  prepare: (streams: { client: MemoryStream; server: MemoryStream }) => void = () => {},
): Promise<Meeting<I>> {
  const streams = streamPair();
  prepare(streams);
  const attempts: Attempt[] = [];
  const config: ServerAuth<I> = { ...serverAuth, onAttempt: (attempt) => attempts.push(attempt) };
  const [server, client] = await Promise.all([
    orError(authenticateServer(streams.server, config, { clock: new SleepyClock() }), streams.client),
    orError(authenticateClient(streams.client, clientAuth), streams.server),
  ]);
  const story = attempts.map(({ method, result }) => `${method} ${result}`);
  return { server, client, attempts, story, streams };
}

async function orError<T>(promise: Promise<T>, peer: MemoryStream): Promise<T | Error> {
  try {
    return await promise;
  } catch (error) {
    peer.end();
    return error as Error;
  }
}

/** What became of a server whose client sent exactly what a test says. */
export interface Served<I> {
  readonly outcome: Authenticated<I> | Error;
  readonly attempts: Attempt[];
  /** What the server sent: number and, for failures, methods and partial flag. */
  readonly replies: string[];
  readonly sent: Bytes[];
  readonly clock: SleepyClock;
}

/** Runs a server against a client that sends `payloads` and then hangs up. */
export async function serve<I>(
  config: ServerAuth<I>,
  payloads: readonly Bytes[],
  { signal, clock = new SleepyClock() }: { signal?: AbortSignal; clock?: SleepyClock } = {},
): Promise<Served<I>> {
  const stream = new MemoryStream();
  stream.push(...payloads.map((payload) => payload.slice()));
  stream.end();
  const attempts: Attempt[] = [];
  const observed: ServerAuth<I> = { ...config, onAttempt: (attempt) => attempts.push(attempt) };
  const outcome = await authenticateServer(stream, observed, { clock, signal }).catch((error: Error) =>
    error
  );
  return { outcome, attempts, replies: stream.sent.map(describe), sent: stream.sent, clock };
}

const NAMES: Record<number, string> = {
  [Msg.SERVICE_ACCEPT]: "accept",
  [Msg.USERAUTH_SUCCESS]: "success",
  [Msg.USERAUTH_BANNER]: "banner",
  60: "60",
};

function describe(payload: Bytes): string {
  if (payload[0] !== Msg.USERAUTH_FAILURE) return NAMES[payload[0]];
  const { methods, partial } = UserauthFailure.decode(payload);
  return `${partial ? "partial" : "failure"} ${methods.join(",")}`.trim();
}

/** The client's first message. */
export const START = ServiceRequest.encode({ service: "ssh-userauth" }).slice();

/** A USERAUTH_REQUEST for ssh-connection. */
export function request(method: string, fields: Bytes = EMPTY, user = "ann"): Bytes {
  return UserauthRequest.encode({ user, service: "ssh-connection", method, fields }).slice();
}

export function passwordRequest(password: string, user = "ann"): Bytes {
  return request("password", PasswordFields.encode({ change: false, password }), user);
}

/** Runs a client against a server that sends `payloads` and then hangs up. */
export async function visit(
  config: ClientAuth,
  payloads: readonly Bytes[],
  prepare: (stream: MemoryStream) => void = () => {},
): Promise<{ outcome: ClientAuthenticated | Error; sent: Bytes[] }> {
  const stream = new MemoryStream();
  prepare(stream);
  stream.push(...payloads.map((payload) => payload.slice()));
  stream.end();
  const outcome = await authenticateClient(stream, config).catch((error: Error) => error);
  return { outcome, sent: stream.sent };
}
