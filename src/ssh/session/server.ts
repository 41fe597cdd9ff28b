/** The server's side of a session channel (RFC 4254 §6): settings first, then exactly one program. */
import type { Bytes } from "../../bytes/bytes.ts";
import { MalformedError } from "../../bytes/reader.ts";
import type { Channel, ChannelRequest } from "../connection/types.ts";
import { type Program, relayProgram, runService, type Service } from "./program.ts";
import {
  breakRequest,
  envRequest,
  type PtyRequest,
  ptyRequest,
  signalRequest,
  textRequest,
  windowChange,
} from "./requests.ts";

/** What a client asks to run. */
export type StartRequest =
  | { readonly type: "shell" }
  | { readonly type: "exec"; readonly command: string }
  | { readonly type: "subsystem"; readonly name: string };

/** What the client has settled before the start. */
export interface SessionSettings {
  readonly env: ReadonlyMap<string, string>;
  /** With the size as of the last window-change. */
  readonly pty?: PtyRequest;
  readonly agentForwarding: boolean;
}

/** The decisions that a session leaves to its owner. A handler that is missing, throws or says no means FAILURE. */
export interface SessionHandlers {
  /** Whether the client may set this variable. */
  acceptEnv?(name: string, value: string): boolean;
  /** Whether there may be a terminal. */
  acceptPty?(pty: PtyRequest): boolean;
  /** Whether the client's agent may be used; asked once. */
  acceptAgentForwarding?(): boolean | Promise<boolean>;
  /** Starts what is asked for; undefined is a refusal, after which the client may ask for something else. */
  start(request: StartRequest, settings: SessionSettings): Promise<Program | Service | undefined>;
  /** Tells of an error that a handler threw: the client learns only FAILURE. */
  onError?(error: unknown): void;
}

/** Variables that one session may set: as many as OpenSSH takes. */
export const MAX_ENV_COUNT = 128;

/** Bytes of all their names and values together; far more than people send, far less than would hurt. */
const MAX_ENV_BYTES = 64 * 1024;

/**
 * Serves one accepted `session` channel until it is closed. Call it before the first await after `accept`.
 * Requests out of order, for the second time, malformed or unknown are answered with FAILURE.
 */
export function serveSession(channel: Channel, handlers: SessionHandlers): Promise<void> {
  const session = new ServerSession(channel, handlers);
  channel.onRequest = (request) => session.answer(request);
  return session.finished();
}

type Answer = boolean | Promise<boolean>;

class ServerSession {
  readonly #channel: Channel;
  readonly #handlers: SessionHandlers;
  readonly #env = new Map<string, string>();
  #envBytes = 0;
  #pty?: PtyRequest;
  #agentForwarding = false;
  /** `starting` keeps a second start out while the first one is being decided. */
  #state: "settings" | "starting" | "started" = "settings";
  #program?: Program;
  #stopOutput?: () => void;
  /** A start that is being decided, and then what was started. */
  #starting: Promise<unknown> = Promise.resolve();
  #running: Promise<void> = Promise.resolve();

  /** Requests that settle something, valid before the start. */
  readonly #settings: Readonly<Record<string, (data: Bytes) => Answer>> = {
    "env": (data) => this.#setEnv(data),
    "pty-req": (data) => this.#setPty(data),
    "auth-agent-req@openssh.com": () => this.#forwardAgent(),
    "shell": () => this.#start({ type: "shell" }),
    "exec": (data) => this.#start({ type: "exec", command: textRequest.decode(data) }),
    "subsystem": (data) => this.#start({ type: "subsystem", name: textRequest.decode(data) }),
  };

  /** Requests that speak to the program, or about its terminal. */
  readonly #controls: Readonly<Record<string, (data: Bytes) => Answer>> = {
    "window-change": (data) => this.#resize(data),
    "signal": (data) => this.#signal(data),
    "break": (data) => this.#break(data),
    "eow@openssh.com": () => this.#endOfWrite(),
  };

  constructor(channel: Channel, handlers: SessionHandlers) {
    this.#channel = channel;
    this.#handlers = handlers;
  }

  async answer({ type, data }: ChannelRequest): Promise<boolean> {
    const handler = ownValue(this.#controls, type) ??
      (this.#state === "settings" ? ownValue(this.#settings, type) : undefined);
    if (handler === undefined) return false;
    try {
      return await handler(data);
    } catch (error) {
      if (!(error instanceof MalformedError)) this.#handlers.onError?.(error);
      return false;
    }
  }

  async finished(): Promise<void> {
    await this.#channel.closed;
    // A client may go while its program is being started.
    await this.#starting;
    await this.#running;
  }

  #setEnv(data: Bytes): boolean {
    const { name, value } = envRequest.decode(data);
    // A NUL or "=" would end up as another variable than the one that was judged.
    if (name === "" || /[=\0]/.test(name) || value.includes("\0")) return false;
    const bytes = this.#envBytes + name.length + value.length;
    if (this.#env.size >= MAX_ENV_COUNT || bytes > MAX_ENV_BYTES) return false;
    if (!this.#handlers.acceptEnv?.(name, value)) return false;
    this.#env.set(name, value);
    this.#envBytes = bytes;
    return true;
  }

  #setPty(data: Bytes): boolean {
    if (this.#pty !== undefined) return false;
    const pty = ptyRequest.decode(data);
    if (pty.term.includes("\0") || !this.#handlers.acceptPty?.(pty)) return false;
    this.#pty = pty;
    return true;
  }

  async #forwardAgent(): Promise<boolean> {
    if (this.#agentForwarding || !await this.#handlers.acceptAgentForwarding?.()) return false;
    return this.#agentForwarding = true;
  }

  #start(request: StartRequest): Promise<boolean> {
    const starting = this.#startProgram(request);
    this.#starting = starting.catch(() => {});
    return starting;
  }

  async #startProgram(request: StartRequest): Promise<boolean> {
    if ("command" in request && request.command.includes("\0")) return false;
    this.#state = "starting";
    let started: Program | Service | undefined;
    try {
      const settings = { env: this.#env, pty: this.#pty, agentForwarding: this.#agentForwarding };
      started = await this.#handlers.start(request, settings);
    } finally {
      this.#state = started === undefined ? "settings" : "started";
    }
    if (started === undefined) return false;
    this.#running = this.#run(started);
    return true;
  }

  async #run(started: Program | Service): Promise<void> {
    if ("stdout" in started) this.#program = started;
    // The answer to the request goes first: some clients take output before SUCCESS for an error.
    await new Promise<void>((resolve) => setTimeout(resolve, 0));
    if ("serve" in started) return await runService(this.#channel, started);
    const relay = relayProgram(this.#channel, started);
    this.#stopOutput = relay.stopOutput;
    await relay.done;
    this.#program = undefined;
  }

  #resize(data: Bytes): boolean {
    const size = windowChange.decode(data);
    if (this.#pty === undefined) return false;
    this.#pty = { ...this.#pty, ...size };
    this.#program?.resize?.(size);
    return true;
  }

  #signal(data: Bytes): boolean {
    const name = signalRequest.decode(data);
    if (this.#program?.signal === undefined) return false;
    this.#program.signal(name);
    return true;
  }

  #break(data: Bytes): boolean {
    return this.#program?.sendBreak?.(breakRequest.decode(data)) ?? false;
  }

  #endOfWrite(): boolean {
    this.#stopOutput?.();
    return this.#stopOutput !== undefined;
  }
}

function ownValue<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
