/** Chooses among the targets of a name. */
import type { Clock } from "../platform/clock.ts";
import type { Duplex } from "../streams/duplex.ts";
import { discard, type OpenRequest, type Target, TargetError } from "./target.ts";

/**
 * How long one target may take to open. A node behind a slow network answers within seconds; beyond that the next one is
 * the better bet, and the client's own patience (OpenSSH: none, curl: minutes) is not used up.
 */
const DEFAULT_OPEN_TIMEOUT = 10_000;

/** How long to wait, by which clock. */
export interface BalancerOptions {
  readonly clock: Clock;
  /** Milliseconds for one target. Default 10 s. */
  readonly openTimeout?: number;
}

/** An open connection, and the place that serves it. */
export interface Opened<T extends Target = Target> {
  readonly duplex: Duplex;
  readonly target: T;
  /** Says that the flow has ended: call it, or use `using`, exactly when the relay is done. Idempotent. */
  done(): void;
  [Symbol.dispose](): void;
}

/**
 * Opens connections on the target with the fewest open flows, in turn among equals, and on the next one when opening
 * fails. One for all flows of a process: its counts are what it chooses by.
 */
export class Balancer {
  readonly #options: BalancerOptions;
  /** Flows by target; no entry for none. */
  readonly #flows = new Map<string, number>();
  /** When each target was last chosen, as a running number; kept only while it has flows or is the latest of its set. */
  readonly #lastChosen = new Map<string, number>();
  #turn = 0;

  constructor(options: BalancerOptions) {
    this.#options = options;
  }

  /** Open flows of a target. */
  flows(target: Target): number {
    return this.#flows.get(target.id) ?? 0;
  }

  /** `targets` in the order in which they would be tried now. */
  order<T extends Target>(targets: readonly T[]): T[] {
    return [...targets].sort((a, b) =>
      this.flows(a) - this.flows(b) ||
      (this.#lastChosen.get(a.id) ?? 0) - (this.#lastChosen.get(b.id) ?? 0)
    );
  }

  /**
   * Opens a connection on one of `targets`. Each is tried once at most, and only while no byte has moved.
   * @throws {TargetError} of the last target tried, `none` when there is no target, with the others as `cause`
   * @throws the signal's reason when that aborts
   */
  async open<T extends Target>(targets: readonly T[], request: OpenRequest): Promise<Opened<T>> {
    const failures: unknown[] = [];
    for (const target of this.order(targets)) {
      request.signal?.throwIfAborted();
      const done = this.#count(target);
      try {
        const duplex = await this.#openOne(target, request);
        return { duplex, target, done, [Symbol.dispose]: done };
      } catch (error) {
        done();
        if (request.signal?.aborted) throw request.signal.reason;
        failures.push(error);
      }
    }
    const last = failures.at(-1);
    if (last === undefined) throw new TargetError("none", "nothing serves this name and port");
    if (failures.length === 1 && last instanceof TargetError) throw last;
    const why = last instanceof Error ? last.message : String(last);
    throw new TargetError(last instanceof TargetError ? last.code : "failed", why, {
      cause: failures.length === 1 ? last : new AggregateError(failures, `${failures.length} targets failed`),
    });
  }

  /** Counts from the choice on, so that many at once spread. */
  #count(target: Target): () => void {
    this.#flows.set(target.id, this.flows(target) + 1);
    this.#lastChosen.delete(target.id);
    this.#lastChosen.set(target.id, ++this.#turn);
    this.#forgetOldTurns();
    let counted = true;
    return () => {
      if (!counted) return;
      counted = false;
      const left = this.flows(target) - 1;
      if (left > 0) this.#flows.set(target.id, left);
      else this.#flows.delete(target.id);
    };
  }

  /** Targets come and go for ever; who was chosen that long ago is next anyway. */
  #forgetOldTurns(): void {
    if (this.#lastChosen.size <= MAX_REMEMBERED) return;
    const [oldest] = this.#lastChosen.keys();
    this.#lastChosen.delete(oldest);
  }

  async #openOne(target: Target, request: OpenRequest): Promise<Duplex> {
    const { clock, openTimeout = DEFAULT_OPEN_TIMEOUT } = this.#options;
    const attempt = new AbortController();
    const onAbort = () => attempt.abort(request.signal!.reason);
    request.signal?.addEventListener("abort", onAbort, { once: true });
    const cancel = clock.after(openTimeout, () => {
      attempt.abort(
        new TargetError("timeout", `${target.description} did not answer within ${openTimeout} ms`),
      );
    });
    const opening = target.open({ ...request, signal: attempt.signal });
    // A target that does not heed its signal must not hold the client up; what it opens too late is closed.
    const aborted = new Promise<never>((_, reject) => {
      attempt.signal.addEventListener("abort", () => reject(attempt.signal.reason), { once: true });
    });
    try {
      return await Promise.race([opening, aborted]);
    } catch (error) {
      opening.then(discard, () => {});
      throw error;
    } finally {
      cancel();
      request.signal?.removeEventListener("abort", onAbort);
    }
  }
}

/** Targets whose last turn is remembered: more than are behind any one name. */
const MAX_REMEMBERED = 4096;
