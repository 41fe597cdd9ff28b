/** When certificates are renewed. Chance comes in as an argument, time as a clock. */
import type { Certificate } from "../cert/types.ts";
import { atTime, type Clock } from "../platform/clock.ts";

/** Renewal falls into the last part before two thirds of what is left: so a thousand agents do not come at once. */
const AT_LATEST = 2 / 3;
const SPREAD = 1 / 15;

/** However short certificates are, no gateway is asked more often, in milliseconds. */
export const SHORTEST_RENEWAL_MS = 10_000;
/** However long: rules and authorities change. 20 days, which timers can wait. */
export const LONGEST_RENEWAL_MS = 20 * 24 * 3600_000;

/** First upper bound of the wait after a failure, in milliseconds; it doubles up to the last one. */
const FIRST_RETRY_MS = 5_000;
export const LAST_RETRY_MS = 5 * 60_000;

/**
 * Milliseconds from now until a certificate is to be renewed.
 * @param random from 0 up to, not including, 1
 */
export function renewalDelay(
  { validBefore }: Pick<Certificate, "validBefore">,
  now: number,
  random: number,
): number {
  const left = Number(validBefore) * 1000 - now;
  const share = AT_LATEST - SPREAD * random;
  return Math.min(Math.max(left * share, SHORTEST_RENEWAL_MS), LONGEST_RENEWAL_MS);
}

/** Milliseconds until the next try. @param failures in a row, from 1 */
export function retryDelay(failures: number, random: number): number {
  const bound = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 16));
  return bound * (1 + random) / 2;
}

export interface RenewalOptions {
  readonly clock: Clock;
  /** From 0 up to, not including, 1. */
  readonly random: () => number;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Gets a new certificate, and puts it to use. */
  obtain(signal: AbortSignal): Promise<Pick<Certificate, "validBefore">>;
  /**
   * Hears of each failure. What was got before stays in use.
   * @param failures in a row, from 1
   * @returns milliseconds until the next try, in place of the usual backoff
   */
  onFailure(error: unknown, failures: number): number | undefined;
  /** Resolves when what was got is to be renewed before its time. Asked after each success; aborts when it is time. */
  outdated?(signal: AbortSignal): Promise<void>;
}

/** Gets a certificate now, and again whenever it is time. Resolves when the signal ends it; never rejects. */
export async function keepRenewed(options: RenewalOptions): Promise<void> {
  const { clock, random, signal, obtain, onFailure, outdated } = options;
  let failures = 0;
  while (!signal.aborted) {
    const waiting = new AbortController();
    const either = AbortSignal.any([signal, waiting.signal]);
    let wait: number;
    try {
      wait = renewalDelay(await obtain(signal), clock.now(), random());
      failures = 0;
      outdated?.(either).then(() => waiting.abort(new Error("it is outdated")), () => {});
    } catch (error) {
      if (signal.aborted) return;
      wait = onFailure(error, ++failures) ?? retryDelay(failures, random());
    }
    await pause(clock, wait, either);
    waiting.abort(new Error("it is time"));
  }
}

/** Until the wall clock is `ms` on, however that comes, or the signal aborts. */
function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = () => {
      cancel();
      signal.removeEventListener("abort", end);
      resolve();
    };
    const cancel = atTime(clock, clock.now() + ms, end);
    signal.addEventListener("abort", end, { once: true });
  });
}
