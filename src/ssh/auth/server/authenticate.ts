/** The server's side of authentication: from SERVICE_REQUEST to USERAUTH_SUCCESS (RFC 4252). */
import { type Bytes, encodeText } from "../../../bytes/bytes.ts";
import { printable, printableLines } from "../../../bytes/printable.ts";
import { type Clock, systemClock } from "../../../platform/clock.ts";
import { untilAborted } from "../../../streams/until_aborted.ts";
import { DisconnectReason, SshError } from "../../error.ts";
import { Msg } from "../../wire/numbers.ts";
import {
  ServiceAccept,
  ServiceRequest,
  UserauthBanner,
  UserauthFailure,
  UserauthRequest,
  UserauthSuccess,
} from "../messages.ts";
import {
  AuthenticationError,
  CONNECTION_SERVICE,
  type MessageStream,
  Method,
  USERAUTH_SERVICE,
} from "../types.ts";
import { type Outcome, refuse, SERVER_ACCEPTS, type ServerExchange, type ServerState } from "./exchange.ts";
import { SERVER_METHODS } from "./methods.ts";
import {
  type Authenticated,
  type AuthRequest,
  type Decide,
  DEFAULT_FAILURE_QUANTUM,
  DEFAULT_MAX_TRIES,
  MAX_QUERIES,
  MAX_REQUESTS,
  MAX_USER_LENGTH,
  type PassedMethod,
  type ServerAuth,
  type ServerAuthContext,
  type Verdict,
} from "./types.ts";

/**
 * Authenticates the client at the other end of `stream`: resolves when USERAUTH_SUCCESS has been sent.
 *
 * The stream hands over messages 5 to 79 after the first key exchange; anything that the state does not allow ends the
 * connection. Who may come in is decided by the callbacks of `config` alone.
 *
 * @throws {SshError} `protocol` for a peer that breaks the rules, `auth` when tries ran out; whatever the stream
 * throws, and the reason of `context.signal`. The caller disconnects with the error's reason.
 */
export function authenticateServer<I>(
  stream: MessageStream,
  config: ServerAuth<I>,
  context: ServerAuthContext = {},
): Promise<Authenticated<I>> {
  return new ServerAuthentication(stream, config, context).run();
}

/** One user name's progress: forgotten when the peer changes to another (RFC 4252 §5). */
interface Progress {
  readonly user: string;
  passed: readonly PassedMethod[];
  /** Methods that may be tried now. `none` is open without being listed. */
  open: readonly string[];
}

class ServerAuthentication<I> implements ServerExchange<I> {
  readonly stream: MessageStream;
  readonly config: ServerAuth<I>;
  readonly #signal: AbortSignal | undefined;
  readonly #clock: Clock;
  #maxTries: number;
  #progress: Progress = { user: "", passed: [], open: [] };
  #begun = false;
  #requests = 0;
  #queries = 0;
  #tries = 0;
  /** When the message that is being answered came: {@link Clock.monotonic}. */
  #receivedAt = 0;
  readonly #shown = new Set<string>();

  constructor(stream: MessageStream, config: ServerAuth<I>, context: ServerAuthContext) {
    this.stream = stream;
    this.config = config;
    this.#signal = context.signal;
    this.#clock = context.clock ?? systemClock;
    const { maxTries = DEFAULT_MAX_TRIES } = config;
    this.#maxTries = typeof maxTries === "number" ? requireTries(maxTries) : DEFAULT_MAX_TRIES;
  }

