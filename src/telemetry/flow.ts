/**
 * Flows: one proxied connection, channel or stream each, and for each exactly one record, written when it ends.
 *
 * ```ts ignore
 * using flow = flows.start({ who, action: "connect", target: "web.localhost:22", rule: decision.rule });
 * const opened = await balancer.open(targets, { origin, signal: flow.signal }).catch((error) => {
 *   flow.end("open-failed", error);
 *   throw error;
 * });
 * flow.endWith(await relay(channel, opened.duplex, { signal: flow.signal, onBytes: flow.onBytes }));
 * ```
 *
 * Whatever path leaves the block, the record is written: an end that nobody stated is `abandoned`.
 */
import { afterLong, type Clock } from "../platform/clock.ts";
import type { RelayResult } from "../streams/relay.ts";
import { type Actor, actorOf } from "./actor.ts";
import { jsonLine } from "./json_line.ts";

/** What a flow is from its beginning on. */
export interface FlowStart {
  readonly who: Actor;
  /** The right that was used: `connect`, `dial`, … */
  readonly action: string;
  /** What was reached: `web.localhost:22`, `10.0.0.7:5432`, a command. */
  readonly target: string;
  /** The rule that allowed it. */
  readonly rule: string;
  /** The peer's address: `192.0.2.1:50000`. */
  readonly remote?: string;
  /** Ties together what belongs to one connection. */
  readonly connection?: string;
  /** Milliseconds after which the flow is cut. */
  readonly maxSession?: number;
}

/** Why a flow ended. */
export type FlowEnd =
  /** Both directions came to their end. */
  | "ended"
  /** The client, or the target, was closed before the other side had ended: how `ssh -J` leaves. */
  | "client-closed"
  | "target-closed"
  /** One side broke. */
  | "fault"
  /** Nothing could be opened. */
  | "open-failed"
  | "idle"
  | "max-session"
  /** Credential, key or rule were taken away. */
  | "revoked"
  /** The grace of a drain was over. */
  | "drained"
  /** The client or its connection went away. */
  | "aborted"
  /** The code that was responsible left without a word: a mistake of ours. */
  | "abandoned";

/** One flow's record, as it is written. */
export interface FlowRecord {
  readonly event: "flow";
  readonly id: string;
  /** When it began and ended, RFC 3339. */
  readonly start: string;
  readonly time: string;
  readonly who: Actor;
  readonly remote?: string;
  readonly connection?: string;
  readonly action: string;
  readonly target: string;
  readonly rule: string;
  /** Where it was opened, once it was. */
  readonly via?: string;
  /** Bytes from who asked to the target, and back. */
  readonly up: number;
  readonly down: number;
  readonly duration_ms: number;
  readonly end: FlowEnd;
  readonly error?: string;
}

/** Where records go, and who counts. */
export interface FlowsOptions {
  readonly clock: Clock;
  /** Takes one JSON line without its break. Must not throw. */
  readonly write: (line: string) => void;
  /** For metrics. Must not throw. */
  readonly onStart?: (flow: Flow) => void;
  readonly onEnd?: (record: FlowRecord) => void;
}

/** Why `Flow.signal` aborted. */
export class FlowCut extends Error {
  override readonly name = "FlowCut";
  constructor(readonly end: FlowEnd, message: string) {
    super(message);
  }
}

/** All flows of a process. */
export class Flows {
  readonly #options: FlowsOptions;
  readonly #open = new Map<string, Flow>();
  #onDrained: (() => void)[] = [];

  constructor(options: FlowsOptions) {
    this.#options = options;
  }

  /** Flows that have not ended. */
  get size(): number {
    return this.#open.size;
  }

