/**
 * Joins two connections until both directions have ended: the last hop of every flow.
 *
 * Each direction is a loop of `read(buffer)` and `write(buffer)` over one buffer, so memory per flow is bounded by two
 * buffers and back-pressure is that of the slower end. Half-close is exact: the end of one direction is passed on and
 * the other goes on until it ends by itself.
 */
import { BufferPool } from "../bytes/pool.ts";
import type { Bytes } from "../bytes/bytes.ts";
import { type Duplex, plain, type PlainDuplex } from "./duplex.ts";

/** Buffer of a direction that is idle or carries keystrokes: what a thousand idle flows cost twice each. */
const SMALLEST_BUFFER = 4 * 1024;
/** Buffer of a direction in bulk: beyond it a relay gets no faster, and others wait longer for their turn. */
const LARGEST_BUFFER = 128 * 1024;
/** Growth when a read fills the buffer: three full reads lead from the smallest to the largest. */
const GROWTH = 4;
/** Reads in a row that must leave three quarters of the buffer empty before it is halved: bulk comes in bursts. */
const SMALL_READS_BEFORE_SHRINKING = 4;

/** The part of a clock that the idle timeout needs; `Clock` of `platform/clock.ts` fits. */
export interface RelayClock {
  /** Milliseconds on a clock that never goes back. */
  monotonic(): number;
  /** Calls `callback` once after `ms`; the result cancels it. */
  after(ms: number, callback: () => void): () => void;
}

/** How a relay is watched and ended. */
export interface RelayOptions {
  /** Ends the relay; both connections are closed with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Ends the relay when no byte moved either way for `ms` milliseconds. */
  readonly idle?: { readonly ms: number; readonly clock: RelayClock };
  /** Called with the count of every chunk after it was written, for live figures. Must not throw. */
  readonly onBytes?: (direction: "aToB" | "bToA", count: number) => void;
}

/** Where a relay broke. */
export interface RelayFault {
  readonly side: "a" | "b";
  readonly operation: "read" | "write" | "closeWrite";
  readonly error: unknown;
}

/** How a relay ended, and what it moved. */
export interface RelayResult {
  /**
   * `ended`: both directions came to their end; `closed`: see `closedBy`; `fault`: see `fault`. An error whose `code`
   * is `closed` says that a side was closed, not that it broke.
   */
  readonly reason: "ended" | "closed" | "fault" | "idle" | "aborted";
  /** Bytes read from `a` and accepted by `b`. */
  readonly aToB: number;
  /** Bytes read from `b` and accepted by `a`. */
  readonly bToA: number;
  /** The side that was closed before the other had ended. */
  readonly closedBy?: "a" | "b";
  readonly fault?: RelayFault;
}

/**
 * Copies `a` to `b` and `b` to `a` until both have ended, one is closed or breaks, nothing moves for too long, or the
 * signal says stop. Never rejects. Owns both from the call on: when it resolves, both have been closed.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { duplexPair } from "./pair.ts";
 * import { relay } from "./relay.ts";
 * const [client, a] = duplexPair();
 * const [b, server] = duplexPair();
 * const relayed = relay(a, b);
 * await client.write(new Uint8Array(3));
 * await client.closeWrite();
 * await server.closeWrite();
 * assert.equal((await relayed).aToB, 3);
 * ```
 */
export function relay(a: Duplex, b: Duplex, options: RelayOptions = {}): Promise<RelayResult> {
  return new Relay(plain(a), plain(b), options).run();
}

class Relay {
  readonly #a: PlainDuplex;
  readonly #b: PlainDuplex;
  readonly #options: RelayOptions;
  readonly #counts = { aToB: 0, bToA: 0 };
  #lastActivity = 0;
  #cancelIdle?: () => void;
  #resolve!: (result: RelayResult) => void;
  #stopped = false;

  constructor(a: PlainDuplex, b: PlainDuplex, options: RelayOptions) {
    this.#a = a;
    this.#b = b;
    this.#options = options;
  }