  get request(): AuthRequest {
    const { user, passed } = this.#progress;
    return { user, passed, signal: this.#signal };
  }

  async run(): Promise<Authenticated<I>> {
    let payload = await this.receive("service");
    while (true) {
      if (++this.#requests > MAX_REQUESTS) throw this.#exhausted("too many authentication requests");
      let next: Bytes | undefined;
      if (payload[0] === Msg.SERVICE_REQUEST) {
        this.#acceptService(payload);
      } else {
        const step = await this.#handle(payload);
        if (step.authenticated) return step.authenticated;
        next = step.next;
      }
      payload = next ?? await this.receive("request");
    }
  }

  async receive(state: ServerState): Promise<Bytes> {
    while (true) {
      this.#signal?.throwIfAborted();
      const payload = await untilAborted(this.stream.receive(), this.#signal);
      this.#receivedAt = this.#clock.monotonic();
      const number = payload[0];
      if (!(SERVER_ACCEPTS[state] as Set<number | undefined>).has(number)) {
        throw new SshError("protocol", `message ${number} while waiting for the client's ${state}`);
      }
      if (number !== Msg.EXT_INFO) return payload;
    }
  }

  async ask<R>(decide: Decide<R, I>, request: R): Promise<Verdict<I>> {
    try {
      return await untilAborted((async () => await decide(request))(), this.#signal);
    } catch (cause) {
      this.#signal?.throwIfAborted();
      if (cause instanceof SshError) throw cause;
      return refuse("the check failed", { cause });
    }
  }

  #acceptService(payload: Bytes): void {
    const { service } = ServiceRequest.decode(payload);
    requireService(service, USERAUTH_SERVICE);
    this.stream.send(ServiceAccept.encode({ service }));
  }

  async #handle(payload: Bytes): Promise<{ authenticated?: Authenticated<I>; next?: Bytes }> {
    const { user, service, method: written, fields } = UserauthRequest.decode(payload);
    requireService(service, CONNECTION_SERVICE);
    await this.#turnTo(user);
    const method = SERVER_METHODS.get(written);
    const name = method?.name ?? written;
    const outcome: Outcome<I> = method && this.#isOpen(name)
      ? await method.attempt(this, fields, written)
      : refuse("method not offered");
    const counted = this.#count(name, outcome);
    this.#report(name, outcome, counted);

    switch (outcome.result) {
      case "accepted":
        this.#pass(name, outcome);
        this.#show(outcome.message);
        this.stream.send(UserauthSuccess.encode({}));
        return { authenticated: { user, identity: outcome.identity, methods: this.#progress.passed } };
      case "partial":
        this.#pass(name, outcome);
        this.#open(outcome.methods);
        this.#show(outcome.message);
        this.#fail(true);
        return {};
      case "known":
        this.#requireQueriesLeft();
        return {};
      case "abandoned":
        this.#requireTriesLeft();
        return { next: outcome.next };
      case "refused":
        // Clients ask for the list of methods with `none`: nothing to hide there.
        if (name !== Method.none || this.config.none) await this.#pause();
        this.#show(outcome.message);
        this.#requireTriesLeft();
        this.#requireQueriesLeft();
        this.#fail(false);
        return {};
    }
  }

  /** Begins with `user`, or begins anew with another one: what the first has passed is not the second's. */
  async #turnTo(user: string): Promise<void> {
    if (encodeText(user).length > MAX_USER_LENGTH) {
      throw new SshError("protocol", "user name too long", { reason: DisconnectReason.illegalUserName });
    }
    if (this.#begun && user === this.#progress.user) return;
    this.#progress = { user, passed: [], open: [] };
    const { methods, banner, maxTries } = this.config;
    const asked = async <T>(ask: (user: string) => T | Promise<T>) =>
      await untilAborted((async () => await ask(user))(), this.#signal);
    if (typeof maxTries === "function") this.#maxTries = requireTries(maxTries(user));
    this.#open(methods ? await asked(methods) : this.#offered());
    if (!this.#begun) this.#show(typeof banner === "function" ? await asked(banner) : banner);
    this.#begun = true;
  }

  /** Names of all methods that have a callback, in the order of the table; `none` is never listed (RFC 4252 §5.2). */
  #offered(): string[] {
    const offered = [...SERVER_METHODS.values()].filter((method) => method.offered(this.config));
    return [...new Set(offered.map((method) => method.name))].filter((name) => name !== Method.none);
  }

  #open(methods: readonly string[]): void {
    const offered = this.#offered();
    const unknown = methods.find((name) => !offered.includes(name));
    if (unknown !== undefined) throw new TypeError(`no callback for the method ${unknown}`);
    this.#progress.open = methods;
  }

  #isOpen(name: string): boolean {
    return name === Method.none || this.#progress.open.includes(name);
  }

  #pass(method: string, { key, certificate }: Outcome<I>): void {
    this.#progress.passed = [...this.#progress.passed, { method, key, certificate }];
  }

  /** Counts what failed as sshd does: the first `none` is free, and here questions about keys are too. */
  #count(method: string, outcome: Outcome<I>): boolean {
    if (outcome.query) {
      this.#queries++;
      return false;
    }
    if (outcome.result !== "refused" && outcome.result !== "abandoned") return false;
    if (method === Method.none && this.#freeNone) {
      this.#freeNone = false;
      return false;
    }
    this.#tries++;
    return true;
  }
  #freeNone = true;

  #requireTriesLeft(): void {
    if (this.#tries >= this.#maxTries) throw this.#exhausted("too many authentication failures");
  }

  #requireQueriesLeft(): void {
    if (this.#queries >= MAX_QUERIES) throw this.#exhausted("too many keys offered");
  }

  #exhausted(message: string): AuthenticationError {
    return new AuthenticationError(message, this.#progress.open);
  }

  /**
   * Waits until a whole number of quanta has passed since the message came, so that the time of a refusal does not
   * tell a user who does not exist from one whose password is wrong.
   */
  async #pause(): Promise<void> {
    const quantum = this.config.failureQuantum ?? DEFAULT_FAILURE_QUANTUM;
    if (quantum <= 0) return;
    const elapsed = this.#clock.monotonic() - this.#receivedAt;
    await this.#clock.sleep(quantum - elapsed % quantum, this.#signal);
  }

  /** Shows a banner, unless this client has seen it. */
  #show(message: string | undefined): void {
    if (!message || this.#shown.has(message)) return;
    this.#shown.add(message);
    const lines = printableLines(message).trimEnd().replaceAll("\n", "\r\n") + "\r\n";
    this.stream.send(UserauthBanner.encode({ text: lines, language: "" }));
  }

  #fail(partial: boolean): void {
    this.stream.send(UserauthFailure.encode({ methods: this.#progress.open, partial }));
  }

  #report(method: string, outcome: Outcome<I>, counted: boolean): void {
    const { result, key, certificate } = outcome;
    const { reason, cause } = result === "refused" ? outcome : {};
    this.config.onAttempt?.({
      user: printable(this.#progress.user),
      method: printable(method),
      result,
      reason,
      key,
      certificate,
      counted,
      cause,
    });
  }
}

function requireTries(count: number): number {
  if (!(count >= 1)) throw new RangeError("maxTries must be at least 1");
  return count;
}

/** RFC 4253 §10, RFC 4252 §5: a service that is not there ends the connection. */
function requireService(asked: string, only: string): void {
  if (asked === only) return;
  throw new SshError("protocol", `service ${printable(asked)} is not available here`, {
    reason: DisconnectReason.serviceNotAvailable,
  });
}
