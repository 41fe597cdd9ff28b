/** How fast one identity gets certificates: each is kept on record for a month, and getting one takes no right. */
import type { Clock } from "../platform/clock.ts";

/** What an identity may have at once: a fleet of a thousand agents with one credential that starts in one moment. */
export const MOST_AT_ONCE = 1000;
/** And then by the second: what five hundred such agents take that renew two certificates of ten minutes each. */
export const PER_SECOND = 5;
/** Milliseconds after which it is as if nothing had been taken. */
const FORGOTTEN_AFTER = 1000 * MOST_AT_ONCE / PER_SECOND;
/** Identities that are remembered before those are looked for that can be forgotten. */
const MANY = 4096;

/** Counts what each has taken. */
export class Pace {
  readonly #clock: Clock;
  /** By identity: what is left, as of when. The one that took last is last. */
  readonly #left = new Map<string, { count: number; at: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes one for `who`. @returns whether there was one left */
  take(who: string): boolean {
    const now = this.#clock.monotonic();
    const { count, at } = this.#left.get(who) ?? { count: MOST_AT_ONCE, at: now };
    const left = Math.min(MOST_AT_ONCE, count + (now - at) / 1000 * PER_SECOND);
    if (left < 1) return false;
    this.#left.delete(who);
    this.#left.set(who, { count: left - 1, at: now });
    if (this.#left.size > MANY) this.#forget(now);
    return true;
  }

  #forget(now: number): void {
    for (const [who, { at }] of this.#left) {
      if (now - at < FORGOTTEN_AFTER) break;
      this.#left.delete(who);
    }
  }
}