  run(): Promise<RelayResult> {
    // A stop does not wait for the loops: a connection whose pending read never settles must not hold up the record.
    return new Promise<RelayResult>((resolve) => {
      this.#resolve = resolve;
      const { signal, idle } = this.#options;
      if (signal?.aborted) return this.#onAbort();
      signal?.addEventListener("abort", this.#onAbort, { once: true });
      if (idle) {
        this.#lastActivity = idle.clock.monotonic();
        this.#watchIdle(idle.ms);
      }
      const up = this.#pump("aToB");
      const down = this.#pump("bToA");
      Promise.all([up, down]).then(() => this.#stop("ended"), (fault: RelayFault) => this.#onFault(fault));
      this.#watchClosed("a", up);
      this.#watchClosed("b", down);
    });
  }

  async #pump(direction: "aToB" | "bToA"): Promise<void> {
    const [from, to, source, sink] = direction === "aToB"
      ? [this.#a, this.#b, "a", "b"] as const
      : [this.#b, this.#a, "b", "a"] as const;
    const { idle, onBytes } = this.#options;
    const buffer = new AdaptiveBuffer();
    // What is under way, should it fail: no promise of its own for each chunk.
    let side: "a" | "b" = source;
    let operation: RelayFault["operation"] = "read";
    try {
      while (!this.#stopped) {
        side = source;
        operation = "read";
        const count = await from.read(buffer.bytes);
        side = sink;
        if (count === null) {
          buffer.release();
          operation = "closeWrite";
          return await to.closeWrite();
        }
        if (this.#stopped) return;
        operation = "write";
        await to.write(buffer.bytes.subarray(0, count));
        this.#counts[direction] += count;
        onBytes?.(direction, count);
        if (idle) this.#lastActivity = idle.clock.monotonic();
        buffer.adapt(count);
      }
    } catch (error) {
      throw { side, operation, error } satisfies RelayFault;
    }
  }

  /** One timer for both directions, armed anew for what is left: no timer work per chunk. */
  #watchIdle(ms: number): void {
    const { clock, ms: limit } = this.#options.idle!;
    this.#cancelIdle = clock.after(ms, () => {
      const left = this.#lastActivity + limit - clock.monotonic();
      if (left > 0) this.#watchIdle(left);
      else this.#stop("idle", {}, new Error(`idle for ${limit} ms`));
    });
  }

  /**
   * A side that is closed, once all that came from it has been passed on, leaves nothing to do: nobody takes what the
   * other may one day say.
   */
  #watchClosed(side: "a" | "b", passedOn: Promise<void>): void {
    const closed = side === "a" ? this.#a.closed : this.#b.closed;
    if (!closed) return;
    Promise.all([closed, passedOn]).then(() => this.#stop("closed", { closedBy: side }), () => {});
  }

  #onFault(fault: RelayFault): void {
    const { side, error } = fault;
    const orderly = (error as { code?: unknown } | undefined)?.code === "closed";
    this.#stop(orderly ? "closed" : "fault", orderly ? { closedBy: side } : { fault }, error);
  }

  readonly #onAbort = () => this.#stop("aborted", {}, this.#options.signal!.reason);

  #stop(
    reason: RelayResult["reason"],
    details: Pick<RelayResult, "closedBy" | "fault"> = {},
    cause?: unknown,
  ): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#cancelIdle?.();
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#a.close(cause);
    this.#b.close(cause);
    this.#resolve({ reason, ...this.#counts, ...details });
  }
}

/** Buffers that no relay uses at the moment, by size: load that comes and goes would keep the collector busy. */
const pools = new Map<number, BufferPool>();
/** Unused buffers of one size. */
const KEPT_PER_SIZE = 8;

function poolOf(size: number): BufferPool {
  const known = pools.get(size);
  if (known) return known;
  const pool = new BufferPool(size, KEPT_PER_SIZE);
  pools.set(size, pool);
  return pool;
}

/** A buffer as large as the reads of late deserve. Between two reads it may be another one. */
class AdaptiveBuffer {
  bytes: Bytes = poolOf(SMALLEST_BUFFER).take();
  #smallReads = 0;

  /** Takes note of a read of `count` bytes; may replace `bytes`. */
  adapt(count: number): void {
    const { length } = this.bytes;
    if (count === length) {
      this.#smallReads = 0;
      if (length < LARGEST_BUFFER) this.#replace(Math.min(length * GROWTH, LARGEST_BUFFER));
    } else if (count * 4 > length) {
      this.#smallReads = 0;
    } else if (length > SMALLEST_BUFFER && ++this.#smallReads >= SMALL_READS_BEFORE_SHRINKING) {
      this.#smallReads = 0;
      this.#replace(length / 2);
    }
  }

  /** Nothing reads into it any more. */
  release(): void {
    poolOf(this.bytes.length).give(this.bytes);
  }

  #replace(size: number): void {
    this.release();
    this.bytes = poolOf(size).take();
  }
}
