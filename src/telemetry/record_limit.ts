/**
 * Records of what anybody can make happen without end. So many of a kind are written whole, of one actor and within one
 * interval; the others are counted, and the count is written. So nobody fills a disk, or washes out of rotating files what
 * was done before.
 */

/** Milliseconds. */
export const RECORD_INTERVAL = 60_000;
/** Records of one kind and one actor that are written whole in an interval: more than people and scripts cause by mistake. */
export const WHOLE_RECORDS = 100;
/** Kinds and actors that are counted at once; beyond that the oldest count is closed early. */
const MAX_COUNTS = 10_000;

/** What was left out. */
export interface LeftOut<C> {
  /** The kind of record. */
  readonly of: string;
  readonly count: number;
  /** Of the first record of the interval, left out or not. */
  readonly context: C;
}

interface Count<C> extends LeftOut<C> {
  readonly key: string;
  readonly until: number;
  written: number;
  count: number;
}

/** @typeParam C what records know beside their own fields */
export class RecordLimit<C> {
  /** Each lasts as long as the others, so the oldest end first. */
  readonly #counts = new Map<string, Count<C>>();

  /**
   * Whether a record of the kind `of` is to be written; if not, it has been counted.
   * @param actor whose records are counted together
   * @param now milliseconds, monotonic
   */
  admits(of: string, actor: string, context: C, now: number): boolean {
    const key = JSON.stringify([of, actor]);
    let count = this.#counts.get(key);
    if (!count) {
      count = { of, key, context, until: now + RECORD_INTERVAL, written: 0, count: 0 };
      this.#counts.set(key, count);
    }
    if (count.written >= WHOLE_RECORDS) {
      count.count++;
      return false;
    }
    count.written++;
    return true;
  }

  /** Closes the intervals that are over at `now`: what was left out in them. */
  close(now: number): LeftOut<C>[] {
    const leftOut: LeftOut<C>[] = [];
    for (const count of this.#counts.values()) {
      if (count.until > now && this.#counts.size <= MAX_COUNTS) break;
      this.#counts.delete(count.key);
      if (count.count > 0) leftOut.push(count);
    }
    return leftOut;
  }
}