  /** Those flows, oldest first: for `status`, and for judging them again when the policy changes. */
  [Symbol.iterator](): IterableIterator<Flow> {
    return [...this.#open.values()].values();
  }

  /** Begins a flow. End it, or hold it with `using`. */
  start(start: FlowStart): Flow {
    const { clock, write, onStart, onEnd } = this.#options;
    const flow: Flow = new Flow(start, clock, (record) => {
      this.#open.delete(flow.id);
      write(jsonLine(record));
      onEnd?.(record);
      if (this.#open.size > 0) return;
      for (const resolve of this.#onDrained.splice(0)) resolve();
    });
    this.#open.set(flow.id, flow);
    onStart?.(flow);
    return flow;
  }

  /** Cuts all flows that are open; their records follow as they end. */
  cutAll(end: FlowEnd, message: string): void {
    for (const flow of this) flow.cut(end, message);
  }

  /** Resolves when no flow is open. Others may have begun when the caller gets to run. */
  drained(): Promise<void> {
    return this.#open.size === 0
      ? Promise.resolve()
      : new Promise((resolve) => this.#onDrained.push(resolve));
  }
}

/** One flow. Made by {@link Flows.start}. */
export class Flow implements Disposable {
  readonly id: string = crypto.randomUUID();
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** Where it was opened: set it once known. */
  via?: string;
  readonly #clock: Clock;
  readonly #startedMonotonic: number;
  readonly #report: (record: FlowRecord) => void;
  readonly #cut = new AbortController();
  readonly #cancelLimit?: () => void;
  #up = 0;
  #down = 0;
  #ended = false;

  constructor(readonly start: FlowStart, clock: Clock, report: (record: FlowRecord) => void) {
    this.#clock = clock;
    this.#report = report;
    this.startedAt = clock.now();
    this.#startedMonotonic = clock.monotonic();
    const { maxSession } = start;
    if (maxSession !== undefined) {
      this.#cancelLimit = afterLong(
        clock,
        maxSession,
        () => this.cut("max-session", "the session has lasted as long as it may"),
      );
    }
  }

  /** Aborts, with a {@link FlowCut}, when the flow must end: give it to whatever opens and relays. */
  get signal(): AbortSignal {
    return this.#cut.signal;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get up(): number {
    return this.#up;
  }

  get down(): number {
    return this.#down;
  }

  /** Counts; as `onBytes` of a relay whose side `a` is who asked. */
  readonly onBytes = (direction: "aToB" | "bToA", count: number): void => {
    if (direction === "aToB") this.#up += count;
    else this.#down += count;
  };

  /** Makes the flow end: its signal aborts, and whoever relays it states the end. */
  cut(end: FlowEnd, message: string): void {
    if (!this.#ended) this.#cut.abort(new FlowCut(end, message));
  }

  /** Ends the flow as the relay did; `a` was who asked. Its counts hold. */
  endWith(result: RelayResult): void {
    if (this.#ended) return;
    this.#up = result.aToB;
    this.#down = result.bToA;
    if (result.reason === "closed") {
      return this.end(result.closedBy === "a" ? "client-closed" : "target-closed");
    }
    if (result.reason !== "fault") return this.end(result.reason);
    const { side, operation, error } = result.fault!;
    this.end(
      "fault",
      `${operation} on the ${side === "a" ? "client's" : "target's"} side: ${messageOf(error)}`,
    );
  }

  /**
   * Ends the flow and writes its record; later calls do nothing. A flow that was cut ends as `cut` said, not as
   * what followed from it.
   */
  end(end: FlowEnd, error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelLimit?.();
    const { signal } = this.#cut;
    const cut = signal.aborted && signal.reason instanceof FlowCut && end !== "ended"
      ? signal.reason
      : undefined;
    const { who, remote, connection, action, target, rule } = this.start;
    const text = cut?.message ?? (error === undefined ? undefined : messageOf(error));
    this.#report({
      event: "flow",
      id: this.id,
      start: new Date(this.startedAt).toISOString(),
      time: new Date(this.#clock.now()).toISOString(),
      who: actorOf(who),
      ...(remote !== undefined && { remote }),
      ...(connection !== undefined && { connection }),
      action,
      target,
      rule,
      ...(this.via !== undefined && { via: this.via }),
      up: this.#up,
      down: this.#down,
      duration_ms: Math.round(this.#clock.monotonic() - this.#startedMonotonic),
      end: cut?.end ?? end,
      ...(text !== undefined && { error: text }),
    });
    // What still listens to the signal belongs to a flow that is over.
    if (!signal.aborted) this.#cut.abort(new FlowCut(end, "the flow has ended"));
  }

  [Symbol.dispose](): void {
    this.end("abandoned");
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
