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

/** How late {@link atTime} may be after a sleep of the machine, in milliseconds. */
export const LONGEST_NAP = 5 * 60_000;

/**
 * Calls `callback` once when the wall clock has reached `when`, or when as much time as that seems away now has passed.
 * Timers stand still while a machine sleeps, and nobody tells them that a clock was put right; so this one looks at the
 * clock again and again. @returns cancels it
 */
export function atTime(clock: Clock, when: number, callback: () => void): () => void {
  const latest = clock.monotonic() + (when - clock.now());
  const left = () => Math.min(when - clock.now(), latest - clock.monotonic());
  let cancel = () => {};
  const nap = () => {
    cancel = clock.after(Math.min(Math.max(left(), 0), LONGEST_NAP), () => left() > 0 ? nap() : callback());
  };
  nap();
  return () => cancel();
}
