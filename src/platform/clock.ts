/** Time as an argument: the real clock, or a test's. */

/** What tells the time and waits. */
export interface Clock {
  /** Wall clock, milliseconds since 1970 (UTC). */
  now(): number;
  /** Milliseconds on a clock that never goes back. */
  monotonic(): number;
  /** Calls `callback` once after `ms`; the result cancels it. */
  after(ms: number, callback: () => void): () => void;
  /** Resolves after `ms`; rejects with the signal's reason when that aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The runtime's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
  sleep(ms, signal) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => {
        clearTimeout(timer);
        reject(signal!.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }, ms);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  },
};

/** Longest delay that timers take: 2³¹ − 1 ms, some 24 days. Beyond it they fire at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** As {@link Clock.after}, for delays of any length. */
export function afterLong(clock: Clock, ms: number, callback: () => void): () => void {
  let cancel = clock.after(Math.min(ms, LONGEST_TIMER), () => {
    if (ms > LONGEST_TIMER) cancel = afterLong(clock, ms - LONGEST_TIMER, callback);
    else callback();
  });
  return () => cancel();
}
