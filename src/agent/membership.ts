/** Staying registered: one gateway at a time, again and again. */
import type { Clock } from "../platform/clock.ts";
import { deferred } from "../streams/deferred.ts";
import { untilAborted } from "../streams/until_aborted.ts";
import { type DialEvent, FIRST_DIAL, nextDial } from "./dialing.ts";
import type { EventLog } from "./events.ts";
import { AgentError } from "./exit_codes.ts";
import { formatGateway, type GatewayAddress } from "./gateway_address.ts";
import type { Registration } from "./registering.ts";

/** A registration that holds until it ends; `GatewayLink` is one. */
export interface Link {
  readonly registrations: readonly Registration[];
  readonly closed: Promise<Error | undefined>;
  readonly drained: Promise<void>;
  /** Lets what is open finish, then closes. */
  retire(signal: AbortSignal): Promise<void>;
  close(): void;
}

export interface MembershipOptions<L extends Link> {
  /** At least one; tried in turn. */
  readonly gateways: readonly GatewayAddress[];
  /** Opens a link. An {@link AgentError} means that waiting would not help. */
  open(gateway: GatewayAddress, signal: AbortSignal): Promise<L>;
  readonly clock: Clock;
  /** From 0 up to, not including, 1. */
  readonly random: () => number;
  readonly log: EventLog;
}

/**
 * Dials until registered, and anew whenever that ends.
 *
 * Until the first registration, a round in which every gateway failed for a reason that waiting does not cure ends it:
 * somebody made a mistake and is probably still there to read about it. After that nothing does but `stop`.
 */
export class Membership<L extends Link> {
  readonly #options: MembershipOptions<L>;
  readonly #stopping = new AbortController();
  readonly #retiring = new Set<Promise<void>>();
  #current = deferred<L>();
  #link?: L;
  #registeredOnce = false;
  #draining = false;

  constructor(options: MembershipOptions<L>) {
    this.#options = options;
    this.#current.promise.catch(() => {});
  }

  /** The registration as it is now. */
  get link(): L | undefined {
    return this.#link;
  }

  /** The registration, as soon as there is one. @throws the signal's reason */
  linked(signal: AbortSignal): Promise<L> {
    return untilAborted(this.#current.promise, signal);
  }

  /** Resolves after {@link stop}. @throws {AgentError} see above */
  async run(): Promise<void> {
    const { gateways, clock, random } = this.#options;
    const { signal } = this.#stopping;
    let state = FIRST_DIAL;
    /** Reasons of this round that waiting does not cure. */
    let hopeless: AgentError[] = [];
    while (!signal.aborted) {
      const gateway = gateways[state.gateway];
      const { event, error } = await this.#hold(gateway);
      if (signal.aborted || this.#draining) break;
      if (error instanceof AgentError) hopeless.push(error);
      if (hopeless.length === gateways.length && !this.#registeredOnce) throw hopeless[0];
      const step = nextDial(state, event, gateways.length, random);
      if (step.state.failed === 0) hopeless = [];
      this.#tell(gateway, event, error, step.waitMs);
      state = step.state;
      if (step.waitMs > 0) await clock.sleep(step.waitMs, signal).catch(() => {});
    }
    await Promise.all(this.#retiring);
  }

  /** Ends everything at once. */
  stop(): void {
    this.#stopping.abort(new Error("the agent stops"));
    this.#current.reject(this.#stopping.signal.reason);
  }

  /** Lets what is open finish, then stops. Resolves when nothing is left. */
  async drain(): Promise<void> {
    this.#draining = true;
    const link = this.#link;
    if (link) await link.retire(this.#stopping.signal);
    this.stop();
    await Promise.all(this.#retiring);
  }

  /** Opens a link and stays until it is over. */
  async #hold(gateway: GatewayAddress): Promise<{ event: DialEvent; error?: unknown }> {
    const { open, clock } = this.#options;
    const { signal } = this.#stopping;
    let link: L;
    try {
      link = await open.call(this.#options, gateway, signal);
    } catch (error) {
      return { event: { type: "failed" }, error };
    }
    const since = clock.monotonic();
    if (signal.aborted) {
      link.close();
      return { event: { type: "lost", upMs: 0 } };
    }
    this.#registeredOnce = true;
    this.#link = link;
    this.#current.resolve(link);
    const stopped = deferred<"stopped">();
    const onStop = () => stopped.resolve("stopped");
    signal.addEventListener("abort", onStop, { once: true });
    let error: Error | undefined;
    const why = await Promise.race([
      link.closed.then((reason) => {
        error = reason ?? new Error("the gateway closed the connection");
        return "lost" as const;
      }),
      link.drained.then(() => "drained" as const),
      stopped.promise,
    ]);
    signal.removeEventListener("abort", onStop);
    this.#link = undefined;
    if (!signal.aborted) {
      this.#current = deferred<L>();
      this.#current.promise.catch(() => {});
    }
    const upMs = clock.monotonic() - since;
    if (why === "stopped") {
      link.close();
      await link.closed;
    }
    if (why !== "drained") return { event: { type: "lost", upMs }, error };
    const retired = link.retire(signal).finally(() => this.#retiring.delete(retired));
    this.#retiring.add(retired);
    return { event: { type: "drained", upMs } };
  }

  #tell(gateway: GatewayAddress, event: DialEvent, error: unknown, retryMs: number): void {
    const where = formatGateway(gateway);
    const { log } = this.#options;
    if (event.type === "drained") return log({ event: "draining", gateway: where });
    const reason = error instanceof Error ? error.message : String(error);
    log({ event: "disconnected", gateway: where, reason, retryMs });
  }
}
