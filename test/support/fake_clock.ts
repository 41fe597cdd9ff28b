/** A clock that stands still until it is told to go on. */
import type { Clock } from "../../src/platform/clock.ts";

interface Timer {
  readonly at: number;
  readonly callback: () => void;
}

export class FakeClock implements Clock {
  #now: number;
  #offset: number;
  readonly #timers = new Set<Timer>();

  /** @param start wall clock at the beginning, milliseconds since 1970 */
  constructor(start = Date.parse("2026-08-01T12:00:00Z")) {
    this.#now = 0;
    this.#offset = start;
  }

  /** Timers that have not fired: a test's last question. */
  get pending(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#offset + this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  /** The wall clock is put right, or the machine has slept: `ms` are gone, and no timer has heard of it. */
  jump(ms: number): void {
    this.#offset += ms;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const cancel = this.after(ms, () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      });
      const onAbort = () => {
        cancel();
        reject(signal!.reason);
      };
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Lets `ms` pass: timers fire in their order, and promises settle before, between and after. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.#timers.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.callback();
      await settle();
    }
    this.#now = end;
    await settle();
  }
}

/** Lets every promise that can settle without the outside do so. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
